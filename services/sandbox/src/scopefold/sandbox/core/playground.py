"""What the playground decides as a relying party: whether an authorization response answers its own request."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

CLIENT_ID: Final = "playground"
DEFAULT_SCOPE: Final = "openid profile email"
FLOW_SECONDS: Final = 600


class Flow(Struct, frozen=True):
    """One sign-in under way. Its members go nowhere but into the requests that they belong to."""

    state: str
    nonce: str
    verifier: str
    scope: str
    resource: str | None
    expires_at: float


class Refused(Struct, frozen=True):
    """Why nobody was signed in, and what to do about it."""

    title: str
    detail: str


NO_FLOW: Final = Refused(
    "No sign-in is under way in this browser",
    "It had expired, was used already, or was begun in another browser. Start again from the playground.",
)


def code_of(flow: Flow | None, answer: Mapping[str, str], *, issuer: str, now: float) -> str | Refused:
    """The code in an authorization response, or why it is not taken.

    The state is compared first, so that nothing else of a forged response is read (RFC 6749, section 10.12), then the
    issuer, which Scopefold always names (RFC 9207).
    """
    if flow is None or now >= flow.expires_at:
        return NO_FLOW
    if answer.get("state") != flow.state:
        return Refused("The answer does not belong to this sign-in", "Its state is not the one that was sent.")
    if answer.get("iss") != issuer:
        named = answer.get("iss", "nobody")
        return Refused("The answer comes from somebody else", f"It names {named} as its issuer, not {issuer}.")
    if "error" in answer:
        detail = answer.get("error_description") or "The authorization server gave no description."
        return Refused(f"Scopefold refused the sign-in: {answer['error']}", detail)
    if not (code := answer.get("code")):
        return Refused("The answer is not complete", "It has neither a code nor an error.")
    return code
