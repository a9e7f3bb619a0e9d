"""One child process: started so that it cannot outlive its parent, watched, and stopped within a bound."""

import ctypes
import ctypes.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

STOP_SECONDS: Final = 45.0
"""A service that has asked for a token stores what comes, which is nowhere else, and only then lets the bus go."""
_PR_SET_PDEATHSIG: Final = 1


class Supervised(Protocol):
    """What a supervisor needs of a child."""

    name: str
    process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        """Start it, or start it again."""

    def stop(self) -> None:
        """End it in good order, by force after a bound."""


def tether() -> Callable[[], None] | None:
    """What a child runs before it becomes its program, so that the kernel ends it when its parent is gone.

    It holds even where the parent was killed with SIGKILL and could tidy nothing up. Linux only (prctl(2));
    elsewhere None, and a parent that is killed so leaves its children running. Start children from the main
    thread: the kernel watches the thread that forked.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before the kernel was asked
            os._exit(1)

    return before_exec


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that end this process are heard at the end of this, in the main thread.

    An exception that a handler raises while Python forks is lost (it is only printed), and with it the Ctrl-C; one that
    is raised before the new process has a name leaves it running.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread alone
        return
    met: list[int] = []
    heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, lambda signum, _: met.append(signum)) for signum in heard}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        for late in met:
            signal.raise_signal(late)


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End a process with SIGTERM, and with SIGKILL if it has not gone after 45 seconds."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


class Child:
    """A service as a child process. What it writes is appended to its log file."""

    def __init__(self, name: str, argv: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._argv = list(argv)
        self._environ = dict(environ)

    def start(self) -> None:
        """Start it, or start it again."""
        with uninterrupted(), self.log.open("ab") as log:
            # Its own process group: a Ctrl-C at the terminal reaches the parent alone, which stops all in order.
            self.process = subprocess.Popen(
                self._argv,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=tether(),  # noqa: PLW1509  # it calls one function of libc, loaded before the fork
            )

    def stop(self) -> None:
        """End it in good order, or by force after 45 seconds."""
        end(self.process)

    def kill(self) -> None:
        """End it as a crash would, with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def last_words(self) -> str:
        """The last line that it wrote, to say why it ended."""
        with uninterrupted(), self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
