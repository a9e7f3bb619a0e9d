"""A process starts with settings that are right, or not at all; the message names the variable to change."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings, load


class Settings(Struct, frozen=True, kw_only=True):
    """One of each kind of setting."""

    nats_url: str
    admin_token: Secret
    http_port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    ratio: float = 0.5
    debug: bool = False
    level: Literal["INFO", "DEBUG"] = "INFO"
    data: Path = Path("data")
    proxy: str | None = None


GOOD = {"SCOPEFOLD_NATS_URL": "nats://127.0.0.1:4222", "SCOPEFOLD_ADMIN_TOKEN": "canary-admin"}


def test_settings_have_their_types_and_their_defaults() -> None:
    found = load(Settings, {**GOOD, "SCOPEFOLD_HTTP_PORT": "9090", "SCOPEFOLD_DEBUG": "true", "UNRELATED": "x"})
    assert found == Settings(
        nats_url="nats://127.0.0.1:4222", admin_token=Secret("canary-admin"), http_port=9090, debug=True
    )
    assert load(Settings, {**GOOD, "SCOPEFOLD_DATA": "/var/lib/scopefold"}).data == Path("/var/lib/scopefold")


def test_a_value_may_stand_in_a_file_and_loses_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    environ = {"SCOPEFOLD_NATS_URL": "nats://x", "SCOPEFOLD_ADMIN_TOKEN_FILE": str(tmp_path / "token")}
    assert load(Settings, environ).admin_token.reveal() == "from-a-file"
    with pytest.raises(BadSettings, match="SCOPEFOLD_ADMIN_TOKEN and SCOPEFOLD_ADMIN_TOKEN_FILE are both set"):
        load(Settings, {**environ, "SCOPEFOLD_ADMIN_TOKEN": "from-the-environment"})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SCOPEFOLD_NATS_URL": None}, "SCOPEFOLD_NATS_URL is not set (or SCOPEFOLD_NATS_URL_FILE"),
        ({"SCOPEFOLD_ADMIN_TOKEN": None}, "SCOPEFOLD_ADMIN_TOKEN is not set"),
        ({"SCOPEFOLD_ADMIN_TOKEN": ""}, "SCOPEFOLD_ADMIN_TOKEN: a secret may not be empty"),
        ({"SCOPEFOLD_HTTP_PORT": "http"}, "SCOPEFOLD_HTTP_PORT: Expected `int`"),
        ({"SCOPEFOLD_HTTP_PORT": ""}, "SCOPEFOLD_HTTP_PORT: Expected `int`"),
        ({"SCOPEFOLD_HTTP_PORT": "65536"}, "SCOPEFOLD_HTTP_PORT: Expected `int` <= 65535"),
        ({"SCOPEFOLD_RATIO": "half"}, "SCOPEFOLD_RATIO: Expected `float`"),
        ({"SCOPEFOLD_DEBUG": "perhaps"}, "SCOPEFOLD_DEBUG: Expected `bool`"),
        ({"SCOPEFOLD_LEVEL": "LOUD"}, "SCOPEFOLD_LEVEL: Invalid enum value 'LOUD'"),
    ],
)
def test_a_bad_setting_is_named(changed: dict[str, str | None], message: str) -> None:
    environ = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    with pytest.raises(BadSettings, match="^" + re.escape(message)) as refused:
        load(Settings, environ)
    assert "canary" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "binary"):
        environ = {"SCOPEFOLD_NATS_URL": "nats://x", "SCOPEFOLD_ADMIN_TOKEN_FILE": str(path)}
        expected = re.escape(f"SCOPEFOLD_ADMIN_TOKEN_FILE: cannot read {path}")
        with pytest.raises(BadSettings, match="^" + expected):
            load(Settings, environ)


def test_an_empty_file_gives_no_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    environ = {"SCOPEFOLD_NATS_URL": "nats://x", "SCOPEFOLD_ADMIN_TOKEN_FILE": str(tmp_path / "empty")}
    with pytest.raises(BadSettings, match="SCOPEFOLD_ADMIN_TOKEN: a secret may not be empty"):
        load(Settings, environ)
