"""The generic OpenID provider, with a client library of another language: openid-client, which checks signatures."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.test_oidc import OIDC

HERE = Path(__file__).parent / "node"
INSTALL_SECONDS = 180
RUN_SECONDS = 60


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the script and what its lock file pins."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("there is no node and npm here, so no client library of theirs can be tried")
    directory = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "walk.mjs"):
        shutil.copy(HERE / name, directory)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    assert 0 == done.returncode, done.stderr
    return directory


def test_the_lock_file_records_no_download_addresses() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert len(packages) > 1
    assert [] == [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_openid_client_signs_in_reads_userinfo_refreshes_and_revokes(
    installed: Path, walk_at: WalkAt, algorithm: str
) -> None:
    walk = await walk_at(OIDC)
    await walk.set("switches", signing_algorithm=algorithm)
    scope = "openid email offline_access"
    arguments = [walk.url(""), OIDC.client_id, OIDC.secret, walk.redirect_uri, scope]
    done = await asyncio.to_thread(
        subprocess.run,
        ["node", "walk.mjs", *arguments],
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    expected = {
        "subject": "sandbox-user-0001",
        "email": "alice@sandbox.example",
        "scope": scope,
        "rotated": True,
        "renewedSubject": "sandbox-user-0001",
        "codeUsedTwice": "invalid_grant",
        "refreshAfterRevocation": "invalid_grant",
    }
    assert expected == json.loads(done.stdout)
