"""Every refusal and every failure of an API is problem+json that says what to change. Over real HTTP."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from scopefold.contracts.words import ConnectorId, UserId
from scopefold.runtime.web import MAX_BODY_BYTES, PROBLEM_PREFIX, openapi, rule_of
from tests.runtime.conftest import Served
from tests.runtime.served import ADMIN, CANARY, ENDPOINTS

JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"]), answer.text
    problem: dict[str, Any] = answer.json()
    assert (PROBLEM_PREFIX + kind, status) == (problem["type"], problem["status"])
    assert problem["title"]
    return problem


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_a_good_body_is_taken(served: Served, content_type: str) -> None:
    body = {"idp": "atlassian", "scopes": ["read:me"], "unknown": "is left aside"}
    answer = served.http.post("/things", content=json.dumps(body), headers={"content-type": content_type})
    assert (201, "application/json", "no-store") == (
        answer.status_code,
        answer.headers["content-type"],
        answer.headers["cache-control"],
    )
    assert answer.json() == {"idp": "atlassian", "scopes": ["read:me"], "count": 1}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "kind", "detail"),
    [
        (b'{"idp":"a"}', None, 415, "media-type", "content-type: application/json"),
        (b'{"idp":"a"}', "text/plain", 415, "media-type", "content-type: application/json"),
        (b"idp=a", "application/x-www-form-urlencoded", 415, "media-type", "content-type: application/json"),
        (b'{"idp":"a"}', "application/jsonp", 415, "media-type", "content-type: application/json"),
        (b"", "application/json", 400, "malformed-body", "truncated"),
        (b"{", "application/json", 400, "malformed-body", "truncated"),
        (b"\x00", "application/json", 400, "malformed-body", "malformed"),
        (b'{"idp":"\xff"}', "application/json", 400, "malformed-body", "utf-8"),
        (b'{"idp":"a"}{}', "application/json", 400, "malformed-body", "trailing"),
        (b"[" * 100_000, "application/json", 422, "invalid-body", "Expected `object`"),
        (b'{"more":' + b"[" * 100_000, "application/json", 400, "malformed-body", "recursion"),
        (b"null", "application/json", 422, "invalid-body", "Expected `object`"),
        (b"{}", "application/json", 422, "invalid-body", "missing required field `idp`"),
        (b'{"idp":7}', "application/json", 422, "invalid-body", "`$.idp`"),
        (b'{"idp":"a\\n"}', "application/json", 422, "invalid-body", "`$.idp`"),
        (b'{"idp":"a","scopes":["a b"]}', "application/json", 422, "invalid-body", "`$.scopes[0]`"),
        (b'{"idp":"a","count":"1"}', "application/json", 422, "invalid-body", "`$.count`"),
        (b'"' + b"x" * MAX_BODY_BYTES, "application/json", 413, "body-too-large", str(MAX_BODY_BYTES)),
    ],
)
def test_a_bad_body_is_refused(
    served: Served, *, body: bytes, content_type: str | None, status: int, kind: str, detail: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    problem = refused(served.http.post("/things", content=body, headers=headers), status, kind)
    assert detail in problem["detail"]


def test_a_body_without_a_stated_length_meets_the_same_limit(served: Served) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 4096 + 1):
            yield b"x" * 4096

    refused(served.http.post("/things", content=pieces(), headers=JSON), 413, "body-too-large")


def test_a_body_of_exactly_the_limit_is_read(served: Served) -> None:
    filler = b" " * (MAX_BODY_BYTES - len(b'{"idp":"a"}'))
    assert served.http.post("/things", content=b'{"idp":"a"}' + filler, headers=JSON).status_code == 201


def test_a_good_query_is_taken(served: Served) -> None:
    assert served.http.get("/things?idp=atlassian&limit=5").json() == {"idp": "atlassian", "limit": 5}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "missing required field `idp`"),
        ("idp=a&idp=b", "Given twice or not known: idp"),
        ("idp=a&idp=a", "Given twice or not known: idp"),
        ("idp=a&IDP=b", "Given twice or not known: IDP"),
        ("idp=a&offset=1", "Known: idp, limit"),
        ("idp=a&limit=ten", "`$.limit`"),
        ("idp=a&limit=", "`$.limit`"),
        ("idp=a%0A", "`$.idp`"),
        ("idp=a%00", "`$.idp`"),
        ("idp=%FF", "`$.idp`"),
        ("idp=", "`$.idp`"),
    ],
)
def test_a_bad_query_is_refused(served: Served, text: str, detail: str) -> None:
    problem = refused(served.http.get(f"/things?{text}"), 400, "invalid-query")
    assert detail in problem["detail"]


@pytest.mark.parametrize(
    ("method", "query", "body", "kind"),
    [
        ("DELETE", "", b"", None),
        ("DELETE", "?dry_run=true", b"", "invalid-query"),
        ("DELETE", "?dry_run", b"", "invalid-query"),
        ("DELETE", "", b"{}", None),
        ("DELETE", "", b'{"dry_run":true}', "unexpected-body"),
        ("POST", "", b'{"idp":"a"}', None),
        ("POST", "?dry_run=true", b'{"idp":"a"}', "invalid-query"),
        ("GET", "", b"", None),
        ("GET", "?at=3", b"", "invalid-query"),
    ],
)
def test_what_a_route_of_the_api_does_not_take_is_refused_and_nothing_is_done(
    served: Served, method: str, query: str, body: bytes, kind: str | None
) -> None:
    answer = served.http.request(method, f"/v1/things{query}", content=body, headers=JSON)
    if kind is None:
        assert answer.is_success, answer.text
    else:
        refused(answer, 400, kind)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("DELETE", "/things", 405, "method"),
        ("PUT", "/failure", 405, "method"),
    ],
)
def test_what_is_not_there_is_a_problem_too(served: Served, method: str, path: str, status: int, kind: str) -> None:
    assert path in refused(served.http.request(method, path), status, kind)["detail"]


def test_a_refusal_carries_its_headers_and_its_own_members(served: Served) -> None:
    answer = served.http.get("/conflict/here")
    problem = refused(answer, 409, "conflict")
    assert (answer.headers["retry-after"], problem["current"], problem["detail"]) == ("1", 7, "Read again.")


def test_a_failure_is_told_without_its_cause_and_the_service_goes_on(served: Served) -> None:
    answer = served.http.get("/failure")
    refused(answer, 500, "failure")
    assert CANARY not in answer.text
    assert "Traceback" not in answer.text
    assert '"path": "/failure"' in served.logged()
    assert served.http.get("/things?idp=a").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer wrong", f"Basic {ADMIN.reveal()}", ADMIN.reveal(),
        f"Bearer {ADMIN.reveal()}x", f"Bearer {ADMIN.reveal()[:-1]}", f"Bearer {ADMIN.reveal().upper()}",
    ],
)  # fmt: skip
def test_without_the_admin_credential_nothing_opens(served: Served, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    for path in ("/secured", "/misconfigured"):
        answer = served.http.get(path, headers=headers)
        refused(answer, 401, "unauthorised")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert CANARY not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_admin_credential_it_opens(served: Served, scheme: str) -> None:
    answer = served.http.get("/secured", headers={"authorization": f"{scheme} {ADMIN.reveal()}"})
    assert answer.json() == {"secured": True}


def test_the_openapi_document_lists_every_endpoint_with_its_schemas() -> None:
    document = openapi("Served", "1", ENDPOINTS, secured=True)
    listed = {(path, method) for path, operations in document["paths"].items() for method in operations}
    assert listed == {(one.path, one.method.lower()) for one in ENDPOINTS}
    assert {"Body", "Problem"} <= set(document["components"]["schemas"])
    by_query = document["paths"]["/things"]["get"]["parameters"]
    assert {("idp", True), ("limit", False)} == {(one["name"], one["required"]) for one in by_query}
    assert ["200", "400"] == list(document["paths"]["/v1/things"]["delete"]["responses"])
    (by_path,) = document["paths"]["/conflict/{name}"]["get"]["parameters"]
    assert (by_path["name"], by_path["in"]) == ("name", "path")
    assert "admin" in document["components"]["securitySchemes"]


def test_B10_a_body_that_never_ends_is_not_waited_for(served: Served) -> None:
    """It is told so, and its connection is given to somebody else."""
    with socket.create_connection((served.http.base_url.host, served.http.base_url.port), timeout=10) as slow:
        slow.sendall(b"POST /impatient HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = b""
        while more := slow.recv(4096):  # until the server closes it
            answer += more
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body-too-slow" in answer


def test_who_leaves_in_the_middle_of_a_body_is_no_failure_of_ours(served: Served) -> None:
    """And whoever comes next is answered."""
    with socket.create_connection((served.http.base_url.host, served.http.base_url.port), timeout=5) as leaver:
        head = "POST /things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        leaver.sendall(head.encode())
    body = json.dumps({"idp": "atlassian"})
    for _ in range(20):  # the server has noticed by then
        assert 201 == served.http.post("/things", content=body, headers=JSON).status_code
    assert "ClientDisconnect" not in served.logged()


_CONNECTOR_RULE = (
    r"`$.connector` must match ^[a-z0-9][a-z0-9-]{0,62}\.[a-z0-9][a-z0-9-]{0,62}$, such as identos.jira-user"
)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ({"user": "x"}, "`$.user` must match ^[A-Za-z0-9_-]{8,64}$, such as u_7Jt0m1mX2bq4nV9c"),
        ({"user": "u_7Jt0m1mX2b", "connector": "x"}, _CONNECTOR_RULE),
        ({"user": 1}, "Expected `str`, got `int` - at `$.user`"),
        ({}, "Object missing required field `user`"),
    ],
)
def test_a_broken_rule_is_told_as_people_write_it(value: dict[str, object], rule: str) -> None:
    class Asked(msgspec.Struct):
        user: UserId
        connector: ConnectorId = ""

    with pytest.raises(msgspec.ValidationError) as broken:
        msgspec.convert(value, Asked)
    assert rule == rule_of(broken.value)
