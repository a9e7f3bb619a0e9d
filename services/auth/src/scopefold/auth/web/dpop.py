"""DPoP over HTTP (RFC 9449): the header that came, the nonce that goes back, and the memory of proofs."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from scopefold.auth.core.dpop_nonce import new_nonce
from scopefold.auth.oauth.dpop_proof import Proof
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import Seen
from scopefold.auth.web.service import Service, now

HEADER: Final = "DPoP"


def proof_in(request: Request) -> str | None:
    """The request's proof. Two of them make none that could be valid."""
    given = request.headers.getlist(HEADER)
    return ", ".join(given) if given else None


def address_of(service: Service, request: Request) -> str:
    """The address that a client sent its request to: the path under the issuer's own, whatever proxies do: one may
    take the path of the issuer off, or leave it.
    """
    base = service.settings.issuer
    path = urlsplit(base).path
    asked = request.url.path
    below = asked.removeprefix(path) if path and asked.startswith(f"{path}/") else asked
    return f"{base}{below}"


def nonce_headers(loaded: Loaded) -> dict[str, str]:
    """The nonce for the client's next proof."""
    return {"dpop-nonce": new_nonce(loaded.nonce_key, loaded.now)}


async def is_first_sight(service: Service, proof: Proof) -> bool:
    """Remember a proof, at all replicas, for longer than it is good. False where it was seen before."""
    try:
        await service.bus.buckets.proofs.create(hashed(f"{proof.jkt} {proof.jti}"), Seen(now()))
    except Taken:
        return False
    return True
