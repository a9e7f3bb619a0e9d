"""From what was seen of a failure to what happened, why, who can mend it and how.

The knowledge is data (`errors`); here is only how what was seen finds it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from scopefold.scopes.errors import Basis, KnownError, Paste, Sign, Where, Who, blanks, filled
from scopefold.scopes.profile import Profile
from scopefold.scopes.shipped import general_errors

MAX_SEEN_LENGTH: Final = 8000
"""Of what is looked for among the signs, in characters: more than any provider's page or address has."""
MOST_RECOGNISED: Final = 5

WHAT: Final[Mapping[Where, str]] = {
    "page": "{provider} showed an error page of its own and did not send the browser back.",
    "redirect": "{provider} sent the browser back with an error in place of a code.",
    "token": "{provider} gave no token for this login.",
    "refresh": "{provider} did not renew the user's token.",
    "identity": "{provider} did not tell who the user is.",
    "api": "A call to an API of {provider} failed.",
    "app": "An app that logs users in through Scopefold met an error.",
}
"""What happened, where an error says nothing more particular."""

OUR_PAGE: Final = "asked in a way that cannot be answered"
"""Words of our own page for an app whose request is wrong: nothing in it is of a provider, whatever code it names."""

_SOMEWHERE: Final = "Logging in with {provider} failed."

_TOLD_IN_ADDRESSES: Final = ("error", "error_description", "error_subtype", "error_subcode", "suberror")
_ADDRESS: Final = re.compile(r"https?://\S+")
_STATUS_CODE: Final = re.compile(r"http_(\d{3})(?:_(\w+))?")
_QUOTES: Final = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


class _Fit(IntEnum):
    """How a sign fits what was seen; the lower, the more it tells."""

    TEXT = 0
    TEXT_ELSEWHERE = 1
    CODE_AND_STATUS = 2
    CODE = 3
    CODE_OF_A_WORDING = 4
    """Its wording is not known to have been met, for none was seen. It counts only where it is the one such error."""
    CODE_ELSEWHERE = 5
    STATUS = 6
    STATUS_ANYWHERE = 7
    PLACE = 8
    ANYTHING = 9


class Failure(Struct, frozen=True):
    """What was seen. Whatever the provider may have put a person's name into is here alone, and goes no further."""

    where: Where
    error: str = ""
    """The OAuth error code, or one of our own: `no_return`, `ConnectError`, `http_502_not_json` ..."""
    text: str = ""
    """The `error_description`, or the words on a page."""
    status: int | None = None


class Facts(Struct, frozen=True):
    """What is known of this IdP here: no secret, and nothing of a user."""

    idp: str
    callback: str = ""
    client_id: str = ""
    requested: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    authorize_params: Mapping[str, str] = {}
    """Those that requests have, the profile's and the operator's; empty: not known."""
    resource_type: str = ""
    connector: str = ""


class Diagnosis(Struct, frozen=True):
    """What happened, its likely cause, who can mend it and how, in plain English."""

    id: str
    what: str
    cause: str
    who: Who
    how: str
    basis: Basis
    paste: tuple[Paste, ...] = ()
    also: tuple[str, ...] = ()


def diagnose(profile: Profile, failure: Failure, facts: Facts) -> Diagnosis:
    """The likeliest diagnosis. There is always one: `unknown` fits everything.

    Wording tells most, then a code with its status, then the code alone, each of this provider before those that any
    may have; after them the HTTP status, and where it happened.
    """
    seen = _in_one_form(failure)
    fitting: list[tuple[_Key, KnownError]] = []
    for order, errors in enumerate((profile.errors, general_errors())):
        found = [(fit, error) for error in errors if (fit := _best_fit(error.met, seen)) is not None]
        guesses = sum(fit[0] == _Fit.CODE_OF_A_WORDING for fit, _ in found)
        fitting += [
            ((fit[0] > _Fit.CODE_ELSEWHERE, order, *fit, _is_ruled_out(error, facts)), error)
            for fit, error in found
            if fit[0] != _Fit.CODE_OF_A_WORDING or guesses == 1
        ]
    fitting.sort(key=lambda one: one[0])
    (best, error), *rest = fitting
    return _told(profile, error, facts, failure.where, [other for key, other in rest if key[:-1] == best[:-1]])


def recognise(profile: Profile, seen: str, facts: Facts) -> tuple[Diagnosis, ...]:
    """Which diagnoses fit what a person pastes: an address with an error in it, or words of a page; best first.

    None, where nothing known is in it. Of a longer text, the first `MAX_SEEN_LENGTH` characters are read.
    """
    words, places = _words_of(seen[:MAX_SEEN_LENGTH], facts)
    known = (profile.errors, general_errors())
    if _is_in(OUR_PAGE, words):
        known = ((), tuple(error for error in general_errors() if error.id.startswith("app.")))
    for errors in known:
        found = [
            ((*likeness, _is_ruled_out(error, facts)), error)
            for error in errors
            if (likeness := _likeness(error.met, words, places)) is not None
        ]
        if found:
            found.sort(key=lambda one: one[0])
            return tuple(_told(profile, error, facts) for _, error in found[:MOST_RECOGNISED])
    return ()


def named(profile: Profile, diagnosis: str, facts: Facts) -> Diagnosis | None:
    """The diagnosis of an id that a log tells; None where this version does not know it at this provider."""
    found = (error for error in (*profile.errors, *general_errors()) if error.id == diagnosis)
    return next((_told(profile, error, facts) for error in found), None)


_Key = tuple[bool, int, int, int, bool, bool]


@cache
def _codes_of_any_provider() -> frozenset[str]:
    return frozenset(sign.error for error in general_errors() for sign in error.met)


def _in_one_form(failure: Failure) -> Failure:
    """Our own `http_502_not_json` is the status 502 and the code `not_json`; `keys_` says what was being fetched."""
    code = failure.error.removeprefix("keys_")
    own = _STATUS_CODE.fullmatch(code)
    error, status = (own[2] or "", int(own[1])) if own else (code, failure.status)
    return Failure(failure.where, error, _flat(failure.text[:MAX_SEEN_LENGTH]), status)


def _best_fit(signs: Iterable[Sign], seen: Failure) -> tuple[int, int, bool] | None:
    """How the best of the signs fits: by its kind, then the longest wording, then rather one that names the place."""
    fits = [(fit, -len(sign.text), sign.where is None) for sign in signs if (fit := _fit(sign, seen)) is not None]
    return min(fits, default=None)


def _fit(sign: Sign, seen: Failure) -> _Fit | None:
    here = sign.where in (None, seen.where)
    if sign.text and _is_in(sign.text, seen.text):
        if here:
            return _Fit.TEXT
        return _Fit.TEXT_ELSEWHERE if not seen.error or sign.error in ("", seen.error) else None
    if (sign.text and seen.text) or not _may_be(sign.status, seen.status):
        return None
    if sign.error:
        return _fit_of_code(sign, seen, here) if sign.error == seen.error else None
    if sign.text or not here:
        return None
    if sign.status is None:
        return _Fit.ANYTHING if sign.where is None else _Fit.PLACE
    if seen.status is None:
        return None
    return _Fit.STATUS_ANYWHERE if sign.where is None else _Fit.STATUS


def _fit_of_code(sign: Sign, seen: Failure, here: bool) -> _Fit | None:
    if not here:
        # access_denied is a user's no in one place and a wrong secret in another; redirect_uri_mismatch is itself.
        return None if sign.error in _codes_of_any_provider() else _Fit.CODE_ELSEWHERE
    if sign.text:
        return _Fit.CODE_OF_A_WORDING
    return _Fit.CODE if sign.status is None or seen.status is None else _Fit.CODE_AND_STATUS


def _may_be(known: int | None, seen: int | None) -> bool:
    return known is None or seen is None or known in (seen, seen // 100)


def _is_ruled_out(error: KnownError, facts: Facts) -> bool:
    """Whether the requests had what this error says that they lacked."""
    return bool(error.not_if) and error.not_if.items() <= facts.authorize_params.items()


def _words_of(seen: str, facts: Facts) -> tuple[str, frozenset[Where]]:
    """What a pasted text says of an error, and where it may have been met; nowhere: it has no address to tell."""
    said = [_ADDRESS.sub(" ", seen)]
    places: set[Where] = set()
    for address in _ADDRESS.findall(seen):
        try:
            parts = urlsplit(address)
            told = parse_qsl(f"{parts.query}&{parts.fragment}", max_num_fields=MAX_SEEN_LENGTH)
        except ValueError:
            continue
        said += [value for name, value in told if name in _TOLD_IN_ADDRESSES]
        is_ours = bool(facts.callback) and address.startswith(facts.callback)
        places |= {"redirect"} if is_ours else {"page", "redirect"}
    return _flat(" ; ".join(said)), frozenset(places)


def _likeness(signs: Iterable[Sign], words: str, places: frozenset[Where]) -> tuple[int, int] | None:
    """By wording, the longest first; then by a code, better one that is all there is to the sign."""
    found = []
    for sign in signs:
        if sign.text and _is_in(sign.text, words):
            found.append((0, -len(sign.text)))
        elif sign.error and _is_word_in(sign.error, words) and (not places or sign.where in (None, *places)):
            found.append((1, len(sign.text)))
    return min(found, default=None)


def _flat(text: str) -> str:
    return " ".join(text.translate(_QUOTES).casefold().split())


def _is_in(wording: str, flat: str) -> bool:
    return _wording(wording).search(flat) is not None


def _is_word_in(code: str, flat: str) -> bool:
    return _word(code).search(flat) is not None


@cache
def _wording(text: str) -> re.Pattern[str]:
    """The wording anywhere; a number at its end must end there, too."""
    return re.compile(re.escape(_flat(text)) + (r"(?!\d)" if text[-1].isdigit() else ""))


@cache
def _word(code: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(code.casefold())}(?!\w)")


def _told(
    profile: Profile, error: KnownError, facts: Facts, where: Where | None = None, others: Sequence[KnownError] = ()
) -> Diagnosis:
    """The error with every blank filled. A value that is not known is not offered for pasting."""

    def prose(text: str) -> str:
        return " ".join(filled(text, {"idp": facts.idp, "provider": profile.title}).split())

    values = {
        "callback": facts.callback,
        "client_id": facts.client_id,
        "connector": facts.connector,
        "idp": facts.idp,
        "missing": " ".join(facts.missing),
        "requested": " ".join(facts.requested),
        "resource_type": facts.resource_type,
    }
    known = {name: value for name, value in values.items() if value}
    at = where or error.met[0].where
    what = error.what or (WHAT[at] if at else _SOMEWHERE)
    return Diagnosis(
        id=error.id,
        what=prose(what),
        cause=prose(error.cause),
        who=error.who,
        how=prose(error.how),
        basis=error.basis,
        paste=tuple(
            Paste(prose(paste.label), filled(paste.value, known))
            for paste in error.paste
            if set(blanks(paste.value)) <= known.keys()
        ),
        also=tuple(prose(text) for text in (*error.also, *(other.cause for other in others))),
    )
