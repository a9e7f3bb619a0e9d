"""`scopefold client`: the apps that log users in through Scopefold."""

import click
from msgspec import Struct

from scopefold.cli.answers import Client
from scopefold.cli.where import Where, as_json, located

PATH = "/api/v1/organizations/default/clients"
METHODS = ("none", "client_secret_basic", "client_secret_post")


class Registration(Struct, kw_only=True):
    """What auth needs to register a client (names as in RFC 7591)."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...] = ("authorization_code",)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    token_endpoint_auth_method: str = "none"
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None


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
    "--post-logout-redirect-uri", "post_logout_uris", multiple=True, help="Where logout may lead. Repeatable."
)
@click.option("--backchannel-logout-uri", metavar="URL", help="Where it is told that a session has ended.")
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
    post_logout_uris: tuple[str, ...],
    backchannel_logout_uri: str | None,
    json_wanted: bool,
) -> None:
    """Register a client. A confidential one gets a secret, which is shown this once."""
    registration = Registration(
        client_id=client_id,
        client_name=name or client_id,
        redirect_uris=redirect_uris,
        token_endpoint_auth_method=auth_method,
        post_logout_redirect_uris=post_logout_uris,
        backchannel_logout_uri=backchannel_logout_uri,
    )
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
