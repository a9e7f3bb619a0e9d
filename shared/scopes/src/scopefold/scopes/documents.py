"""The page that tells an operator what is known of each provider, made from the profiles.

Pure: gives the text. `python -m scopefold.scopes` writes it.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import asdict

from scopefold.scopes.markdown import cell, codes, flowing, table
from scopefold.scopes.profile import Profile

MAKE_AGAIN: Final = "Generated from the profiles: do not edit. Make it again with: python -m scopefold.scopes"
_UPDATE: Final = {
    "replace": "replaces the one before it, so every login asks for everything",
    "accumulate": "adds to the one before it",
    "fixed": "changes nothing: the app's configuration decides",
}
_CONSENT: Final = {"whole": "all or nothing", "partial": "users may grant less than is asked for"}
_ABSENT: Final = {
    "unknown": "what is granted stays unknown",
    "as-requested": "it is taken that everything asked for is granted",
}
_OBTAINED: Final = {
    "scope": "asked for with a scope",
    "parameter": "asked for with an authorize parameter",
    "always": "given unasked",
    "app": "given where the app is set so",
    "never": "there are none",
}
_ROTATES: Final = {
    "never": "stays the same",
    "always": "is new after each use",
    "per-app": "is new after each use where the app is set so",
}
_SOURCE: Final = {"endpoint": "the identity endpoint", "id_token": "the ID token", "token_answer": "the token answer"}
_VERDICT: Final = {"hard": "Refused", "soft": "Warned of"}
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def provider_page(profiles: Mapping[str, Profile]) -> str:
    """The whole page, in Markdown."""
    lines = [
        "# Identity providers",
        "",
        f"{MAKE_AGAIN}.",
        "",
        "What Scopefold knows of each kind of identity provider, and does about it. An IdP is registered under one of",
        "these names: `scopefold idp register IDP --profile NAME --client-id ID`. Every authorize parameter can be",
        "overridden with `--param`, and what a profile leaves blank is given with `--set`. How well a fact stands,",
        "and where it is from, is said in the profile itself, beside the fact.",
        "",
        "| profile | provider | a new grant | consent | refresh token |",
        "|---|---|---|---|---|",
        *(_row(profile) for profile in profiles.values()),
        "",
    ]
    for profile in profiles.values():
        lines += [*_chapter(profile, profiles.get(profile.name.partition("-")[0])), ""]
    return "\n".join(lines).rstrip() + "\n"


def seconds_in_words(seconds: int | None) -> str:
    """A length of time as people say it, in its largest even unit."""
    if seconds is None:
        return "no limit is known"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _row(profile: Profile) -> str:
    cells = [
        f"[`{profile.name}`](#{profile.name})",
        profile.title,
        _UPDATE[profile.grant_update].partition(",")[0],
        _CONSENT[profile.consent],
        _OBTAINED[profile.refresh.obtained_by],
    ]
    return f"| {' | '.join(map(cell, cells))} |"


def _chapter(profile: Profile, main: Profile | None) -> Iterator[str]:
    """All of one profile; of a variant, what it has like the profile that it varies is told there."""
    yield f"## {profile.name}"
    yield ""
    yield f"**{profile.title}.** {flowing(profile.about)}"
    if profile.same_scopes_as:
        yield f"Connectors for `{profile.same_scopes_as}` fit here as they are."
    yield ""
    yield from table(("what", "value"), _facts(profile))
    if profile.parameters:
        yield ""
        rows = [
            (f"`{name}`", one.title, f"`{one.default}`" if one.default else "must be given", codes(one.examples))
            for name, one in profile.parameters.items()
        ]
        yield from table(("parameter", "what it is", "default", "such as"), rows)
    if main is not None and main is not profile and (main.implies, main.errors) == (profile.implies, profile.errors):
        yield ""
        yield f"Its scopes and errors are those of [`{main.name}`](#{main.name})."
        return
    yield from _scopes(profile)
    if profile.errors:
        yield ""
        yield f"What goes wrong there, why, and who can mend it: [diagnoses](diagnoses.md#{(main or profile).name})."
    if profile.documents:
        yield ""
        yield "Its own pages: " + ", ".join(f"<{address}>" for address in profile.documents) + "."


def _facts(profile: Profile) -> Iterator[tuple[str, str]]:
    for name, address in asdict(profile.endpoints).items():
        if address:
            yield f"{name} endpoint", f"`{address}`"
    fixed = profile.authorize_params
    params = [f"{name}={value}" for name, value in fixed.items()]
    yield "authorize parameters", codes(params) or "none of its own"
    yield "token request", f"{profile.token_format}, `{profile.client_authentication}`; PKCE is {profile.pkce}"
    who = profile.identity
    yield "identity", f"from {_SOURCE[who.source]}: `{who.subject}`, `{who.email}`, `{who.name}`"
    knows = profile.authentication
    passed = [f"prompt={one}" for one in knows.prompts]
    passed += [name for name, known in (("max_age", knows.max_age), ("login_hint", knows.login_hint)) if known]
    yield "passed on from a client", codes([one for one in passed if one.partition("=")[0] not in fixed]) or "nothing"
    yield "scopes are asked for", _asked(profile)
    yield "scopes are told", _told(profile)
    yield "always asked for", codes(profile.identity_scopes) or "nothing"
    yield "never asked for", codes(sorted(profile.unsupported)) or "nothing"
    yield "a new grant", _UPDATE[profile.grant_update]
    yield "consent", _CONSENT[profile.consent]
    yield "an answer without scopes", _ABSENT[profile.scope_absent]
    if profile.sites is not None:
        yield (
            "sites",
            f"scopes hold per site; a call may name one. Products: {', '.join(sorted(profile.sites.products))}",
        )
    if profile.probe is not None:
        yield "granted scopes can be looked up", f"`{profile.probe.endpoint}`: {profile.probe.tells}"
    yield from _refresh(profile)
    revoked = profile.revocation
    where = f"`{revoked.endpoint}`" if revoked.endpoint else "at the `revocation_endpoint` of the discovery document"
    how = {"rfc7009": f"RFC 7009, {where}", "api": where, "none": "no endpoint"}
    yield "revocation", f"{how[revoked.how]}. {flowing(revoked.note)}".strip()
    if revoked.by_hand:
        yield "users remove the app at", revoked.by_hand
    if profile.limits.scopes is not None:
        yield "scopes in one request", f"a warning above {profile.limits.scopes}"


def _asked(profile: Profile) -> str:
    lists = [
        f"`{one.parameter}`" + (f" ({one.kind})" if one.kind != "user" else "")
        for one in profile.scope_lists
        if one.parameter
    ]
    joined = {" ": "spaces", ",": "commas"}[profile.request_separator]
    if not lists:
        return "nowhere: the app's configuration decides"
    marks = [f"`{one.prefix}` marks those of the {one.kind}" for one in profile.scope_lists if one.prefix]
    return "; ".join([f"in {' and '.join(lists)}, joined with {joined}", *marks])  # fmt: skip


def _told(profile: Profile) -> str:
    members = [path for one in profile.scope_lists for path in one.members]
    return f"in {codes(members)}" if members else "nowhere"


def _refresh(profile: Profile) -> Iterator[tuple[str, str]]:
    clock = profile.refresh
    if clock.access_seconds is not None:
        yield "access token", f"usually lives {seconds_in_words(clock.access_seconds)}"
    yield "refresh token", _OBTAINED[clock.obtained_by]
    if clock.obtained_by == "never":
        return
    used = f"{_ROTATES[clock.rotates]}"
    if clock.leeway_seconds is not None:
        used += f"; the one used may be used again for {seconds_in_words(clock.leeway_seconds)}"
    if clock.ends_access_token:
        used += "; the access token before it ends"
    if clock.repeats_redirect_uri:
        used += "; the request names the login's redirect_uri again"
    yield "using a refresh token", f"it {used}"
    yield "it dies unused after", seconds_in_words(clock.idle_seconds)
    yield "it dies in any case after", seconds_in_words(clock.absolute_seconds)


def _scopes(profile: Profile) -> Iterator[str]:
    if profile.aliases:
        yield ""
        yield from table(("another name", "of"), ((f"`{a}`", f"`{b}`") for a, b in profile.aliases.items()))
    if profile.implies:
        yield ""
        rows = ((f"`{scope}`", codes(implied)) for scope, implied in profile.implies.items())
        yield from table(("scope", "also grants"), rows)
    if profile.virtual:
        yield ""
        proofs = {"refresh_token": "a refresh token", "identity": "knowing who the user is"}
        rows = ((f"`{scope}`", proofs[proof]) for scope, proof in profile.virtual.items())
        yield from table(("not reliably told", "proved by"), rows)
    if profile.families:
        yield ""
        known = (
            (one.title, str(len(one.scopes)), f"`{one.pattern}`" if one.pattern else "no other")
            for one in profile.families.values()
        )
        yield from table(("scopes", "known by name", "known by form"), known)
    for one in profile.exclusions:
        first, second = (profile.families[family].title for family in one.families)
        yield ""
        yield f"{_VERDICT[one.severity]} together, {first} and {second}: {flowing(one.why)}"
    for gone in profile.retired:
        yield ""
        yield f"{_VERDICT[gone.severity]}, {codes(gone.scopes)}: {flowing(gone.why)}"
