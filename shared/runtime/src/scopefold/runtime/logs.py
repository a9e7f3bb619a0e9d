"""Structured logs: one JSON object a line on standard error, with secrets redacted by type and by key."""

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO

import msgspec
import structlog

from scopefold.runtime.secret import MASK, Secret

SECRET_WORDS: Final = (
    "token", "secret", "password", "code", "verifier", "cookie", "authorization", "assertion", "credential",
    "state", "nonce", "session", "kek", "api_key",
)  # fmt: skip
OPEN_KEYS: Final = frozenset({"status_code", "error_code", "session_count", "token_generation"})
MAX_DEPTH: Final = 6


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines. Of one that cannot be made, Python itself would print a trace, with all that was to be redacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # as logging calls it
        """Tell where it was to come from, and nothing of what it was to say."""
        told = {
            "event": "a line of the log could not be made",
            "level": "error",
            "error": type(sys.exc_info()[1]).__name__,
            "place": f"{record.pathname}:{record.lineno}",
        }
        with suppress(OSError, ValueError):  # standard error itself is gone, or its disk is full
            self.stream.write(msgspec.json.encode(told).decode() + "\n")
            self.flush()


def configure(service: str, level: str = "INFO") -> None:
    """Set up logging for this process. Libraries' own records go through the same redaction, and so does what Python
    itself would print: warnings, and errors that nobody waits for. To be called before what warns is imported.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _service(service),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _Lines(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Authlib prints issued tokens, httpx whole addresses with codes in them, both below WARNING.
    for chatty in ("authlib", "httpx", "httpcore", "nats", "faststream", "asyncio", "aiosqlite", "granian"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda _, error, __: _unforeseen("the process", error)
    threading.excepthook = lambda met: _unforeseen("a thread", met.exc_value)
    sys.unraisablehook = lambda met: _unforeseen("what nobody waits for", met.exc_value)


def _unforeseen(what: str, error: BaseException | None) -> None:
    logger(__name__).error("an error that nobody foresaw", ended=what, error=type(error).__name__, exc_info=error)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that speaks for one module."""
    log: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return log


def _service(name: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = name
        return event

    return add


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every value that is secret by its type or by its key, however deep it is."""
    return {key: _clean(key, value, MAX_DEPTH) for key, value in event.items()}


def _clean(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, Secret) or _is_secret(key):
        return MASK
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        # A name that is no text would fail in the renderer, and logging prints what fails as it came.
        return {str(name): _clean(str(name), inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner, depth - 1) for inner in value]
    return value


def _is_secret(key: str) -> bool:
    lowered = key.lower()
    return lowered not in OPEN_KEYS and any(word in lowered for word in SECRET_WORDS)
