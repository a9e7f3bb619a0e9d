"""The upstream half of token exchange: the user's token at the IdP, or why there is none, told to a program."""

from collections.abc import Mapping
from typing import Any

from scopefold.auth.core.handout import BadWish
from scopefold.auth.oauth.loaded import Exchange
from scopefold.auth.oauth.request import sayable
from scopefold.auth.oauth.resource import is_connectors
from scopefold.auth.web.client_request import Answer
from scopefold.auth.web.handout import Call, Handed, Insufficient, NoSession, NotHanded, SiteNotGranted, hand_out
from scopefold.auth.web.renewal import NotRenewed
from scopefold.auth.web.service import Service, now
from scopefold.auth.web.step_up import step_up_address


async def exchanged(service: Service, asked: Exchange, answer: Answer) -> Answer:
    """The grammar's answer, with the upstream token where the target is a connector's resource type."""
    if not is_connectors(asked.target):
        return answer
    status, told, headers = answer
    call = Call(asked.subject.sub, asked.target, asked.scopes, asked.site)
    try:
        handed = await hand_out(service, call)
    except BadWish as error:
        return 400, {"error": "invalid_scope", "error_description": str(error)}, {}
    except NotRenewed as error:
        body = {"error": "temporarily_unavailable", "error_description": str(error)}
        return 503, body, {"retry-after": str(error.retry_after)}
    except NotHanded as refused:
        body, challenge = refusal(service, call, refused)
        return 403 if "idp" in body else 400, body, {"www-authenticate": challenge}
    return status, {**told, **token_of(handed)}, headers


def token_of(handed: Handed) -> dict[str, Any]:
    """The members of a token answer (RFC 6749, section 5.1)."""
    told: dict[str, Any] = {"access_token": handed.piece.access_token}
    if handed.piece.expires_at is not None:
        told["expires_in"] = max(0, int((handed.piece.expires_at - now()).total_seconds()))
    if handed.scopes is not None:
        told["scope"] = " ".join(handed.scopes)
    return told | site_of(handed)


def site_of(handed: Handed) -> dict[str, Any]:
    """The members that tell the site, where the call named one."""
    if handed.at is None:
        return {}
    told = {"site": handed.at.site.id, "site_url": handed.at.site.url, "api_base": handed.at.api_base}
    return {name: value for name, value in told.items() if value}


def refusal(service: Service, call: Call, refused: NotHanded) -> tuple[dict[str, Any], str]:
    """Why there is no token: the members of an error answer, and the challenge that says the same (RFC 6750, 9470)."""
    told: dict[str, Any] = {"error_description": sayable(refused), "resource": call.resource_type}
    match refused:
        case Insufficient():
            told |= {"error": "insufficient_scope", "scope": " ".join(refused.missing), "idp": refused.idp}
        case NoSession():
            told |= {"error": "insufficient_user_authentication", "idp": refused.idp}
        case _:
            told |= {"error": "invalid_target"}
    if "idp" in told:
        told["step_up_uri"] = step_up_address(service, call.resource_type, choose=isinstance(refused, SiteNotGranted))
    return told, f"Bearer {_parameters(told)}"


def _parameters(told: Mapping[str, Any]) -> str:
    names = ("error", "error_description", "scope", "resource", "idp", "step_up_uri")
    return ", ".join(f'{name}="{told[name]}"' for name in names if name in told)
