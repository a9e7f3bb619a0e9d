"""A webhook's receiver, which keeps what comes and answers as a test wants."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import msgspec

from scopefold.auth.web.webhook import TURN

MOST_SECONDS: Final = TURN.total_seconds() + 15
"""A replica that was stopped between a message and the note of it leaves its turn to end by itself."""


class Received(msgspec.Struct, frozen=True):
    """One request."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def kind(self) -> Any:
        return msgspec.json.decode(self.body)["type"]

    @property
    def data(self) -> Any:
        return msgspec.json.decode(self.body)["data"]


class Receiver:
    """What came, oldest first. It answers with `status`."""

    def __init__(self) -> None:
        self.status = 204
        self.came: list[Received] = []
        self.url = ""

    def about(self, idp: str) -> list[Received]:
        """What came about one IdP."""
        return [
            one for one in self.came if any(move["idp"] == idp for kind in ("users", "idps") for move in one.data[kind])
        ]

    def until(self, idp: str, count: int, seconds: float = MOST_SECONDS) -> list[Received]:
        """Wait until so much came about an IdP."""
        deadline = time.monotonic() + seconds
        while len(found := self.about(idp)) < count:
            assert time.monotonic() < deadline, [one.body for one in self.came]
            time.sleep(0.02)
        return found


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running one."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.came.append(Received({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(made.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
