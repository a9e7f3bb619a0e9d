"""compose.yaml says what the specification allows, and what this project needs of it."""

import importlib.util
import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import click
import compose_spec
import msgspec
import pytest

from scopefold.auth.core.seal import read_key
from scopefold.auth.settings import Settings as AuthSettings
from scopefold.auth.settings import check
from scopefold.cli.main import scopefold
from scopefold.cli.where import Where
from scopefold.provisioner.settings import Settings as ProvisionerSettings
from scopefold.runtime import settings
from scopefold.sandbox.settings import Settings as SandboxSettings
from tests.compose.composed import (
    AUTH,
    COMPOSE,
    DOCKERFILE,
    HAPROXY_CFG,
    NATS,
    NATS_CONF,
    bus_commands,
    commands,
    composed,
    environment,
    secret_line,
    services,
)
from tests.house.source import ROOT

SETTINGS: dict[str, type[msgspec.Struct]] = {
    "auth-1": AuthSettings,
    "auth-2": AuthSettings,
    "provisioner": ProvisionerSettings,
    "sandbox": SandboxSettings,
}
OURS = tuple(name for name, service in services().items() if service["image"].startswith("scopefold"))
KEPT_RUNNING = (*NATS, *AUTH, "provisioner", "front", "sandbox")


def words(service: str) -> list[str]:
    """A service's whole command line."""
    return [*services()[service].get("entrypoint", []), *services()[service]["command"]]


def clicked(arguments: list[str]) -> click.Command:
    """The command that these arguments name. Fails where there is none, or where it does not take them."""
    command: click.Command = scopefold
    context = click.Context(command, info_name="scopefold")
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, list(arguments))
    return command


def test_the_file_follows_the_compose_specification() -> None:
    """compose_spec knows every key, and resolves references to networks, secrets and configs."""
    compose_spec.PyCompose.from_json(json.dumps(composed())).validate()


def test_compose_itself_accepts_the_file() -> None:
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose plugin here; the specification is checked above")
    line = [found, "compose", "--file", str(COMPOSE), "--profile", "tools", "config", "--quiet"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_it_is_made_of_these_services() -> None:
    assert {*KEPT_RUNNING, "bootstrap", "credentials", "scopefold"} == set(services())


@pytest.mark.parametrize("service", OURS)
def test_every_command_exists(service: str) -> None:
    line = words(service)
    match line:
        case ["python", "-m", module]:
            assert importlib.util.find_spec(f"{module}.__main__") is not None
        case ["scopefold", "--help"]:
            pass
        case ["scopefold", *arguments]:
            clicked(arguments)
        case ["nats-server", *arguments]:
            target = services()[service]["configs"][0]["target"]
            assert ["--config", target, "--log", f"/log/{service}.log"] == arguments
        case _:
            raise AssertionError(f"unknown command: {line}")


@pytest.mark.parametrize("service", SETTINGS)
def test_every_variable_is_a_setting_of_its_service(service: str) -> None:
    known = {settings.PREFIX + field.name.upper() for field in msgspec.structs.fields(SETTINGS[service])}
    assert set() == {name.removesuffix("_FILE") for name in environment(service)} - known


@pytest.mark.parametrize("service", ["bootstrap", "scopefold"])
def test_the_command_is_told_where_everything_is(service: str) -> None:
    where = Where(environ=environment(service))
    assert environment("auth-1")["SCOPEFOLD_NATS_URL"] == where.bus("operator").url
    if service == "scopefold":
        assert "front:8080" == where.environ["SCOPEFOLD_AUTH_URL"].removeprefix("http://")
        assert "provisioner:8081" == where.environ["SCOPEFOLD_PROVISIONER_URL"].removeprefix("http://")


@pytest.mark.parametrize("service", SETTINGS)
def test_settings_are_accepted_with_the_secrets_of_the_guide(service: str, tmp_path: Path) -> None:
    """The guide's line is run, and each service's own checks pass on what the file gives it."""
    subprocess.run(["sh", "-euc", secret_line()], cwd=tmp_path, check=True, timeout=10)
    mounted = {"/run/secrets/": f"{tmp_path}/secrets/", "/data": str(tmp_path)}
    given = environment(service)
    for there, here in mounted.items():
        given = {name: value.replace(there, here) for name, value in given.items()}
    loaded = settings.load(SETTINGS[service], given)
    if isinstance(loaded, AuthSettings):
        check(loaded)
        read_key(loaded.kek.reveal())


def test_the_line_that_makes_secrets_hides_them_and_overwrites_nothing(tmp_path: Path) -> None:
    subprocess.run(["sh", "-euc", secret_line()], cwd=tmp_path, check=True, timeout=10)
    kek = tmp_path / "secrets/kek"
    made = kek.read_text()
    again = subprocess.run(["sh", "-euc", secret_line()], cwd=tmp_path, capture_output=True, check=False, timeout=10)
    assert (True, made) == (again.returncode != 0, kek.read_text())
    assert made != (tmp_path / "secrets/admin_token").read_text()
    assert 0o700 == stat.S_IMODE(kek.parent.stat().st_mode)
    assert 0o444 == stat.S_IMODE(kek.stat().st_mode)
    assert "*\n" == (kek.parent / ".gitignore").read_text()
    assert f"# {secret_line()}" in re.sub(r"#\s+", "# ", COMPOSE.read_text())


def test_every_file_secret_that_is_named_is_given() -> None:
    for service in services():
        named = {value.removeprefix("/run/secrets/") for value in environment(service).values() if "/run/sec" in value}
        if "" in named:  # the directory itself: a command takes the credentials that it needs
            named = named - {""} | {"operator.nk", "analyst.nk"}
        assert named == set(services()[service].get("secrets", []))


def test_every_volume_is_declared_and_belongs_to_one_service() -> None:
    """But for the bus's logs: the servers write there, and the replicas of auth read."""
    mounted = [one for service in services().values() for one in service.get("volumes", []) if one[0] != "."]
    own = [one for one in mounted if not one.startswith("bus-log:")]
    assert sorted(f"{name}:/data" for name in composed()["volumes"] if name != "bus-log") == sorted(own)
    assert sorted([*NATS, *AUTH, "bus-log"]) == sorted(composed()["volumes"])
    for name in services():
        expected = ["bus-log:/log"] if name in NATS else ["bus-log:/log:ro"] if name in AUTH else []
        assert expected == [one for one in services()[name].get("volumes", []) if one.startswith("bus-log:")]


def test_what_every_server_refuses_is_read_and_their_logs_are_bounded() -> None:
    assert [f"/log/{name}.log" for name in NATS] == environment("auth-1")["SCOPEFOLD_BUS_LOG"].split(",")
    assert ["10MB", "3"] == re.findall(r"^logfile_(?:size_limit|max_num): (\S+)$", NATS_CONF.read_text(), re.MULTILINE)
    assert "-m 700 /data /log\n" in DOCKERFILE.read_text(), "a new volume takes over the owner of its directory"


def test_every_dependency_exists_and_can_be_waited_for() -> None:
    for name, service in services().items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services(), f"{name} depends on {other}"
            ends = services()[other]["restart"] == "no"
            assert ("service_completed_successfully" if ends else "service_healthy") == how["condition"]
            assert ends or "healthcheck" in services()[other]


def test_nothing_starts_before_the_log_is_declared() -> None:
    for name in (*AUTH, "provisioner"):
        assert {"bootstrap"} == set(services()[name]["depends_on"])
    assert set(NATS) == set(services()["bootstrap"]["depends_on"])
    assert set(AUTH) == set(services()["front"]["depends_on"])
    assert {"front"} == set(services()["sandbox"]["depends_on"])


def test_everything_is_kept_on_every_server() -> None:
    assert ["--replicas", str(len(NATS))] == words("bootstrap")[-2:]


def test_the_servers_form_one_durable_cluster() -> None:
    for name in NATS:
        assert [{"source": "nats", "target": "/etc/nats.conf"}] == services()[name]["configs"]
        assert "hostname" not in services()[name]
        assert {"SERVER_NAME": name} == environment(name)
    conf = NATS_CONF.read_text()
    assert ["$SERVER_NAME"] == re.findall(r"^server_name: (\S+)$", conf, re.MULTILINE)
    assert [part for name in NATS for part in ("--route", f"{name}:6222")] == services()["credentials"]["command"][3:]
    assert '  include "nats/routes.conf"' in conf
    assert 1 == len(re.findall(r'^  name: "scopefold"$', conf, re.MULTILINE))
    assert ["always"] == re.findall(r"^  sync_interval: (\S+)$", conf, re.MULTILINE)
    assert ["128GB"] == re.findall(r"^  max_file_store: (\S+)$", conf, re.MULTILINE)
    assert '"/data/jetstream"' in conf


@pytest.mark.parametrize("service", [*AUTH, "provisioner", "bootstrap", "scopefold"])
def test_who_uses_the_bus_knows_every_server(service: str) -> None:
    assert ",".join(f"nats://{name}:4222" for name in NATS) == environment(service)["SCOPEFOLD_NATS_URL"]
    assert "bus" in services()[service]["networks"]


def test_the_bus_can_be_reached_only_by_who_needs_the_log() -> None:
    assert {"internal": True} == composed()["networks"]["bus"]
    on_it = {name for name, service in services().items() if "bus" in service.get("networks", [])}
    assert {*NATS, *AUTH, "bootstrap", "provisioner", "scopefold"} == on_it
    assert all(["bus"] == services()[name]["networks"] and "ports" not in services()[name] for name in NATS)


def test_J01_every_server_asks_for_credentials_and_everybody_has_their_own() -> None:
    assert '\ninclude "nats/accounts.conf"\n' in NATS_CONF.read_text()
    for name in NATS:
        assert "./secrets/bus/server:/etc/nats:ro" in services()[name]["volumes"]
    given = {
        name: {secret for secret in service.get("secrets", []) if secret.endswith(".nk")}
        for name, service in services().items()
    }
    assert {name: {"auth.nk"} for name in AUTH} | {
        "provisioner": {"provisioner.nk"},
        "bootstrap": {"operator.nk"},
        "scopefold": {"operator.nk", "analyst.nk"},
    } == {name: found for name, found in given.items() if found}


def test_J12_monitoring_is_on_loopback() -> None:
    assert ["127.0.0.1:8222"] == re.findall(r'^https?: "(.*)"$', NATS_CONF.read_text(), re.MULTILINE)


@pytest.mark.parametrize("arguments", bus_commands(), ids=" ".join)
def test_the_guide_uses_verbs_of_the_bus_that_exist(arguments: list[str]) -> None:
    clicked(arguments)


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert ["127.0.0.1:8080:8080", "127.0.0.1:8081:8081", "127.0.0.1:8090:8090"] == sorted(published)


def test_the_proxy_knows_every_replica_and_asks_whether_it_is_ready() -> None:
    cfg = HAPROXY_CFG.read_text()
    port = environment("auth-1")["SCOPEFOLD_PORT"]
    assert [(name, f"{name}:{port}") for name in AUTH] == re.findall(r"^    server (\S+) (\S+)$", cfg, re.MULTILINE)
    assert "uri /readyz" in cfg


def test_the_replicas_differ_in_their_volume_alone() -> None:
    first, second = ({key: value for key, value in services()[name].items() if key != "volumes"} for name in AUTH)
    assert first == second


def test_the_sandbox_reaches_the_issuer_under_the_address_of_browsers() -> None:
    """It shares the loopback of `front`, whose port inside is the one published, and is found there by its own name."""
    assert "service:front" == services()["sandbox"]["network_mode"]
    assert {"web": {"aliases": ["sandbox"]}} == services()["front"]["networks"]
    issuer = environment("auth-1")["SCOPEFOLD_ISSUER"]
    assert issuer == environment("sandbox")["SCOPEFOLD_ISSUER"]
    port = issuer.rpartition(":")[2]
    assert f"127.0.0.1:{port}:{port}" in services()["front"]["ports"]
    assert f"bind :{port}" in HAPROXY_CFG.read_text()


@pytest.mark.parametrize("service", services())
def test_every_container_is_confined(service: str) -> None:
    found = services()[service]
    assert (True, ["ALL"], ["no-new-privileges:true"]) == (
        found["read_only"],
        found["cap_drop"],
        found["security_opt"],
    )
    assert ("haproxy" if service == "front" else "10001:10001") == found["user"]
    assert {"cpus", "memory", "pids"} == set(found["deploy"]["resources"]["limits"])
    assert {"max-size", "max-file"} == set(found["logging"]["options"])
    assert "privileged" not in found


@pytest.mark.parametrize("service", KEPT_RUNNING)
def test_what_is_kept_running_says_whether_it_is_healthy(service: str) -> None:
    found = services()[service]
    assert "unless-stopped" == found["restart"]
    test = found["healthcheck"]["test"]
    if test[1] == "python":
        compile(test[3], "healthcheck", "exec")
        port = "8222" if service in NATS else environment(service)["SCOPEFOLD_PORT"]
        assert re.search(rf"'http://127\.0\.0\.1:{port}/(healthz|readyz)', timeout=4", test[3])


def test_configuration_files_exist() -> None:
    for config in composed()["configs"].values():
        assert (ROOT / config["file"]).is_file()
    assert {"configs": 2, "secrets": 6} == {kind: len(composed()[kind]) for kind in ("configs", "secrets")}


@pytest.mark.parametrize("arguments", [line for _, line in commands()], ids=" ".join)
def test_the_guide_uses_commands_that_exist(arguments: list[str]) -> None:
    try:
        clicked(arguments)
    except click.exceptions.Exit as ended:  # --help
        assert 0 == ended.exit_code
