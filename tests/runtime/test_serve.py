"""A service listens where it was told, alone, and ends in good order when it is told to."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from scopefold.cli.ports import free_port
from scopefold.runtime.serve import MOST_CONNECTIONS, PortTaken, check_port
from scopefold.runtime.web import BODY_SECONDS
from tests.runtime.conftest import ROOT, START_SECONDS, Served


def test_a_port_where_somebody_listens_is_refused_with_its_address(served: Served) -> None:
    with pytest.raises(PortTaken, match=f"cannot listen on 127.0.0.1:{served.port}: "):
        check_port("127.0.0.1", served.port)


def test_a_port_on_ipv6_is_checked_there() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as holder:
        holder.bind(("::1", 0))
        holder.listen()
        with pytest.raises(PortTaken):
            check_port("::1", holder.getsockname()[1])


def test_a_second_service_on_the_same_port_ends_with_one_line_and_no_traceback(served: Served) -> None:
    command = [sys.executable, "-m", "tests.runtime.served", str(served.port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{served.port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert served.http.get("/things?idp=a").status_code == 200, "the first one still answers"


def test_A32_connections_that_say_nothing_keep_nobody_waiting(served: Served) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(600):
            held.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=5))
        answer = httpx.get(f"http://127.0.0.1:{served.port}/things?idp=a", timeout=10)  # by a connection of its own
        assert answer.status_code == 200


def test_only_a_protocol_whose_silence_has_an_end_is_spoken(served: Served) -> None:
    """A connection of HTTP/2 would be kept for as long as its client likes."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as other:
        other.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        told = other.recv(4096)
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ")


def test_as_many_connections_are_taken_as_files_may_be_open() -> None:
    program = "import resource, sys; n = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_NOFILE, (min(n, 256), n))"
    program += "; from scopefold.runtime.serve import connections_taken; print(connections_taken())"
    told = [
        subprocess.check_output([sys.executable, "-c", program, most], text=True) for most in ("300", "1024", "9999")
    ]
    assert [150, 768, MOST_CONNECTIONS] == [int(one) for one in told]


def test_A32_who_sends_a_byte_a_minute_keeps_no_service_from_ending(tmp_path: Path) -> None:
    """Whoever supervises it would kill it."""
    with (tmp_path / "log").open("wb") as log:
        service = Served(free_port(), log)
        try:
            service.wait_until_ready()
            with socket.create_connection(("127.0.0.1", service.port), timeout=5) as slow:
                slow.sendall(b"POST /things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
                slow.sendall(b"content-length: 99\r\nexpect: 100-continue\r\n\r\n")
                assert slow.recv(100).startswith(b"HTTP/1.1 100 ")  # its body is being read
                service.process.terminate()
                assert 0 == service.process.wait(BODY_SECONDS - 8)
        finally:
            service.process.kill()
            service.http.close()
    said = [json.loads(line) for line in service.logged().splitlines()]
    assert ["listening", "stopped before all requests were answered"] == [line["event"] for line in said]
    assert 1 == said[-1]["requests"]


def test_told_to_end_it_ends_with_success_and_frees_its_port(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        service = Served(free_port(), log)
        try:
            service.wait_until_ready()
        finally:
            code = service.stop()
    assert code == 0, service.logged()
    first = json.loads(service.logged().splitlines()[0])
    assert (first["event"], first["address"]) == ("listening", f"http://127.0.0.1:{service.port}")
    check_port("127.0.0.1", service.port)


ENDS = """
import sys, threading
from scopefold.runtime.leave import leave

def main() -> int:
    threading.Thread(target=threading.Event().wait).start()  # as a database's, which nobody told to end
    print("what is not written yet")
    {end}

leave(main)
"""


@pytest.mark.parametrize(("end", "code"), [("return 0", 0), ("return 2", 2), ("raise ValueError('a defect')", 1)])
@pytest.mark.parametrize("out", ["pipe", "/dev/full"])
def test_a_service_ends_with_its_code_whatever_is_left_of_it(end: str, code: int, out: str) -> None:
    """A thread that stays would be waited for, and who supervises the service would not start it again."""
    command = [sys.executable, "-c", ENDS.format(end=end)]
    with contextlib.ExitStack() as opened:
        stdout = subprocess.PIPE if out == "pipe" else opened.enter_context(Path(out).open("wb"))
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(
            command, env=buffered, stdout=stdout, stderr=subprocess.PIPE, timeout=START_SECONDS, check=False
        )
    assert code == done.returncode, done.stderr
    assert (b"a defect" in done.stderr) == (code == 1)
    assert out == "/dev/full" or b"what is not written yet\n" == done.stdout
