"""The page that tells every diagnosis, made from the errors that are known.

Pure: gives the text. `python -m scopefold.scopes` writes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from scopefold.scopes.documents import MAKE_AGAIN
from scopefold.scopes.errors import KnownError, Sign, Where, Who, filled
from scopefold.scopes.markdown import flowing, table
from scopefold.scopes.profile import Profile

ANY_PROVIDER: Final = "any-provider"
_WHO: Final[Mapping[Who, str]] = {
    "user": "the user",
    "operator": "you, who run Scopefold",
    "provider-admin": "an administrator there",
    "nobody": "nobody; it passes",
}
_WHERE: Final[Mapping[Where, str]] = {
    "page": "on its page",
    "redirect": "on the way back",
    "token": "token request",
    "refresh": "refresh",
    "identity": "identity request",
    "api": "API call",
    "app": "in an app",
}


def diagnoses_page(profiles: Mapping[str, Profile], general: Iterable[KnownError]) -> str:
    """The whole page, in Markdown."""
    own = [one for one in profiles.values() if one.errors and not _is_variant(one, profiles)]
    lines = [
        "# Diagnoses",
        "",
        f"{MAKE_AGAIN}.",
        "",
        "What can go wrong between Scopefold, an identity provider and an app: how it is met, the likely cause,",
        "who can mend it and how. Scopefold shows the one that fits on its error page, and keeps its id in the",
        "log. Words that you saw can be searched for here. What stands in braces is filled with the values of your",
        "IdP. The basis says how well a fact stands: the provider's own word (confirmed), a third party's report",
        "(observed), remembered only (memory), or deduced (inference).",
        "",
        ", ".join(f"[{one.title}](#{one.name})" for one in own) + f", [any provider](#{ANY_PROVIDER}).",
        "",
    ]
    for one in own:
        lines += [f"## {one.name}", "", *_told(one.errors, one.title), ""]
    lines += [f"## {ANY_PROVIDER}", "", *_told(general, "the provider"), ""]
    return "\n".join(lines).rstrip() + "\n"


def _is_variant(profile: Profile, profiles: Mapping[str, Profile]) -> bool:
    main = profiles.get(profile.name.partition("-")[0])
    return main is not None and main is not profile and main.errors == profile.errors


def _told(errors: Iterable[KnownError], provider: str) -> Iterator[str]:
    yield from table(
        ("id", "how it is met", "likely cause", "mended by", "how", "basis"),
        (
            (
                f'<a id="{one.id}"></a>`{one.id}`',
                "; ".join(dict.fromkeys(map(_sign, one.met))) or "anything else",
                _prose(" ".join([one.cause, *(f"Or: {cause}" for cause in one.also)]), provider),
                _WHO[one.who],
                _how(one, provider),
                one.basis,
            )
            for one in errors
        ),
    )


def _how(error: KnownError, provider: str) -> str:
    pastes = [f"{_prose(paste.label, provider)}: `{paste.value}`." for paste in error.paste]
    return " ".join([_prose(error.how, provider), *pastes])


def _prose(text: str, provider: str) -> str:
    told = flowing(filled(text, {"provider": provider, "idp": "IDP"}))
    return told[:1].upper() + told[1:]


def _sign(sign: Sign) -> str:
    """How it is met, in few words."""
    seen = [f"`{sign.error}`"] if sign.error else []
    seen += [f'"{sign.text}"'] if sign.text else []
    place = [_WHERE[sign.where]] if sign.where else []
    if sign.status is not None:
        place.append(str(sign.status) if sign.status >= 100 else f"{sign.status}xx")
    return " ".join([*seen, f"({', '.join(place)})" if place and seen else ", ".join(place)]).strip() or "anything else"
