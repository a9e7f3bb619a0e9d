"""`scopefold user`: the groups of people who log in here, and where they are logged in."""

from datetime import datetime
from urllib.parse import quote

import click
from msgspec import Struct

from scopefold.cli.commands import Group
from scopefold.cli.failure import usage
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located, somebody_to_ask


class UserGroups(Struct, frozen=True):
    """The groups that operators put a user into."""

    groups: tuple[str, ...]


class SessionLine(Struct, frozen=True):
    """A browser that a user is logged in with."""

    sid: str
    created_at: datetime
    authenticated_at: datetime
    idps: tuple[str, ...]
    clients: tuple[str, ...]


class ErasedUser(Struct, frozen=True):
    """What became of a user who was erased: sessions that ended, and by IdP what it did with the tokens."""

    sessions: int
    revoked: dict[str, str]


class SessionLines(Struct, frozen=True):
    """Sessions of one user."""

    items: tuple[SessionLine, ...]


@click.group(cls=Group)
def user() -> None:
    """Look after the people who log in here, by their opaque user ids."""


@user.command("groups")
@click.argument("name", metavar="USER")
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@click.option("--none", "nothing", is_flag=True, help="Take the user out of every group.")
@as_json
@located
def set_groups(where: Where, name: str, groups: tuple[str, ...], nothing: bool, json_wanted: bool) -> None:
    """Put a user into these groups and no others; without groups, show them. Those that the IdP tells join them."""
    if groups and nothing:
        raise usage("Groups and --none contradict each other", "Name groups, or give --none")
    path = f"/v1/users/{quote(name, safe='')}/groups"
    changing = bool(groups) or nothing
    reply = where.auth().call("PUT" if changing else "GET", path, body=UserGroups(groups) if changing else None)
    if json_wanted:
        click.echo(reply.body)
        return
    show_table(["group"], [[group] for group in reply.decoded(UserGroups).groups], empty=f"{name} is in no group.")


@user.command("sessions")
@click.argument("name", metavar="USER")
@as_json
@located
def sessions(where: Where, name: str, json_wanted: bool) -> None:
    """List where a user is logged in."""
    reply = where.auth().call("GET", f"/v1/users/{quote(name, safe='')}/sessions")
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [
        [one.sid, instant(one.created_at), instant(one.authenticated_at), " ".join(one.idps), " ".join(one.clients)]
        for one in reply.decoded(SessionLines).items
    ]
    show_table(["session", "since", "authenticated", "idps", "clients"], rows, empty=f"{name} is logged in nowhere.")


@user.command("logout")
@click.argument("name", metavar="USER")
@click.option("--session", help="Only this one. Default: all of them.")
@as_json
@located
def logout(where: Where, name: str, session: str | None, json_wanted: bool) -> None:
    """End a user's sessions, and tell the clients that were opened with them."""
    path = f"/v1/users/{quote(name, safe='')}/sessions"
    reply = where.auth().call("DELETE", f"{path}/{quote(session, safe='')}" if session is not None else path)
    if json_wanted:
        click.echo(reply.body)
        return
    click.echo(_ended(name, 1 if session is not None else len(reply.decoded(SessionLines).items)))


@user.command("end")
@click.argument("name", metavar="USER")
@as_json
@located
def end(where: Where, name: str, json_wanted: bool) -> None:
    """End all that a user has here now: what apps were granted, and every session. For somebody who has left.

    Whoever the identity provider still lets in can log in anew.
    """
    path = f"/v1/users/{quote(name, safe='')}"
    where.auth().call("DELETE", f"{path}/grants")
    reply = where.auth().call("DELETE", f"{path}/sessions")
    if json_wanted:
        click.echo(reply.body)
        return
    click.echo(
        f"Ended what apps were granted on behalf of {name}. {_ended(name, len(reply.decoded(SessionLines).items))}"
    )


@user.command("erase")
@click.argument("name", metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@located
def erase(where: Where, name: str, yes: bool, json_wanted: bool) -> None:
    """Erase a user for ever. Where it is cut off, the same line finishes what is left.

    Backups from before still hold the user: see docs/backup.md.
    """
    if not yes:
        somebody_to_ask("erase the user")
        click.confirm(f"Erase {name} for ever?", abort=True, err=True)
    reply = where.auth().call("DELETE", f"/v1/users/{quote(name, safe='')}")
    if json_wanted:
        click.echo(reply.body)
        return
    done = reply.decoded(ErasedUser)
    click.echo(f"Erased {name}. {_ended(name, done.sessions)}")
    for idp, outcome in sorted(done.revoked.items()):
        click.echo(f"  at {idp}: {outcome}")


def _ended(name: str, sessions: int) -> str:
    return f"Ended {sessions} session{'' if sessions == 1 else 's'} of {name}."
