"""`scopefold client`: the apps that log users in through Scopefold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote

import click
import msgspec
from msgspec import Struct

from scopefold.cli.answers import Client, ClientLine, Clients, InitialAccess
from scopefold.cli.client_file import read_clients
from scopefold.cli.commands import Group
from scopefold.cli.table import show_table
from scopefold.cli.where import Where, as_json, located

ALGORITHMS = ("RS256", "ES256", "EdDSA")
METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANTS = ("authorization_code", "refresh_token", "client_credentials")
R = TypeVar("R")


class Registration(Struct, kw_only=True):
    """What auth needs to register a client (names as in RFC 7591)."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ("authorization_code",)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    token_endpoint_auth_method: str = "none"
    require_pushed_authorization_requests: bool = False
    resources: tuple[str, ...] = ()
    exchange_resources: tuple[str, ...] = ()
    id_token_signed_response_alg: str = "RS256"
    dpop_bound_access_tokens: bool = False
    application_type: str | None = None
    require_pkce: bool = True
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    resource_server: bool = False


class Applied(Struct, frozen=True):
    """What became of each client of a file."""

    items: tuple[Client, ...]


def organisation_of(tenant: str) -> str:
    """The path of an organisation in the admin API."""
    return f"/api/v1/organizations/{quote(tenant, safe='')}"


def clients_of(tenant: str) -> str:
    """The path of its clients."""
    return f"{organisation_of(tenant)}/clients"


PATH: Final = clients_of("default")
"""Of the organisation that `scopefold up` serves."""


def address_of(tenant: str, client_id: str) -> str:
    """The path of one client."""
    return f"{clients_of(tenant)}/{quote(client_id, safe='')}"


@click.group(cls=Group)
def client() -> None:
    """Register the apps that log users in here."""


def _described(command: Callable[..., R]) -> Callable[..., R]:
    """The options that describe a client."""
    for option in reversed(
        (
            click.option("--name", help="Its name for people. Default: the client id."),
            click.option("--redirect-uri", "redirect_uris", multiple=True, help="Matched exactly. Repeatable."),
            click.option("--scope", "scopes", multiple=True, help="Repeatable. Default: openid profile email."),
            click.option(
                "--auth-method",
                type=click.Choice(METHODS),
                default="none",
                show_default=True,
                help="How it proves itself at the token endpoint; `none` is a public client.",
            ),
            click.option("--grant", "grants", multiple=True, type=click.Choice(GRANTS), help="Repeatable."),
            click.option("--type", "kind", type=click.Choice(("web", "native")), help="Default: by its addresses."),
            click.option(
                "--no-pkce", is_flag=True, help="Do not require PKCE, but a nonce. Confidential clients only."
            ),
            click.option("--post-logout-redirect-uri", "post_logout", multiple=True, help="Repeatable."),
            click.option("--backchannel-logout-uri", "backchannel", help="Where logouts are told to it."),
            click.option("--jwks", "jwks_file", type=click.File("rb"), help="A file with its public keys, a JWK set."),
            click.option("--jwks-uri", help="Where its public keys are, for private_key_jwt."),
            click.option("--resource", "resources", multiple=True, help="An API of its own that tokens may be for."),
            click.option(
                "--exchange",
                "exchange",
                multiple=True,
                metavar="RESOURCE",
                help="For what it may exchange users' tokens: a resource type of a connector, or an API. Repeatable.",
            ),
            click.option("--id-token-alg", type=click.Choice(ALGORITHMS), default="RS256", show_default=True),
            click.option("--require-par", is_flag=True, help="It must push its authorization requests."),
            click.option("--require-dpop", is_flag=True, help="Its access tokens must be bound to a key."),
            click.option("--resource-server", is_flag=True, help="It may ask about tokens that are for others."),
        )
    ):
        command = option(command)
    return command


def grants_of(named: tuple[str, ...], redirect_uris: tuple[str, ...], exchange: tuple[str, ...]) -> tuple[str, ...]:
    """The grant types of a client: as named, else of one that logs users in where it says where to; and exchange."""
    usual = ("authorization_code",) if redirect_uris or not exchange else ()
    return (*(named or usual), *((EXCHANGE,) if exchange else ()))


@client.command("register")
@click.argument("client_id")
@_described
@as_json
@located
def register(
    *,
    where: Where,
    client_id: str,
    name: str | None,
    redirect_uris: tuple[str, ...],
    scopes: tuple[str, ...],
    auth_method: str,
    resources: tuple[str, ...],
    exchange: tuple[str, ...],
    id_token_alg: str,
    require_par: bool,
    require_dpop: bool,
    grants: tuple[str, ...],
    kind: str | None,
    no_pkce: bool,
    post_logout: tuple[str, ...],
    backchannel: str | None,
    jwks_file: BinaryIO | None,
    jwks_uri: str | None,
    resource_server: bool,
    json_wanted: bool,
) -> None:
    """Register a client. A confidential one gets a secret, which is shown this once."""
    registration = Registration(
        client_id=client_id,
        client_name=name or client_id,
        redirect_uris=redirect_uris,
        token_endpoint_auth_method=auth_method,
        require_pushed_authorization_requests=require_par,
        resources=resources,
        exchange_resources=exchange,
        id_token_signed_response_alg=id_token_alg,
        dpop_bound_access_tokens=require_dpop,
        application_type=kind,
        require_pkce=not no_pkce,
        post_logout_redirect_uris=post_logout,
        backchannel_logout_uri=backchannel,
        jwks=_key_set(jwks_file) if jwks_file else None,
        jwks_uri=jwks_uri,
        resource_server=resource_server,
    )
    if scopes:
        registration.scopes = scopes
    if grants or exchange:
        registration.grant_types = grants_of(grants, redirect_uris, exchange)
    reply = where.auth().call("POST", clients_of(where.tenant), body=registration)
    if json_wanted:
        click.echo(reply.body)
        return
    made = reply.decoded(Client)
    click.echo(f"Registered {made.client_id}." if reply.status == 201 else f"{made.client_id} was there just so.")
    _show_secret(made)


@client.command("apply")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@as_json
@located
def apply(*, where: Where, path: Path, json_wanted: bool) -> None:
    """Make the clients of a YAML file what it says. What is not in the file stays as it is; repeating changes nothing.

    The file holds `clients:`, a list; each has `client_id` and what `client register` takes, named as in RFC 7591.
    """
    auth, done = where.auth(), []
    for client_id, body in read_clients(path):
        reply = auth.call("PUT", address_of(where.tenant, client_id), body=body)
        made = reply.decoded(Client)
        done.append(made)
        if not json_wanted:
            click.echo(f"{'Registered' if reply.status == 201 else 'Is as described:'} {made.client_id}")
            _show_secret(made)
    if json_wanted:
        click.echo(msgspec.json.encode(Applied(tuple(done))).decode())


@client.command("list")
@as_json
@located
def list_(*, where: Where, json_wanted: bool) -> None:
    """List the clients."""
    reply = where.auth().call("GET", clients_of(where.tenant))
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [
        [
            one.client_id,
            one.client_name,
            one.token_endpoint_auth_method,
            " ".join(map(_short, one.grant_types)),
            one.origin,
        ]
        for one in reply.decoded(Clients).items
    ]
    show_table(
        ["client", "name", "proves itself by", "grants", "registered by"], rows, empty="No client is registered."
    )


@client.command("show")
@click.argument("client_id")
@as_json
@located
def show(*, where: Where, client_id: str, json_wanted: bool) -> None:
    """Show one client."""
    reply = where.auth().call("GET", address_of(where.tenant, client_id))
    if json_wanted:
        click.echo(reply.body)
        return
    for name, value in msgspec.to_builtins(reply.decoded(ClientLine)).items():
        said = " ".join(value) if isinstance(value, list | tuple) else value
        click.echo(f"{name.replace('_', ' ') + ':':38}{'none' if said in (None, '') else said}")


@client.command("remove")
@click.argument("client_id")
@as_json
@located
def remove(*, where: Where, client_id: str, json_wanted: bool) -> None:
    """Remove a client: nobody can log in through it any more."""
    where.auth().call("DELETE", address_of(where.tenant, client_id))
    click.echo(msgspec.json.encode({"removed": client_id}).decode() if json_wanted else f"Removed {client_id}.")


@client.command("rotate-secret")
@click.argument("client_id")
@as_json
@located
def rotate_secret(*, where: Where, client_id: str, json_wanted: bool) -> None:
    """Give a client a new secret, which is shown this once. The old one is void within 5 seconds."""
    reply = where.auth().call("POST", f"{address_of(where.tenant, client_id)}/secret")
    if json_wanted:
        click.echo(reply.body)
    else:
        _show_secret(reply.decoded(Client))


@client.command("registration-token")
@click.option("--uses", type=click.IntRange(1, 1000), default=1, show_default=True, help="For how many clients.")
@click.option("--hours", type=click.IntRange(1, 720), default=24, show_default=True, help="How long it is good.")
@as_json
@located
def registration_token(*, where: Where, uses: int, hours: int, json_wanted: bool) -> None:
    """Give somebody leave to register clients by themselves (RFC 7591)."""
    body = {"uses": uses, "expires_in": hours * 3600}
    reply = where.auth().call("POST", f"{organisation_of(where.tenant)}/registration-tokens", body=body)
    if json_wanted:
        click.echo(reply.body)
        return
    made = reply.decoded(InitialAccess)
    click.echo(f"An initial access token for {uses} registrations, shown only now: {made.initial_access_token}")


def _short(grant_type: str) -> str:
    return "token-exchange" if grant_type == EXCHANGE else grant_type


def _show_secret(made: Client) -> None:
    if made.client_secret is not None:
        click.echo(f"Its secret, shown only now: {made.client_secret}")


def _key_set(file: BinaryIO) -> dict[str, Any]:
    """The file's content, which auth judges. Raises `UsageError` where it is no JSON object."""
    try:
        return msgspec.json.decode(file.read(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--jwks: {file.name} is no JSON object: {error}") from None
