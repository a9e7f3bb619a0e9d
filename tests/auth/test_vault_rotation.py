"""Operators rotate the vault's keys by command, while replicas run, die and are set up wrongly."""

import asyncio
import base64
import re
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from scopefold.auth.core.rotation import SETTLE, Rotation
from scopefold.auth.core.seal import Sealed, key_id
from scopefold.auth.store.vault import Vault
from scopefold.cli.nats_server import NatsServer
from tests.auth.sealed import NEW, OLD, bucket, opened, row_of, sealed_with, text_of, token
from tests.auth.world import KEK, Person, World, auth, files_below, status_becomes, until
from tests.cli.command import problem_of, scopefold, told
from tests.support.process import ADMIN, Service

USERS = [f"u_many{n:04}" for n in range(200)]


async def with_users(vault: Vault) -> None:
    """Many data keys, and one user's token."""
    few = asyncio.Semaphore(32)

    async def make(user: str) -> None:
        async with few:
            await vault.keys.to_seal(user, new_row=True)

    await asyncio.gather(*(make(user) for user in USERS))
    await vault.put_token(USERS[0], "atlassian", token("canary-access-token"), revision=0)


async def command(service: Service, *arguments: str) -> Any:
    """`scopefold vault …`, run to its end."""
    line = ("vault", *arguments, "--auth-url", service.url)
    return await asyncio.to_thread(scopefold, *line, env={"SCOPEFOLD_ADMIN_TOKEN": ADMIN})


async def refused_over(service: Service, kek: bytes) -> str:
    """Wait until it says that it lacks this key; what it says."""
    said: list[str] = []

    async def named() -> bool:
        said.append((await status_becomes(service, 503)).json()["detail"])
        return key_id(kek) in said[-1]

    await until(named)
    return said[-1]


async def test_H06_H08_a_kek_is_rotated_through_kills_and_wrong_settings(own_nats: NatsServer, tmp_path: Path) -> None:
    async with bucket(own_nats.url) as (rows, raw):
        await with_users(await opened(rows, OLD))
        data_keys = [
            (await opened(rows, OLD)).keys.opened(user, await row_of(raw, f"key.{user}")).key for user in USERS[:3]
        ]
        settings = {"nats_url": own_nats.url, "kek": text_of(NEW, OLD)}
        with (
            auth(tmp_path / "left-behind", nats_url=own_nats.url, kek=text_of(OLD)) as left_behind,
            auth(tmp_path / "too-early", nats_url=own_nats.url, kek=text_of(NEW)) as too_early,
        ):
            await status_becomes(left_behind, 200)
            assert f"{len(USERS) + 2} keys in the vault" in await refused_over(too_early, OLD)
            with auth(tmp_path / "killed", **settings) as killed:
                await status_becomes(killed, 200)
                left = await _kill_half_way(killed, rows)
            assert key_id(OLD) in left
            with auth(tmp_path / "again", **settings) as again:
                await status_becomes(again, 200)
                done = await command(again, "rotate-kek", "--json")
                assert (0, 0) == told(done), done.stderr
                found = msgspec.json.decode(done.stdout)
                assert ("finished", 0, 0) == (found["state"], found["left"], found["unreadable"])
                assert {key_id(NEW)} == {one for name, one in (await sealed_with(raw)).items() if "key." in name}
                said = (await command(again, "keys")).stdout
                assert (True, False) == (key_id(NEW) in said, key_id(OLD) in said)
            assert "rotate-kek" in await refused_over(left_behind, NEW)
        with auth(tmp_path / "new-alone", nats_url=own_nats.url, kek=text_of(NEW)) as alone:
            await status_becomes(alone, 200)
        found_token = await (await opened(rows, NEW)).token(USERS[0], "atlassian")
    assert found_token is not None
    assert "canary-access-token" == found_token[0].access_token
    secrets = [*data_keys, OLD, NEW, *(base64.b64encode(kek) for kek in (OLD, NEW)), b"canary-access-token"]
    for path, content in files_below(tmp_path):
        assert [] == [secret for secret in secrets if secret in content], path


async def _kill_half_way(service: Service, rows: Any) -> list[str]:
    """Kill a replica amid a step; which key-encryption keys data keys are then sealed with."""

    async def has_begun() -> bool:
        return key_id(NEW) in await names()

    async def names() -> list[str]:
        found = [await rows.get(f"key.{user}", Sealed) for user in (USERS[0], USERS[-1], "service")]
        return [one[0].key_id for one in found if one is not None]

    async with service.client() as client:
        begun = await client.post("/v1/vault/rotations/kek")
        assert (200, "running") == (begun.status_code, begun.json()["state"])
        working = asyncio.create_task(client.post("/v1/vault/rotations/kek/steps"))
        await until(has_begun)
        service.process.kill()
        service.process.wait(10)
        with pytest.raises(Exception, match=r".*"):
            await working
    return await names()


async def test_H06_data_keys_are_rotated_by_command(own_nats: NatsServer, tmp_path: Path) -> None:
    async with bucket(own_nats.url) as (rows, raw):
        await with_users(vault := await opened(rows, OLD))
        before = await sealed_with(raw)
        with auth(tmp_path / "auth", nats_url=own_nats.url, kek=text_of(OLD)) as service:
            await status_becomes(service, 200)
            async with service.client() as client:
                assert 200 == (await client.post("/v1/vault/rotations/data-keys")).status_code
                conflict = await command(service, "rotate-kek", "--json")
                assert (1, "urn:scopefold:problem:rotation-under-way") == (
                    conflict.returncode,
                    problem_of(conflict).type,
                )
                answer: dict[str, Any] = {}
                for _ in range(100):
                    answer = (await client.post("/v1/vault/rotations/data-keys/steps")).json()
                    if answer["state"] != "running":
                        break
                assert ("settling", len(USERS) + 1) == (answer["state"], answer["replaced"])
                assert "stay readable for two minutes" in (await command(service, "keys")).stdout
            await _a_minute_passes(vault, raw)
            done = await command(service, "rotate-data-keys")
            assert (0, 0) == told(done), done.stderr
            assert "Finished." in done.stdout.splitlines()[-1]
    after = await sealed_with_again(own_nats)
    assert before[f"token.{USERS[0]}.atlassian"] != after[f"token.{USERS[0]}.atlassian"]


async def sealed_with_again(nats: NatsServer) -> dict[str, str]:
    async with bucket(nats.url) as (rows, raw):
        vault = await opened(rows, OLD)
        for user in USERS:
            assert None is vault.keys.opened(user, await row_of(raw, f"key.{user}")).previous
        found = await vault.token(USERS[0], "atlassian")
        assert found is not None
        assert "canary-access-token" == found[0].access_token
        return await sealed_with(raw)


async def _a_minute_passes(vault: Vault, raw: Any) -> None:
    """What a test cannot wait for: everything that a rotation noted is set back by as much."""
    noted = await raw.get("rotation")
    one = msgspec.msgpack.decode(noted.value, type=Rotation)
    earlier = replace(one, began_at=one.began_at - SETTLE, resume_at=datetime.now(UTC))
    await raw.update("rotation", msgspec.msgpack.encode(earlier), last=noted.revision)
    for user in [*USERS, "service"]:
        found = await vault.keys.bucket.get(f"key.{user}", Sealed)
        assert found is not None
        key = vault.keys.opened(user, found[0])
        assert key.since is not None
        await vault.keys.replace(user, replace(key, since=key.since - SETTLE), *found)


async def test_what_is_no_rotation_is_refused(world: World) -> None:
    for method, path, status in [
        ("POST", "/v1/vault/rotations/none", 404),
        ("POST", "/v1/vault/rotations/none/steps", 404),
        ("POST", "/v1/vault/rotations/data-keys/steps", 409),
    ]:
        assert status == (await world.admin(method, path)).status_code, path
    async with world.auth.client(token="none") as anybody:
        for method, path in [("GET", "/v1/vault/keys"), ("POST", "/v1/vault/rotations/kek")]:
            assert 401 == (await anybody.request(method, path)).status_code


async def test_H09_no_answer_to_an_operator_holds_a_secret(world: World) -> None:
    """Everything that can be read at the admin API, of a user with a token and an IdP with a secret."""
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    user = await alice.user(app, idp_hint=idp)
    async with bucket(world.bus.url) as (rows, raw):
        kek = base64.urlsafe_b64decode(KEK)
        vault = await opened(rows, kek)
        held, _ = await vault.token(user, idp) or (token(""), 0)
        data_key = vault.keys.opened(user, await row_of(raw, f"key.{user}")).key
    secrets = [held.access_token, str(held.refresh_token), "sandbox-atlassian-secret", KEK]
    secrets += [encoded(key).decode().rstrip("=") for key in (kek, data_key) for encoded in ENCODINGS]
    values = {"idp": idp, "user": user, "org": "default", "client_id": app.id}
    paths = (await world.admin("GET", "/openapi.json")).json()["paths"]
    read = {path: methods["get"].get("parameters", ()) for path, methods in paths.items() if "get" in methods}
    assert len(read) > 8
    for path, parameters in read.items():
        filled = re.sub(r"{(\w+)}", lambda found: values.get(found[1], "none"), path)
        asked = [one["name"] for one in parameters if one["in"] == "query" and one["required"]]
        filled += "?" + "&".join(f"{name}={values.get(name, '1')}" for name in asked)
        answer = await world.admin("GET", filled)
        assert answer.status_code in (200, 404), filled
        assert [] == [secret for secret in secrets if secret in answer.text], filled


ENCODINGS = (base64.b64encode, base64.urlsafe_b64encode, base64.b16encode, lambda key: key.hex().encode())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells another process's limits")
def test_H08_auth_leaves_no_core_dump(world: World) -> None:
    process = psutil.Process(world.auth.process.pid)
    assert (0, 0) == process.rlimit(resource.RLIMIT_CORE)
    assert all((0, 0) == child.rlimit(resource.RLIMIT_CORE) for child in process.children(recursive=True))
