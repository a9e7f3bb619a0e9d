"""Looking before leaping: dry runs, who wants a scope, and pruning, as people type them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from scopefold.cli.preview import DryRun, Preview, PreviewedUser, show, tell
from scopefold.consent.whatif import Counts
from scopefold.scopes.lint import Finding
from tests.cli.command import Up, scopefold, told
from tests.support.logs import deprovisioned, provisioned

WIKI, JIRA = "identos.confluence-user", "identos.jira-user"
LEFT = "read:confluence-content.all"


def ran(up: Up, *arguments: str) -> str:
    done = scopefold(*arguments, "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    return done.stdout


def answered(up: Up, *arguments: str) -> Any:
    return json.loads(ran(up, *arguments, "--json"))


def line_of(shown: str, scope: str) -> str:
    (line,) = [one for one in shown.splitlines() if one.startswith(f"{scope} ")]
    return line


def test_a_connector_comes_and_goes_and_its_scopes_are_pruned_each_told_before(up: Up) -> None:
    provision, deprovision = ("provision", WIKI, "--idp", "atlassian"), ("deprovision", WIKI)
    before = ran(up, "log", "verify")
    told_before = answered(up, "connector", *provision, "--dry-run")
    assert LEFT in told_before["preview"]["added"]
    shown = ran(up, "connector", *provision, "--dry-run")
    assert ("Nothing was changed.", True) == (shown[:20], line_of(shown, LEFT).split()[1:] == ["comes", "0", "users"])
    assert before == ran(up, "log", "verify")

    ran(up, "connector", *provision)
    assert told_before["preview"]["union"] == answered(up, "idp", "show", "atlassian")["union"]
    assert "nothing would change" in ran(up, "connector", *provision, "--dry-run")
    shown = ran(up, "connector", *deprovision, "--dry-run")
    assert "stays, wanted by nobody" in line_of(shown, LEFT)
    assert "there is nothing to prune" in ran(up, "idp", "prune", "atlassian")
    assert WIKI == line_of(ran(up, "idp", "scopes", "atlassian"), LEFT).split()[1]

    ran(up, "connector", *deprovision)
    assert "nobody" == line_of(ran(up, "idp", "scopes", "atlassian"), LEFT).split()[1]
    before = ran(up, "log", "verify")
    prune = ("idp", "prune", "atlassian")
    dry = answered(up, *prune, "--dry-run")
    assert (True, "scopes-pruned.v1") == (LEFT in dry["preview"]["removed"], dry["event"]["type"])
    shown = ran(up, *prune, "--dry-run", "--yes")
    assert ("Nothing was changed.", "leaves") == (shown[:20], line_of(shown, LEFT).split()[1])
    unsaid = scopefold(*prune, "--json", "--data", str(up.data))
    assert (2, True) == (unsaid.returncode, "--dry-run" in unsaid.stderr), "it says neither yes nor no"
    asked = scopefold("idp", "prune", "atlassian", "--data", str(up.data))
    assert ((2, 1), True) == (told(asked), line_of(asked.stdout, LEFT).split()[1] == "leaves"), (
        "nobody is there to say yes"
    )
    assert before == ran(up, "log", "verify")
    for how in ("--yes", "--dry-run"):
        done = scopefold(*prune, "--scope", "read:jira-work", how, "--data", str(up.data))
        assert (1, True) == (done.returncode, "Somebody wants what would be pruned" in done.stderr), how
    (line, _) = ran(up, "idp", "prune", "atlassian", "--yes").splitlines()
    assert (True, True) == (line.startswith("Pruned "), LEFT in line)
    assert LEFT not in answered(up, "idp", "show", "atlassian")["union"]
    assert {"event": None, "preview": None} == answered(up, *prune, "--dry-run")


@pytest.mark.parametrize("arguments", [("provision", JIRA, "--idp", "nowhere"), ("deprovision", WIKI)])
def test_a_dry_run_is_refused_as_the_command_would_be(up: Up, arguments: tuple[str, ...]) -> None:
    dry, real = (scopefold("connector", *arguments, *more, "--data", str(up.data)) for more in (["--dry-run"], []))
    assert (1, real.stderr) == (dry.returncode, dry.stderr)


def test_every_scope_of_a_newcomers_union_is_wanted(up: Up) -> None:
    found = answered(up, "idp", "scopes", "atlassian")
    assert answered(up, "idp", "show", "atlassian")["union"] == [one["scope"] for one in found["items"]]
    assert [] == [one["scope"] for one in found["items"] if not one["wanted_by"]]


USERS = Counts(users=12, must_consent=6, newly=3, more=2, no_longer=1, unknown=4, serves=5)
FOUND = Preview(
    idp="atlassian", seq=7, union=(), added=("a:new",), removed=(), released=("an:old",), requested=(),
    held={"a:new": 5, "an:old": 1}, users=USERS, url_length=600, url_limit=8000,
    findings=(Finding("exclusion", "soft", ("a:new",), ("x",), "They may clash."),),
    asked_from=datetime(2026, 1, 15, 9, 30, tzinfo=UTC), items=(PreviewedUser("u_alice001", ("a:new",)),), next="more",
)  # fmt: skip
SHOWN = """\
SCOPE   IN THE UNION             GRANTED BY NOW
a:new   comes                    5 users
an:old  stays, wanted by nobody  1 user

must consent:     6 of 12 users
because of this:  3 newly, 2 to more than now
have all already: 5
need no longer:   1
not known of:     4
asked for from:   2026-01-15 09:30:00Z, together with what else comes until then
login's address:  600 of at most 8000 characters
doubtful:         They may clash.

USER        WOULD BE ASKED FOR
u_alice001  a:new
There are more; 1 are shown.
"""


def test_a_preview_is_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    show(FOUND, provisioned("wiki", ("a:new",)))
    assert SHOWN == capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, "It is so already: nothing would change.\n"),
        ("install-wiki", "It is so already, or was once made so under the key install-wiki: nothing would change.\n"),
    ],
)
def test_a_command_under_a_key_that_was_used_may_have_been_undone_since(
    capsys: pytest.CaptureFixture[str], key: str | None, told: str
) -> None:
    tell(DryRun(None, None), json_wanted=False, key=key)
    assert told == capsys.readouterr().out


def test_a_preview_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Counts(users=1, must_consent=0, newly=0, more=0, no_longer=0, unknown=0, serves=0)
    plain = replace(FOUND, added=(), released=(), users=nothing, findings=(), asked_from=None, items=(), next=None)
    show(plain, deprovisioned("wiki"))
    told = (
        "The union stays as it is.\n\nmust consent:     0 of 1 user\nlogin's address:  600 of at most 8000 characters\n"
    )
    assert told == capsys.readouterr().out


def test_an_idp_is_looked_at_before_it_is_registered(up: Up) -> None:
    register = ("idp", "register", "looked-at", "--profile", "google", "--sandbox")
    before = ran(up, "log", "verify")
    found = answered(up, *register, "--dry-run")
    assert ("idp-registered.v1", "looked-at") == (found["event"]["type"], found["preview"]["idp"])
    shown = ran(up, *register, "--dry-run")
    assert ("Nothing was changed.", ["comes", "0", "users"]) == (shown[:20], line_of(shown, "openid").split()[1:])
    missing = scopefold("idp", "show", "looked-at", "--data", str(up.data))
    assert ((1, 1), before) == (told(missing), ran(up, "log", "verify"))
    ran(up, *register)
    assert found["preview"]["union"] == answered(up, "idp", "show", "looked-at")["union"]
    assert "just so already" in ran(up, *register, "--dry-run")
    assert {"event": None, "preview": None} == answered(up, *register, "--dry-run")
    ran(up, "idp", "remove", "looked-at", "--yes")
