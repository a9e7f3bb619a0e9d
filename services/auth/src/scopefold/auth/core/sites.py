"""The sites that a user's token reaches: what an IdP tells of them, and which one is meant."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.profile import Profile

MOST_SITES: Final = 200
KEPT: Final = timedelta(hours=1)
"""So long what was read is taken for what is: a site that a user takes back is refused by the API itself."""
ASKED_AGAIN: Final = timedelta(minutes=1)
"""So soon it is read again for a site that is not among them, and no sooner."""


class Site(Struct, frozen=True):
    """A site that a token reaches. Personal: sealed, and never in the log."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,100}\Z")]
    url: Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]{1,500}\Z")]
    scopes: tuple[Annotated[str, Meta(max_length=255)], ...] = ()
    """What the IdP says that holds there, in its own spelling."""


class Sites(Struct, frozen=True):
    """All of them, and when the IdP told."""

    sites: tuple[Site, ...]
    read_at: datetime

    def stale(self, wanted: str, now: datetime) -> bool:
        """Are they to be read again, for who wants this site?"""
        return now - self.read_at > (KEPT if self.find(wanted) else ASKED_AGAIN)

    def find(self, wanted: str) -> Site | None:
        """The site that is meant by its id, its address or its host."""
        named = wanted.strip().rstrip("/").casefold()
        for site in self.sites:
            host = urlsplit(site.url).netloc.casefold()
            if wanted == site.id or (host and named in (host, f"https://{host}")):
                return site
        return None


def sites_in(answer: object) -> tuple[Site, ...]:
    """The sites that an answer lists. An id that stands twice is one site, as Atlassian lists each of its products.

    What is no site is passed over: the others are good. Raises `ValueError` where the answer is no such list.
    """
    if not isinstance(answer, list):
        raise ValueError("this is no list of sites")
    found: dict[str, Site] = {}
    for told in answer[:MOST_SITES]:
        if (site := _site(told)) is None:
            continue
        if (before := found.get(site.id)) is not None:
            scopes = tuple(dict.fromkeys((*before.scopes, *site.scopes)))[:MAX_SCOPES]
            site = replace(before, scopes=scopes)
        found[site.id] = site
    return tuple(found.values())


def _site(told: Any) -> Site | None:
    try:
        return msgspec.convert(told, Site)
    except msgspec.ValidationError:
        return None


def list_address(profile: Profile, identity: str) -> str:
    """Where the IdP tells the sites, beside the address where it tells who the user is."""
    assert profile.sites is not None
    return urljoin(identity, profile.sites.path)


def api_base(profile: Profile, identity: str, site: Site, scopes: Sequence[str]) -> str:
    """The address of a site's API for a call that needs these scopes; empty where they do not tell one product."""
    assert profile.sites is not None
    products = {name for scope in scopes if (name := profile.sites.product_of(scope))}
    if len(products) != 1:
        return ""
    return urljoin(identity, profile.sites.api.format(product=products.pop(), site=site.id))
