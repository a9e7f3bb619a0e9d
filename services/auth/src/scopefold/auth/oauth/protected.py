"""What a request to a protected resource of ours must bring: an access token, perhaps bound to a key (RFC 9449), of a
login that is recent and strong enough (RFC 9470).
"""

from typing import Final

from authlib.oauth2.rfc6749 import OAuth2Error
from msgspec import Struct

from scopefold.auth.oauth.access_claims import AccessClaims, read_access_token
from scopefold.auth.oauth.dpop import judged
from scopefold.auth.oauth.dpop_proof import ALGORITHMS, Proof
from scopefold.auth.oauth.loaded import Loaded


class Needs(Struct, frozen=True):
    """What a resource asks for beyond a token that holds. `acr_values`: any of them will do."""

    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age_seconds: int | None = None


NOTHING_MORE: Final = Needs()


class Access(Struct, frozen=True):
    """What the token says, and how it was sent. `proof` is still to be kept, so that it is seen only once."""

    claims: AccessClaims
    scheme: str
    proof: Proof | None


class AccessRefused(Exception):
    """The request is not let through. `told` are the parameters of the challenge (RFC 6750, section 3).

    `scheme` is the one that was used, or None where there was none: then every scheme is offered.
    """

    def __init__(self, status: int, scheme: str | None, **told: str) -> None:
        super().__init__(told.get("error_description", "An access token is needed."))
        self.status = status
        self.scheme = scheme
        self.told = told

    def challenge(self, resource_metadata: str) -> str:
        """The value of `WWW-Authenticate`, which leads to the resource's metadata (RFC 9728, section 5.1).

        Without an error where no credential came: what is wrong with none is not told.
        """
        every = {**self.told, "resource_metadata": resource_metadata}
        told = ", ".join(f'{name}="{value}"' for name, value in every.items())
        offered = {"Bearer": 'Bearer realm="scopefold"', "DPoP": f'DPoP algs="{" ".join(ALGORITHMS)}"'}
        wanted = offered.values() if self.scheme is None else [offered[self.scheme]]
        return ", ".join(f"{one}, {told}" for one in wanted)


def check_access(
    loaded: Loaded, *, method: str, authorization: str | None, proof: str | None, needs: Needs = NOTHING_MORE
) -> Access:
    """Who may come in. Raises `AccessRefused`.

    A token is sent in the `Authorization` header and nowhere else. One that is bound to a key is refused without a
    proof of it, whatever scheme names it, and one that is not bound is no DPoP token.
    """
    scheme, token = presented(authorization)
    claims = _claims(loaded, token, scheme)
    held = check_key(loaded, claims, scheme, token=token, method=method, proof=proof)
    _check_scopes(claims, scheme, needs)
    check_login(claims, scheme, needs, int(loaded.now.timestamp()))
    return Access(claims, scheme, held)


def presented(authorization: str | None) -> tuple[str, str]:
    """The scheme and the token of an `Authorization` header. Raises `AccessRefused` where it brings no access token."""
    named, _, token = (authorization or "").partition(" ")
    scheme = {"bearer": "Bearer", "dpop": "DPoP"}.get(named.lower())
    if scheme is None:
        raise AccessRefused(401, None)
    return scheme, token.strip()


def _claims(loaded: Loaded, token: str, scheme: str) -> AccessClaims:
    """The claims of an access token that this server gave for itself, by a key that still counts."""
    found = read_access_token(token, keys=loaded.keys.verifying, issuer=loaded.issuer, now=loaded.now)
    if found is None or loaded.issuer not in found.audiences:
        raise _invalid(scheme, "The token is none of ours, is not for this resource, or has expired.")
    return found


def is_bound(claims: AccessClaims, scheme: str) -> bool:
    """Is a token bound to a key? Raises `AccessRefused` where the scheme is that of the other type of token."""
    if (scheme == "DPoP") is not (claims.key is not None):
        raise _invalid(scheme, "The token is of another type than it was sent as.")
    return claims.key is not None


def check_key(
    loaded: Loaded, claims: AccessClaims, scheme: str, *, token: str, method: str, proof: str | None
) -> Proof | None:
    """The proof of the key that a token is bound to, still to be kept; None where it is bound to none.

    Raises `AccessRefused`, also where the scheme is that of the other type of token.
    """
    if not is_bound(claims, scheme):
        return None
    if proof is None:
        raise AccessRefused(
            401, "DPoP", error="invalid_dpop_proof", error_description="A DPoP proof is needed with this token."
        )
    try:
        held = judged(loaded, proof, method=method, access_token=token)
    except OAuth2Error as error:
        raise AccessRefused(401, "DPoP", error=error.error, error_description=error.description) from None
    if held.jkt != claims.key:
        raise _invalid("DPoP", "The token is bound to another key.")
    return held


def _check_scopes(claims: AccessClaims, scheme: str, needs: Needs) -> None:
    if not set(needs.scopes) <= set(claims.scopes):
        raise AccessRefused(
            403,
            scheme,
            error="insufficient_scope",
            error_description="The token does not allow this.",
            scope=" ".join(needs.scopes),
        )


def check_login(claims: AccessClaims, scheme: str, needs: Needs, now: int) -> None:
    """Was the user's login lately enough, and strong enough? `now` is in seconds since 1970.

    Raises `AccessRefused`, which says what the client is to ask for when it authorizes again (RFC 9470, section 3).
    """
    told: dict[str, str] = {}
    if needs.acr_values and claims.acr not in needs.acr_values:
        told["acr_values"] = " ".join(needs.acr_values)
    if needs.max_age_seconds is not None:
        at = claims.auth_time
        if at is None or now - at > needs.max_age_seconds:
            told["max_age"] = str(needs.max_age_seconds)
    if told:
        description = "Another login is needed: a more recent or a stronger one."
        raise AccessRefused(
            401, scheme, error="insufficient_user_authentication", error_description=description, **told
        )


def _invalid(scheme: str, description: str) -> AccessRefused:
    return AccessRefused(401, scheme, error="invalid_token", error_description=description)
