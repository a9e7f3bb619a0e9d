"""Programs of Node: what their lock file pins is installed into a folder that git ignores."""

import shutil
from pathlib import Path
from typing import Final

from bench.driver import REDIRECT_URI
from bench.stand_in import CLIENT_ID, CLIENT_SECRET
from bench.started import CannotStartError, run_to_end

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / "build" / "bench"
INSTALL_SECONDS: Final = 900.0


def installed(name: str, *, scripts: bool = False) -> Path:
    """The folder of a peer with all that it needs. Raises `CannotStartError`.

    `scripts`: packages may build what they have of C.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise CannotStartError("node and npm are not installed here")
    ours, folder = HERE / name, CACHE / name
    lock = (ours / "package-lock.json").read_text()
    whole = folder / "node_modules" / ".complete"
    folder.mkdir(parents=True, exist_ok=True)
    for file in ours.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    if not whole.exists() or whole.read_text() != lock:
        flags = [] if scripts else ["--ignore-scripts"]
        run_to_end([npm, "ci", *flags, "--no-audit", "--no-fund"], folder, INSTALL_SECONDS)
        whole.write_text(lock)
    return folder


def environment_of(port: int, idp: str) -> dict[str, str]:
    """What the glue of every one of them reads: where it listens, and the IdP and the app behind it."""
    return {
        "NODE_ENV": "production",
        "PORT": str(port),
        "IDP": idp,
        "IDP_CLIENT": CLIENT_ID,
        "IDP_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": REDIRECT_URI,
    }
