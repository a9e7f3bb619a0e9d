"""Writes the pages on providers and on diagnoses: `python -m scopefold.scopes [FOLDER]`, by default docs."""

import sys
from pathlib import Path

from scopefold.scopes.diagnoses_page import diagnoses_page
from scopefold.scopes.documents import provider_page
from scopefold.scopes.shipped import general_errors, profiles

if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit("usage: python -m scopefold.scopes [FOLDER]")
    folder = Path(sys.argv[1] if len(sys.argv) == 2 else "docs")
    (folder / "providers.md").write_text(provider_page(profiles()), encoding="utf-8")
    (folder / "diagnoses.md").write_text(diagnoses_page(profiles(), general_errors()), encoding="utf-8")
