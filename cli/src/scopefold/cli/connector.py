"""`scopefold connector`: what can be provisioned, what is, and changing that."""

from urllib.parse import quote

import click
from msgspec import Struct

from scopefold.cli import preview
from scopefold.cli.answers import ManagedResources, Manifest, Manifests
from scopefold.cli.commands import Group
from scopefold.cli.preview import DryRun
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, as_of, at_option, dry_option, located
from scopefold.contracts.commands import DeprovisionConnector, ManagedResource, ProvisionConnector
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned
from scopefold.scopes.lint import Finding

RESOURCES = "/v1/managed-resources"


class Provision(Struct, kw_only=True):
    """What the provisioner needs to provision a connector."""

    connector: str
    idp: str
    auth_mode: str = "idp_passthrough"


class PlanRequest(Struct, frozen=True):
    """What the provisioner is asked: what would this command append?"""

    command: ProvisionConnector | DeprovisionConnector


class Plan(Struct, frozen=True):
    """What it would append (None: nothing), and what would then be wrong."""

    event: ConnectorProvisioned | ConnectorDeprovisioned | None = None
    findings: tuple[Finding, ...] = ()


@click.group(cls=Group)
def connector() -> None:
    """Provision connectors at identity providers."""


key_option = click.option("--key", metavar="KEY", help="Idempotency key: the same command under it takes effect once.")


@connector.command("list")
@as_json
@located
def list_(where: Where, json_wanted: bool) -> None:
    """List the connectors that can be provisioned. `show` says what each needs."""
    reply = where.provisioner().call("GET", "/v1/connectors")
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [[one.connector, one.version, one.title, " ".join(one.profiles)] for one in reply.decoded(Manifests).items]
    show_table(["connector", "version", "title", "for profiles"], rows, empty="There is no connector.")


@connector.command("show")
@click.argument("name", metavar="CONNECTOR")
@as_json
@located
def show(where: Where, name: str, json_wanted: bool) -> None:
    """Show one connector that can be provisioned: what its users need, and what to set up at the provider."""
    reply = where.provisioner().call("GET", f"/v1/connectors/{quote(name, safe='')}")
    if json_wanted:
        click.echo(reply.body)
        return
    found = reply.decoded(Manifest)
    lines = [("connector", f"{found.connector} {found.version}"), ("title", found.title)]
    lines += [("description", found.description), ("for profiles", " ".join(found.profiles))]
    lines += [
        ("its users need" if place == 0 else "or instead", " ".join(scopes)) for place, scopes in enumerate(found.lists)
    ] or [("its users need", "not offered")]
    lines += [("note", note) for note in found.notes]
    lines += [("see", f"{link.title}: {link.url}") for link in found.links]
    for label, value in lines:
        click.echo(f"{label + ':':18}{value}")


@connector.command("provisioned")
@at_option
@as_json
@located
def provisioned(where: Where, at: str | None, json_wanted: bool) -> None:
    """List the connectors that are provisioned."""
    reply = where.provisioner().call("GET", RESOURCES, params=as_of(at))
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [
        [one.connector, one.connector_version, one.idp, one.resource_type, instant(one.provisioned_at), str(one.seq)]
        for one in reply.decoded(ManagedResources).items
    ]
    headers = ["connector", "version", "idp", "resource type", "provisioned", "event"]
    show_table(headers, rows, empty="No connector is provisioned.")


@connector.command("provision")
@click.argument("name", metavar="CONNECTOR")
@click.option("--idp", required=True, help="The identity provider that its users log in with.")
@key_option
@dry_option
@preview.limit_option
@as_json
@located
def provision(
    *, where: Where, name: str, idp: str, key: str | None, dry_run: bool, limit: int, json_wanted: bool
) -> None:
    """Provision a connector. From the next login on, users are asked for what it needs."""
    if dry_run:
        command = ProvisionConnector(connector=name, idp=idp, idempotency_key=key)
        preview.tell(_dry_run(where, command, limit), json_wanted, key)
        return
    body = Provision(connector=name, idp=idp)
    reply = where.provisioner().call("POST", RESOURCES, body=body, headers=_keyed(key))
    if json_wanted:
        click.echo(reply.body)
        return
    made = reply.decoded(ManagedResource)
    done = f"Provisioned at {made.idp}, as event {made.seq}" if reply.status == 201 else "Was so already"
    click.echo(f"{made.title} ({made.connector} {made.connector_version}): {done}.")
    click.echo(f"{made.resource_type} is routed to {made.idp}. Its users need {' '.join(made.upstream_scopes)}.")
    for scopes in made.alternatives:
        click.echo(f"Whoever has granted {' '.join(scopes)} need not consent again.")


@connector.command("deprovision")
@click.argument("name", metavar="CONNECTOR")
@key_option
@dry_option
@preview.limit_option
@as_json
@located
def deprovision(*, where: Where, name: str, key: str | None, dry_run: bool, limit: int, json_wanted: bool) -> None:
    """Deprovision a connector. What users were asked for stays in the union until `scopefold idp prune`."""
    if dry_run:
        command = DeprovisionConnector(connector=name, idempotency_key=key)
        preview.tell(_dry_run(where, command, limit), json_wanted, key)
        return
    reply = where.provisioner().call("DELETE", f"{RESOURCES}/{quote(name, safe='')}", headers=_keyed(key))
    if json_wanted:
        click.echo(reply.body)
    else:
        click.echo(f"Deprovisioned {name}.")


def _dry_run(where: Where, command: ProvisionConnector | DeprovisionConnector, limit: int) -> DryRun:
    """The provisioner says what the command would append, and auth what that would lead to."""
    plan = where.provisioner().call("POST", "/v1/plans", body=PlanRequest(command)).decoded(Plan)
    if plan.event is None:
        return DryRun(None, None)
    return DryRun(plan.event, preview.ask(where.auth(), plan.event, limit))


def _keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"idempotency-key": key}
