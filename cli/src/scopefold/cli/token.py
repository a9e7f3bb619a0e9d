"""`scopefold token`: take users' upstream tokens out of use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scopefold.cli.answers import ClearedTokens
from scopefold.cli.api import Api
from scopefold.cli.commands import Group
from scopefold.cli.failure import refused, usage
from scopefold.cli.where import Where, as_json, dry_option, located, somebody_to_ask

AT_ONCE: Final = 1000
MOST_CALLS: Final = 100_000
SHOWN: Final = 10


class Wanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which tokens, as the service wants it said."""

    reason: str
    users: tuple[str, ...] | None = None
    idp: str | None = None
    connector: str | None = None
    missing_scope: str | None = None
    revoke: bool = False
    dry_run: bool = False
    after: str | None = None


@click.group(cls=Group)
def token() -> None:
    """Look after users' tokens at the identity providers."""


@token.command("clear")
@click.option("--user", "users", multiple=True, help="Of this user. May be given several times.")
@click.option(
    "--users-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of the users in this file, one a line.",
)
@click.option("--connector", help="At the identity provider of this connector: its id, or its resource type.")
@click.option("--missing-scope", help="Those that do not carry this scope, where it is asked for.")
@click.option("--idp", help="At this identity provider.")
@click.option("--reason", required=True, help="For the service's log lines.")
@click.option("--revoke", is_flag=True, help="Ask the identity provider to end each token, too, where it has a way.")
@dry_option
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
@located
def clear(
    *,
    where: Where,
    users: tuple[str, ...],
    users_file: Path | None,
    connector: str | None,
    missing_scope: str | None,
    idp: str | None,
    reason: str,
    revoke: bool,
    dry_run: bool,
    yes: bool,
    json_wanted: bool,
) -> None:
    """Clear the tokens that all of this is true of: their users must consent again at their next visit.

    Without --yes it says how many they are, and asks. Where it is cut off, the same line finishes what is left.
    """
    named = (*users, *(_lines(users_file) if users_file is not None else ()))
    if users_file is not None and not named:
        raise usage(f"{users_file} names nobody", "Write one user id on each line")
    wanted = Wanted(reason=reason, idp=idp, connector=connector, missing_scope=missing_scope, revoke=revoke)
    parts = [replace(wanted, users=some) for some in _parts(named)] if named else [wanted]
    auth = where.auth()
    if dry_run or not yes:
        told = _whole([_call(auth, replace(part, dry_run=True)) for part in parts])
        _tell_unknown(told, named, json_wanted)
        if dry_run:
            click.echo(
                msgspec.json.encode(told) if json_wanted else f"Nothing was changed. This would clear {_of_whom(told)}"
            )
            return
        _ask(told)
    done = _whole([found for part in parts for found in _cleared(auth, part)])
    if yes:
        _tell_unknown(done, named, json_wanted)
    if json_wanted:
        click.echo(msgspec.json.encode(done))
        return
    click.echo(f"Cleared {_counted(done)}. They must consent again at their next visit.")
    for outcome, number in sorted(done.revoked.items()):
        click.echo(f"  at the provider, {outcome}: {number}")


def _cleared(auth: Api, wanted: Wanted) -> Iterator[ClearedTokens]:
    """Part after part, until nothing is left."""
    for _ in range(MOST_CALLS):
        found = _call(auth, wanted)
        yield found
        if found.next is None:
            return
        wanted = replace(wanted, after=found.next)
    raise refused("There is no end of tokens to clear", "Give the same line again")


def _of_whom(found: ClearedTokens) -> str:
    """What would be cleared."""
    some = ", ".join(dict.fromkeys(one.user for one in found.items[:SHOWN]))
    more = " …" if found.tokens > SHOWN else ""
    return f"{_counted(found)}{': ' if some else ''}{some}{more}"


def _ask(found: ClearedTokens) -> None:
    """Show what would be cleared, and go on only where somebody says so."""
    click.echo(f"This clears {_of_whom(found)}", err=True)
    somebody_to_ask("clear them")
    click.confirm("Clear them?", abort=True, err=True)


def _call(auth: Api, wanted: Wanted) -> ClearedTokens:
    return auth.call("POST", "/v1/tokens/clear", body=wanted).decoded(ClearedTokens)


def _whole(found: list[ClearedTokens]) -> ClearedTokens:
    """All parts as one. A user with tokens at two identity providers is one user."""
    items = tuple(item for one in found for item in one.items)
    outcomes = [pair for one in found for pair in one.revoked.items()]
    revoked = {name: sum(number for one, number in outcomes if one == name) for name, _ in outcomes}
    tokens = sum(one.tokens for one in found)
    users = len({one.user for one in items}) if tokens == len(items) else sum(one.users for one in found)
    unknown = tuple(dict.fromkeys(user for one in found for user in one.unknown))
    return ClearedTokens(tokens=tokens, users=users, items=items, next=None, revoked=revoked, unknown=unknown)


def _tell_unknown(found: ClearedTokens, named: tuple[str, ...], json_wanted: bool) -> None:
    """Say which of the users who were named nobody is. Raises `Failure` where that is all of them: a mistake."""
    some = ", ".join(found.unknown[:SHOWN]) + (" …" if len(found.unknown) > SHOWN else "")
    if named and len(found.unknown) == len(set(named)):
        raise usage("There is no such user", some)
    if found.unknown and not json_wanted:
        click.echo(f"Nobody has these user ids: {some}", err=True)


def _counted(found: ClearedTokens) -> str:
    tokens = f"{found.tokens} token{'' if found.tokens == 1 else 's'}"
    return f"{tokens} of {found.users} user{'' if found.users == 1 else 's'}"


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"{path} cannot be read", str(error)) from None


def _parts(users: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    unique = tuple(dict.fromkeys(users))
    for start in range(0, len(unique), AT_ONCE):
        yield unique[start : start + AT_ONCE]
