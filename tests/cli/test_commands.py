"""Commands against a running Scopefold: what they print, and with which exit code they end."""

import json
from pathlib import Path

import httpx
import msgspec
import pytest
from joserfc.jwk import ECKey

from scopefold.cli.answers import Idp, Idps, Keys, ManagedResources, Manifest, Manifests, Worklist
from scopefold.cli.client import EXCHANGE, grants_of
from tests.cli.command import Up, problem_of, scopefold, told

ROOT = Path(__file__).parents[2]
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
        (("connector", "show", "identos.gmail-user"), "Enable the Gmail API"),
        (("connector", "show", "identos.google-calendar-user"), "\nor instead:       https://www.googleapis.com/auth/"),
        (("connector", "provisioned"), "urn:connector:identos:jira-user"),
        (("connector", "provisioned", "--at", "1"), "No connector is provisioned."),
        (("idp", "list", "--at", "0"), "No identity provider is registered."),
        (("idp", "show", "atlassian", "--at", "1"), "No connector is provisioned here."),
        (("reconsent", "list"), "Nobody must consent again"),
        (("reconsent", "list", "--at", "1"), "as of event 1"),
        (("reconsent", "count", "--idp", "atlassian"), "Nobody must consent again"),
        (("reconsent", "count", "--by", "connector"), "Nobody must consent again"),
        (("reconsent", "list", "--sort", "deadline", "--scope", "read:me"), "Nobody must consent again"),
        (("reconsent", "export", "-o", "-"), '"user","idp","scope"'),
        (("reconsent", "link", "u_nobody001", "--idp", "atlassian"), "No link for u_nobody001: nobody has this id"),
        (("reconsent", "link", "--all", "--idp", "atlassian"), "There is no link to send"),
        (
            ("webhook", "dead"),
            "There is no webhook: nobody is told who must consent until SCOPEFOLD_WEBHOOK_URL is set.",
        ),
        (("keys", "list"), "EdDSA"),
        (("idp", "doctor", "atlassian"), "The token endpoint knows the app"),
        (("idp", "doctor", "atlassian", "--at", "1"), "atlassian, as of event 1 ("),
        (("idp", "restore", "atlassian"), "Nothing was left out"),
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
        (("keys", "list"), Keys),
        (("connector", "list"), Manifests),
        (("connector", "show", "identos.google-calendar-user"), Manifest),
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


def test_keys_take_turns_and_one_that_leaked_is_taken_out(up: Up) -> None:
    data = ("--data", str(up.data))
    turned = msgspec.json.decode(scopefold("keys", "rotate", "--json", *data).stdout, type=Keys)
    assert {"retiring", "current", "next"} == {key.state for key in turned.items}
    leaked = turned.items[0].kid
    done = scopefold("keys", "revoke", leaked, *data)
    assert (0, 0) == told(done), done.stderr
    (line,) = [one for one in done.stdout.splitlines() if leaked in one]
    assert "revoked" in line
    assert 1 == scopefold("keys", "revoke", "no-such", *data).returncode


def test_a_client_says_what_it_needs(up: Up) -> None:
    options = ("--resource", "https://api.example", "--id-token-alg", "ES256", "--require-par", "--require-dpop")
    line = ("client", "register", "strict", "--redirect-uri", "https://strict.example/callback", *options)
    found = msgspec.json.decode(scopefold(*line, "--json", "--data", str(up.data)).stdout)
    assert ["https://api.example"] == found["resources"]
    assert ("ES256", True, True) == (
        found["id_token_signed_response_alg"],
        found["require_pushed_authorization_requests"],
        found["dpop_bound_access_tokens"],
    )


def test_a_confidential_client_is_told_its_secret(up: Up) -> None:
    done = scopefold(
        "client", "register", "crm", "--redirect-uri", "https://crm.example/callback",
        "--auth-method", "client_secret_basic", "--data", str(up.data),
    )  # fmt: skip
    assert "Its secret, shown only now: " in done.stdout


def test_a_client_is_registered_for_what_it_may_exchange_tokens_for(up: Up) -> None:
    kind, api, data = "urn:connector:identos:jira-user", "https://api.example", ("--data", str(up.data))
    line = ("client", "register", "gate", "--auth-method", "client_secret_basic", "--exchange", kind, "--exchange", api)
    made = msgspec.json.decode(scopefold(*line, "--json", *data).stdout)
    assert ([EXCHANGE], [kind, api]) == (made["grant_types"], made["exchange_resources"])
    (listed,) = [one for one in scopefold("client", "list", *data).stdout.splitlines() if one.startswith("gate ")]
    assert "token-exchange" in listed.split()
    assert f"{kind} {api}" in scopefold("client", "show", "gate", *data).stdout
    public = scopefold("client", "register", "open", "--exchange", kind, *data)
    assert ((1, 1), True) == (told(public), "token_endpoint_auth_method" in public.stderr), public.stderr


GRANTS: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = [
    # named, redirect addresses, exchange: what it gets
    ((), (), ("r",), (EXCHANGE,)),
    ((), ("https://x.example",), ("r",), ("authorization_code", EXCHANGE)),
    (("client_credentials",), (), ("r",), ("client_credentials", EXCHANGE)),
    (("refresh_token",), (), (), ("refresh_token",)),
]


@pytest.mark.parametrize(("named", "addresses", "exchange", "expected"), GRANTS)
def test_the_grant_types_of_a_client(
    named: tuple[str, ...], addresses: tuple[str, ...], exchange: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert expected == grants_of(named, addresses, exchange)


def test_a_stand_in_is_registered_without_another_word(up: Up) -> None:
    line = ("idp", "register", "mail", "--profile", "microsoft", "--sandbox", "--data", str(up.data))
    first, again = scopefold(*line), scopefold(*line)
    assert [(0, 0)] * 2 == [told(first), told(again)], first.stderr
    assert ["Registered mail.", "mail was registered just so already."] == [
        done.stdout.splitlines()[0] for done in (first, again)
    ]
    found = msgspec.json.decode(scopefold("idp", "show", "mail", "--json", "--data", str(up.data)).stdout, type=Idp)
    sandbox = up.endpoints().sandbox
    assert f"{sandbox}/microsoft/common/oauth2/v2.0/token" == found.endpoints.token
    assert f"discovery:        {sandbox}/microsoft/common/v2.0/" in first.stdout
    app = httpx.get(f"{sandbox}/microsoft/console/apps/sandbox-microsoft", timeout=20).json()
    assert 1 == app["callbacks"].count(found.callback)


def test_a_client_says_where_logout_leads_and_is_told(up: Up) -> None:
    line = ("client", "register", "hr", "--redirect-uri", "https://hr.example/cb", "--json", "--data", str(up.data))
    more = ("--post-logout-redirect-uri", "https://hr.example/out", "--backchannel-logout-uri", "https://hr.example/b")
    made = msgspec.json.decode(scopefold(*line, *more).stdout)
    assert ["https://hr.example/out"] == made["post_logout_redirect_uris"]
    assert "https://hr.example/b" == made["backchannel_logout_uri"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("user", "sessions", "u_nobody_has_this"), 1, "no such user"),
        (("user", "logout", "u_nobody_has_this"), 1, "no such user"),
        (("user", "logout", "u_nobody_has_this", "--session", "s_12345678"), 1, "no such session"),
        (("user", "end", "u_nobody_has_this"), 1, "no such user"),
        (("user", "end", "u_nobody_has_this", "--json"), 1, "unknown-user"),
        (("user", "end", "short"), 1, "no such user"),
        (("user", "groups", "u_nobody_has_this"), 1, "no such user"),
        (("user", "groups", "u_nobody_has_this", "staff"), 1, "no such user"),
        (("user", "groups", "u_nobody_has_this", "staff", "--none"), 2, "contradict"),
    ],
)
def test_users_are_looked_after_by_their_ids(up: Up, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = scopefold(*arguments, "--data", str(up.data))
    assert (code, True) == (done.returncode, says in done.stdout + done.stderr), done.stderr


def test_a_client_is_shown_given_a_new_secret_and_removed(up: Up) -> None:
    at = ("--data", str(up.data))
    line = ("client", "register", "erp", "--redirect-uri", "https://erp.example/cb", "--auth-method")
    assert 0 == scopefold(*line, "client_secret_post", "--grant", "authorization_code", *at).returncode
    assert "erp" in scopefold("client", "list", *at).stdout
    assert "https://erp.example/cb" in scopefold("client", "show", "erp", *at).stdout
    assert "Its secret, shown only now: cs_" in scopefold("client", "rotate-secret", "erp", *at).stdout
    assert ["Removed erp.", ""] == [scopefold("client", "remove", "erp", *at).stdout.strip() for _ in range(2)]
    refused = scopefold("client", "show", "erp", "--json", *at)
    assert (1, "urn:scopefold:problem:unknown-client") == (refused.returncode, problem_of(refused).type)


def test_a_file_of_clients_is_applied_and_changes_nothing_the_next_time(up: Up) -> None:
    line = ("client", "apply", str(ROOT / "examples" / "clients.yaml"), "--json", "--data", str(up.data))
    first, second = [msgspec.json.decode(scopefold(*line).stdout)["items"] for _ in range(2)]
    assert ["jira", "wiki-cli", "nightly-report", "jira-gateway"] == [one["client_id"] for one in second]
    assert ["jira", "nightly-report", "jira-gateway"] == [one["client_id"] for one in first if "client_secret" in one]
    assert [] == [one for one in second if "client_secret" in one]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("clients: 5", 2, "list of `clients`"),
        ("clients:\n- client_name: x", 2, "client 1"),
        ("clients:\n- client_id: x\n- client_id: x", 2, "client 2"),
        ("clients: [", 2, "no YAML"),
        ("clients:\n- client_id: x\n  secret: y", 1, "secret"),
        ("clients:\n- client_id: x\n  redirect_uris: ['http://x.example/']", 1, "use https"),
    ],
)
def test_a_file_that_cannot_be_applied_says_why(up: Up, tmp_path: Path, text: str, code: int, says: str) -> None:
    path = tmp_path / "clients.yaml"
    path.write_text(text)
    done = scopefold("client", "apply", str(path), "--data", str(up.data))
    assert ((code, 1), True) == (told(done), says in done.stderr), done.stderr


def test_leave_to_register_is_given_by_command(up: Up) -> None:
    done = scopefold("client", "registration-token", "--uses", "2", "--data", str(up.data))
    assert (0, True) == (done.returncode, "iat_" in done.stdout)


def test_a_client_with_keys_of_its_own_gets_no_secret(up: Up, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    line = (
        "client", "register", "reports", "--redirect-uri", "https://reports.example/", "--data", str(up.data),
        "--grant", "client_credentials", "--auth-method", "private_key_jwt", "--jwks",
    )  # fmt: skip
    done = scopefold(*line, str(keys))
    assert ("Registered reports.", "") == (done.stdout.strip(), done.stderr)
    keys.write_text("no JSON")
    refused = scopefold(*line, str(keys))
    assert (2, True) == (refused.returncode, "--jwks" in refused.stderr)


REGISTER = ("idp", "register", "other", "--profile", "atlassian", "--client-id", "x")
SANDBOXED = ("idp", "register", "other", "--profile", "atlassian", "--sandbox")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"),
    [
        (("idp", "show", "nowhere"), {}, 1, "no such identity provider"),
        (("idp", "show", "atlassian?x=/.."), {}, 1, ""),
        (("connector", "provision", "identos.none", "--idp", "atlassian"), {}, 1, "identos.none"),
        (("connector", "provision", "identos.jira-user", "--idp", "none"), {}, 1, "none"),
        (("connector", "show", "identos.none"), {}, 1, "identos.none"),
        (("connector", "deprovision", "identos.confluence-user"), {}, 1, "identos.confluence-user"),
        (("reconsent", "list", "--at", "yesterday"), {}, 1, ""),
        (REGISTER, {}, 2, "--client-secret-file"),
        ((*REGISTER, "--client-secret", "s"), {}, 2, "--client-secret"),
        ((*REGISTER, "--param", "audience"), {"SCOPEFOLD_CLIENT_SECRET": "s"}, 2, "NAME=VALUE"),
        (("idp", "register", "x", "--profile", "atlassian"), {}, 2, "--sandbox"),
        ((*REGISTER, "--sandbox"), {}, 2, "sandbox-atlassian"),
        ((*SANDBOXED, "--client-id", "sandbox-atlassian"), {}, 2, "--client-secret-file"),
        ((*SANDBOXED, "--client-secret-file", "secret"), {}, 2, "--client-id"),
        ((*SANDBOXED, "--token-endpoint", "https://x.example/token"), {}, 2, "Leave out"),
        (("idp", "register", "x", "--profile", "asana", "--sandbox"), {}, 2, "slack"),
        (("reconsent", "list", "--limit", "0"), {}, 2, "--limit"),
        (("reconsent", "list", "--at", "2026-11-22"), {}, 2, "needs its offset"),
        (("reconsent", "count", "--since-after", ""), {}, 2, "This is no moment"),
        (("idp", "list", "--at", "-5"), {}, 2, "This is no moment"),
        (("reconsent", "show", "u_nobody001", "--idp", "typo"), {}, 2, "There is no such identity provider: typo"),
        (("reconsent", "link", "--all", "--idp", "typo"), {}, 2, "There is no such identity provider: typo"),
        (("log", "diff", "1", "--idp", "typo"), {}, 2, "There is no such identity provider: typo"),
        (("log", "read", "--from", "0"), {}, 2, "--from"),
        (("log", "read", "--type", "token_stored"), {}, 2, "token-stored"),
        (("idp", "list", "--auth-url", "http://127.0.0.1:1"), {}, 3, "scopefold up"),
        (("log", "verify", "--nats-url", "nats://127.0.0.1:1"), {}, 3, "scopefold up"),
        (("log", "verify", "--nats-url", "nats://"), {}, 2, "nats://HOST:4222"),
        (("log", "seal", "--to", "nats://[::1"), {}, 2, "nats://HOST:4222"),
        (("idp", "list", "--auth-url", "auth.example"), {}, 3, "no usable address"),
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


def test_the_doctor_ends_with_1_where_something_is_wrong(up: Up) -> None:
    line = ("idp", "doctor", "atlassian", "--callback", "http://localhost:8080/oauth2/callback", "--data", str(up.data))
    done = scopefold(*line)
    assert (1, 0) == told(done)
    assert "WRONG  callback: The console's address differs from byte" in done.stdout
    found = msgspec.json.decode(scopefold(*line, "--json").stdout)
    assert ("atlassian", 1) == (found["idp"], found["wrong"])


def test_what_a_person_saw_is_recognised(up: Up) -> None:
    seen = "There seems to be an issue with your identity provider"
    done = scopefold("idp", "doctor", "atlassian", "--no-probe", "--seen", seen, "--data", str(up.data))
    assert "Permissions tab" in done.stdout


def test_a_scope_is_left_out_of_logins_and_asked_for_again(up: Up) -> None:
    at = ("atlassian", "--scope", "write:jira-work", "--data", str(up.data))
    done = scopefold("idp", "withhold", *at)
    assert (0, 0) == told(done), done.stderr
    assert "leave out: write:jira-work" in done.stdout
    assert "left out:         write:jira-work" in scopefold("idp", "show", "atlassian", "--data", str(up.data)).stdout
    assert "write:jira-work" in scopefold("idp", "restore", *at).stdout
    refused = scopefold("idp", "withhold", "atlassian", "--scope", "read:me", "--data", str(up.data))
    assert (1, 1) == told(refused)
    assert "No login works without this scope" in refused.stderr


def test_clearing_tokens_counts_asks_and_says_what_it_did(up: Up) -> None:
    line = ("token", "clear", "--idp", "atlassian", "--reason", "a test", "--data", str(up.data))
    asked = scopefold(*line)
    assert (2, "This clears 0 tokens of 0 users", "Give --yes") == (
        asked.returncode,
        *(text if text in asked.stderr else asked.stderr for text in ("This clears 0 tokens of 0 users", "Give --yes")),
    )
    dry = scopefold(*line, "--dry-run", "--yes")
    assert (0, "Nothing was changed. This would clear 0 tokens of 0 users\n") == (dry.returncode, dry.stdout)
    assert 0 == json.loads(scopefold(*line, "--dry-run", "--json").stdout)["tokens"]
    assert "Cleared 0 tokens of 0 users." in scopefold(*line, "--yes").stdout
    refused = scopefold(*line[:2], *line[4:], "--yes", "--json")
    assert (1, "Nothing says which tokens") == (refused.returncode, problem_of(refused).title)


def test_erasing_a_user_asks_first_and_knows_whom_it_does_not_know(up: Up) -> None:
    line = ("user", "erase", "u_7Jt0m1mX2bq4nV9c", "--data", str(up.data))
    assert (2, "Give --yes" in scopefold(*line).stderr) == (scopefold(*line).returncode, True)
    refused = scopefold(*line, "--yes", "--json")
    assert (1, "There is no such user") == (refused.returncode, problem_of(refused).title)
