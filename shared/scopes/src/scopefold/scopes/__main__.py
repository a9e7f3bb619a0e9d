"""Writes the page on providers: `python -m scopefold.scopes [FILE]`, by default docs/providers.md."""

import sys
from pathlib import Path

from scopefold.scopes.documents import provider_page
from scopefold.scopes.shipped import profiles

if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit("usage: python -m scopefold.scopes [FILE]")
    page = Path(sys.argv[1] if len(sys.argv) == 2 else "docs/providers.md")
    page.write_text(provider_page(profiles()), encoding="utf-8")
