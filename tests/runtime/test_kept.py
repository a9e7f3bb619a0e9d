"""Memory that stays within bounds."""

from scopefold.runtime.kept import Kept


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    kept: Kept[str, int] = Kept(2)
    kept.keep("a", 1)
    kept.keep("b", 2)
    assert 1 == kept.get("a")
    kept.keep("c", 3)
    assert (2, True, False, True) == (len(kept), "a" in kept, "b" in kept, "c" in kept)
    kept.keep("a", 4)
    kept.keep("d", 5)
    assert (4, None, 5) == (kept.get("a"), kept.get("c"), kept.get("d"))


def test_what_is_forgotten_is_gone() -> None:
    kept: Kept[str, int] = Kept(2)
    kept.keep("a", 0)
    assert 0 == kept.get("a")
    kept.forget("a")
    kept.forget("a")
    assert (None, 0) == (kept.get("a"), len(kept))
    kept.keep("b", 1)
    kept.clear()
    assert 0 == len(kept)
