"""Reading what others publish: bounded in size, time and number, never led elsewhere, and refused in words."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scopefold.auth.web import outgoing
from scopefold.auth.web.outgoing import MAX_ANSWER_BYTES, Documents, Http, NoAnswer
from tests.auth.world import World
from tests.sandbox.visitor import CLIENT_ID, CLIENT_SECRET

GOOD = {"issuer": "x"}
PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/good": (200, {}, json.dumps(GOOD).encode()),
    "/largest": (200, {}, b'{"a":"' + b"x" * (MAX_ANSWER_BYTES - 8) + b'"}'),
    "/too-large": (200, {}, b'{"a":"' + b"x" * (MAX_ANSWER_BYTES - 7) + b'"}'),
    "/away": (302, {"location": "/good"}, b"{}"),
    "/page": (200, {}, b"<html>"),
    "/list": (200, {}, b"[]"),
    "/deep": (200, {}, b"[" * 200_000),
    "/not-utf-8": (200, {}, b'{"a":"\xff"}'),
    "/packed-wrong": (200, {"content-encoding": "gzip"}, b"{}"),
    "/gone": (410, {}, b"{}"),
}


class Web:
    """A server of these pages; `asked` counts, and `/drip` never ends until `done` is set."""

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        self.done = threading.Event()


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    told = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            if self.path == "/drip":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{")
                self.wfile.flush()
                told.done.wait(20)
                return
            status, headers, body = PAGES.get(self.path, PAGES["/good"])
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield told
        told.done.set()
        server.shutdown()
        thread.join(10)


@pytest.fixture
async def documents() -> AsyncIterator[Documents]:
    """As `app` wires them."""
    http = Http()
    yield Documents(http)
    await http.aclose()


ANSWERS: list[tuple[str, str | None]] = [
    ("/good", None),
    ("/largest", None),
    ("/too-large", "answer_too_large"),
    ("/away", "http_302"),
    ("/page", "http_200_not_json"),
    ("/list", "http_200_not_json"),
    ("/deep", "http_200_not_json"),
    ("/not-utf-8", "http_200_not_json"),
    ("/packed-wrong", "DecodingError"),
    ("/gone", "http_410"),
]


@pytest.mark.parametrize(("path", "code"), ANSWERS)
async def test_what_is_taken_for_a_document(web: Web, documents: Documents, path: str, code: str | None) -> None:
    web.asked.clear()
    if code is None:
        assert await documents.get(web.address + path)
    else:
        with pytest.raises(NoAnswer) as failed:
            await documents.get(web.address + path)
        assert code == failed.value.code
    assert [path] == web.asked


@pytest.mark.parametrize(
    "address", ["http://id.example/x", "ftp://127.0.0.1/x", "file:///etc/hosts", "http://[::1/x", "https://a@b/x", ""]
)
async def test_E03_no_request_leaves_for_an_address_that_anybody_may_read(documents: Documents, address: str) -> None:
    with pytest.raises(NoAnswer) as failed:
        await documents.get(address)
    assert "not_https" == failed.value.code


async def test_nobody_listens(documents: Documents) -> None:
    with pytest.raises(NoAnswer) as failed:
        await documents.get("http://127.0.0.1:1/")
    assert "ConnectError" == failed.value.code


async def test_an_answer_that_drips_ends_in_time(
    web: Web, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "ANSWER_SECONDS", 0.2)
    async with asyncio.timeout(4):
        with pytest.raises(NoAnswer) as failed:
            await documents.get(f"{web.address}/drip")
    assert "ReadTimeout" == failed.value.code


async def test_a_document_is_read_again_when_it_is_older_than_the_caller_takes(web: Web, documents: Documents) -> None:
    web.asked.clear()
    asked = []
    for seconds in (60.0, 60.0, 0.0, 3600.0):
        assert GOOD == await documents.get(f"{web.address}/good", kept_seconds=seconds)
        asked.append(len(web.asked))
    assert [1, 1, 2, 2] == asked
    assert GOOD == await documents.get(f"{web.address}/good")
    assert 2 == len(web.asked)


async def test_the_oldest_document_makes_room(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MAX_DOCUMENTS", 2)
    web.asked.clear()
    http = Http()
    documents = Documents(http)
    for path in ("/1", "/2", "/3", "/2", "/3", "/1"):
        await documents.get(web.address + path)
    await http.aclose()
    assert ["/1", "/2", "/3", "/1"] == web.asked


REFUSALS: list[tuple[str, str]] = [
    # the path of the discovery address, and what the problem says
    ("/nothing/.well-known/openid-configuration", "http_404"),
    ("/healthz", "endpoints.issuer"),
    ("/healthz/.well-known/openid-configuration", "http_404"),
]


@pytest.mark.parametrize(("path", "says"), REFUSALS)
async def test_an_idp_whose_document_cannot_be_read_is_not_registered(world: World, path: str, says: str) -> None:
    address = world.sandbox.url + path
    body = {"idp": "nowhere", "profile": "oidc", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    answer = await world.admin("POST", "/v1/idps", json={**body, "endpoints": {"discovery": address}})
    assert (422, "urn:scopefold:problem:bad-discovery") == (answer.status_code, answer.json()["type"])
    assert says in answer.json()["detail"]
    assert 404 == (await world.admin("GET", "/v1/idps/nowhere")).status_code


async def test_a_document_of_another_issuer_registers_nothing(world: World) -> None:
    body = {"idp": "other", "profile": "oidc", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    endpoints = {
        "discovery": f"{world.sandbox.url}/oidc/.well-known/openid-configuration",
        "issuer": f"{world.sandbox.url}/other",
    }
    answer = await world.admin("POST", "/v1/idps", json={**body, "endpoints": endpoints})
    assert (422, True) == (answer.status_code, "another issuer" in answer.json()["detail"])
