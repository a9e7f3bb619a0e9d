"""What is said of what access tokens open: RFC 9728 metadata, and the challenge that leads there."""

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.claims import SCOPES
from scopefold.auth.web.metadata import issuer_at
from scopefold.auth.web.service import Service, service_of
from scopefold.runtime.web import json_response

WELL_KNOWN = "/.well-known/oauth-protected-resource"


async def resource_metadata(request: Request) -> Response:
    """`GET /.well-known/oauth-protected-resource[/path]`: our own protected resources have the issuer's name."""
    issuer = issuer_at(service_of(request), request.path_params.get("path", ""))
    return json_response(
        {
            "resource": issuer,
            "authorization_servers": [issuer],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": "Scopefold",
        }
    )


def resource_metadata_address(service: Service) -> str:
    """Where the metadata of this issuer's resources is: its path stands behind the fixed one (RFC 9728, section 3)."""
    path = service.path
    return f"{service.issuer.removesuffix(path) if path else service.issuer}{WELL_KNOWN}{path}"


def challenge(service: Service, error: str | None = None, description: str = "", *, scope: str = "") -> str:
    """The `WWW-Authenticate` of a protected resource (RFC 6750, section 3; RFC 9728, section 5.1).

    Without an error where no credential came: what is wrong with none is not told.
    """
    parts = {"error": error or "", "error_description": description if error else "", "scope": scope}
    said = [f'{name}="{value}"' for name, value in parts.items() if value]
    return "Bearer " + ", ".join([*said, f'resource_metadata="{resource_metadata_address(service)}"'])
