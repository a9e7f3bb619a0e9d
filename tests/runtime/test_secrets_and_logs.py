"""A secret is shown to nobody who does not ask for it by name, and no log holds one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from scopefold.runtime.secret import MASK, Secret

ROOT = Path(__file__).parents[2]
CANARY = "canary-3f9a2c"


class Holder(Struct):
    """Something that holds a secret."""

    token: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY)!r}",
        "{}".format(Secret(CANARY)),  # noqa: UP032
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031
        repr([Secret(CANARY)]),
        repr({"a": (Secret(CANARY),)}),
        repr(Holder(Secret(CANARY))),
        repr(ValueError(Secret(CANARY))),
    ],
)
def test_a_secret_shows_a_mask(shown: str) -> None:
    assert CANARY not in shown
    assert MASK in shown


def test_a_secret_is_not_encoded_by_accident() -> None:
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, json.dumps):
        with pytest.raises(TypeError) as refused:
            encode(Holder(Secret(CANARY)) if encode is not json.dumps else Secret(CANARY))
        assert CANARY not in str(refused.value)
    assert not hasattr(Secret(CANARY), "__dict__")


def test_secrets_are_compared_by_what_they_hold() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY).reveal() == CANARY


LOGGING = """
import logging
import structlog
from msgspec import Struct
from scopefold.runtime.logs import configure, logger
from scopefold.runtime.secret import Secret

CANARY = "canary-3f9a2c"
SECRET = Secret(CANARY)


class Row(Struct):
    user: str
    access_token: str


class Deep(Struct):
    rows: list[Row]


configure("test", "DEBUG")
log = logger("scopefold.test")
plain = logging.getLogger("some.library")

# by key
for key in ("token", "access_token", "refreshToken", "client_secret", "password", "code", "code_verifier", "cookie",
            "Set-Cookie", "Authorization", "client_assertion", "credential", "state", "nonce", "session_id", "kek",
            "x_api_key", "TOKEN"):
    log.debug("by key", **{key: CANARY})
    plain.debug("by key", extra={key: CANARY})
# by type
log.debug("by type", value=SECRET, values=[SECRET, (SECRET,), {SECRET}])
log.debug("by type %s", SECRET)
log.debug(f"by type {SECRET}")
plain.debug("by type %s %r", SECRET, [SECRET])
plain.debug("by type", extra={"value": SECRET})
# nested
log.debug("nested", request={"headers": {"Authorization": f"Bearer {CANARY}"}, "list": [{"token": CANARY}]})
log.debug("nested", request={"headers": {b"authorization": CANARY, b"cookie": CANARY.encode()}})
log.debug("nested", body=CANARY.encode(), parts=[bytearray(CANARY.encode()), memoryview(CANARY.encode())])
log.debug("nested", row=Row("u_alice001", CANARY), deep=Deep([Row("u_alice001", CANARY)]))
log.debug("nested", secrets=[[[[[[[[{"token": CANARY}]]]]]]]])
deep = {"token": CANARY}
for _ in range(50):
    deep = {"inner": deep}
log.debug("nested", deep=deep)
plain.debug("nested", extra={"request": {"cookie": CANARY}})
# bound, and carried by the context
log.bind(token=CANARY).debug("bound")
structlog.contextvars.bind_contextvars(session=CANARY)
log.debug("in context")
plain.debug("in context")
# libraries that are known to print what they hold
for chatty in ("authlib", "httpx", "httpcore", "nats", "faststream"):
    logging.getLogger(chatty + ".client").debug("sent " + CANARY)
    logging.getLogger(chatty).info("sent " + CANARY)
# with an exception
try:
    held = SECRET
    raise ValueError(SECRET)
except ValueError as error:
    log.debug("failed", exc_info=error)
    plain.exception("failed")
log.debug("end", session_count=3, status_code=200, user="u_alice001")
"""


def logged(source: str, warnings: str = "error") -> tuple[str, list[dict[str, object]]]:
    """What a process of this source writes to standard error, as it is and parsed."""
    environ = {**os.environ, "PYTHONWARNINGS": warnings}
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr, [json.loads(line) for line in done.stderr.splitlines()]


def test_no_canary_is_in_the_log_whichever_way_it_went_in() -> None:
    text, lines = logged(LOGGING)
    assert len(lines) == 36 + 5 + 7 + 3 + 2 + 1, "a line is missing, or a library was not silenced"
    leaks = [line for line in text.splitlines() if CANARY in line]
    assert leaks == []


def test_what_is_no_secret_stays_readable() -> None:
    _, lines = logged(LOGGING)
    last = lines[-1]
    assert {"event": "end", "session_count": 3, "status_code": 200, "user": "u_alice001", "service": "test"} == {
        name: last[name] for name in ("event", "session_count", "status_code", "user", "service")
    }
    (row,) = [line["row"] for line in lines if "row" in line]
    assert row == {"user": "u_alice001", "access_token": MASK}


UNASKED = """
import logging
import threading
import warnings
from scopefold.runtime.logs import configure

configure("test")


class Failing:
    def __del__(self):
        raise LookupError("while it is taken apart")


def fail():
    raise OSError("in a thread")


warnings.warn("about a library", DeprecationWarning)
Failing()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
logging.getLogger("some.library").error("%s and %s", "canary-3f9a2c")
"""


def test_what_python_itself_would_print_is_a_line_of_the_log_too() -> None:
    text, lines = logged(UNASKED, warnings="always")
    assert ["py.warnings", "LookupError", "OSError", "TypeError"] == [
        line.get("error") or ("py.warnings" if "DeprecationWarning: about a library" in str(line["event"]) else line)
        for line in lines
    ]
    assert CANARY not in text
    assert [True, True] == ["Traceback" in str(line["exception"]) for line in lines[1:3]]


ENDING = """
from scopefold.runtime import logs
from scopefold.runtime.leave import leave


def main():
    logs.configure("test")
    {}


leave(main)
"""


@pytest.mark.parametrize(
    ("source", "code"),
    [('raise LookupError("foreseen by nobody")', 1), ("return 3", 3)],
    ids=["a defect", "an exit code"],
)
def test_a_service_that_ends_by_a_defect_says_so_in_its_log(source: str, code: int) -> None:
    command = [sys.executable, "-c", ENDING.format(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    told = [json.loads(line)["error"] for line in done.stderr.splitlines()]
    assert (code, "", ["LookupError"] if code == 1 else []) == (done.returncode, done.stdout, told)
