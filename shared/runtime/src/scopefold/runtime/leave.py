"""The end of a process, of a service or of a command."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

FAILED: Final = 1
"""The exit code of what ended by a defect."""


def leave(main: Callable[[], int]) -> NoReturn:
    """Run it, and end the process with the exit code that it gives, without Python taking itself apart first.

    Libraries have threads of their own, and no way to wait for their end: the HTTP server's, and those that read
    segments. One that asks for Python while that is being taken apart is unwound by it (Python's C API,
    `PyGILState_Ensure`), which Rust and C++ refuse: a panic in the log, or the process is aborted, and an orderly end
    counts as a crash. And where a service fails, a thread that nobody told to end, such as a database's, would be
    waited for without an end, and nothing would start the service again.
    """
    code = FAILED
    try:
        code = main()
    except Exception as error:
        # Python's own: it speaks before logs are set up, too, and never raises, which would keep the process here.
        told = {"error": type(error).__name__}
        logging.getLogger(__name__).critical("ended by a defect", exc_info=error, extra=told)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # who reads them may be gone, or their disk be full
            stream.flush()
    os._exit(code)
