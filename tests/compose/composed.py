"""compose.yaml and what stands beside it, as the tests read them."""

import re
import shlex
from functools import cache
from typing import Any, Final

import yaml

from tests.house.source import ROOT

COMPOSE: Final = ROOT / "compose.yaml"
DOCKERFILE: Final = ROOT / "images/Dockerfile"
NATS_CONF: Final = ROOT / "images/nats.conf"
HAPROXY_CFG: Final = ROOT / "images/haproxy.cfg"
GUIDE: Final = ROOT / "docs/deploy.md"
NATS: Final = ("nats-1", "nats-2", "nats-3")
AUTH: Final = ("auth-1", "auth-2")


@cache
def composed() -> dict[str, Any]:
    """The whole file, its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    """The services by name."""
    found: dict[str, dict[str, Any]] = composed()["services"]
    return found


def environment(service: str) -> dict[str, str]:
    """The environment that the file gives a service."""
    found: dict[str, str] = services()[service].get("environment", {})
    return found


def shell_lines() -> list[str]:
    """Every line of the guide's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def secret_line() -> str:
    """The guide's one line that makes the secrets."""
    (line,) = [line for line in shell_lines() if line.startswith("mkdir ")]
    return line


def commands() -> list[tuple[dict[str, str], list[str]]]:
    """The guide's uses of the `scopefold` command: the variables given with -e, and the arguments."""
    found = []
    for line in shell_lines():
        words = shlex.split(line, comments=True)
        if words[:4] == ["docker", "compose", "run", "--rm"] and "credentials" not in words:
            words, given = words[4:], {}
            while words[0] == "-e":
                name, _, value = words[1].partition("=")
                given[name] = value
                words = words[2:]
            assert "scopefold" == words[0], line
            found.append((given, words[1:]))
    return found


def bus_commands() -> list[list[str]]:
    """The guide's uses of `credentials`, as arguments of `scopefold`; where it gives none, compose.yaml's own."""
    found = []
    for line in shell_lines():
        words = shlex.split(line.partition("&&")[0], comments=True)
        if words[:4] == ["docker", "compose", "run", "--rm"] and "credentials" in words:
            given = words[words.index("credentials") + 1 :]
            found.append(["bus", *(given or services()["credentials"]["command"])])
    return found
