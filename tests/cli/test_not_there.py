"""What is not there is said not to be there: a mistyped user, a webhook that nobody set up."""

import json

import pytest

from tests.cli.command import Up, problem_of, scopefold, told

NOBODY = "u_nobody001"
CLEAR = ("token", "clear", "--user", NOBODY, "--reason", "x")


@pytest.mark.parametrize(
    "arguments",
    [
        ("reconsent", "show", NOBODY),
        ("reconsent", "show", NOBODY, "--at", "1"),
        ("reconsent", "list", "--user", NOBODY),
        ("reconsent", "count", "--user", NOBODY),
        ("log", "explain", NOBODY, "atlassian"),
        (*CLEAR, "--yes"),
        (*CLEAR, "--dry-run"),
    ],
    ids=" ".join,
)
def test_a_user_whom_nobody_has_heard_of_does_not_read_as_one_who_lacks_nothing(
    up: Up, arguments: tuple[str, ...]
) -> None:
    done = scopefold(*arguments, "--data", str(up.data))
    assert ((2, 1), True) == (told(done), f"There is no such user: {NOBODY}" in done.stderr), done.stderr
    as_json = scopefold(*arguments, "--json", "--data", str(up.data))
    assert (2, "There is no such user") == (as_json.returncode, problem_of(as_json).title)


def test_without_a_webhook_nothing_is_said_to_be_delivered(up: Up) -> None:
    told_of = json.loads(scopefold("webhook", "dead", "--json", "--data", str(up.data)).stdout)
    assert {"webhook": False, "total": 0, "items": []} == told_of
    done = scopefold("webhook", "retry", "--all", "--data", str(up.data))
    assert ((1, 1), True) == (told(done), "There is no webhook" in done.stderr), done.stderr
