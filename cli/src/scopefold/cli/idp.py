"""`scopefold idp`: identity providers."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click
import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from scopefold.cli import preview
from scopefold.cli.answers import Idp, Idps
from scopefold.cli.commands import Group
from scopefold.cli.doctor import doctor
from scopefold.cli.failure import usage
from scopefold.cli.idp_remove import remove
from scopefold.cli.idp_scopes import prune, restore, scopes_, withhold
from scopefold.cli.stand_ins import StandIn, allow_callback, stand_in_for
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, as_of, at_option, dry_option, located
from scopefold.contracts.events import EndpointOverrides
from scopefold.scopes.shipped import profiles as shipped_profiles

BASE_SCOPES: Final = ("openid", "email", "profile")


class Registration(Struct, kw_only=True):
    """What auth needs to register an IdP. The one place where the secret is in the clear is this request."""

    idp: str
    profile: str
    client_id: str
    client_secret: str
    base_scopes: tuple[str, ...]
    authorize_params: dict[str, str]
    endpoints: EndpointOverrides
    parameters: dict[str, str] = {}
    groups_claim: str = ""


class PlanRequest(Struct, frozen=True):
    """What auth is asked: what would this registration append?"""

    command: Registration
    limit: int


class ProfileLine(Struct, kw_only=True):
    """A profile in a list."""

    profile: str
    title: str
    needs: tuple[str, ...]
    may_set: tuple[str, ...]
    grant_update: str
    consent: str
    refresh_token: str


class Profiles(Struct):
    """All profiles."""

    items: tuple[ProfileLine, ...]


@click.group(cls=Group)
def idp() -> None:
    """Register and look at identity providers."""


for part in (doctor, scopes_, withhold, restore, prune, remove):
    idp.add_command(part)


@idp.command("register")
@click.argument("name", metavar="IDP")
@click.option("--profile", required=True, help="What kind of provider it is, such as atlassian.")
@click.option("--client-id", help="The client id of your OAuth app there.")
@click.option(
    "--client-secret-file",
    type=click.Path(path_type=Path),
    help="File with the app's secret [SCOPEFOLD_CLIENT_SECRET]. It is never given on the command line.",
)
@click.option(
    "--base-scope",
    "base_scopes",
    multiple=True,
    default=BASE_SCOPES,
    show_default=True,
    help="A scope that every user is asked for. Repeatable. What the provider refuses is left out of requests.",
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="An authorize parameter. Repeatable.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter of the profile. Repeatable.")
@click.option("--authorize-endpoint", metavar="URL", help="Where it differs from the profile's.")
@click.option("--token-endpoint", metavar="URL", help="Where it differs from the profile's.")
@click.option("--identity-endpoint", metavar="URL", help="Where it differs from the profile's.")
@click.option("--discovery-endpoint", metavar="URL", help="The discovery document, which tells the others.")
@click.option("--issuer", metavar="URL", help="Where the discovery document's address does not tell it.")
@click.option("--sandbox", is_flag=True, help="The sandbox's stand-in for it; without --client-id also its app.")
@click.option("--groups-claim", default="", metavar="NAME", help="The claim of the IdP that lists a user's groups.")
@dry_option
@preview.limit_option
@as_json
@located
def register(
    *,
    where: Where,
    name: str,
    profile: str,
    client_id: str | None,
    client_secret_file: Path | None,
    base_scopes: tuple[str, ...],
    params: tuple[str, ...],
    settings: tuple[str, ...],
    authorize_endpoint: str | None,
    token_endpoint: str | None,
    identity_endpoint: str | None,
    discovery_endpoint: str | None,
    issuer: str | None,
    sandbox: bool,
    groups_claim: str,
    dry_run: bool,
    limit: int,
    json_wanted: bool,
) -> None:
    """Register an identity provider, with the OAuth app that you made there."""
    endpoints = EndpointOverrides(
        authorize=authorize_endpoint,
        token=token_endpoint,
        identity=identity_endpoint,
        discovery=discovery_endpoint,
        issuer=issuer,
    )
    stand_in = stand_in_for(where.sandbox(), profile) if sandbox else None
    if stand_in is not None:
        if endpoints != EndpointOverrides() or settings:
            raise usage("--sandbox says all of this", "Leave out the endpoints and --set")
        registration = of_stand_in(name, profile, stand_in)
        if client_id is not None:
            _check_client(stand_in, client_id)
            registration.client_secret = _client_secret(client_secret_file)
        elif client_secret_file is not None:
            raise usage("A client secret without its client id", "Give --client-id too, or neither")
    elif client_id is None:
        raise usage("No client id", "Give --client-id, or --sandbox for the sandbox's stand-in")
    else:
        registration = Registration(
            idp=name,
            profile=profile,
            client_id=client_id,
            client_secret=_client_secret(client_secret_file),
            base_scopes=BASE_SCOPES,
            authorize_params={},
            endpoints=endpoints,
            parameters=_parameters(settings),
        )
    registration.base_scopes = base_scopes
    registration.authorize_params = _parameters(params)
    registration.groups_claim = groups_claim
    if dry_run:
        _plan(where, PlanRequest(registration, limit), json_wanted)
        return
    reply = where.auth().call("POST", "/v1/idps", body=registration)
    if stand_in is not None:
        allow_callback(stand_in, reply.decoded(Idp).callback)
    if json_wanted:
        click.echo(reply.body)
        return
    click.echo(f"Registered {name}." if reply.status == 201 else f"{name} was registered just so already.")
    _show(reply.decoded(Idp))


def _plan(where: Where, asked: PlanRequest, json_wanted: bool) -> None:
    """Tell what a registration would do. Where it is so already, its secret may still be another."""
    planned = where.auth().call("POST", "/v1/plans", body=asked).decoded(preview.DryRun)
    if planned.event is None and not json_wanted:
        click.echo(f"{asked.command.idp} is registered just so already: at most its secret would change.")
    else:
        preview.tell(planned, json_wanted)


def of_stand_in(name: str, profile: str, stand_in: StandIn) -> Registration:
    """A stand-in of the sandbox, as an IdP of this name."""
    return Registration(
        idp=name,
        profile=profile,
        client_id=stand_in.client_id,
        client_secret=stand_in.client_secret,
        base_scopes=BASE_SCOPES,
        authorize_params={},
        endpoints=stand_in.endpoints,
    )


@idp.command("list")
@at_option
@as_json
@located
def list_(*, where: Where, at: str | None, json_wanted: bool) -> None:
    """List the identity providers."""
    reply = where.auth().call("GET", "/v1/idps", params=as_of(at))
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [[one.idp, one.profile, one.client_id, " ".join(one.union)] for one in reply.decoded(Idps).items]
    show_table(["idp", "profile", "client id", "union of scopes"], rows, empty="No identity provider is registered.")


@idp.command("show")
@click.argument("name", metavar="IDP")
@at_option
@as_json
@located
def show(where: Where, name: str, at: str | None, json_wanted: bool) -> None:
    """Show one identity provider: what its users are asked for, and because of which connectors."""
    reply = where.auth().call("GET", f"/v1/idps/{quote(name, safe='')}", params=as_of(at))
    if json_wanted:
        click.echo(reply.body)
    else:
        _show(reply.decoded(Idp))


@idp.command("profiles")
@as_json
def profiles(*, json_wanted: bool) -> None:
    """List the kinds of identity provider that can be registered. docs/providers.md says more of each."""
    found = [
        ProfileLine(
            profile=one.name,
            title=one.title,
            needs=tuple(name for name, blank in one.parameters.items() if blank.default is None),
            may_set=tuple(f"{name}={blank.default}" for name, blank in one.parameters.items() if blank.default),
            grant_update=one.grant_update,
            consent=one.consent,
            refresh_token=one.refresh.obtained_by,
        )
        for one in shipped_profiles().values()
    ]
    if json_wanted:
        click.echo(msgspec.json.encode(Profiles(tuple(found))).decode())
        return
    rows = [
        [
            one.profile,
            one.title,
            " ".join(one.needs) or "-",
            " ".join(one.may_set) or "-",
            one.grant_update,
            one.consent,
        ]
        for one in found
    ]
    headers = ["profile", "provider", "needs --set", "may --set", "a new grant", "consent"]
    show_table(headers, rows, empty="This version ships no profile.")


def _show(found: Idp) -> None:
    params = " ".join(f"{name}={value}" for name, value in found.authorize_params.items())
    for label, value in (
        ("idp", found.idp),
        ("profile", found.profile),
        ("client id", found.client_id),
        ("callback", found.callback),
        *((("logout address", found.backchannel_logout),) if found.backchannel_logout else ()),
        *((name, address) for name, address in asdict(found.endpoints).items() if address),
        ("base scopes", " ".join(found.base_scopes) or "none"),
        ("union of scopes", " ".join(found.union) or "none"),
        ("requested there", " ".join(found.requested) or "none"),
        *((("left out", " ".join(found.withheld)),) if found.withheld else ()),
        ("extra parameters", params or "none"),
    ):
        click.echo(f"{label + ':':18}{value}")
    rows = [
        [one.connector, one.version, " ".join(one.upstream_scopes), instant(one.cause.at), str(one.cause.seq)]
        for one in found.connectors
    ]
    click.echo()
    headers = ["connector", "version", "needs", "provisioned", "event"]
    show_table(headers, rows, empty="No connector is provisioned here.")
    for trial in found.trials:
        scopes = " ".join(trial.scopes)
        how = f"{trial.failed} have failed, the last with {trial.last_error}" if trial.failed else "nobody has tried"
        click.echo(f"Nobody has come through yet with what {trial.connector} newly asks for, {scopes}: {how}.")
    for one in found.in_vain:
        who = "nobody gets it" if one.why == "not-given" else f"{one.users_with} have it"
        users = "1 user" if one.users_without == 1 else f"{one.users_without} users"
        click.echo(f"Asked for in vain: {one.scope}, of {users}; {who}.")
    if found.withheld or found.in_vain or any(trial.suspect for trial in found.trials):
        click.echo(f"What to do: scopefold idp doctor {found.idp}")


def _check_client(stand_in: StandIn, client_id: str) -> None:
    if client_id != stand_in.client_id:
        known = f"The sandbox's app is {stand_in.client_id}, and there is no other"
        raise usage(f"The sandbox's {stand_in.title} does not know the client {client_id}", known)


def _client_secret(path: Path | None) -> str:
    if path is not None:
        try:
            return path.read_text().strip()
        except OSError as error:
            raise usage("The client secret cannot be read", f"{path}: {error.strerror}") from None
    if (secret := os.environ.get("SCOPEFOLD_CLIENT_SECRET")) is not None:
        return secret
    raise usage("No client secret", "Give --client-secret-file, or set SCOPEFOLD_CLIENT_SECRET")


def _parameters(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair.lstrip("="):
            raise usage("A parameter is NAME=VALUE", f"{pair!r} is not")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
