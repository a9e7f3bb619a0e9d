"""What would happen, before it does: asked of auth, and shown to people."""

from datetime import datetime

import click
from msgspec import Struct

from scopefold.cli.api import Api
from scopefold.cli.table import instant, show_table
from scopefold.consent.whatif import Counts, Hypothetical
from scopefold.contracts.events import ConnectorDeprovisioned
from scopefold.scopes.lint import Finding

LISTED = 20


class PreviewedUser(Struct, frozen=True):
    """A user, and the scopes that they would be asked for, or no longer."""

    user: str
    scopes: tuple[str, ...]


class Preview(Struct, frozen=True, kw_only=True):
    """What would become of an IdP and its users."""

    idp: str
    seq: int
    union: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    released: tuple[str, ...]
    requested: tuple[str, ...]
    held: dict[str, int]
    users: Counts
    url_length: int
    url_limit: int
    findings: tuple[Finding, ...]
    asked_from: datetime | None
    items: tuple[PreviewedUser, ...]
    next: str | None = None


class Asked(Struct, frozen=True):
    """What auth is asked: what if this event were appended?"""

    event: Hypothetical
    who: str
    limit: int


def ask(auth: Api, event: Hypothetical, limit: int) -> Preview:
    """What the event would lead to, with some of the users whom it concerns."""
    who = "freed" if isinstance(event, ConnectorDeprovisioned) else "asked"
    return auth.call("POST", "/v1/previews", body=Asked(event, who, limit)).decoded(Preview)


def show(found: Preview) -> None:
    """Print a preview for people."""
    users = found.users
    for label, value in (
        ("into the union", _counted(found, found.added)),
        ("out of the union", _counted(found, found.removed)),
        ("wanted no more", _counted(found, found.released)),
        ("users known", str(users.users)),
        ("must consent", f"{users.must_consent}: {users.newly} newly, {users.more} to more than now"),
        ("need no longer", str(users.no_longer)),
        ("have all already", str(users.serves)),
        ("not known of", str(users.unknown)),
        ("login's address", f"{found.url_length} characters; at most {found.url_limit} are sure to work"),
    ):
        click.echo(f"{label + ':':18}{value}")
    if found.asked_from is not None:
        click.echo(
            f"{'asked for from:':18}{instant(found.asked_from)}, together with what else is installed until then"
        )
    for one in found.findings:
        click.echo(f"{'wrong' if one.severity == 'hard' else 'doubtful'}: {one.says}")
    if found.items:
        click.echo()
        show_table(["user", "scopes"], [[one.user, " ".join(one.scopes)] for one in found.items], empty="")
    if found.next is not None:
        click.echo(f"and more; {len(found.items)} are shown.")


def _counted(found: Preview, scopes: tuple[str, ...]) -> str:
    """The scopes, each with how many users have granted it."""
    return ", ".join(f"{scope} ({found.held.get(scope, 0)} have it)" for scope in scopes) or "nothing"
