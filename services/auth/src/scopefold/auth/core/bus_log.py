"""What nats-server refused, told by a line of its log: nothing else tells of it (measured at 2.15.1)."""

import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

Kind = Literal["publish", "subscription", "connection", "payload"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SAID: Final[Mapping[bytes, Kind]] = {
    b" - Publish Violation - ": "publish",
    b" - Subscription Violation": "subscription",
    b" - authentication error": "connection",
    b" - TLS handshake error": "connection",
    b" - TLS route handshake error": "connection",
    b" - maximum payload exceeded": "payload",
}
"""The server's own words, which stand behind whose connection it is."""
_ERROR: Final = re.compile(rb"(?:\[\d+\] )?(?:[\d/]{10} [\d:.]{8,18} )?\[ERR\] ")
_QUOTED: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
"""From one quote to the next, or to the end: so a line with ever so many takes no longer than it is long."""


def kind_of(line: bytes) -> Kind | None:
    """What kind of refusal a line tells of; None: of none.

    What a client chose (a name, a user, a subject) stands in quotes, and is passed over: it may hold the same words. It
    may also break the quotes, since the server takes a client's name for a part of its format (a name `%s` brings the
    bare subject). Whoever does that is still counted: the words are looked for in the whole line then.
    """
    if (error := _ERROR.match(line)) is None:
        return None
    told = line[error.end() :]
    return _last(_QUOTED.sub(lambda found: b'""' if found[1] else found[0], told)) or _last(told)


def _last(text: bytes) -> Kind | None:
    """The last of the words: behind them comes at most a subject, in which no blank can be."""
    at, kind = max((text.rfind(words), kind) for words, kind in SAID.items())
    return kind if at >= 0 else None
