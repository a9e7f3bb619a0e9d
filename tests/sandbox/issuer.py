"""A very small OpenID provider, so that the playground has an issuer to talk to over real HTTP."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet


@dataclass
class Issuer:
    """What the provider answers; a test changes it to tell a lie."""

    address: str = ""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", auto_kid=True))
    signing_key: ECKey | None = None
    challenge: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    named: str | None = None
    id_token: str | None = None
    keys_read: int = 0
    scope: str | None = None
    userinfo: dict[str, Any] | None = None
    token_requests: list[dict[str, str]] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.named or self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/oauth2/token",
            "jwks_uri": f"{self.address}/jwks",
            "userinfo_endpoint": f"{self.address}/userinfo",
        }

    def good_claims(self, nonce: str) -> dict[str, Any]:
        now = int(time.time())
        who = {"sub": "u_12345678", "name": "Alice <b>Arden</b>"}
        return {"iss": self.address, "aud": "playground", "iat": now, "exp": now + 300, "nonce": nonce, **who}

    def token(self, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.token_requests.append(body)
        digest = sha256(body.get("code_verifier", "").encode()).digest()
        if urlsafe_b64encode(digest).rstrip(b"=").decode() != self.challenge:
            return 400, {"error": "invalid_grant", "error_description": "the verifier is wrong"}
        signing = self.signing_key or self.key
        id_token = self.id_token or jwt.encode({"alg": "ES256", "kid": self.key.kid}, self.claims, signing)
        access = "access-token-that-is-long-enough"
        told = {"access_token": access, "id_token": id_token, "token_type": "Bearer", "expires_in": 300}
        return 200, told if self.scope is None else {**told, "scope": self.scope}


@contextmanager
def running() -> Iterator[Issuer]:
    """Serve an issuer on a free port."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {
                "/.well-known/openid-configuration": issuer.metadata(),
                "/jwks": KeySet([issuer.key]).as_dict(private=False),
                "/userinfo": issuer.userinfo,
            }
            found = known.get(self.path)
            issuer.keys_read += self.path == "/jwks"
            self.answer(200 if found else 404, found or {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self.answer(*issuer.token(dict(parse_qsl(body))))

        def answer(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield issuer
        server.shutdown()
        thread.join(10)
