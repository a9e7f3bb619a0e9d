"""Whatever the stand-ins of the sandbox refuse with, in every wording that their source has, is recognised."""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

from scopefold.sandbox.core import atlassian, bitbucket, github, google, microsoft_errors, oidc, slack
from scopefold.sandbox.core.atlassian_scopes import not_added
from scopefold.sandbox.core.faults import Faults
from scopefold.scopes.diagnosis import Facts, Failure, diagnose, recognise
from scopefold.scopes.shipped import profile_named

FACTS = Facts("acme")
STAND_INS: list[tuple[str, ModuleType, int]] = [
    ("atlassian", atlassian, 15),
    ("bitbucket", bitbucket, 10),
    ("github", github, 9),
    ("google", google, 18),
    ("oidc", oidc, 15),
    ("slack", slack, 12),
]
REFUSALS = {
    "ErrorPage": (1,),
    "ErrorRedirect": (0, 1),
    "error_to_client": (1, 2),
    "refused": (1, 2),
    "_blocked": (0, 1),
    "_error": (1, 2, 3),
    "_forbidden": (0, 1, 2),
    "_misconfigured": (0,),
    "_page": (0,),
    "_refused": (0, 1),
}
"""The calls that refuse, and which of their arguments a browser or a client gets to see."""
HELPERS = {"_blocked", "_error", "_forbidden", "_misconfigured", "_page", "_refused", "refused"}


def wordings(module: ModuleType) -> Iterator[str]:
    """What each refusal in the module's source says. What a helper puts around it is its own refusal."""
    tree = ast.parse(inspect.getsource(module))
    everywhere = assigned(tree.body)
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and top.name in HELPERS:
            continue
        known = {**everywhere, **(assigned(top.body) if isinstance(top, ast.FunctionDef) else {})}
        for node in ast.walk(top):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
                seen = [node.args[place] for place in REFUSALS[node.func.id] if place < len(node.args)]
                words = " ; ".join(text for argument in seen for text in texts(argument, known))
                if words:
                    yield f"Invalid {words}. This integration is misconfigured" if "misc" in node.func.id else words


def assigned(body: list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """All that is put in a name in these statements, also by a loop over literals."""
    found: dict[str, list[ast.expr]] = {}
    for node in (node for top in body if not isinstance(top, ast.FunctionDef) for node in ast.walk(top)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found.setdefault(name, []).append(value)
            case ast.For(target=ast.Name(id=name), iter=value):
                found.setdefault(name, []).append(value)
    return found


def texts(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """The literal texts in an expression; an x stands for a value that is not known here."""
    match node:
        case ast.Name(id=name):
            yield from (text for value in known.get(name, []) for text in texts(value, known))
        case ast.JoinedStr(values=parts):
            yield "".join(next(texts(part, known), "x") for part in parts)
        case ast.FormattedValue(value=inner) | ast.Subscript(value=inner):
            yield from texts(inner, known)
        case ast.Constant(value=str(text)):
            yield text
        case ast.Dict(values=values) | ast.Tuple(elts=values):
            yield from (text for value in values for text in texts(value, known))
        case ast.IfExp(body=one, orelse=other):
            yield from (*texts(one, known), *texts(other, known))
        case ast.Call(func=ast.Attribute(value=inner), args=arguments):
            yield from (text for part in (inner, *arguments) for text in texts(part, known))


@pytest.mark.parametrize(
    ("name", "module", "least"), STAND_INS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_wording_of_a_stand_in_is_recognised(name: str, module: ModuleType, least: int) -> None:
    profile = profile_named(name)
    found = list(wordings(module))
    assert len(found) >= least, "the search does not see the refusals any more"
    assert [words for words in found if not recognise(profile, words, FACTS)] == []


def test_what_atlassian_says_of_scopes_that_the_app_lacks_is_recognised() -> None:
    for words in not_added(["write:jira-work", "read:confluence-user", "unheard:of"]):
        (found,) = recognise(profile_named("atlassian"), words, FACTS)
        assert found.id == "atlassian.scope-not-on-app"


@pytest.mark.parametrize("number", microsoft_errors.ERRORS)
def test_every_number_of_microsofts_stand_in_has_a_diagnosis_of_its_own_wherever_it_is_met(number: int) -> None:
    error, profile = microsoft_errors.ERRORS[number], profile_named("microsoft")
    words = f"AADSTS{number}: {error.words} Trace ID: 1 Correlation ID: 2"
    for where in ("page", "redirect"):
        assert diagnose(profile, Failure(where, error.error, words), FACTS).id.startswith("microsoft.")
    assert diagnose(profile, Failure("token", error.error, words, error.status), FACTS).id.startswith("microsoft.")
    assert diagnose(profile, Failure("refresh", error.error, words, error.status), FACTS).id.startswith("microsoft.")
    assert recognise(profile, words, FACTS)[0].id.startswith("microsoft.")


@pytest.mark.parametrize("name", [name for name, _, _ in STAND_INS])
def test_what_a_fault_of_the_sandbox_does_is_a_failure_of_the_network(name: str) -> None:
    assert Faults().server_error_status == 503
    for error in ("http_500", "http_502", "http_503", "http_504", "http_503_not_json", "ReadTimeout", "ReadError"):
        for where in ("token", "refresh", "identity"):
            assert diagnose(profile_named(name), Failure(where, error), FACTS).id.startswith("net.")
