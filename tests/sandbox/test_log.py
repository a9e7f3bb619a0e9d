"""Every line of the sandbox's log is JSON, also what its libraries say of themselves while they are imported."""

import json
import socket
import subprocess
import sys

from tests.support.process import DEADLINE_SECONDS, environment

AS_INSTALLED = """
import runpy
import sys

sys.modules["httpx2"] = None
runpy.run_module("scopefold.sandbox", run_name="__main__")
"""
"""Without the package that only the tests have, and that keeps Authlib from its warning."""


def test_what_authlib_says_while_it_is_imported_is_a_line_of_the_log() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", AS_INSTALLED],
            env=environment(port=str(port)),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
    *log, why = done.stderr.splitlines()
    assert why.startswith(f"scopefold sandbox: cannot listen on 127.0.0.1:{port}")
    (warning,) = (json.loads(line) for line in log)
    assert ("warning", "sandbox") == (warning["level"], warning["service"])
    assert "httpx module is deprecated" in warning["event"]
