"""The parts of the command that need no server."""

import subprocess
import sys

import msgspec
import pytest

from scopefold.cli.browser import forms_in, words_in
from scopefold.cli.idp import Profiles
from scopefold.cli.main import run
from scopefold.cli.supervise import delay_seconds, manner
from scopefold.cli.table import table
from scopefold.scopes.shipped import profiles

SERVER_ONLY = (
    "granian", "starlette", "faststream", "aiosqlite", "authlib", "joserfc", "scopefold.auth", "scopefold.provisioner",
    "scopefold.sandbox", "scopefold.cli.stack", "scopefold.cli.nats_server", "scopefold.cli.supervise",
)  # fmt: skip


def test_profiles_are_listed_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["idp", "profiles"])
    shown = capsys.readouterr().out.splitlines()
    assert [*profiles()] == [line.split()[0] for line in shown[1:]]
    assert 0 == run(["idp", "profiles", "--json"])
    told = msgspec.json.decode(capsys.readouterr().out, type=Profiles)
    assert {"okta": ("domain",), "oidc": ("issuer",)} == {
        one.profile: one.needs for one in told.items if one.profile in ("okta", "oidc")
    }
    assert ("tenant=common",) == next(one.may_set for one in told.items if one.profile == "microsoft-china")


def test_the_analysts_half_imports_no_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, scopefold.cli.main; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert set() == set(done.stdout.split()) & set(SERVER_ONLY)


def test_columns_are_as_wide_as_their_widest_cell_and_cannot_move_the_cursor() -> None:
    found = table(["a", "b"], [["long", "x"], ["1", "\n\x1b[2J"]])
    assert ["A     B", "long  x", "1     ??[2J"] == found.splitlines()


def test_restarts_wait_longer_each_time_up_to_ten_seconds() -> None:
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0] == [delay_seconds(ends) for ends in range(1, 8)]


@pytest.mark.parametrize(("code", "words"), [(-9, "was killed by signal 9"), (2, "ended with exit code 2")])
def test_how_a_process_ended_is_said_in_words(code: int, words: str) -> None:
    assert words == manner(code)


def test_a_form_is_what_it_would_send() -> None:
    (form,) = forms_in(
        '<form method=post action="/go"><input type=hidden name=a value=1><input type=checkbox name=c value=1>'
        "<select name=s><option value=x>X<option value=y>Y</select>"
        '<button name=user value=alice>A</button><button>B</button></form><button name="out">'
    )
    assert ("POST", "/go") == (form.method, form.action)
    assert {"a": "1", "s": "x"} == form.fields
    assert [("user", "alice"), ("", "")] == form.buttons


def test_a_page_is_read_as_its_words() -> None:
    assert "No access Try again" == words_in("<h1>No access</h1>\n<p>Try   again</p>")


def test_a_defect_is_told_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCOPEFOLD_TRACEBACK", raising=False)
    monkeypatch.setattr("scopefold.cli.main.scopefold.main", _broken)
    assert 1 == run(["idp", "list"])
    assert 1 == len(capsys.readouterr().err.splitlines())


def _broken(**_: object) -> None:
    raise RuntimeError("first line\nsecond line")


def test_a_command_ends_without_python_being_taken_apart() -> None:
    """Threads of the libraries that read segments may still be at work then, and would abort the process."""
    program = "import atexit; from scopefold.cli.main import main; atexit.register(print, 'taken apart'); main()"
    line = [sys.executable, "-c", program, "idp", "profiles"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "", True) == (done.returncode, done.stderr, "okta" in done.stdout)
    assert "taken apart" not in done.stdout
