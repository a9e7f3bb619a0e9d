"""What a client asks of the user's authentication: how fresh, by whom, by which means.

OpenID Connect Core 1.0, sections 3.1.2.1 and 5.5; RFC 9470. Times are aware datetimes, ages are whole seconds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from scopefold.scopes.profile import Profile

ACR: Final = "urn:scopefold:acr:brokered"
"""How every login here came to be: the user went through an upstream IdP, whose own means stay its own."""

PROMPTS: Final = ("none", "login", "consent", "select_account")
CLOCK_SKEW: Final = timedelta(seconds=60)
MAX_AGE_SECONDS: Final = 10 * 365 * 86400
MAX_CLAIMS_LENGTH: Final = 8 * 1024
MAX_HINT_LENGTH: Final = 320  # the longest e-mail address
Prompt = Literal["login", "consent", "select_account"]


class BadRequest(ValueError):
    """The client asks for what makes no sense, or cannot be had. `error` is the OAuth error code."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class Asked(Struct, frozen=True, kw_only=True):
    """What one authorization request asks of the authentication."""

    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str | None = None
    subject: str | None = None
    """The only user who will do, by the `claims` parameter (section 5.5.1)."""
    claims: tuple[str, ...] = ()
    """Claims that are asked for by name."""

    @property
    def silent(self) -> bool:
        """No page may be shown."""
        return "none" in self.prompts

    @property
    def anew(self) -> bool:
        """The user must authenticate, however lately they did."""
        return "login" in self.prompts or self.max_age == 0


_ASKING: Final = frozenset({"prompt", "max_age", "login_hint", "claims"})
_NOTHING: Final = Asked()


def read(parameters: Mapping[str, str]) -> Asked:
    """What a request asks for. Raises `BadRequest`. Unknown words of `prompt` are ignored, as the standard lets us."""
    if _ASKING.isdisjoint(parameters):
        return _NOTHING
    prompts = frozenset(parameters.get("prompt", "").split())
    if "none" in prompts and len(prompts) > 1:
        raise BadRequest("invalid_request", "prompt=none stands alone.")
    wanted = _claims(parameters.get("claims"))
    identity = _requested(wanted, "id_token")
    named = tuple(dict.fromkeys((*identity, *_requested(wanted, "userinfo"))))
    _check_acr(identity.get("acr"))
    hint = parameters.get("login_hint") or None
    return Asked(
        prompts=prompts & set(PROMPTS),
        max_age=_max_age(parameters.get("max_age")),
        login_hint=hint if hint is not None and len(hint) <= MAX_HINT_LENGTH else None,
        subject=_text((identity.get("sub") or {}).get("value")),
        claims=named,
    )


def must_log_in(asked: Asked, authenticated_at: datetime, now: datetime) -> bool:
    """Must this user, who is logged in, authenticate again?"""
    if asked.anew or "select_account" in asked.prompts:
        return True
    return asked.max_age is not None and now - authenticated_at > timedelta(seconds=asked.max_age)


def fresh_since(asked: Asked, now: datetime) -> datetime | None:
    """The earliest moment of an authentication that will do; None where any does."""
    if asked.anew:
        return now
    return None if asked.max_age is None else now - timedelta(seconds=asked.max_age)


def fresh_enough(profile: Profile, earliest: datetime | None, authenticated_at: datetime | None) -> bool:
    """Is the authentication as fresh as was asked? The IdP's clock may be a minute behind.

    What is sent to the IdP passes through the browser, where anyone may strip it, so what the IdP says afterwards
    decides. One that knows `max_age` must say when the user authenticated (section 2); of one that does not, it is
    enough that the user came through it again.
    """
    if earliest is None:
        return True
    if authenticated_at is None:
        return not profile.authentication.max_age
    return authenticated_at >= earliest - CLOCK_SKEW


def upstream_parameters(profile: Profile, fixed: Mapping[str, str], asked: Asked) -> dict[str, str]:
    """What of it is passed on to the IdP: only what its profile knows, and never over what is `fixed`."""
    known = profile.authentication
    wanted: list[str] = []
    told: dict[str, str] = {}
    if known.max_age and (asked.anew or asked.max_age is not None):
        told["max_age"] = str(0 if asked.anew else asked.max_age)
    if asked.anew or (asked.max_age is not None and not known.max_age):
        wanted.append("login")
    wanted += [one for one in ("consent", "select_account") if one in asked.prompts]
    if prompts := [one for one in wanted if one in known.prompts]:
        told["prompt"] = " ".join(prompts)
    if asked.login_hint is not None and known.login_hint:
        told["login_hint"] = asked.login_hint
    return {name: value for name, value in told.items() if name not in fixed}


def _max_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadRequest("invalid_request", "max_age must be a number of seconds.")
    return min(int(text), MAX_AGE_SECONDS)


def _claims(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        if len(text) > MAX_CLAIMS_LENGTH:
            raise ValueError
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadRequest("invalid_request", "claims must be a JSON object of at most 8 KiB.") from None


def _requested(wanted: Mapping[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """The members of `id_token` or `userinfo`; `null` stands for a voluntary claim."""
    found = wanted.get(place)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(one is None or isinstance(one, dict) for one in found.values()):
        raise BadRequest("invalid_request", f"The member {place} of claims must be an object of objects.")
    return {name: one or {} for name, one in found.items()}


def _check_acr(asked: Mapping[str, Any] | None) -> None:
    """An essential acr that cannot be had is a failed authentication (section 5.5.1.1); a voluntary one is not."""
    if asked is None or asked.get("essential") is not True:
        return
    values = asked.get("values", [asked["value"]] if "value" in asked else [ACR])
    if not isinstance(values, list) or ACR not in values:
        raise BadRequest("unmet_authentication_requirements", f"This server can only offer the acr {ACR}.")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
