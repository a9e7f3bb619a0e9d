"""Programs for Node: what their lock file pins is installed beside a copy of them."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

INSTALL_SECONDS: Final = 180


def found(program: str) -> str:
    """The path of `node` or `npm`. Skips where it is not there."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"there is no {program} here, so no client library for Node can be tried")
    return path


def installed(source: Path, directory: Path) -> Path:
    """The directory, with all files of `source` and their packages. Skips where there is no Node."""
    found("node")
    shutil.copytree(source, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    command = [found("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    assert 0 == done.returncode, done.stderr
    return directory
