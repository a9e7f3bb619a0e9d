"""Every setting, and every member of a registered client, stands in the page that lists them, with its default."""

import re
from typing import Any, Final

import msgspec
import pytest

from scopefold.auth.settings import Settings as Auth
from scopefold.auth.web.client_admin import RegisterClient
from scopefold.provisioner.settings import Settings as Provisioner
from scopefold.runtime.settings import PREFIX
from scopefold.sandbox.settings import Settings as Sandbox
from tests.house.source import ROOT

SERVICES: Final[dict[str, type[msgspec.Struct]]] = {"auth": Auth, "provisioner": Provisioner, "sandbox": Sandbox}
SETTING: Final = re.compile(rf"^\| `({PREFIX}[A-Z_]+)` \| ([^|]+) \| ([a-z, ]+) \|", re.MULTILINE)
MEMBERS: Final = re.compile(r"^\| (`[a-z_]+`(?: or `[a-z_]+`)*) \|(.*)$", re.MULTILINE)


def page(name: str) -> str:
    """The page's text."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def told(default: Any) -> str:
    """A default as the table has it: nothing, an empty text and a secret that is not set are all `none`."""
    if default is msgspec.NODEFAULT:
        return "required"
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text}`" if text and default is not None and "Secret" not in type(default).__name__ else "none"


def rows() -> list[tuple[str, str, str]]:
    """Service, variable and default, as the table in docs/deploy.md says."""
    return [
        (service, variable, default.strip())
        for variable, default, services in SETTING.findall(page("deploy.md"))
        for service in services.replace(" ", "").split(",")
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_stands_in_the_table_with_its_default(service: str) -> None:
    expected = {(PREFIX + one.name.upper(), told(one.default)) for one in msgspec.structs.fields(SERVICES[service])}
    assert expected == {(variable, default) for of, variable, default in rows() if of == service}


def test_the_table_names_each_setting_of_a_service_once() -> None:
    named = [(service, variable) for service, variable, _ in rows()]
    assert sorted(set(named)) == sorted(named)


def test_every_member_of_a_client_stands_in_the_table() -> None:
    described = {
        name for row in MEMBERS.findall(page("clients.md")) for name in re.findall(r"`([a-z_]+)`", "".join(row))
    }
    assert {one.name for one in msgspec.structs.fields(RegisterClient)} <= described
