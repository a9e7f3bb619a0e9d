"""Token exchange over NATS request/reply: a user's access token for the user's token at the identity provider.

The same meaning, members and errors as the form of RFC 8693 at auth's token endpoint. Who asks is told by the subject,
`exchange.{tenant}.{service}`, on which the bus lets nobody but that service publish; the message does not say it.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from scopefold.contracts.publish import BusUnavailable, Connection, NotAllowed, Refused, denies
from scopefold.contracts.words import IdpId, ResourceType, Scopes

EXCHANGE: Final = "exchange"
ANSWER_SECONDS: Final = 28.0
"""How long an asker waits; auth answers sooner."""
OK: Final = 200

AccessToken = Annotated[str, Meta(min_length=1, max_length=16384, description="An access token. A secret.")]


class ExchangeToken(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command", tag="exchange-token"
):
    """Hand out the token at the identity provider for the user whose access token this is."""

    subject_token: AccessToken
    resource: ResourceType
    scopes: Annotated[Scopes, Meta(description="Upstream scopes that the call needs; none: all the connector's.")] = ()
    site: Annotated[
        str, Meta(max_length=500, description="The one site of the user's that the call is for: id, address or host.")
    ] = ""

    def __repr__(self) -> str:
        """Without the token: what is shown may be logged."""
        return f"ExchangeToken({self.resource})"


class ExchangeAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The token, or why there is none: status and members of the answer over HTTP (docs/tokens.md)."""

    status: Annotated[int, Meta(ge=200, le=599, description="200: there is a token. Else as over HTTP.")]
    access_token: str = ""
    issued_token_type: str = ""
    token_type: str = ""
    expires_in: Annotated[int | None, Meta(description="In seconds; left out where the token has no end.")] = None
    scope: Annotated[
        str | None, Meta(description="What the token carries, where known; what is missing, where it is insufficient.")
    ] = None
    site: Annotated[str, Meta(description="The id of the site that was named.")] = ""
    site_url: str = ""
    api_base: Annotated[str, Meta(description="Where that site's API is.")] = ""
    error: Annotated[str, Meta(description="The OAuth error code.", examples=["insufficient_scope"])] = ""
    error_description: str = ""
    resource: str = ""
    idp: IdpId | None = None
    step_up_uri: Annotated[str, Meta(description="Where to send the user.")] = ""
    retry_after: Annotated[int | None, Meta(description="Seconds after which to ask again.")] = None

    def __repr__(self) -> str:
        """Without the token: what is shown may be logged."""
        return f"ExchangeAnswer({self.status}{f', {self.error}' if self.error else ''})"


class NotExchanged(Exception):
    """There is no token; `answer` says why, and what to do."""

    def __init__(self, answer: ExchangeAnswer) -> None:
        super().__init__(answer.error_description or answer.error)
        self.answer = answer


def exchange_subject(tenant: str, service: str) -> str:
    """Where this service asks: `exchange.{tenant}.{service}`."""
    return f"{EXCHANGE}.{tenant}.{service}"


def exchange_filter(tenant: str) -> str:
    """Matches the subjects of all who ask in a tenant."""
    return exchange_subject(tenant, "*")


async def exchange(
    nc: Connection,
    asked: ExchangeToken,
    *,
    service: str,
    tenant: str = "default",
    timeout_seconds: float = ANSWER_SECONDS,
) -> ExchangeAnswer:
    """The user's token at the identity provider. `service` is the name that this connection's key is known by.

    Keep it no longer than for the call. Raises `NotExchanged` where there is none, `NotAllowed` where this service may
    not ask, `BusUnavailable` where nobody answers, and `Refused` where what answered is not auth.
    """
    subject, complaint = exchange_subject(tenant, service), nc.last_error
    try:
        reply = await nc.request(subject, msgspec.json.encode(asked), timeout_seconds)
    except Exception as error:  # each client has its own; whichever it is, no answer came
        if nc.last_error is not complaint and denies(nc.last_error, subject):
            raise NotAllowed(f"the bus does not let this service publish to {subject}") from None
        raise BusUnavailable(f"nobody answered: {str(error) or type(error).__name__}") from None
    try:
        answer = msgspec.json.decode(reply.data, type=ExchangeAnswer)
    except msgspec.MsgspecError:
        raise Refused("what answered is not auth") from None
    if answer.status != OK:
        raise NotExchanged(answer)
    return answer
