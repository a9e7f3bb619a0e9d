"""`scopefold vault`: the keys that users' tokens are sealed with, and their rotation."""

import time
from datetime import UTC, datetime
from typing import Final

import click

from scopefold.cli.answers import Rotation, VaultKeys
from scopefold.cli.api import Api
from scopefold.cli.commands import Group
from scopefold.cli.failure import refused
from scopefold.cli.where import Where, as_json, located

MOST_PASSES: Final = 20
LONGEST_WAIT_SECONDS: Final = 5.0


@click.group(cls=Group)
def vault() -> None:
    """Look at the keys that seal users' tokens, and rotate them while everything runs."""


@vault.command()
@as_json
@located
def keys(*, where: Where, json_wanted: bool) -> None:
    """Show which key-encryption keys are in use, and how far a rotation is."""
    reply = where.auth().call("GET", "/v1/vault/keys")
    if json_wanted:
        click.echo(reply.body)
        return
    found = reply.decoded(VaultKeys)
    click.echo(f"Data keys are sealed with the key-encryption key {found.sealing}.")
    if found.wanted != found.sealing:
        click.echo(f"The service was given {found.wanted} as its first: `scopefold vault rotate-kek` moves to it.")
    for older in found.in_use:
        if older != found.sealing:
            click.echo(f"Some may still be sealed with {older}: it must stay.")
    if found.rotation is not None:
        click.echo(_told(found.rotation))


@vault.command("rotate-kek")
@as_json
@located
def rotate_kek(*, where: Where, json_wanted: bool) -> None:
    """Seal all data keys with the first key of SCOPEFOLD_KEK. Interrupted, it goes on when it is run again."""
    _rotate(where.auth(), "kek", json_wanted)


@vault.command("rotate-data-keys")
@as_json
@located
def rotate_data_keys(*, where: Where, json_wanted: bool) -> None:
    """Give every user a new data key. It takes two minutes at least; interrupted, it goes on when it is run again."""
    _rotate(where.auth(), "data-keys", json_wanted)


def _rotate(auth: Api, kind: str, json_wanted: bool) -> None:
    """Step by step to the end. Every step is bounded, and the service remembers how far it has come."""
    path = f"/v1/vault/rotations/{kind}"
    reply, told = auth.call("POST", path), ""
    while (found := reply.decoded(Rotation)).state != "finished":
        if found.passes > MOST_PASSES:
            detail = "Somebody still seals with the old key. Restart every replica with the same SCOPEFOLD_KEK"
            raise refused("The rotation does not come to an end", f"{detail}, then run this again")
        if found.resume_at is not None:
            time.sleep(min(LONGEST_WAIT_SECONDS, max(0.0, (found.resume_at - datetime.now(UTC)).total_seconds())))
        reply = auth.call("POST", f"{path}/steps")
        if not json_wanted and (line := _told(reply.decoded(Rotation))) != told:
            click.echo(told := line)
    if json_wanted:
        click.echo(reply.body)


def _told(found: Rotation) -> str:
    """How far a rotation is, in a line."""
    done = f"Rotation of {found.kind}, pass {found.passes}: {found.replaced} replaced, {found.left} left"
    bad = f"; {found.unreadable} do not open" if found.unreadable else ""
    match found.state:
        case "finished":
            return f"{done}{bad}. Finished."
        case "settling":
            return f"{done}{bad}. The keys before stay readable for two minutes."
    return f"{done}{bad}."
