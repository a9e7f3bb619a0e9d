"""SATOSA, the Python proxy, with an OpenID Connect frontend and backend and its stateless store; gunicorn serves it.

It keeps nothing: what it must know stands encrypted in its cookie, its codes and its tokens. Its frontend knows no
PKCE, and it insists on an https address of its own, so the driver goes to its port in place of a proxy.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.driver import REDIRECT_URI, WEB, System
from bench.peers.node import CACHE
from bench.stand_in import CLIENT_ID, CLIENT_SECRET, SCOPES
from bench.started import CannotStartError, run_to_end, start
from scopefold.cli.ports import free_port

PINS: Final = ("satosa==8.6.0", "pyop==3.5.0", "idpyoidc==5.0.0", "gunicorn==27.0.1")
INSTALL_SECONDS: Final = 300.0
OWN_ADDRESS: Final = "https://satosa.example.test"
SECRET: Final = "bench-client-secret-of-no-worth"
SALT: Final = "0123456789abcdef0123456789abcdef"


@contextmanager
def satosa(folder: Path, idp: str) -> Iterator[System]:
    """SATOSA, started. Raises `CannotStartError`."""
    gunicorn = _installed() / "bin" / "gunicorn"
    _configure(folder, idp)
    port = free_port()
    argv = [str(gunicorn), "satosa.wsgi:app", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8"]
    argv += ["--worker-class", "gthread", "--keep-alive", "30", "--log-level", "error", "--chdir", str(folder)]
    server = start("satosa", argv, {"SATOSA_CONFIG": str(folder / "proxy_conf.yaml")}, folder, port)
    try:
        assert server.process is not None
        yield System(
            name="satosa (stateless)",
            port=port,
            authorize="/upstream/OIDC/authorization",
            token="/OIDC/token",
            roots=(server.process.pid,),
            client=(WEB, SECRET),
            pkce=False,
            stands_behind=OWN_ADDRESS,
        )
    finally:
        server.stop()


def _installed() -> Path:
    """A virtual environment with SATOSA."""
    folder = CACHE / "satosa"
    whole = folder / ".complete"
    if not whole.exists() or whole.read_text() != " ".join(PINS):
        folder.parent.mkdir(parents=True, exist_ok=True)
        run_to_end([sys.executable, "-m", "venv", "--clear", str(folder)], CACHE, INSTALL_SECONDS)
        run_to_end([str(folder / "bin" / "pip"), "install", "--quiet", *PINS], CACHE, INSTALL_SECONDS)
        whole.write_text(" ".join(PINS))
    if not (folder / "bin" / "gunicorn").exists():
        raise CannotStartError("its environment has no gunicorn")
    return folder


def _configure(folder: Path, idp: str) -> None:
    """SATOSA reads YAML, of which JSON is a part."""
    key = generate_private_key(65537, 2048)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files = {
        "clients.json": {WEB: _client()},
        "backend.yaml": _backend(idp),
        "frontend.yaml": _frontend(),
        "internal_attributes.yaml": {
            "attributes": {"sub": {"openid": ["sub"]}, "mail": {"openid": ["email"]}, "name": {"openid": ["name"]}},
            "user_id_from_attrs": ["sub"],
        },
        "proxy_conf.yaml": _proxy(),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


def _client() -> dict[str, Any]:
    return {
        "client_id": WEB,
        "client_secret": SECRET,
        "redirect_uris": [REDIRECT_URI],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "subject_type": "public",
    }


def _backend(idp: str) -> dict[str, Any]:
    return {
        "module": "satosa.backends.openid_connect.OpenIDConnectBackend",
        "name": "upstream",
        "config": {
            "provider_metadata": {"issuer": idp},
            "client": {
                "verify_ssl": False,
                "auth_req_params": {"response_type": "code", "scope": SCOPES.split()},
                "client_metadata": {
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "application_type": "web",
                    "redirect_uris": [f"{OWN_ADDRESS}/upstream"],
                    "subject_type": "public",
                },
            },
        },
    }


def _frontend() -> dict[str, Any]:
    return {
        "module": "satosa.frontends.openid_connect.OpenIDConnectFrontend",
        "name": "OIDC",
        "config": {
            "signing_key_path": "key.pem",
            "signing_key_id": "bench",
            "db_uri": f"stateless://bench:{SALT}@localhost?alg=aes256",
            "client_db_path": "clients.json",
            "sub_hash_salt": SALT,
            "provider": {
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "scopes_supported": SCOPES.split(),
            },
        },
    }


def _proxy() -> dict[str, Any]:
    return {
        "BASE": OWN_ADDRESS,
        "COOKIE_STATE_NAME": "SATOSA_STATE",
        "COOKIE_SECURE": False,
        "COOKIE_HTTPONLY": True,
        "COOKIE_SAMESITE": "Lax",
        "CONTEXT_STATE_DELETE": True,
        "STATE_ENCRYPTION_KEY": SALT,
        "INTERNAL_ATTRIBUTES": "internal_attributes.yaml",
        "BACKEND_MODULES": ["backend.yaml"],
        "FRONTEND_MODULES": ["frontend.yaml"],
        "MICRO_SERVICES": [],
        "LOGGING": {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}},
    }
