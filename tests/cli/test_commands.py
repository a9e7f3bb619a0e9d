"""Commands against a running Scopefold: what they print, and with which exit code they end."""

import json
from pathlib import Path

import msgspec
import pytest
from joserfc.jwk import ECKey

from scopefold.cli.answers import Idp, Idps, ManagedResources, Manifests, Worklist
from tests.cli.command import Up, problem_of, scopefold, told

UNION = "openid email profile read:me read:jira-user read:jira-work write:jira-work offline_access"


def test_a_newcomer_finds_atlassian_registered_with_jira(up: Up) -> None:
    done = scopefold("idp", "show", "atlassian", "--json", "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    found = msgspec.json.decode(done.stdout, type=Idp)
    assert UNION == " ".join(found.union)
    assert ["identos.jira-user"] == [one.connector for one in found.connectors]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("idp", "list"), UNION),
        (("idp", "show", "atlassian"), "identos.jira-user"),
        (("connector", "list"), "identos.confluence-user"),
        (("connector", "provisioned"), "urn:connector:identos:jira-user"),
        (("reconsent", "list"), "Nobody must consent again"),
        (("reconsent", "list", "--at", "1"), "as of event 1"),
        (("reconsent", "count", "--idp", "atlassian"), "Nobody must consent again"),
        (("log", "read"), "connector-provisioned"),
        (("log", "verify"), "without a gap"),
    ],
)
def test_people_read_plain_text(up: Up, arguments: tuple[str, ...], shown: str) -> None:
    done = scopefold(*arguments, "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    assert shown in done.stdout


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("idp", "list"), Idps),
        (("connector", "list"), Manifests),
        (("connector", "provisioned"), ManagedResources),
        (("reconsent", "list", "--all"), Worklist),
    ],
)
def test_programs_read_one_json_document(up: Up, arguments: tuple[str, ...], kind: type[msgspec.Struct]) -> None:
    done = scopefold(*arguments, "--json", "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    msgspec.json.decode(done.stdout, type=kind)


def test_provisioning_what_is_provisioned_changes_nothing(up: Up) -> None:
    done = scopefold("connector", "provision", "identos.jira-user", "--idp", "atlassian", "--data", str(up.data))
    assert (0, 0) == told(done), done.stderr
    assert "Was so already" in done.stdout


def test_registering_a_client_twice_changes_nothing(up: Up) -> None:
    line = ("client", "register", "wiki", "--redirect-uri", "https://wiki.example/callback", "--data", str(up.data))
    assert ["Registered wiki.", "wiki was there just so."] == [scopefold(*line).stdout.strip() for _ in range(2)]


def test_a_confidential_client_is_told_its_secret(up: Up) -> None:
    done = scopefold(
        "client", "register", "crm", "--redirect-uri", "https://crm.example/callback",
        "--auth-method", "client_secret_basic", "--data", str(up.data),
    )  # fmt: skip
    assert "Its secret, shown only now: " in done.stdout


def test_a_client_with_keys_of_its_own_gets_no_secret(up: Up, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    line = (
        "client", "register", "reports", "--redirect-uri", "https://reports.example/", "--data", str(up.data),
        "--grant-type", "client_credentials", "--auth-method", "private_key_jwt", "--jwks",
    )  # fmt: skip
    done = scopefold(*line, str(keys))
    assert ("Registered reports.", "") == (done.stdout.strip(), done.stderr)
    keys.write_text("no JSON")
    refused = scopefold(*line, str(keys))
    assert (2, True) == (refused.returncode, "--jwks" in refused.stderr)


REGISTER = ("idp", "register", "other", "--profile", "atlassian", "--client-id", "x")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"),
    [
        (("idp", "show", "nowhere"), {}, 1, "no such identity provider"),
        (("idp", "show", "atlassian?x=/.."), {}, 1, ""),
        (("connector", "provision", "identos.none", "--idp", "atlassian"), {}, 1, "identos.none"),
        (("connector", "provision", "identos.jira-user", "--idp", "none"), {}, 1, "none"),
        (("connector", "deprovision", "identos.confluence-user"), {}, 1, "identos.confluence-user"),
        (("reconsent", "list", "--at", "yesterday"), {}, 1, ""),
        (REGISTER, {}, 2, "--client-secret-file"),
        ((*REGISTER, "--client-secret", "s"), {}, 2, "--client-secret"),
        ((*REGISTER, "--param", "audience"), {"SCOPEFOLD_CLIENT_SECRET": "s"}, 2, "NAME=VALUE"),
        (("reconsent", "list", "--limit", "0"), {}, 2, "--limit"),
        (("log", "read", "--from", "0"), {}, 2, "--from"),
        (("idp", "list", "--auth-url", "http://127.0.0.1:1"), {}, 3, "scopefold up"),
        (("log", "verify", "--nats-url", "nats://127.0.0.1:1"), {}, 3, "scopefold up"),
        (("connector", "list", "--admin-token-file", "/nowhere"), {}, 2, "/nowhere"),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code_says_whose_turn_it_is(
    up: Up, arguments: tuple[str, ...], env: dict[str, str], code: int, says: str
) -> None:
    done = scopefold(*arguments, "--data", str(up.data), env=env)
    assert (code, 1) == told(done), done.stderr
    assert says in done.stderr
    as_json = scopefold(*arguments, "--json", "--data", str(up.data), env=env)
    assert code == as_json.returncode
    assert problem_of(as_json).title in done.stderr


def test_a_wrong_admin_token_is_refused(up: Up, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("not-the-token-of-this-scopefold\n")
    done = scopefold("idp", "list", "--data", str(up.data), "--admin-token-file", str(wrong))
    assert (1, 1) == told(done), done.stderr


@pytest.mark.parametrize("text", ["", "  \n", "two\nlines-of-a-secret", "sécret"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(up: Up, text: str) -> None:
    done = scopefold("idp", "list", "--auth-url", up.endpoints().auth, env={"SCOPEFOLD_ADMIN_TOKEN": text})
    assert (2, 1) == told(done), done.stderr
    assert "secret" not in done.stderr


def test_where_things_are_comes_from_flags_then_environment_then_the_directory_here(up: Up, tmp_path: Path) -> None:
    where, nowhere = up.endpoints(), "http://127.0.0.1:1"
    token = {"SCOPEFOLD_ADMIN_TOKEN": Path(where.admin_token_file).read_text()}
    by_file = {"SCOPEFOLD_ADMIN_TOKEN_FILE": where.admin_token_file}
    found = {"SCOPEFOLD_DATA": str(up.data)}
    assert [0, 0, 0, 3, 2, 3] == [
        scopefold("idp", "list", *flags, env=env, cwd=tmp_path).returncode
        for flags, env in (
            (("--auth-url", where.auth), token | {"SCOPEFOLD_AUTH_URL": nowhere}),
            ((), by_file | {"SCOPEFOLD_AUTH_URL": where.auth}),
            ((), found),
            ((), found | {"SCOPEFOLD_AUTH_URL": nowhere}),
            ((), {}),
            (("--data", str(up.data), "--auth-url", nowhere), {}),
        )
    ]


def test_a_scopefold_named_with_data_outranks_the_environment(up: Up) -> None:
    env = {"SCOPEFOLD_AUTH_URL": "http://127.0.0.1:1"}
    assert (0, 0) == told(scopefold("idp", "list", "--data", str(up.data), env=env))


def test_the_secrets_are_their_owners_alone(up: Up) -> None:
    names = ("admin-token", "kek", "endpoints.json")
    assert [0o700, 0o600, 0o600, 0o600] == [
        path.stat().st_mode & 0o777 for path in (up.data, *(up.data / name for name in names))
    ]
