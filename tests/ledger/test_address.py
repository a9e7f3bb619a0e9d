"""Addresses of the bus: what is one, and that a password in one is shown to nobody."""

import pytest

from scopefold.ledger.address import BadAddress, servers_in, shown


@pytest.mark.parametrize(
    "told",
    ["nats://a", "nats://a:4222", "tls://a.example:4222", "wss://a/path", "nats://[::1]:4222", "nats://u:p@a:4222"],
)
def test_an_address_is_taken_as_it_is(told: str) -> None:
    assert [told] == servers_in(told)
    assert [told, "nats://b:1"] == servers_in(f"{told},nats://b:1")


@pytest.mark.parametrize(
    "told",
    [
        "",
        "nats://",
        "nats:///BUCKET",
        "nats://:4222",
        "nats://a:port",
        "nats://a:99999",
        "nats://[::1",
        "nats://a b:4222",
        "a:4222",
        "http://a:4222",
        "nats://a:4222,",
        "nats://a:4222, nats://b:4222",
    ],
)
def test_what_is_no_address_is_refused(told: str) -> None:
    with pytest.raises(BadAddress, match="is not like nats://HOST:4222"):
        servers_in(told)


def test_a_password_is_not_shown() -> None:
    assert "nats://a:4222" == shown("nats://user:pass@word@a:4222")
    with pytest.raises(BadAddress) as refused:
        servers_in("nats://user:canary@a:port")
    assert "canary" not in str(refused.value)
