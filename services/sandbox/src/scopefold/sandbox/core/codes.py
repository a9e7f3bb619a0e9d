"""Authorization codes: given once, redeemed once, by the client that asked, with what it asked."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal, TypeVar

from msgspec.structs import replace

from scopefold.sandbox.core.grants import live
from scopefold.sandbox.core.state import App, Code, Grant, Mint, State, Transaction, keep

CODE_SECONDS: Final = 600
Wrong = Literal["unknown", "used", "expired", "client", "grant", "redirect_uri", "no_verifier", "verifier"]
S = TypeVar("S")


def issue(state: State[S], asked: Transaction, grant: Grant, scopes: tuple[str, ...], *, now: float, mint: Mint) -> str:
    """A new code for these scopes of the grant."""
    return keep(state.codes, mint(), Code(grant, scopes, asked, now))


def redeem(
    state: State[S],
    app: App,
    body: Mapping[str, str],
    *,
    now: float,
    seconds: float = CODE_SECONDS,
    redirect_uri_optional: bool = False,
    pkce: bool = True,
) -> Code | Wrong:
    """The code, with its grant as it is now, or what is wrong. Whatever comes of it, the code is used up."""
    presented = body.get("code", "")
    code = state.codes.get(presented)
    if code is None:
        return "unknown"
    if code.used:
        return "used"
    state.codes[presented] = replace(code, used=True)
    if now >= code.issued_at + seconds:
        return "expired"
    if code.grant.client_id != app.client_id:
        return "client"
    if (grant := live(state, code.grant)) is None:
        return "grant"
    asked = code.asked.params
    left_out = redirect_uri_optional and "redirect_uri" not in body
    if not left_out and body.get("redirect_uri") != asked.get("redirect_uri"):
        return "redirect_uri"
    if pkce and (challenge := asked.get("code_challenge")):
        if not (verifier := body.get("code_verifier")):
            return "no_verifier"
        if not proves(verifier, challenge, asked.get("code_challenge_method", "plain")):
            return "verifier"
    return replace(code, grant=grant)


def proves(verifier: str, challenge: str, method: str) -> bool:
    """Whether this is the verifier of the challenge (RFC 7636, section 4.6)."""
    digest = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest if method == "S256" else verifier.encode(), challenge.encode())
