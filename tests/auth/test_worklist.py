"""`/v1/reconsent` over HTTP: filters, orders, cursors, counts and exports."""

import csv
import io
import json
import secrets
from typing import Any

import pyarrow.parquet
import pytest

from tests.auth.world import Person, World
from tests.support.logs import insufficient, provisioned

NEW = ("read:confluence-content.all", "write:confluence-content")


class Company:
    """Alice and Bob at an IdP of their own, for which Confluence was provisioned after they logged in."""

    def __init__(self, world: World, idp: str, alice: str, bob: str) -> None:
        self.world = world
        self.idp = idp
        self.alice = alice
        self.bob = bob
        self.connector = f"identos.confluence-{idp}"

    async def rows(self, **asked: str) -> list[str]:
        """The users on the list."""
        found = await self.world.worklist(**{"idp": self.idp, **asked})
        assert len(found["items"]) == found["total"]
        return [row["user"] for row in found["items"]]

    async def count(self, by: str) -> dict[str, int]:
        """The list, counted."""
        answer = await self.world.admin("GET", "/v1/reconsent/counts", params={"by": by, "idp": self.idp})
        assert 200 == answer.status_code, answer.text
        assert {self.idp} >= {item["idp"] for item in answer.json()["items"]}
        return {item["name"]: item["users"] for item in answer.json()["items"]}

    async def exported(self, kind: str, **more: str) -> bytes:
        """The list as a file."""
        params = {"format": kind, "idp": self.idp, **more}
        answer = await self.world.admin("GET", "/v1/reconsent/export", params=params)
        assert 200 == answer.status_code, answer.text
        return answer.content


@pytest.fixture
async def company(world: World) -> Company:
    idp, app = await world.idp_with_jira(), await world.register_client()
    alice, bob = [await Person(world, name).user(app, idp_hint=idp) for name in ("alice", "bob")]
    await world.publish(provisioned(f"confluence-{idp}", NEW, idp, version="3.1.4"), by="provisioner")
    return Company(world, idp, alice, bob)


async def test_a_row_says_because_of_whom_in_which_version_since_when_what_is_next_and_until_when(
    company: Company,
) -> None:
    found = await company.world.worklist(idp=company.idp, user=company.bob)
    (row,) = found["items"]
    assert list(NEW) == [lack["scope"] for lack in row["missing"]]
    for lack in row["missing"]:
        (because,) = lack["because"]
        assert (company.connector, "3.1.4") == (because["connector"], because["version"])
        assert row["since"] == because["cause"]
    assert dict.fromkeys(NEW, "next-login") == row["next_steps"]
    assert dict.fromkeys(NEW, "never-asked") == row["why"]
    assert ("echoed", "access") == (row["known_by"], row["dies"]["by"])
    assert row["deadlines"]["access"] == row["dies"]["at"]


async def test_each_filter_leaves_whom_it_means(company: Company) -> None:
    world, both = company.world, sorted((company.alice, company.bob))
    await world.publish(insufficient(company.bob, "read:jira-work", idp=company.idp), by="a-gateway")
    last = (await world.worklist())["as_of"]["seq"]
    assert both == await company.rows(sort="user")
    assert both == await company.rows(sort="user", connector=company.connector)
    assert both == await company.rows(sort="user", scope=NEW[0])
    assert [company.bob] == await company.rows(scope="read:jira-work")
    assert [company.bob] == await company.rows(connector=f"urn:connector:identos:jira-{company.idp}")
    assert [] == await company.rows(scope="read:me"), "which both have"
    assert [company.alice] == await company.rows(user=company.alice)
    assert both == await company.rows(sort="user", since_before=str(last))
    assert [] == await company.rows(since_after=str(last))
    assert [] == await company.rows(since_before="0")
    alice = (await world.worklist(idp=company.idp, user=company.alice))["items"][0]
    assert company.alice in await company.rows(since_before=alice["since"]["at"])
    assert company.alice not in await company.rows(since_after=alice["since"]["at"])
    assert company.alice not in await company.rows(since_before=str(alice["since"]["seq"] - 1))


async def test_a_group_leaves_its_members_and_is_counted(company: Company) -> None:
    name = f"finance-{secrets.token_hex(4)}"
    put = await company.world.admin("PUT", f"/v1/users/{company.bob}/groups", json={"groups": [name, "all"]})
    assert 200 == put.status_code, put.text
    assert [company.bob] == await company.rows(group=name)
    assert [] == await company.rows(group=name, user=company.alice)
    assert [] == await company.rows(group="nobody")
    assert {name: 1, "all": 1} == await company.count("group")


async def test_counts_say_how_many_by_what(company: Company) -> None:
    assert {company.idp: 2} == await company.count("idp")
    assert {company.connector: 2} == await company.count("connector")
    assert dict.fromkeys(NEW, 2) == await company.count("scope")
    assert {"never-asked": 2} == await company.count("why")


@pytest.mark.parametrize("sort", ["idp", "user", "since", "deadline"])
async def test_a_cursor_goes_on_in_its_order_and_in_no_other(company: Company, sort: str) -> None:
    first = await company.world.worklist(idp=company.idp, sort=sort, limit=1)
    asked = {"idp": company.idp, "sort": sort, "limit": 1, "cursor": first["next"]}
    second = await company.world.worklist(**asked)
    assert {company.alice, company.bob} == {first["items"][0]["user"], second["items"][0]["user"]}
    assert (2, None) == (second["total"], second["next"])
    for changed in ({"sort": "user" if sort != "user" else "since"}, {"scope": NEW[0]}, {"idp": "another"}):
        answer = await company.world.admin("GET", "/v1/reconsent", params={**asked, **changed})
        assert (400, True) == (answer.status_code, "another order or other filters" in answer.text)


async def test_every_format_tells_the_same_lines(company: Company) -> None:
    listed = [json.loads(line) for line in (await company.exported("jsonl")).splitlines()]
    assert 4 == len(listed)
    assert {(user, scope) for user in (company.alice, company.bob) for scope in NEW} == {
        (line["user"], line["scope"]) for line in listed
    }
    for line in listed:
        assert (company.connector, "3.1.4", "next-login") == (line["connector"], line["version"], line["next_step"])
    as_csv = list(csv.DictReader(io.StringIO((await company.exported("csv")).decode(), newline="")))
    named = ("user", "scope", "connector", "since_event", "why")
    assert [[str(line[name]) for name in named] for line in listed] == [[row[name] for name in named] for row in as_csv]
    table = pyarrow.parquet.read_table(io.BytesIO(await company.exported("parquet"))).to_pylist()
    assert [line["dies_at"] for line in listed] == [as_json(row["dies_at"]) for row in table]
    assert [[line[name] for name in named] for line in listed] == [[row[name] for name in named] for row in table]


def as_json(value: Any) -> str:
    return str(value.isoformat()).replace("+00:00", "Z")


async def test_an_export_may_be_of_nobody_and_of_an_earlier_moment(company: Company) -> None:
    last = str((await company.world.worklist())["as_of"]["seq"])
    for kind in ("csv", "jsonl", "parquet"):
        nothing = await company.exported(kind, scope="read:me")
        assert {"csv": 1, "jsonl": 0}.get(kind, len(nothing.splitlines())) == len(nothing.splitlines())
        assert await company.exported(kind, at=last) == await company.exported(kind)
    empty = pyarrow.parquet.read_table(io.BytesIO(await company.exported("parquet", scope="read:me")))
    assert (0, 18) == (empty.num_rows, empty.num_columns)
    early = await company.world.admin("GET", "/v1/reconsent/export", params={"idp": company.idp, "at": "1"})
    assert (404, True) == (early.status_code, "As of event 1 there are" in early.text), "it was not there yet"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", "text/csv; charset=utf-8; header=present"),
        ("application/jsonl", "application/x-ndjson"),
        ("application/vnd.apache.parquet, */*", "application/vnd.apache.parquet"),
        ("*/*", "application/x-ndjson"),
    ],
)
async def test_accept_chooses_the_format(company: Company, accept: str, expected: str) -> None:
    answer = await company.world.admin("GET", "/v1/reconsent/export", headers={"accept": accept})
    assert (200, expected, "no-store") == (
        answer.status_code,
        answer.headers["content-type"],
        answer.headers["cache-control"],
    )
