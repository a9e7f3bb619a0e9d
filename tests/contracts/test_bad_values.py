"""The decoder and the published JSON Schema refuse, and accept, the same payloads."""

import json
import re
from typing import Any

import jsonschema
import pytest

from scopefold.contracts.codec import Undecodable, decode, encode
from scopefold.contracts.documents import schema_of
from scopefold.contracts.events import tag_of
from scopefold.contracts.examples import EVENTS

KINDS = {tag_of(type(event)): type(event) for event in EVENTS}
PAYLOADS: dict[str, dict[str, Any]] = {tag_of(type(event)): json.loads(encode(event)) for event in EVENTS}
ABSENT = object()
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_instant(value: object) -> bool:
    """The library's own check of `date-time` needs one more package."""
    return not isinstance(value, str) or RFC_3339.fullmatch(value) is not None


LOGIN, TOKEN, IDP = "user-logged-in.v1", "token-stored.v1", "idp-registered.v1"
CONNECTOR, REPORT, FAILED = "connector-provisioned.v1", "token-insufficient.v1", "authorization-failed.v1"

TABLE: list[tuple[str, str, object, bool]] = [
    # event, field, value, accepted
    (LOGIN, "user", "u_7Jt0m1mX2bq4nV9c\n", False),
    (LOGIN, "user", "short", False),
    (LOGIN, "user", "u" * 64, True),
    (LOGIN, "user", "u" * 65, False),
    (LOGIN, "user", "u_7Jt0m1mX.bq4nV9c", False),
    (LOGIN, "user", "someone@example.org", False),
    (LOGIN, "user", "u_7Jt0m1mX2bq4nV9\u0441", False),  # a Cyrillic letter that looks like a c
    (LOGIN, "user", None, False),
    (LOGIN, "user", 7, False),
    (LOGIN, "user", ABSENT, False),
    (LOGIN, "idp", "atlassian\n", False),
    (LOGIN, "idp", "atl\u0430ssian", False),  # a Cyrillic letter that looks like an a
    (LOGIN, "idp", "Atlassian", False),
    (LOGIN, "idp", "a.b", False),
    (LOGIN, "idp", "*", False),
    (LOGIN, "idp", ">", False),
    (LOGIN, "idp", "", False),
    (LOGIN, "idp", "a" * 63, True),
    (LOGIN, "idp", "a" * 64, False),
    (LOGIN, "client", "with space", False),
    (LOGIN, "client", "null\x00byte", False),
    (LOGIN, "client", "c" * 255, True),
    (LOGIN, "client", "c" * 256, False),
    (LOGIN, "type", "user-logged-in.v2", False),
    (LOGIN, "type", "token-stored.v1", False),
    (LOGIN, "type", None, False),
    (LOGIN, "type", ABSENT, False),
    (LOGIN, "not_a_field", "newer writers may add one", True),
    (TOKEN, "requested", ["read:me", 'say"hi"'], False),
    (TOKEN, "requested", ["back\\slash"], False),
    (TOKEN, "requested", ["two words"], False),
    (TOKEN, "requested", ["line\n"], False),
    (TOKEN, "requested", ["tab\t"], False),
    (TOKEN, "requested", ["bell\x07"], False),
    (TOKEN, "requested", ["del\x7f"], False),
    (TOKEN, "requested", ["r\u0435ad:me"], False),
    (TOKEN, "requested", ["zero\u200bwidth"], False),
    (TOKEN, "requested", [""], False),
    (TOKEN, "requested", ["s" * 255], True),
    (TOKEN, "requested", ["s" * 256], False),
    (TOKEN, "requested", ["s"] * 300, True),
    (TOKEN, "requested", ["s"] * 301, False),
    (TOKEN, "requested", "read:me", False),
    (TOKEN, "requested", [], True),
    (TOKEN, "granted", None, True),
    (TOKEN, "granted", ABSENT, False),
    (TOKEN, "evidence", ["refresh_token"], True),
    (TOKEN, "evidence", ["hearsay"], False),
    (TOKEN, "known_by", "guessed", False),
    (TOKEN, "cause", "login", True),
    (TOKEN, "cause", "Login", False),
    (TOKEN, "generation", 0, False),
    (TOKEN, "generation", "1", False),
    (TOKEN, "generation", 1.5, False),
    (TOKEN, "generation", True, False),
    (TOKEN, "fingerprint", "tooshort", False),
    (TOKEN, "access_expires_at", "2026-01-15T10:30:00Z", True),
    (TOKEN, "access_expires_at", "2026-01-15T10:30:00", False),
    (TOKEN, "access_expires_at", "tomorrow", False),
    (TOKEN, "access_expires_at", 1768473000, False),
    (IDP, "profile", "../atlassian", False),
    (IDP, "authorize_params", {"prompt": 1}, False),
    (IDP, "authorize_params", ["prompt"], False),
    (IDP, "endpoints", {"token": "ftp://example.org"}, False),
    (IDP, "endpoints", {"token": "https://example.org/a b"}, False),
    (IDP, "endpoints", {"token": "https://example.org/token"}, True),
    (CONNECTOR, "resource_type", "urn:connector:identos", False),
    (CONNECTOR, "resource_type", "urn:connector:identos:jira-user:", False),
    (CONNECTOR, "connector", "identos.jira.user", False),
    (CONNECTOR, "connector_version", "9" * 65, False),
    (CONNECTOR, "title", "\U0001f600" * 300, True),
    (CONNECTOR, "title", "\U0001f600" * 301, False),
    (CONNECTOR, "auth_mode", "service_account", False),
    (REPORT, "missing", [], False),
    (REPORT, "generation", None, True),
    (REPORT, "generation", 0, False),
    (FAILED, "stage", "callback", False),
    (FAILED, "error", 'bad"quote', False),
    (FAILED, "error", "e" * 101, False),
    (FAILED, "attempt", "a_Zx81mQw0Lr2T\n", False),
]


@pytest.mark.parametrize(("tag", "field", "value", "accepted"), TABLE)
def test_decoder_and_schema_decide_alike(tag: str, field: str, value: object, accepted: bool) -> None:
    payload = {name: one for name, one in PAYLOADS[tag].items() if name != field}
    if value is not ABSENT:
        payload[field] = value
    assert accepted is decodes(tag, payload)
    validator = jsonschema.Draft202012Validator(schema_of(KINDS[tag]), format_checker=FORMATS)
    assert accepted is validator.is_valid(payload)


def decodes(tag: str, payload: dict[str, Any]) -> bool:
    """Whether the payload is an event of this tag; another tag's event would be another meaning."""
    try:
        return tag_of(type(decode(json.dumps(payload).encode()))) == tag
    except Undecodable:
        return False
