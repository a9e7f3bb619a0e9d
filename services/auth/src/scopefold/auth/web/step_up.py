"""Where a person goes who must consent again: a link that needs no app, and ends on a page that says it is done."""

from urllib.parse import urlencode

from scopefold.auth.web.service import Service


def step_up_address(service: Service, resource_type: str) -> str:
    """The link for everything that a resource type's connector needs. It names no person: it is anybody's own."""
    return f"{service.issuer}/account/connect?{urlencode({'resource': resource_type})}"
