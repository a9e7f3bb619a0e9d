"""A child process that is being started has a name before anything interrupts its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from scopefold.cli.child import Child


class Interrupted(Exception):
    """The signal was heard."""


def test_a_signal_at_the_start_of_a_child_is_heard_once_the_child_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(signum: int, frame: object) -> NoReturn:
        raise Interrupted

    def interrupted(*given: Any, **named: Any) -> "subprocess.Popen[bytes]":
        os.kill(os.getpid(), signal.SIGTERM)
        return begin(*given, **named)

    begin = subprocess.Popen
    before = signal.signal(signal.SIGTERM, interrupt)
    child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, tmp_path / "log")
    try:
        monkeypatch.setattr(subprocess, "Popen", interrupted)
        with pytest.raises(Interrupted):
            child.start()
        monkeypatch.undo()
        assert child.process is not None
        assert child.process.poll() is None
    finally:
        child.stop()
        signal.signal(signal.SIGTERM, before)
    assert child.process.poll() is not None
