"""The generic OpenID provider, with a client library of another language: openid-client, which checks signatures."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.test_oidc import OIDC
from tests.support.node import installed

HERE = Path(__file__).parent / "node"
RUN_SECONDS = 60


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the script and what its lock file pins."""
    return installed(HERE, tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_openid_client_signs_in_reads_userinfo_refreshes_and_revokes(
    scripts: Path, walk_at: WalkAt, algorithm: str
) -> None:
    walk = await walk_at(OIDC)
    await walk.set("switches", signing_algorithm=algorithm)
    scope = "openid email offline_access"
    arguments = [walk.url(""), OIDC.client_id, OIDC.secret, walk.redirect_uri, scope]
    done = await asyncio.to_thread(
        subprocess.run,
        ["node", "walk.mjs", *arguments],
        cwd=scripts,
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
