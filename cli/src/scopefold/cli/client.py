"""`scopefold client`: the apps that log users in through Scopefold."""

from typing import BinaryIO

import click
import msgspec
from msgspec import Struct

from scopefold.cli.answers import Client
from scopefold.cli.where import Where, as_json, located

PATH = "/api/v1/organizations/default/clients"
METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
GRANTS = ("authorization_code", "refresh_token", "client_credentials")


class Registration(Struct, kw_only=True):
    """What auth needs to register a client (names as in RFC 7591)."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...] = ("authorization_code",)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    token_endpoint_auth_method: str = "none"
    jwks: msgspec.Raw | None = None
    resource_server: bool = False


@click.group()
def client() -> None:
    """Register the apps that log users in here."""


@client.command("register")
@click.argument("client_id")
@click.option("--name", help="Its name for people. Default: the client id.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, required=True, help="Matched exactly. Repeatable.")
@click.option("--scope", "scopes", multiple=True, help="Repeatable. Default: openid profile email.")
@click.option(
    "--auth-method",
    type=click.Choice(METHODS),
    default="none",
    show_default=True,
    help="How it proves itself at the token endpoint; `none` is a public client.",
)
@click.option(
    "--grant-type",
    "grant_types",
    type=click.Choice(GRANTS),
    multiple=True,
    help="Repeatable. Default: authorization_code. Refresh tokens outlive the session only with offline_access.",
)
@click.option(
    "--jwks",
    "jwks_file",
    type=click.File("rb"),
    help="A file with its public keys, a JWK set, for private_key_jwt.",
)
@click.option("--resource-server", is_flag=True, help="It may introspect the tokens that are meant for it.")
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
    grant_types: tuple[str, ...],
    jwks_file: BinaryIO | None,
    resource_server: bool,
    json_wanted: bool,
) -> None:
    """Register a client. A confidential one gets a secret, which is shown this once."""
    registration = Registration(
        client_id=client_id,
        client_name=name or client_id,
        redirect_uris=redirect_uris,
        token_endpoint_auth_method=auth_method,
        jwks=_key_set(jwks_file) if jwks_file else None,
        resource_server=resource_server,
    )
    if grant_types:
        registration.grant_types = grant_types
    if scopes:
        registration.scopes = scopes
    reply = where.auth().call("POST", PATH, body=registration)
    if json_wanted:
        click.echo(reply.body)
        return
    made = reply.decoded(Client)
    click.echo(f"Registered {made.client_id}." if reply.status == 201 else f"{made.client_id} was there just so.")
    if made.client_secret is not None:
        click.echo(f"Its secret, shown only now: {made.client_secret}")


def _key_set(file: BinaryIO) -> msgspec.Raw:
    """The file's content, which auth judges. Raises `UsageError` where it is no JSON."""
    try:
        return msgspec.json.decode(file.read(), type=msgspec.Raw)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--jwks: {file.name} is no JSON: {error}") from None
