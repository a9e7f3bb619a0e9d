"""Node's oidc-provider as a broker, with Redis for a store where redis-server is installed, else in its own memory.

Redis appends to a file and syncs it once a second, as its documentation advises.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

from bench.driver import WEB, System
from bench.peers.node import environment_of, installed
from bench.started import start
from scopefold.cli.ports import free_port

SECRET = "bench-client-secret-of-no-worth-0123456789"


@contextmanager
def oidc_provider(folder: Path, idp: str) -> Iterator[System]:
    """oidc-provider, started. Raises `CannotStartError`."""
    program = installed("oidc_provider")
    port, roots = free_port(), []
    environment = {**environment_of(port, idp), "WEB_SECRET": SECRET, "SERVICE_SECRET": SECRET}
    with ExitStack() as running:
        if (server := shutil.which("redis-server")) is not None:
            environment["REDIS_PORT"] = str(free_port())
            argv = [server, "--port", environment["REDIS_PORT"], "--bind", "127.0.0.1", "--dir", str(folder)]
            argv += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
            redis = start("redis", argv, {}, folder, int(environment["REDIS_PORT"]))
            running.callback(redis.stop)
            roots.append(redis)
        node = start("oidc-provider", ["node", str(program / "server.mjs")], environment, folder, port)
        running.callback(node.stop)
        roots.append(node)
        asked = {"grant_type": "client_credentials", "scope": "api:read", "resource": f"http://127.0.0.1:{port}/api"}
        yield System(
            name=f"oidc-provider ({'Redis' if len(roots) > 1 else 'memory'})",
            port=port,
            authorize="/auth",
            token="/token",
            roots=[one.process.pid for one in roots if one.process is not None],
            client=(WEB, SECRET),
            service=("svc", SECRET),
            service_forms={"ES256": urlencode(asked)},
        )
