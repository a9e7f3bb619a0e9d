"""A service listens where it was told, alone, and ends in good order when it is told to."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scopefold.runtime.serve import PortTaken, check_port
from tests.runtime.conftest import ROOT, START_SECONDS, Served, free_port


def test_a_port_where_somebody_listens_is_refused_with_its_address(served: Served) -> None:
    with pytest.raises(PortTaken, match=f"cannot listen on 127.0.0.1:{served.port}: "):
        check_port("127.0.0.1", served.port)


def test_a_free_port_is_not_refused_and_stays_free() -> None:
    port = free_port()
    for _ in range(2):
        check_port("127.0.0.1", port)


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
