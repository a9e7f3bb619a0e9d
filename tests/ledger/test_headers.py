"""Headers are read as nats-py reads them, only faster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from scopefold.ledger.headers import parse_header_lines

NAMES = st.one_of(
    st.sampled_from([b"ce-id", b"Nats-Msg-Id", b" ce-id", b"ce id", b"", b"\xc3\xa9", b"A\tB"]), st.binary()
)
LINES = st.tuples(NAMES, st.sampled_from([b":", b": ", b":\t", b""]), st.binary()).map(b"".join)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"ce-id: one\r\nce-type: token-stored.v1\r\n\r\n",
        b"ce-id:one\r\nce-id: two\r\n",
        b"no colon\r\nce-id: one:two\r\n",
        b"ce-id: \xff\xfe\r\n",
        b"\xff: one\r\n: nameless\r\n  : blank\r\n",
        b" ce-id : one\r\nce id: two\r\n",
    ],
)
def test_a_block_of_headers_reads_as_in_nats_py(raw: bytes) -> None:
    assert Client._parse_header_lines(raw) == parse_header_lines(raw)


@given(st.lists(LINES).map(b"\r\n".join))
def test_any_block_of_headers_reads_as_in_nats_py(raw: bytes) -> None:
    assert Client._parse_header_lines(raw) == parse_header_lines(raw)
