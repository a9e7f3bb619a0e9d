"""Who holds a token, page by page and counted, is what the pure fold gives."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scopefold.auth.core.clearing import Wanted
from scopefold.auth.store.holders import Counted, counted, holders
from scopefold.auth.store.projection import Projection
from scopefold.consent.reconsent import State, UserGrant, replay
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.coverage import carries
from tests.auth.test_projection import feed, opened
from tests.support.logs import IDPS, SCOPES, USERS, cleared, log_of, logs, registered, stored

ANYBODY = Wanted(users=None, idps=None, missing_scope=None)
EMPTY_HANDED = log_of(
    registered(),
    registered("bitbucket", "bitbucket"),
    stored(USERS[0], (), evidence=()),
    stored(USERS[0], ("account",), idp="bitbucket"),
    stored(USERS[1], (), evidence=()),
    stored(USERS[2], ("read:me",)),
    cleared(USERS[2]),
)
"""Tokens of nothing, which stand where those do that were cleared."""


def some_wanted() -> st.SearchStrategy[Wanted]:
    return st.builds(
        Wanted,
        users=st.none() | st.lists(st.sampled_from(USERS), unique=True, max_size=3).map(tuple),
        idps=st.none() | st.lists(st.sampled_from(list(IDPS)), unique=True, max_size=2).map(tuple),
        missing_scope=st.none() | st.sampled_from(SCOPES),
    )


def expected(state: State, wanted: Wanted) -> list[UserGrant]:
    found = []
    for held in state.present():
        profile = state.scopes.idp(held.idp).profile
        if (
            held.cleared is None
            and (wanted.users is None or held.user in wanted.users)
            and (wanted.idps is None or held.idp in wanted.idps)
            and (wanted.missing_scope is None or not carries(profile, held.grant, wanted.missing_scope))
        ):
            found.append(held)
    return sorted(found, key=lambda held: (held.idp, held.user))


async def every_page(projection: Projection, wanted: Wanted, most: int) -> list[UserGrant]:
    found: list[UserGrant] = []
    after: tuple[str, str] | None = ("", "")
    for _ in range(1000):
        if after is None:
            return found
        page = await holders(projection, wanted, after=after, most=most)
        found += page.held
        after = page.next
    raise AssertionError("the pages have no end")


async def check(log: list[Recorded], wanted: Wanted, most: int) -> None:
    rows = expected(replay(log), wanted)
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "p.db") as projection:
            await feed(projection, log, 7)
            assert rows == await every_page(projection, wanted, most)
            assert Counted(len(rows), len({held.user for held in rows})) == await counted(projection, wanted)


@settings(max_examples=40, deadline=None)
@given(logs(), some_wanted(), st.integers(1, 5))
def test_pages_and_counts_are_those_of_the_pure_fold(log: list[Recorded], wanted: Wanted, most: int) -> None:
    asyncio.run(check(log, wanted, most))


@pytest.mark.parametrize("most", [1, 2, 10])
async def test_who_holds_a_token_of_nothing_is_counted_once(most: int) -> None:
    await check(EMPTY_HANDED, ANYBODY, most)
