"""A port that was chosen stays with whoever it was chosen for, also while nobody listens there yet."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scopefold.cli.nats_server import NatsServer
from scopefold.cli.ports import HOST, free_port
from scopefold.cli.stack import Plan, chosen_ports
from scopefold.runtime.serve import check_port


def of_one(_: Path) -> list[int]:
    return [free_port()]


def of_a_bus(tmp: Path) -> list[int]:
    return [NatsServer(tmp).port]


def of_everything(tmp: Path) -> list[int]:
    plan = Plan(data=tmp, sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0)
    return list(chosen_ports(plan).values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no port can be kept so")
@pytest.mark.parametrize("chosen", [of_one, of_a_bus, of_everything])
def test_only_who_was_told_of_a_chosen_port_can_take_it(chosen: Callable[[Path], list[int]], tmp_path: Path) -> None:
    ports = chosen(tmp_path)
    assert len(ports) == len(set(ports))
    for port in ports:
        for _ in range(2):
            check_port(HOST, port)  # as a service does, at each of its starts
        with socket.socket() as another, pytest.raises(OSError):
            another.bind((HOST, port))  # as a connection does that somebody opens
