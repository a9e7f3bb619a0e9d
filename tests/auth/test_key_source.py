"""Key-encryption keys come from exactly one place, and what is no good key keeps the service from starting."""

import asyncio
import base64
import os
import re
import secrets
import sys
import time
from pathlib import Path
from typing import Final

import psutil
import pytest

from scopefold.auth.core.seal import BadKey, read_key, read_keys
from scopefold.auth.settings import NOT_SET, Settings, check
from scopefold.auth.store.key_source import keks_of
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.auth.world import KEK
from tests.house.source import ROOT
from tests.house.test_house_rules import our_texts
from tests.support.process import run_to_its_end

PATIENT_SECONDS: Final = 30.0  # on a busy machine, an interpreter takes seconds to start
OLDER = base64.b64encode(secrets.token_bytes(32)).decode()


def settings(**changed: str) -> Settings:
    kek = Secret(changed["kek"]) if "kek" in changed else NOT_SET
    return Settings(admin_token=Secret("x" * 24), kek=kek, kek_command=changed.get("kek_command", ""))


def printing(code: str) -> str:
    """A command that runs this Python."""
    return f"{sys.executable} -c '{code}'"


async def test_the_first_key_is_the_current_one_wherever_they_come_from() -> None:
    expected = (read_key(KEK), read_key(OLDER))
    assert expected == await keks_of(settings(kek=f"{KEK}\n{OLDER}\n"))
    assert expected == await keks_of(settings(kek_command=printing(f'print("{KEK}"); print("{OLDER}")')))
    assert expected[:1] == await keks_of(settings(kek=KEK))


async def test_H07_a_command_runs_without_a_shell_and_without_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOPEFOLD_ADMIN_TOKEN", "canary")
    monkeypatch.setenv("KMS_REGION", KEK)
    code = 'import os; assert "SCOPEFOLD_ADMIN_TOKEN" not in os.environ; print(os.environ["KMS_REGION"])'
    assert (read_key(KEK),) == await keks_of(settings(kek_command=printing(code)))
    with pytest.raises(BadSettings, match="no base64url"):
        await keks_of(settings(kek_command="echo $KMS_REGION"))


COMMANDS: list[tuple[str, str, str]] = [
    ("fails", 'print("canary"); raise SystemExit(3)', "ended with code 3"),
    ("complains", 'import sys; sys.stderr.write("canary"); sys.exit(1)', "ended with code 1"),
    ("prints nothing", "pass", "there is no key-encryption key"),
    ("prints no key", 'print("canary")', "bytes instead of 32"),
    ("prints no text", 'import sys; sys.stdout.buffer.write(b"canary\\xff")', "printed something that is no key"),
    ("prints without end", 'while True: print("canary" * 99)', "printed more than 4096 bytes"),
    ("hangs", 'import time; print("canary", flush=True); time.sleep(60)', "did not end within 1 seconds"),
]


@pytest.mark.parametrize(("case", "code", "told"), COMMANDS)
async def test_H07_what_a_command_does_wrong_is_told_without_what_it_printed(case: str, code: str, told: str) -> None:
    with pytest.raises(BadSettings, match=f"^SCOPEFOLD_KEK_COMMAND: .*{re.escape(told)}") as refused:
        await keks_of(settings(kek_command=printing(code)), seconds=1 if case == "hangs" else PATIENT_SECONDS)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("command", ["/no/such/program", "'open", " ", "a\0b"])
async def test_H07_a_command_that_cannot_run_is_told(command: str) -> None:
    with pytest.raises(BadSettings, match=r"^SCOPEFOLD_KEK_COMMAND: "):
        await keks_of(settings(kek_command=command))


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    command = f"sh -c 'sleep 300 & echo $! > {noted}; wait'"  # a shell has begun long before the time is up
    with pytest.raises(BadSettings, match="did not end"):
        await asyncio.wait_for(keks_of(settings(kek_command=command), seconds=2), PATIENT_SECONDS)
    pid, deadline = int(noted.read_text()), time.monotonic() + PATIENT_SECONDS
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "what the command started lives on"
        os.sched_yield()


SOURCES: list[tuple[dict[str, str], str]] = [
    ({}, "SCOPEFOLD_KEK is not set"),
    ({"kek": KEK, "kek_command": "true"}, "SCOPEFOLD_KEK is given beside SCOPEFOLD_KEK_COMMAND"),
    ({"kek": KEK, "kek_file": os.devnull}, "SCOPEFOLD_KEK and SCOPEFOLD_KEK_FILE are both set"),
    ({"kek_file": "/no/such/file"}, "SCOPEFOLD_KEK_FILE: cannot read"),
    ({"kek_command": "false"}, "SCOPEFOLD_KEK_COMMAND: false ended with code 1"),
    ({"kek": "BwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSY="}, "SCOPEFOLD_KEK: the key-encryption key is an example"),
    ({"kek": f"{KEK}\n{KEK}"}, "SCOPEFOLD_KEK: the same key-encryption key stands there twice"),
    ({"kek": f"{KEK}\nchangeme"}, "SCOPEFOLD_KEK: the key-encryption key has 6 bytes"),
]


@pytest.mark.parametrize(("given", "told"), SOURCES)
def test_H07_it_does_not_start_without_exactly_one_source_of_good_keys(given: dict[str, str], told: str) -> None:
    ended = run_to_its_end("auth", **given)
    assert (2, 1) == (ended.returncode, ended.stderr.count("\n")), ended.stderr
    assert ended.stderr.startswith(f"scopefold auth cannot start: {told}")
    assert KEK not in ended.stderr


def test_a_command_alone_is_a_source(tmp_path: Path) -> None:
    check(Settings(admin_token=Secret("x" * 24), kek_command="true", data_dir=tmp_path))


def test_more_keys_than_a_rotation_needs_are_refused() -> None:
    with pytest.raises(BadKey, match="4 at most"):
        read_keys(" ".join(base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(5)))


def test_random_keys_are_taken() -> None:
    for _ in range(2000):
        key = secrets.token_bytes(32)
        assert key == read_key(base64.b64encode(key).decode())


SHOWN = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{43}=?(?![\w+/=-])")


def test_H07_no_key_that_this_repository_shows_is_taken() -> None:
    """Whatever stands near the word and could be a key must be refused: guides and tests are read by everybody."""
    taken, seen = [], 0
    for path, text in our_texts():
        for line in text.splitlines():
            for shown in SHOWN.findall(line) if "kek" in line.lower() else ():
                seen += 1
                try:
                    read_key(shown)
                except BadKey:
                    continue
                taken.append(f"{path.relative_to(ROOT)}: {shown}")
    assert seen > 0
    assert [] == taken


@pytest.mark.parametrize("text", ["", " \n "])
def test_H07_no_key_is_no_default(text: str) -> None:
    with pytest.raises(BadKey, match="there is no key"):
        read_keys(text)
