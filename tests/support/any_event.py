"""Any event whatever: of every type, with every member that its type allows. Follows the types by itself."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, get_args

from hypothesis import strategies as st
from msgspec import NODEFAULT, UNSET, inspect

from scopefold.contracts.events import Event
from scopefold.contracts.recorded import PUBLISHERS, Quarantined, Recorded

_END: Final = r"(?![\s\S])"
_FEW: Final = 3
_BOUNDS: Final = re.compile(r"\{(\d+),(\d+)\}")
_ZONES: Final = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(0))])
TIMES: Final = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=_ZONES)  # noqa: DTZ001


def _shortened(bounds: re.Match[str]) -> str:
    """As many characters as are allowed take long to make, and say nothing more."""
    least, most = int(bounds[1]), int(bounds[2])
    return f"{{{least},{min(most, least + _FEW)}}}"


def _values(kind: Any) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.Metadata():
            return _values(kind.type)
        case inspect.StrType():
            if kind.pattern is not None:
                return st.from_regex(_BOUNDS.sub(_shortened, kind.pattern.replace(_END, r"\Z")))
            alphabet = st.characters(min_codepoint=0x23, max_codepoint=0x5B)
            return st.text(alphabet, min_size=kind.min_length or 0, max_size=min(kind.max_length or 20, 20))
        case inspect.IntType():
            return st.integers(kind.ge or 0, 2**63 - 1) | st.integers(kind.ge or 0, 9)
        case inspect.DateTimeType():
            return TIMES
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(list(kind.values))
        case inspect.VarTupleType():
            least = kind.min_length or 0
            return st.lists(_values(kind.item_type), min_size=least, max_size=least + _FEW).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_values(kind.key_type), _values(kind.value_type), max_size=_FEW)
        case inspect.UnionType():
            return st.one_of([_values(one) for one in kind.types])
        case inspect.StructType():
            return st.builds(kind.cls, **{field.name: _member(field) for field in kind.fields})
    raise AssertionError(f"no strategy for {kind}")


def _member(field: inspect.Field) -> st.SearchStrategy[Any]:
    """A member that may be left out has no default to be seen: `inspect` does not tell of `UNSET`."""
    may_be_unset = not field.required and field.default is NODEFAULT and field.default_factory is NODEFAULT
    return _values(field.type) | st.just(UNSET) if may_be_unset else _values(field.type)


EVENTS: Final[st.SearchStrategy[Event]] = st.one_of([_values(inspect.type_info(kind)) for kind in get_args(Event)])


def any_messages(*, tenant: str = "default", most: int = 8) -> st.SearchStrategy[list[Recorded | Quarantined]]:
    """What `examine` may give for a dense range that begins at 1: also of other tenants, also what is no event."""
    text = st.text(st.characters(codec="utf-8"), max_size=30)

    def placed(given: list[tuple[Any, str, timedelta]]) -> list[Recorded | Quarantined]:
        found: list[Recorded | Quarantined] = []
        at = datetime(2026, 1, 1, tzinfo=UTC)
        for seq, (what, of, after) in enumerate(given, start=1):
            at += after
            if isinstance(what, tuple):
                found.append(Quarantined(seq, at, *what))
            else:
                publisher = PUBLISHERS[type(what)] or "jira-gateway"
                found.append(Recorded(seq, at, of, f"event-{seq:08}", publisher, what))
        return found

    one = st.tuples(
        EVENTS | st.tuples(text, text),
        st.sampled_from([tenant, tenant, tenant, "other"]),
        st.timedeltas(timedelta(0), timedelta(days=3)),
    )
    return st.lists(one, max_size=most).map(placed)
