"""Authorization requests as they were found valid before: an app sends the same one for every user, but for what is new
each time.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from scopefold.auth.oauth.loaded import GrantedUser, Loaded
from scopefold.auth.oauth.server import check_authorization_request
from scopefold.auth.store.records import Client
from scopefold.runtime.kept import Kept

MOST: Final = 1000
MOST_CHARACTERS: Final = 2048
"""Of a request that is remembered, so that all of them together take little memory."""
SAME: Final = ("client_id", "redirect_uri", "response_type", "scope", "resource", "code_challenge_method")
NEW: Final = ("state", "nonce", "code_challenge")
"""What the grammar looks at only for whether it is there and, of a challenge, whether it is one."""
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NAMES: Final = frozenset((*SAME, *NEW))
Shape = tuple[str, bool, bool, tuple[str | None, ...], tuple[bool, ...]]


class ValidRequests:
    """What was found valid, for as long as its client and the connectors are the very same ones.

    What was not found valid, and what has any other parameter, is checked each time.
    """

    def __init__(self) -> None:
        self._kept: Kept[Shape, tuple[Client, Collection[str]]] = Kept(MOST)

    def check(self, loaded: Loaded, parameters: Mapping[str, str], user: GrantedUser | None) -> None:
        """As `check_authorization_request`. Raises `ShownError` or `RedirectedError`."""
        shape = _shape(loaded, parameters, user)
        kept = self._kept.get(shape) if shape is not None else None
        if kept is not None and kept[0] is loaded.client and kept[1] is loaded.connectors:
            return
        check_authorization_request(loaded, parameters, user)
        if shape is not None and loaded.client is not None:
            self._kept.keep(shape, (loaded.client, loaded.connectors))

    def __len__(self) -> int:
        return len(self._kept)


def _shape(loaded: Loaded, parameters: Mapping[str, str], user: GrantedUser | None) -> Shape | None:
    """All that the answer depends on, beside the client and the connectors; None where it depends on more."""
    if not parameters.keys() <= _NAMES or sum(map(len, parameters.values())) > MOST_CHARACTERS:
        return None
    challenge = parameters.get("code_challenge")
    if challenge is not None and _CHALLENGE.fullmatch(challenge) is None:
        return None
    same = tuple(parameters.get(name) for name in SAME)
    new = tuple(bool(parameters.get(name)) for name in NEW)
    return loaded.issuer, loaded.pushed, user is None, same, new
