"""Every connector that ships can be tried at the stand-in for its provider."""

from collections.abc import Callable, Mapping

import pytest

from scopefold.provisioner import catalogue
from scopefold.provisioner.core.manifest import fitting_profiles
from scopefold.sandbox.core import atlassian_scopes, google_scopes
from scopefold.sandbox.core.microsoft_scopes import CLOUDS, take_apart
from scopefold.scopes.shipped import profile_named
from scopefold.scopes.union import to_request

Unknown = Callable[[tuple[str, ...]], list[str]]


def unknown_at_microsoft(stand_in: str, level: int) -> Unknown:
    cloud = CLOUDS[stand_in]
    return lambda scopes: [one.name for one in take_apart(scopes, cloud, cloud.graphs[level]).named if not one.known]


def unknown_at_atlassian(scopes: tuple[str, ...]) -> list[str]:
    known = atlassian_scopes.PRESET | {atlassian_scopes.OFFLINE_ACCESS}
    return [scope for scope in scopes if scope not in known]


def unknown_at_google(scopes: tuple[str, ...]) -> list[str]:
    return [scope for scope in scopes if not google_scopes.is_known(scope)]


AT: Mapping[str, Unknown] = {
    "atlassian": unknown_at_atlassian,
    "google": unknown_at_google,
    "microsoft": unknown_at_microsoft("microsoft", 0),
    "microsoft-gcc": unknown_at_microsoft("microsoft", 0),
    "microsoft-gcc-high": unknown_at_microsoft("microsoft-us", 0),
    "microsoft-dod": unknown_at_microsoft("microsoft-us", -1),
}
SHIPPED = catalogue.load(None)
CASES = [(name, profile) for name, one in SHIPPED.items() for profile in fitting_profiles(one) if profile in AT]


@pytest.mark.parametrize(("connector", "profile"), CASES)
def test_the_stand_in_knows_every_scope_that_a_shipped_connector_asks_for(connector: str, profile: str) -> None:
    needed = SHIPPED[connector].auth.idp_passthrough
    assert needed is not None
    assert [] == AT[profile](to_request(profile_named(profile), needed.asked))
