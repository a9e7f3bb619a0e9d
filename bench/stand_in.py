"""The IdP upstream of every system that is measured: it says yes to everybody, at once, and costs next to nothing.

    python -m bench.stand_in PORT

It keeps nothing: a code is what it stands for. Its users come one after the other, so after a first turn all of them
have logged in before. ID tokens are signed (RS256), since what is measured must verify them. It runs on the driver's
CPU: the sandbox, which is a real provider with its quirks, costs more there than the driver.
"""

import asyncio
import base64
import itertools
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import uvloop
from joserfc import jws
from joserfc.jwk import RSAKey

USERS: Final = 200
CLIENT_ID: Final = "bench-app"
CLIENT_SECRET: Final = "bench-app-secret-of-no-worth"
SCOPES: Final = "openid profile email"
_HEADER: Final = {"alg": "RS256", "kid": "stand-in", "typ": "JWT"}


class StandIn:
    """An OpenID provider without a memory."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._key = RSAKey.generate_key(2048)
        self._turn = itertools.count()

    def answer(self, target: str, bearer: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, address to go to, and JSON."""
        place = urlsplit(target)
        match place.path:
            case "/authorize":
                return 302, self._sent_back(dict(parse_qsl(place.query))), b""
            case "/token":
                return 200, "", msgspec.json.encode(self._tokens(dict(parse_qsl(body.decode()))))
            case "/userinfo":
                return 200, "", msgspec.json.encode(_person(bearer.partition(".")[0]))
            case "/jwks":
                public = {**self._key.as_dict(private=False), "kid": "stand-in", "use": "sig", "alg": "RS256"}
                return 200, "", msgspec.json.encode({"keys": [public]})
            case "/.well-known/openid-configuration":
                return 200, "", msgspec.json.encode(self._document())
        return 404, "", b"{}"

    def _sent_back(self, asked: Mapping[str, str]) -> str:
        stands_for = {
            "user": f"user-{next(self._turn) % USERS}",
            "nonce": asked.get("nonce"),
            "salt": secrets.token_hex(4),
        }
        code = base64.urlsafe_b64encode(msgspec.json.encode(stands_for)).decode().rstrip("=")
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked.get('state', '')})}"

    def _tokens(self, form: Mapping[str, str]) -> dict[str, Any]:
        code = form["code"]
        known = msgspec.json.decode(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))
        now, user = int(time.time()), known["user"]
        claims = {"iss": self._issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 600, "auth_time": now}
        claims |= {"nonce": known["nonce"]} if known["nonce"] else {}
        claims |= _person(user)
        return {
            "access_token": f"{user}.{secrets.token_urlsafe(96)}",
            "refresh_token": secrets.token_urlsafe(48),
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": SCOPES,
            "id_token": jws.serialize_compact(_HEADER, msgspec.json.encode(claims), self._key, algorithms=["RS256"]),
        }

    def _document(self) -> dict[str, Any]:
        at = self._issuer
        return {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "userinfo_endpoint": f"{at}/userinfo",
            "jwks_uri": f"{at}/jwks",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "scopes_supported": SCOPES.split(),
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
        }


def _person(user: str) -> dict[str, Any]:
    return {"sub": user, "name": f"Somebody {user}", "email": f"{user}@users.example", "email_verified": True}


class _Served(asyncio.Protocol):
    def __init__(self, idp: StandIn) -> None:
        self._idp = idp
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
            named = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            stop = end + 4 + int(named.get("content-length", "0"))
            if len(self._buffer) < stop:
                return
            body, bearer = bytes(self._buffer[end + 4 : stop]), named.get("authorization", "").partition(" ")[2]
            del self._buffer[:stop]
            status, address, content = self._idp.answer(first.split(" ")[1], bearer, body)
            head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
            place = f"location: {address}\r\n" if address else ""
            self._transport.write(f"{head}{place}\r\n".encode() + content)


async def main(port: int) -> None:
    """Serve for ever."""
    idp = StandIn(f"http://127.0.0.1:{port}")
    server = await asyncio.get_running_loop().create_server(lambda: _Served(idp), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
