"""The parameters of a query string or a form are what the standard library finds there, however they are read."""

from urllib.parse import parse_qsl

from hypothesis import example, given
from hypothesis import strategies as st

from scopefold.auth.oauth.request import (
    MOST_FIELDS,
    MOST_REMEMBERED,
    ShownError,
    form_parameters,
    query_parameters,
    single_parameters,
)
from scopefold.auth.web.browser import random_texts

NAMES = st.sampled_from(["redirect_uri", "scope", "resource", "grant_type", "state", "st%61te", "sco+pe", "", "a"])
VALUES = st.text("abé=%+&;/:#[]2F0\x00", max_size=12)
PIECES = st.one_of(VALUES, st.tuples(NAMES, VALUES).map("=".join))


def outcome(read: object, *given: object) -> object:
    try:
        return read(*given)  # type: ignore[operator]
    except ShownError as error:
        return str(error)


@given(st.lists(PIECES, max_size=8).map("&".join))
@example("scope=" + "a+" * MOST_REMEMBERED)
@example("redirect_uri=https%3A%2F%2Fapp&redirect_uri=https%3A%2F%2Fapp")
@example("resource=urn%3Aa&resource=urn%3Ab&&flag&=&==")
def test_a_query_string_or_a_form_says_what_the_library_reads_there(text: str) -> None:
    sent = text.encode()
    in_query = outcome(single_parameters, parse_qsl(sent.decode("latin-1"), keep_blank_values=True))
    in_form = outcome(single_parameters, parse_qsl(text, keep_blank_values=True))
    for _ in range(2):  # the second time, some of it is remembered
        assert outcome(query_parameters, sent) == in_query
        assert outcome(form_parameters, sent) == in_form


def test_a_form_has_so_many_fields_at_most() -> None:
    fields = [f"f{number}=" for number in range(MOST_FIELDS + 1)]
    assert len(form_parameters("&".join(fields[1:]).encode())) == MOST_FIELDS
    assert outcome(form_parameters, "&".join(fields).encode()) == f"The body has more than {MOST_FIELDS} fields."


def test_random_texts_are_256_bits_each_and_none_is_like_another() -> None:
    texts = random_texts(4) + random_texts(1)
    assert [len(text) for text in texts] == [43] * 5
    assert len(set(texts)) == 5
    assert all("=" not in text for text in texts)
