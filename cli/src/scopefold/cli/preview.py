"""What would happen, before it does: asked of auth, and shown to people."""

from datetime import datetime

import click
import msgspec
from msgspec import Struct

from scopefold.cli.api import Api
from scopefold.cli.table import instant, show_table
from scopefold.consent.whatif import Counts, Foretold, Hypothetical
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned
from scopefold.scopes.lint import Finding

LISTED = 20


limit_option = click.option(
    "--limit", type=click.IntRange(1, 1000), default=LISTED, show_default=True, help="A dry run's users."
)


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


class DryRun(Struct, frozen=True):
    """What a command would append, and what would become of the IdP and its users; None: nothing."""

    event: Foretold | None
    preview: Preview | None


class Asked(Struct, frozen=True):
    """What auth is asked: what if this event were appended?"""

    event: Hypothetical
    who: str
    limit: int


def ask(auth: Api, event: Hypothetical, limit: int) -> Preview:
    """What the event would lead to, with some of the users whom it concerns."""
    who = "freed" if isinstance(event, ConnectorDeprovisioned) else "asked"
    return auth.call("POST", "/v1/previews", body=Asked(event, who, limit)).decoded(Preview)


def tell(found: DryRun, json_wanted: bool, key: str | None = None) -> None:
    """Print what a dry run found; of a command under a key, which may have taken effect long ago."""
    if json_wanted:
        click.echo(msgspec.json.encode(found))
    elif found.event is None or found.preview is None:
        why = "It is so already" if key is None else f"It is so already, or was once made so under the key {key}"
        click.echo(f"{why}: nothing would change.")
    else:
        click.echo(
            f"Nothing was changed. At {found.preview.idp}, as of event {found.preview.seq}, this would happen:\n"
        )
        show(found.preview, found.event)


def show(found: Preview, event: Foretold) -> None:
    """Print a preview for people: what becomes of the union, of how many users, of whom."""
    scopes = [(scope, "comes") for scope in found.added]
    scopes += [(scope, "leaves") for scope in found.removed]
    scopes += [(scope, "stays, wanted by nobody") for scope in found.released]
    rows = [[scope, how, _users(found.held.get(scope, 0))] for scope, how in scopes]
    show_table(["scope", "in the union", "granted by now"], rows, empty="The union stays as it is.")
    click.echo()
    users = found.users
    lines = [("must consent", f"{users.must_consent} of {_users(users.users)}")]
    if users.newly or users.more:
        lines.append(("because of this", f"{users.newly} newly, {users.more} to more than now"))
    if isinstance(event, ConnectorProvisioned):
        lines.append(("have all already", str(users.serves)))
    if users.no_longer:
        lines.append(("need no longer", str(users.no_longer)))
    if users.unknown:
        lines.append(("not known of", str(users.unknown)))
    if found.asked_from is not None:
        lines.append(("asked for from", f"{instant(found.asked_from)}, together with what else comes until then"))
    lines.append(("login's address", f"{found.url_length} of at most {found.url_limit} characters"))
    lines += [("wrong" if one.severity == "hard" else "doubtful", one.says) for one in found.findings]
    for label, value in lines:
        click.echo(f"{label + ':':18}{value}")
    if found.items:
        click.echo()
        header = "no longer asked for" if isinstance(event, ConnectorDeprovisioned) else "would be asked for"
        show_table(["user", header], [[one.user, " ".join(one.scopes)] for one in found.items], empty="")
    if found.next is not None:
        click.echo(f"There are more; {len(found.items)} are shown.")


def _users(number: int) -> str:
    return "1 user" if number == 1 else f"{number} users"
