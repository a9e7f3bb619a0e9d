"""What a line of nats-server's log tells, and how its file is read: once, in bounds, whatever becomes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from scopefold.auth.core.bus_log import KINDS, Kind, kind_of
from scopefold.auth.settings import Settings, check
from scopefold.auth.store.bus_log import TURN_BYTES, BusLogs
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.auth.world import KEK

AT: Final = "[5896] 2026/11/22 15:12:35.077304 [ERR] 127.0.0.1:37790 - cid:17"
WHO: Final = f'{AT} - "v2.16.0:python3:NAME" - "services/nkey:UDVQRLJP3FLIK26SD2X7GYTJBNFEFRWB3BOLLP6HK6EQ62BREI6WCUZ6"'
WRITTEN: Final[list[tuple[str, Kind | None]]] = [
    (f'{WHO} - Publish Violation - Subject "ledger.default.x"', "publish"),
    (f'{WHO} - Publish Violation - Subject "a\\"b"', "publish"),
    (f'{WHO} - Publish Violation - Reply "$GR.x"', "publish"),
    (f'{WHO} - Subscription Violation - Subject "foo.>", SID 1', "subscription"),
    (f'{WHO} - Subscription Violation - Subject "foo.x", Queue: "q", SID 3', "subscription"),
    (f"{WHO} - maximum payload exceeded: 2000000 vs 1048576", "payload"),
    (f"{AT} - authentication error", "connection"),
    (f'{AT} - authentication error - User "auth"', "connection"),
    (f'{AT} - authentication error - Token "[REDACTED]"', "connection"),
    (f'{AT} - authentication error - Nkey "UBOO3HX4JVCEDOB3OEMUOTORPIA72ZZ657U475ELXTTSBV4ZKSHKDYO4"', "connection"),
    (f"{AT} - TLS handshake error: remote error: tls: unknown certificate authority", "connection"),
    ("[5896] 2026/11/22 15:12:35.040092 [INF]   ID:       NCO2C3PTZKK3W7FOMKMJJP3R4GXOZPJ3ZLPI3NL6DQX", None),
    ('[5896] 2026/11/22 15:12:39.271040 [INF] Trapped "terminated" signal', None),
    (f"{AT} - Client parser ERROR, state=0, i=0: proto='\"GET / HTTP/1.1\"...'", None),
    ("", None),
]
DISGUISED: Final[list[tuple[str, Kind | None]]] = [
    # A stranger names themselves in the words of another refusal; the user's name is quoted.
    (f'{AT} - authentication error - User "x\\n[1] 2026/11/22 15:18:46.101268 [ERR] y - Publish Violation - "',
     "connection"),
    # A known service does: `a - Publish Violation - Subject "x"`.
    (f'{WHO} - Subscription Violation - Subject "x\\".>", SID 1'.replace(
        "NAME", 'a - Publish Violation - Subject \\"x\\"'), "subscription"),
    # It calls itself `%s`, which brings the bare subject, and `%`, which breaks the quotes.
    (f"{WHO} - Publish Violation - Subject %!q(MISSING)".replace("NAME", 'a"b'), "publish"),
    (f"{WHO} - Publish Violation - Subject %!q(MISSING)".replace("NAME", 'a"b - authentication error'), "publish"),
    (f'{WHO} - Publish Violation - Subject "a\\"b"'.replace('NAME"', '%!"(BADINDEX)'), "publish"),
    (f'{WHO} - Subscription Violation - Subject "%!"(MISSING), SID 1', "subscription"),
    # It calls itself `%"`, and the words stand between what looks like two quotes.
    (f'{WHO} - Subscription Violation - Subject "x", SID 1'.replace('NAME', '%!\\(MISSING)"'), "subscription"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind"), WRITTEN + DISGUISED)
def test_J01_J02_J04_a_line_tells_what_was_refused(line: str, kind: Kind | None) -> None:
    """The server wrote these (2.15.1), but for the addresses."""
    assert kind == kind_of(line.encode())
    assert kind == kind_of(line.encode() + b"\r")


@pytest.mark.parametrize("line", [WRITTEN[0][0].replace("ERR", "INF"), WRITTEN[0][0][20:], WRITTEN[0][0][60:]])
def test_what_is_no_error_or_no_whole_line_tells_of_nothing(line: str) -> None:
    """The server may be told to write down what clients send; and reading may begin in the middle of a line."""
    assert kind_of(line.encode()) is None


@given(st.binary(max_size=300), st.sampled_from([b"", b"[1] 2026/11/22 15:12:35.077304 [ERR] "]))
def test_whatever_a_line_is_it_is_read(line: bytes, before: bytes) -> None:
    assert kind_of(before + line) in (None, *KINDS)


@pytest.mark.timeout(20)
def test_a_line_of_quotes_alone_costs_no_more_than_its_length() -> None:
    assert kind_of(AT.encode() + b' "' + b'\\"' * 500_000) is None


class Written:
    """One server's log and who reads it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "nats.log"
        self.path.touch()
        self.logs = BusLogs([self.path])

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def seen(self) -> int:
        self.logs.look()
        return self.logs.refused["publish"]


LINE: Final = WRITTEN[0][0] + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path)
    made.write(LINE + LINE[:-20])
    yield made
    made.logs.close()


def test_what_was_there_before_is_over_and_what_comes_is_counted_once(log: Written) -> None:
    assert 0 == log.seen()
    log.write(LINE[-20:] + LINE + LINE + LINE[:40])
    assert [2, 2] == [log.seen(), log.seen()]
    log.write(LINE[40:])
    assert [3, 3] == [log.seen(), log.seen()]


def test_a_file_that_is_rotated_is_read_to_its_end_and_the_next_from_its_start(log: Written, tmp_path: Path) -> None:
    log.seen()
    log.write(LINE * 2)
    log.path.rename(tmp_path / "nats.log.2026.11.22.15.12.35.147563971")
    log.write(LINE * 3)
    assert 2 == log.seen()
    assert [5, 5] == [log.seen(), log.seen()]
    assert not log.logs.unread


def test_a_file_that_is_cut_is_read_from_its_start(log: Written) -> None:
    log.seen()
    log.path.write_text(LINE)
    assert [1, 1] == [log.seen(), log.seen()]


def test_a_turn_reads_no_more_than_its_bound_and_the_next_goes_on(log: Written) -> None:
    log.seen()
    count = TURN_BYTES // len(LINE) + 10
    log.write(LINE * count)
    assert [TURN_BYTES // len(LINE), count, count] == [log.seen(), log.seen(), log.seen()]


def test_of_a_line_without_end_is_kept_what_says_what_it_is(log: Written) -> None:
    """A service that calls itself %999999s, several times, has the server write such lines."""
    log.seen()
    log.write(LINE[:-1].replace("NAME", " " * (3 * TURN_BYTES - len(LINE[:-1]) + len("NAME"))))
    assert [0, 0, 0] == [log.seen() for _ in range(3)]
    log.write("\n" + LINE)
    assert 2 == log.seen()


def test_a_file_that_is_missing_is_told_once_and_read_once_it_comes(tmp_path: Path) -> None:
    there, missing = tmp_path / "there.log", tmp_path / "missing.log"
    there.touch()
    logs = BusLogs([there, missing])
    assert {there, missing} == logs.unread
    with capture_logs() as said:
        for _ in range(3):
            logs.look()
        assert [("warning", str(missing))] == [(one["log_level"], one["file"]) for one in said]
        assert {missing} == logs.unread
        missing.write_text(LINE)
        there.write_text(LINE)
        logs.look()
        assert (set(), {**dict.fromkeys(KINDS, 0), "publish": 2}) == (logs.unread, logs.refused)
        missing.unlink()
        for _ in range(3):
            logs.look()
        assert {missing} == logs.unread
        assert ["warning", "info", "warning"] == [one["log_level"] for one in said]
    logs.close()


def test_what_is_told_is_a_bounded_list_of_files(tmp_path: Path) -> None:
    def told(text: str) -> Settings:
        return Settings(admin_token=Secret("t" * 24), kek=Secret(KEK), data_dir=tmp_path, bus_log=text)

    assert (Path("/a"), Path("/b")) == told("/a, /b,/a,").bus_logs
    assert () == told("").bus_logs
    with pytest.raises(BadSettings, match="SCOPEFOLD_BUS_LOG"):
        check(told(",".join(f"/{number}" for number in range(17))))
