"""Ports of this machine that nobody listens on."""

import atexit
import socket
import sys
from typing import Final

HOST: Final = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on, kept from whoever looks for one until this process ends.

    A service takes a second and more to listen there, and longer where it is started again. Meanwhile the system would
    give the port to the next process that asks for any, or to a connection that somebody opens, and the service could
    not start. A socket that is bound and listens to nobody prevents that, and whoever names the port can still take it.
    Elsewhere than on Linux that is not so, and the port is only free at this moment.
    """
    probe = socket.socket()
    probe.bind((HOST, 0))
    port: int = probe.getsockname()[1]
    if not sys.platform.startswith("linux"):
        probe.close()
        return port
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):  # from now on: it was chosen without
        probe.setsockopt(socket.SOL_SOCKET, option, 1)
    atexit.register(probe.close)
    return port
