"""Google's scopes as its consent page and its answers know them.

Source: developers.google.com/identity/protocols/oauth2/scopes for the names; the words on the consent page are ours.
"""

from collections.abc import Iterable, Mapping
from typing import Final

AUTH: Final = "https://www.googleapis.com/auth/"
OPENID: Final = "openid"
EMAIL: Final = f"{AUTH}userinfo.email"
PROFILE: Final = f"{AUTH}userinfo.profile"

ALIASES: Final[Mapping[str, str]] = {
    "email": EMAIL,
    "profile": PROFILE,
    f"{AUTH}drive.appfolder": f"{AUTH}drive.appdata",
}
"""What was asked for in one spelling is answered in another (observed: googleapis/google-api-python-client#1088)."""

SIGN_IN: Final = (EMAIL, OPENID, PROFILE)
"""In the order in which answers were observed to have them."""

WORDS: Final[Mapping[str, str]] = {
    OPENID: "Associate you with your personal info on Google",
    EMAIL: "See your primary Google Account email address",
    PROFILE: "See your personal info, including any that you made public",
    "https://mail.google.com/": "Read, compose, send and permanently delete all your email",
    f"{AUTH}gmail.readonly": "View your email messages and settings",
    f"{AUTH}gmail.modify": "Read, compose and send emails from your Gmail account",
    f"{AUTH}gmail.send": "Send email on your behalf",
    f"{AUTH}gmail.metadata": "View your email message metadata",
    f"{AUTH}gmail.labels": "See and edit your email labels",
    f"{AUTH}drive": "See, edit, create and delete all of your Google Drive files",
    f"{AUTH}drive.readonly": "See and download all your Google Drive files",
    f"{AUTH}drive.file": "See, edit, create and delete only the Google Drive files that you use with this app",
    f"{AUTH}drive.metadata.readonly": "See information about your Google Drive files",
    f"{AUTH}drive.appdata": "See, create and delete its own configuration data in your Google Drive",
    f"{AUTH}calendar": "See, edit, share and permanently delete all the calendars that you can access",
    f"{AUTH}calendar.readonly": "See and download any calendar that you can access",
    f"{AUTH}calendar.events": "View and edit events on all your calendars",
}

GMAIL_PROFILE: Final = frozenset(
    {
        "https://mail.google.com/",
        f"{AUTH}gmail.modify",
        f"{AUTH}gmail.readonly",
        f"{AUTH}gmail.metadata",
    }
)
"""Any of these opens users.getProfile: Google's methods list their scopes as any-of."""


def canonical(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes as Google answers them: aliases resolved, `openid` added unasked, in an order of its own."""
    found = {ALIASES.get(scope, scope) for scope in scopes}
    if found & {EMAIL, PROFILE}:
        found.add(OPENID)
    return (*(scope for scope in SIGN_IN if scope in found), *sorted(found.difference(SIGN_IN)))


def is_known(scope: str) -> bool:
    """Whether Google takes this for one of its scopes."""
    return ALIASES.get(scope, scope) in WORDS or scope.startswith(AUTH)


def words_of(scope: str) -> str:
    """What the consent page says that this scope allows."""
    return WORDS.get(scope) or f"Use {scope.removeprefix(AUTH)}"
