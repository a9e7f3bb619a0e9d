"""What the tokens of one login are, and what they grant together: tables, the outcome last."""

from typing import Any, Literal

import pytest

from scopefold.auth.core.login import Granted
from scopefold.auth.core.tokens import (
    MAX_REQUESTS,
    BadTokenAnswer,
    Token,
    joined,
    request_scope,
    requests,
    tokens_in,
)
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.grammar import BadScope
from scopefold.scopes.profile import Profile
from scopefold.scopes.shipped import profile_named

ATLASSIAN = profile_named("atlassian")
MOST = tuple(f"s{n}" for n in range(MAX_SCOPES))
MICROSOFT, SLACK = profile_named("microsoft"), profile_named("slack")
MAIL, GRAPH = "https://outlook.office.com/", "https://graph.microsoft.com/"
TOKENS: list[tuple[Profile, tuple[str, ...], dict[str, Any], list[Token] | type[Exception]]] = [
    # the profile, what was asked, the answer, and the tokens in it
    (ATLASSIAN, ("a",), {"access_token": "t", "scope": "a b"}, [Token("", "t", None, None, ("a", "b"))]),
    (ATLASSIAN, ("a",), {"access_token": "t", "expires_in": "60"}, [Token("", "t", None, 60, None)]),
    (ATLASSIAN, ("a",), {}, BadTokenAnswer),
    (ATLASSIAN, ("a",), {"access_token": ""}, BadTokenAnswer),
    (ATLASSIAN, ("a",), {"access_token": 7}, BadTokenAnswer),
    (ATLASSIAN, ("a",), {"access_token": "t", "expires_in": "soon"}, [Token("", "t")]),
    (ATLASSIAN, ("a",), {"access_token": "t", "scope": "a\x00"}, BadScope),
    (MICROSOFT, (f"{MAIL}IMAP", "openid"), {"access_token": "t"}, [Token(MAIL, "t")]),
    (MICROSOFT, ("openid", "Mail.Read"), {"access_token": "t"}, [Token(GRAPH, "t")]),
    (MICROSOFT, ("openid",), {"access_token": "t"}, [Token(GRAPH, "t")]),
    (
        SLACK,
        ("a", "user:b"),
        {
            "access_token": "t",
            "scope": "a,c",
            "authed_user": {"access_token": "u", "refresh_token": "r", "scope": "b", "expires_in": 9},
        },
        [Token("bot", "t", None, None, ("a", "c")), Token("user", "u", "r", 9, ("user:b",))],
    ),
    (SLACK, ("a",), {"access_token": "t", "authed_user": {"id": "U"}}, [Token("bot", "t")]),
    (SLACK, ("user:b",), {"authed_user": {"access_token": "u", "scope": ""}}, [Token("user", "u", None, None, ())]),
    (SLACK, ("a",), {"authed_user": "U"}, BadTokenAnswer),
    (SLACK, ("user:b",), {"authed_user": {"access_token": "u", "scope": "b\x00"}}, BadScope),
]


@pytest.mark.parametrize(("profile", "asked", "answer", "expected"), TOKENS)
def test_which_tokens_an_answer_carries(
    profile: Profile, asked: tuple[str, ...], answer: dict[str, Any], expected: list[Token] | type[Exception]
) -> None:
    if isinstance(expected, list):
        assert expected == list(tokens_in(profile, asked, answer))
        return
    with pytest.raises(expected):
        tokens_in(profile, asked, answer)


FIRST: tuple[Literal["identity", "refresh_token"], ...] = ("identity",)
SECOND: tuple[Literal["identity", "refresh_token"], ...] = ("identity", "refresh_token")
JOINS: list[tuple[list[Granted], Granted | type[BadScope]]] = [
    ([Granted(("a",), FIRST, "echoed")], Granted(("a",), FIRST, "echoed")),
    (
        [Granted(("b", "a"), SECOND, "echoed"), Granted(("A", "b"), FIRST, "echoed")],
        Granted(("b", "a", "A"), SECOND, "echoed"),
    ),
    ([Granted(("a",), FIRST, "echoed"), Granted(None, SECOND, "assumed")], Granted(None, SECOND, "assumed")),
    ([Granted(MOST, FIRST, "echoed"), Granted(("s1",), FIRST, "echoed")], Granted(MOST, FIRST, "echoed")),
    ([Granted(MOST, FIRST, "echoed"), Granted(("more",), FIRST, "echoed")], BadScope),
]


@pytest.mark.parametrize(("grants", "expected"), JOINS)
def test_what_several_answers_grant_together(grants: list[Granted], expected: Granted | type[BadScope]) -> None:
    if isinstance(expected, Granted):
        assert expected == joined(grants)
        return
    with pytest.raises(expected):
        joined(grants)


def test_a_login_makes_a_bounded_number_of_token_requests() -> None:
    asked = [f"https://r{number}.example/scope" for number in range(50)]
    assert [(one,) for one in asked[:MAX_REQUESTS]] == list(requests(MICROSOFT, asked))
    assert (("a", "b"),) == requests(ATLASSIAN, ("a", "b"))
    assert (None, "a b") == (request_scope(ATLASSIAN, ("a",)), request_scope(MICROSOFT, ("a", "b")))
