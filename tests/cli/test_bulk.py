"""The worklist from segments, folded in bulk, is the one that the log gives message by message, at every moment."""

import asyncio
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scopefold.consent.reconsent import Row, replay, worklist
from scopefold.ledger import segment_file
from scopefold.ledger.segment_store import Folder
from scopefold.ledger.segments import Segments, open_segments
from scopefold.runtime.past import SUFFIX, Past, folded
from tests.support.bulk import Log, hard_log, hard_logs, ours
from tests.support.sealed import sealed


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"*{suffix}"))


async def listed(segments: Segments, until: int | None, tail: Log = ()) -> list[Row]:
    return await rows_of(await folded(segments, tenant="default", until=until, tail=tail, keep=True))


async def rows_of(past: Past) -> list[Row]:
    found: list[Row] = []
    after = None
    while True:
        page = past.worklist.page(after=after, limit=4)
        found += await past.rows(page)
        if (after := page.next) is None:
            return found


async def agree(log: Log, cuts: list[int], moments: list[int], folder: Path) -> None:
    """Segments end at the cuts, the last of them begins the tail; the moments are asked for in their order."""
    ends = sorted({min(cut, len(log)) for cut in cuts} - {0})
    parts = [log[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    segments = await sealed(Folder(folder), parts)
    assert (await open_segments(Folder(folder))).seals == segments.seals
    sealed_up_to = segments.last_seq
    for moment in [one for one in moments if one <= sealed_up_to]:
        assert await listed(segments, moment) == list(worklist(replay(ours(log[:moment]))))
    assert await listed(segments, None, log[sealed_up_to:]) == list(worklist(replay(ours(log))))


@settings(max_examples=30, deadline=None)
@given(
    hard_logs(80),
    st.lists(st.integers(1, 80), max_size=4),
    st.lists(st.integers(0, 80), max_size=4),
)
def test_segments_and_the_tail_give_what_the_log_gives(log: Log, cuts: list[int], moments: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(agree(log, cuts, moments, Path(folder)))


@pytest.mark.parametrize("rows", [1, 7, 64])
async def test_files_of_many_row_groups_give_the_same(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_file, "ROW_GROUP", rows)
    for number in range(3):
        await agree(hard_log(Random(number), 200), [90, 160], [40, 90, 131], tmp_path / str(number))


async def test_a_kept_fold_that_is_damaged_or_of_another_segment_is_not_used(tmp_path: Path) -> None:
    log = hard_log(Random(1), 400)
    segments = await sealed(Folder(tmp_path), [log[:200], log[200:]])
    expected = list(worklist(replay(ours(log))))
    assert expected == await listed(segments, None)
    first, second = files(tmp_path, SUFFIX)
    for content in (second.read_bytes()[:-1], b"", first.read_bytes()):
        second.write_bytes(content)
        assert expected == await listed(segments, None)


async def test_the_fold_goes_on_from_what_was_kept_and_reads_no_segment_before_it(tmp_path: Path) -> None:
    log = hard_log(Random(2), 400)
    segments = await sealed(Folder(tmp_path), [log[:200], log[200:]])
    await folded(segments, tenant="default", keep=True)
    for facts in files(tmp_path, ".facts.parquet"):
        facts.unlink()
    past = await folded(segments, tenant="default")
    assert past.worklist.count("missing") == len(list(worklist(replay(ours(log)))))


async def two_moments(log: Log, cuts: list[int], first: int, second: int, folder: Path) -> None:
    ends = sorted({min(cut, len(log)) for cut in (*cuts, len(log))} - {0})
    segments = await sealed(Folder(folder), [log[begin:end] for begin, end in zip([0, *ends], ends, strict=False)])
    before = await folded(segments, tenant="default", until=first)
    held = [part async for part in before.grants(at_once=100)]
    after = await folded(segments, tenant="default", until=second, earlier=before)
    assert held == [part async for part in before.grants(at_once=100)], "it stands where it stood"
    for past, moment in ((before, first), (after, second)):
        assert await rows_of(past) == list(worklist(replay(ours(log[:moment]))))


@settings(max_examples=30, deadline=None)
@given(hard_logs(80), st.lists(st.integers(1, 80), max_size=4), st.integers(0, 80), st.integers(0, 80))
def test_a_later_moment_that_goes_on_from_an_earlier_one_is_the_logs_and_so_is_the_earlier(
    log: Log, cuts: list[int], one: int, other: int
) -> None:
    first, second = sorted(min(moment, len(log)) for moment in (one, other))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(two_moments(log, cuts, first, second, Path(folder)))


async def test_a_later_moment_reads_no_segment_before_an_earlier_one_again(tmp_path: Path) -> None:
    log = hard_log(Random(4), 400)
    segments = await sealed(Folder(tmp_path), [log[:200], log[200:]])
    before = await folded(segments, tenant="default", until=250)
    files(tmp_path, ".facts.parquet")[0].unlink()
    after = await folded(segments, tenant="default", earlier=before)
    assert after.worklist.count("missing") == len(list(worklist(replay(ours(log)))))


async def test_where_a_fold_was_kept_behind_the_earlier_moment_it_is_taken(tmp_path: Path) -> None:
    log = hard_log(Random(5), 400)
    segments = await sealed(Folder(tmp_path), [log[:100], log[100:300], log[300:]])
    await folded(segments, tenant="default", until=300, keep=True)
    before = await folded(segments, tenant="default", until=150)
    files(tmp_path, ".facts.parquet")[1].unlink()
    after = await folded(segments, tenant="default", earlier=before)
    assert after.worklist.count("missing") == len(list(worklist(replay(ours(log)))))


@pytest.mark.parametrize("moment", [0, 1, 399, 400])
async def test_a_moment_at_the_edges(moment: int, tmp_path: Path) -> None:
    log = hard_log(Random(3), 400)
    segments = await sealed(Folder(tmp_path), [log[:1], log[1:400]])
    assert await listed(segments, moment) == list(worklist(replay(ours(log[:moment]))))
