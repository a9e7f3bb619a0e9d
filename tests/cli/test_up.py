"""`scopefold up` starts all or nothing, keeps it running, and leaves nothing behind."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from scopefold.cli.endpoints import FILE
from tests.cli.command import ANY_PORTS, Up, processes_of, scopefold, told, until


def a_file(tmp: Path) -> list[str]:
    (tmp / "file").touch()
    return ["--data", str(tmp / "file")]


def below_nothing(tmp: Path) -> list[str]:
    return ["--data", str(tmp / "missing" / "data")]


def unwritable(_: Path) -> list[str]:
    return ["--data", "/proc/self"]  # root, too, cannot write there


def one_port_for_two(tmp: Path) -> list[str]:
    return ["--data", str(tmp / "data"), "--auth-port", "18099", "--provisioner-port", "18099"]


def a_bad_manifest(tmp: Path) -> list[str]:
    (tmp / "acme.yaml").write_text("connector: acme.wiki\n")
    return ["--data", str(tmp / "data"), "--manifests", str(tmp)]


def no_manifests(tmp: Path) -> list[str]:
    return ["--data", str(tmp / "data"), "--manifests", str(tmp / "none")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("wrong", [a_file, below_nothing, unwritable, one_port_for_two, a_bad_manifest, no_manifests])
def test_what_cannot_start_says_why_in_one_line(wrong: Callable[[Path], list[str]], tmp_path: Path) -> None:
    done = scopefold("up", *ANY_PORTS, *wrong(tmp_path))
    assert (2, 1) == told(done), done.stderr
    assert [] == processes_of(tmp_path)


@pytest.mark.parametrize("part", ["auth", "provisioner", "sandbox", "nats"])
def test_a_taken_port_is_named_and_nothing_is_left_running(part: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = scopefold("up", "--sandbox", "--data", str(tmp_path / "data"), *ANY_PORTS, f"--{part}-port", port)
    assert (2, 1) == told(done), done.stderr
    assert port in done.stderr
    assert f"--{part}-port" in done.stderr
    assert [] == processes_of(tmp_path)


def test_a_second_up_on_the_same_data_is_turned_away_and_the_first_stays(up: Up) -> None:
    done = scopefold("up", "--data", str(up.data), *ANY_PORTS)
    assert (2, 1) == told(done), done.stderr
    assert (0, 0) == told(scopefold("idp", "list", "--data", str(up.data)))


@pytest.fixture
def own_up(tmp_path: Path) -> Iterator[Up]:
    """A Scopefold of the test's own, to kill at will."""
    running = Up(tmp_path / "data")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def test_what_ends_is_started_again_and_what_is_stopped_is_gone(own_up: Up) -> None:
    before = own_up.ready().pids
    os.kill(before["provisioner"], signal.SIGKILL)
    until("the provisioner runs again", lambda: own_up.endpoints().pids["provisioner"] != before["provisioner"])
    until("it answers", lambda: scopefold("connector", "list", "--data", str(own_up.data)).returncode == 0)
    assert "provisioner was killed by signal 9; starting it again in 0.5 s" in own_up.said
    assert 0 == own_up.stop()
    assert [] == processes_of(own_up.data)
    assert not (own_up.data / FILE).exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_nothing_outlives_an_up_that_was_killed_and_the_next_one_starts(own_up: Up) -> None:
    pids = own_up.ready().pids
    token = (own_up.data / "admin-token").read_text()
    assert {"nats-server", "provisioner", "auth"} == set(pids)
    own_up.process.kill()
    own_up.process.wait(30)
    until("all children are gone", lambda: not any(psutil.pid_exists(pid) for pid in pids.values()))
    again = Up(own_up.data)
    try:
        assert set(pids) == set(again.ready().pids)
        assert token == (own_up.data / "admin-token").read_text()
    finally:
        assert 0 == again.stop()


def test_the_bus_comes_back_with_everything_that_was_in_it(own_up: Up) -> None:
    before = own_up.ready().pids["nats-server"]
    line = ("client", "register", "wiki", "--redirect-uri", "https://wiki.example/", "--data", str(own_up.data))
    assert (0, 0) == told(scopefold(*line))
    os.kill(before, signal.SIGKILL)
    until("the bus runs again", lambda: own_up.endpoints().pids["nats-server"] != before)
    until("auth answers from it", lambda: "was there just so" in scopefold(*line).stdout)


def test_a_sandbox_that_moved_leaves_what_the_operator_registered(own_up: Up, tmp_path: Path) -> None:
    own_up.ready()
    (tmp_path / "secret").write_text("s3cret")
    line = ("idp", "register", "atlassian", "--profile", "atlassian", "--client-id", "ours", "--json")
    done = scopefold(*line, "--client-secret-file", str(tmp_path / "secret"), "--data", str(own_up.data))
    assert (0, 0) == told(done), done.stderr
    assert 0 == own_up.stop()
    again = Up(own_up.data, "--sandbox")
    try:
        again.ready()
        assert "it stays as you registered it" in again.said
        assert '"client_id":"ours"' in scopefold("idp", "list", "--json", "--data", str(own_up.data)).stdout
    finally:
        assert 0 == again.stop()


def test_the_settings_of_auth_reach_it_and_what_up_decides_stays(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "token").write_text("t" * 24)
    chosen = {
        "SCOPEFOLD_SEGMENTS": str(tmp_path / "segments"),
        "SCOPEFOLD_CONSENT_WINDOW_HOURS": "48",
        "SCOPEFOLD_METRICS_TOKEN_FILE": str(tmp_path / "token"),
    }
    others = {
        "SCOPEFOLD_NATS_URL": "nats://127.0.0.1:1",
        "SCOPEFOLD_ISSUER": "http://127.0.0.1:1",
        "SCOPEFOLD_KEK": "x",
    }
    running = Up(tmp_path / "data", env={**chosen, **others, "SCOPEFOLD_CLIENT_SECRET": "of a command"})
    try:
        where = running.ready()
        had = psutil.Process(where.pids["auth"]).environ()
        assert chosen == {name: had.get(name) for name in chosen}
        assert (where.nats, where.auth) == (had["SCOPEFOLD_NATS_URL"], had["SCOPEFOLD_ISSUER"])
        assert not {"SCOPEFOLD_KEK", "SCOPEFOLD_CLIENT_SECRET"} & had.keys()
        assert not chosen.keys() & psutil.Process(where.pids["provisioner"]).environ().keys()
    finally:
        assert 0 == running.stop()


def test_a_setting_that_auth_does_not_take_is_told_in_one_line(tmp_path: Path) -> None:
    wrong = {"SCOPEFOLD_SEGMENTS": str(tmp_path / "none")}
    done = scopefold("up", *ANY_PORTS, "--data", str(tmp_path / "data"), env=wrong)
    assert (2, 1) == told(done), done.stderr
    assert "SCOPEFOLD_SEGMENTS: " in done.stderr
    assert [] == processes_of(tmp_path / "data")


def test_ctrl_c_while_starting_leaves_nothing_running(tmp_path: Path) -> None:
    starting = Up(tmp_path / "data")
    until("the first child runs", lambda: bool((tmp_path / "data" / "nats" / "nats.log").exists()))
    starting.process.send_signal(signal.SIGINT)
    assert 0 == starting.process.wait(30)
    assert [] == processes_of(tmp_path)


def test_the_bus_of_up_hears_of_a_new_service_and_the_command_brings_what_it_needs(up: Up) -> None:
    where = ("--data", str(up.data))
    assert (0, 0) == told(scopefold("bus", "add-service", "a-gateway", *where))
    made = up.data / "bus" / "a-gateway.nk"
    shown = ("log", "verify", "--nats-url", up.endpoints().nats)
    said: list[str] = []

    def let_in() -> bool:
        said.append(_verified(shown, made))
        return "Cannot reach" not in said[-1]

    # It is let in, and then may not read.
    until("the gateway is let in", let_in)
    assert "The bus does not allow this" in said[-1] and str(made) in said[-1]
    assert (0, 0) == told(scopefold("log", "verify", *where))
    assert (0, 0) == told(scopefold("bus", "init", *where))
    assert (0, 0) == told(scopefold(*shown, env={"SCOPEFOLD_NATS_CREDENTIALS": str(up.data / "bus")}))
    assert 3 == scopefold(*shown).returncode
    assert "a-gateway" in scopefold("bus", "services", *where).stdout
    listed = msgspec.json.decode(scopefold("bus", "services", "--json", *where).stdout)["items"]
    assert [("a-gateway", 1, [])] == [(one["name"], len(one["keys"]), one["extras"]) for one in listed[-1:]]
    assert (0, 0) == told(scopefold("bus", "remove-service", "a-gateway", *where))
    assert (1, 1) == told(scopefold("bus", "remove-service", "a-gateway", *where))


def test_J01_auth_counts_whom_the_bus_of_up_turns_away(up: Up) -> None:
    where = up.endpoints()
    token = {"authorization": f"Bearer {Path(where.admin_token_file).read_text().strip()}"}

    def counted() -> list[str]:
        said = httpx.get(f"{where.auth}/v1/metrics", headers=token, timeout=10).text.splitlines()
        return [line for line in said if line.startswith('scopefold_bus_refused_total{kind="connection"}')]

    (before,) = counted()
    assert 3 == scopefold("log", "verify", "--nats-url", where.nats).returncode
    until("one more is counted", lambda: counted() != [before])


def _verified(line: tuple[str, ...], seed: Path) -> str:
    return scopefold(*line, "--nats-credentials", str(seed)).stderr
