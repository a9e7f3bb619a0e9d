"""Writes the generated documents: `python -m scopefold.contracts [DIR]`, by default to contracts/generated."""

import sys
from pathlib import Path

from scopefold.contracts.documents import MAKE_AGAIN, documents


def write(folder: Path) -> None:
    """Make the folder hold exactly the generated documents.

    Files that no longer belong are removed, so a folder that is neither empty nor made by this is refused
    (`SystemExit`).
    """
    present = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    readme = folder / "README.md"
    if present and not (readme.is_file() and MAKE_AGAIN in readme.read_text(encoding="utf-8")):
        raise SystemExit(f"{folder} holds files that this did not make; give an empty or a new folder")
    files = documents()
    for path in present:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    sys.stdout.write(f"{len(files)} files in {folder}\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit("usage: python -m scopefold.contracts [DIR]")
    write(Path(sys.argv[1] if len(sys.argv) == 2 else "contracts/generated"))
