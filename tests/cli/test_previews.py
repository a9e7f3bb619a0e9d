"""Looking before leaping: dry runs, who wants a scope, and pruning, as people type them."""

import json
from typing import Any

import pytest

from tests.cli.command import Up, scopefold, told

WIKI, JIRA = "identos.confluence-user", "identos.jira-user"
LEFT = "read:confluence-content.all"


def ran(up: Up, *arguments: str) -> str:
    done = scopefold(*arguments, "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    return done.stdout


def answered(up: Up, *arguments: str) -> Any:
    return json.loads(ran(up, *arguments, "--json"))


def test_a_connector_comes_and_goes_and_its_scopes_are_pruned_each_told_before(up: Up) -> None:
    provision, deprovision = ("provision", WIKI, "--idp", "atlassian"), ("deprovision", WIKI)
    before = ran(up, "log", "verify")
    told_before = answered(up, "connector", *provision, "--dry-run")
    assert LEFT in told_before["preview"]["added"]
    shown = ran(up, "connector", *provision, "--dry-run")
    assert ("Nothing was changed.", True) == (shown[:20], f"{LEFT} (0 have it)" in shown)
    assert before == ran(up, "log", "verify")

    ran(up, "connector", *provision)
    assert told_before["preview"]["union"] == answered(up, "idp", "show", "atlassian")["union"]
    assert "nothing would change" in ran(up, "connector", *provision, "--dry-run")
    shown = ran(up, "connector", *deprovision, "--dry-run")
    (line,) = [one for one in shown.splitlines() if one.startswith("wanted no more: ")]
    assert (True, True) == (LEFT in line, "out of the union: nothing" in shown)
    assert "there is nothing to prune" in ran(up, "idp", "prune", "atlassian")
    (line,) = [one for one in ran(up, "idp", "scopes", "atlassian").splitlines() if one.startswith(LEFT)]
    assert WIKI == line.split()[1]

    ran(up, "connector", *deprovision)
    (line,) = [one for one in ran(up, "idp", "scopes", "atlassian").splitlines() if one.startswith(LEFT)]
    assert "nobody" == line.split()[1]
    before = ran(up, "log", "verify")
    assert LEFT in answered(up, "idp", "prune", "atlassian")["removed"]
    asked = scopefold("idp", "prune", "atlassian", "--data", str(up.data))
    assert (130, True) == (asked.returncode, "out of the union:" in asked.stdout), "nobody is there to say yes"
    assert before == ran(up, "log", "verify")
    done = scopefold("idp", "prune", "atlassian", "--scope", "read:jira-work", "--yes", "--data", str(up.data))
    assert (1, True) == (done.returncode, "Somebody wants what would be pruned" in done.stderr)
    (line, _) = ran(up, "idp", "prune", "atlassian", "--yes").splitlines()
    assert (True, True) == (line.startswith("Pruned "), LEFT in line)
    assert LEFT not in answered(up, "idp", "show", "atlassian")["union"]


@pytest.mark.parametrize("arguments", [("provision", JIRA, "--idp", "nowhere"), ("deprovision", WIKI)])
def test_a_dry_run_is_refused_as_the_command_would_be(up: Up, arguments: tuple[str, ...]) -> None:
    dry, real = (scopefold("connector", *arguments, *more, "--data", str(up.data)) for more in (["--dry-run"], []))
    assert (1, real.stderr) == (dry.returncode, dry.stderr)


def test_every_scope_of_a_newcomers_union_is_wanted(up: Up) -> None:
    found = answered(up, "idp", "scopes", "atlassian")
    assert answered(up, "idp", "show", "atlassian")["union"] == [one["scope"] for one in found["items"]]
    assert [] == [one["scope"] for one in found["items"] if not one["wanted_by"]]
