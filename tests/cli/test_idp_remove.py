"""`scopefold idp remove` on a running Scopefold: told before, done once, begun anew."""

import json

from tests.cli.command import Up, scopefold, told

IDP, GMAIL = "leaving", "identos.gmail-user"


def ran(up: Up, *arguments: str) -> str:
    done = scopefold(*arguments, "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    return done.stdout


def test_an_idp_goes_with_its_connectors_and_is_registered_anew(up: Up) -> None:
    ran(up, "idp", "register", IDP, "--profile", "google", "--sandbox")
    ran(up, "connector", "provision", GMAIL, "--idp", IDP)
    before = ran(up, "log", "verify")
    assert [GMAIL] == json.loads(ran(up, "idp", "remove", IDP, "--dry-run", "--json"))["connectors"]
    shown = ran(up, "idp", "remove", IDP, "--dry-run", "--yes")
    assert ("Nothing was changed.", True) == (shown[:20], f"and then no more: {GMAIL}" in shown)
    unsaid = scopefold("idp", "remove", IDP, "--json", "--data", str(up.data))
    assert (2, True) == (unsaid.returncode, "--dry-run" in unsaid.stderr), "it says neither yes nor no"
    asked = scopefold("idp", "remove", IDP, "--data", str(up.data))
    assert ((2, 1), True) == (told(asked), f"and then no more: {GMAIL}" in asked.stdout), "nobody is there to say yes"
    assert "Give --yes" in asked.stderr
    assert before == ran(up, "log", "verify")

    assert f"no longer provisioned: {GMAIL}" in ran(up, "idp", "remove", IDP, "--yes")
    for gone, says in (
        (("idp", "remove", IDP, "--yes"), "There is no such identity provider"),
        (("connector", "provision", GMAIL, "--idp", IDP), "This IdP is not registered"),
    ):
        done = scopefold(*gone, "--data", str(up.data))
        assert ((1, 1), True) == (told(done), says in done.stderr), done.stderr
    assert GMAIL not in ran(up, "connector", "provisioned")
    ran(up, "idp", "register", IDP, "--profile", "google", "--sandbox")
    assert "No connector is provisioned here." in ran(up, "idp", "show", IDP)
    ran(up, "idp", "remove", IDP, "--yes")
