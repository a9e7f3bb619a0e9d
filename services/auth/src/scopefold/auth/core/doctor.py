"""What can be known to be wrong with an IdP before a user meets it: pure, over what is folded and what was probed."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from scopefold.auth.core.login import authorize_parameters, requested_scopes
from scopefold.consent.idp_scopes import Idp
from scopefold.scopes.diagnosis import Diagnosis, Facts, Failure, diagnose, named, recognise
from scopefold.scopes.errors import Paste, Where
from scopefold.scopes.lint import lint
from scopefold.scopes.shipped import UnknownProfile, profile_named, profiles

Verdict = Literal["good", "doubtful", "wrong", "not-known"]
NOT_A_CODE: Final = "scopefold-doctor-no-code"
"""Sent in a code's place, to learn whether the IdP knows our app. No provider issues it."""

WHERE: Final[Mapping[str, Where]] = {"authorize": "redirect", "token": "token", "identity": "identity"}
"""Where an error was met, by the stage of the login that the log tells."""
_CODE_REFUSED: Final = frozenset({"invalid_grant", "bad_verification_code", "invalid_code"})
_PARTS: Final = ("scheme", "host and port", "path", "query", "fragment")


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. Where something is wrong, `diagnosis` says who can mend it, and how."""

    check: str
    verdict: Verdict
    says: str
    diagnosis: Diagnosis | None = None
    paste: tuple[Paste, ...] = ()


class Probed(Struct, frozen=True, kw_only=True):
    """What was tried at the IdP, without a user: how it answered to a code that is none, and its discovery document.

    None where it was not tried: nothing is, about an earlier moment.
    """

    has_secret: bool | None = None
    token_endpoint: Failure | None = None
    discovery: str | None = None
    """What is wrong with it; empty: nothing."""
    logout_address: str = ""
    """Where the IdP, which says that it tells of logouts, is to tell of them; empty where it does not say so."""


def facts_of(idp: Idp, callback: str) -> Facts:
    """What is known of an IdP here that a diagnosis may have someone paste."""
    assert idp.registration is not None
    return Facts(
        idp=idp.idp,
        callback=callback,
        client_id=idp.registration.event.client_id,
        requested=requested_scopes(idp),
        authorize_params=authorize_parameters(idp),
    )


def examine(
    idp: Idp, facts: Facts, probed: Probed, in_vain: Mapping[str, bool], *, console: str | None, seen: str | None
) -> tuple[Check, ...]:
    """Everything that was looked at, in the order in which to mend it.

    `in_vain` are the scopes that users did not give, and whether the provider gives them to nobody; `console` is the
    callback address that the app's console shows, `seen` words or an address of a page that somebody saw.
    """
    return tuple(
        check
        for checks in (
            _recognised(idp, facts, seen),
            _registration(idp, probed),
            _credentials(idp, facts, probed),
            _discovery(probed),
            _callback(facts, console),
            _logout(probed),
            _parameters(idp),
            _union(idp),
            _trials(idp),
            _in_vain(idp, facts, in_vain),
            _failures(idp, facts),
        )
        for check in checks
    )


def _recognised(idp: Idp, facts: Facts, seen: str | None) -> Iterator[Check]:
    if seen is None:
        return
    found = recognise(idp.profile, seen, facts)
    if not found:
        yield Check(check="seen", verdict="not-known", says="Nothing known is in what was seen.")
    for place, one in enumerate(found):
        verdict: Verdict = "doubtful" if place else "wrong"
        yield Check(check="seen", verdict=verdict, says=one.what, diagnosis=one, paste=one.paste)


def _registration(idp: Idp, probed: Probed) -> Iterator[Check]:
    assert idp.registration is not None
    name = idp.registration.event.profile
    try:
        profile_named(name)
    except UnknownProfile:
        known = ", ".join(profiles())
        says = f"This version knows no profile {name}, so nothing is known of the provider. It knows: {known}."
        yield Check(check="registration", verdict="wrong", says=says)
        return
    if probed.has_secret is False:
        says = f"The vault holds no client secret. Register {idp.idp} again with: scopefold idp register {idp.idp}"
        yield Check(check="registration", verdict="wrong", says=says)
        return
    kept = ", a client id and a client secret" if probed.has_secret else " and a client id"
    says = f"Registered with the profile {name}{kept}."
    yield Check(check="registration", verdict="good", says=says)


def _credentials(idp: Idp, facts: Facts, probed: Probed) -> Iterator[Check]:
    """The IdP that knows our app refuses the code; the one that does not refuses us."""
    answer = probed.token_endpoint
    if answer is None:
        return
    found = diagnose(idp.profile, answer, facts)
    told = f"{answer.error or answer.status}"
    if answer.error in _CODE_REFUSED and found.who != "operator":
        says = "The token endpoint knows the app: it refused a code that is none, and not the client id or secret."
        yield Check(check="credentials", verdict="good", says=says)
    elif found.id == "unknown" or (answer.error not in ("invalid_client",) and found.who in ("user", "nobody")):
        says = f"Whether the client id and secret are right is not known: the token endpoint answered {told}."
        yield Check(check="credentials", verdict="not-known", says=says)
    else:
        says = f"The token endpoint answered {told} to a code that is none. {found.what}"
        yield Check(check="credentials", verdict="wrong", says=says, diagnosis=found, paste=found.paste)


def _discovery(probed: Probed) -> Iterator[Check]:
    if probed.discovery is None:
        return
    if probed.discovery:
        yield Check(
            check="discovery", verdict="wrong", says=f"The discovery document cannot be used: {probed.discovery}"
        )
    else:
        yield Check(check="discovery", verdict="good", says="The discovery document can be read and is the issuer's.")


def _callback(facts: Facts, console: str | None) -> Iterator[Check]:
    paste = (Paste("The callback address", facts.callback),)
    if console is None:
        says = "Compare the callback address with the app's console, byte for byte; or name it with --callback."
        yield Check(check="callback", verdict="not-known", says=says, paste=paste)
    elif (difference := first_difference(facts.callback, console)) is None:
        yield Check(check="callback", verdict="good", says="The console has the callback address, byte for byte.")
    else:
        yield Check(check="callback", verdict="wrong", says=difference, paste=paste)


def _logout(probed: Probed) -> Iterator[Check]:
    if not probed.logout_address:
        return
    says = "The provider can tell of logouts, if its app has this address: then who logs out there is logged out here."
    paste = (Paste("The back-channel logout address", probed.logout_address),)
    yield Check(check="logout", verdict="not-known", says=says, paste=paste)


def first_difference(ours: str, console: str) -> str | None:
    """How a console's callback address differs from ours, in words; None where it does not by a single byte."""
    if ours == console:
        return None
    at = next((n for n, (a, b) in enumerate(zip(ours, console, strict=False)) if a != b), min(len(ours), len(console)))
    found, wanted = _quoted(console[at:]), _quoted(ours[at:])
    where = f"The console's address differs from byte {at + 1} on: {found} in place of {wanted}."
    try:
        parts = zip(_PARTS, urlsplit(ours), urlsplit(console), strict=True)
        different = [name for name, one, other in parts if one != other]
    except ValueError:
        return where
    if console.strip() == ours:
        return f"{where} It has white space around it."
    if console.rstrip("/") == ours:
        return f"{where} It has a slash at its end."
    if console.lower() == ours.lower():
        return f"{where} Upper and lower case differ."
    return (
        f"{where} The {' and the '.join(different)} differ{'' if len(different) > 1 else 's'}." if different else where
    )


def _quoted(rest: str) -> str:
    return repr(rest if len(rest) <= 60 else f"{rest[:60]}…") if rest else "nothing"


def _parameters(idp: Idp) -> Iterator[Check]:
    assert idp.registration is not None
    own, sent = idp.registration.event.authorize_params, authorize_parameters(idp)
    wrong = False
    for name, value in idp.profile.authorize_params.items():
        if sent[name] == value:
            continue
        wrong = True
        says = f"{idp.profile.title} wants {name}={value}, and {name}={sent[name]} is sent: the registration says so."
        paste = (Paste("The authorize parameter", f"{name}={value}"),)
        verdict: Verdict = "doubtful" if sent[name] else "wrong"
        yield Check(check="parameters", verdict=verdict, says=says, paste=paste)
    if not wrong:
        told = " ".join(f"{name}={value}" for name, value in sent.items()) or "none"
        more = f", of which the registration adds {', '.join(own)}" if own else ""
        yield Check(check="parameters", verdict="good", says=f"Sent with every login: {told}{more}.")


def _union(idp: Idp) -> Iterator[Check]:
    assert idp.registration is not None
    asks = {one.connector: one.upstream_scopes for one in idp.connectors.values()}
    asks[f"the base scopes of {idp.idp}"] = idp.registration.event.base_scopes
    found = lint(idp.profile, asks, profiles().values())
    for finding in found:
        verdict: Verdict = "wrong" if finding.severity == "hard" else "doubtful"
        if finding.rule == "unsupported":
            verdict = "good"  # nothing is to be mended: base scopes are given before a profile is chosen
        by = f" Asked for by {', '.join(finding.asked_by)}." if finding.asked_by else ""
        yield Check(check="union", verdict=verdict, says=f"{finding.says}{by}")
    wanted = requested_scopes(idp)
    many = "1 scope is" if len(wanted) == 1 else f"{len(wanted)} scopes are"
    says = f"{many} asked for of every user."
    paste = (Paste("The scopes that the app needs in its console", " ".join(wanted)),)
    yield Check(check="union", verdict="good", says=says, paste=paste)


def _trials(idp: Idp) -> Iterator[Check]:
    for trial in idp.trials:
        scopes = " ".join(trial.scopes)
        if trial.suspect:
            says = (
                f"Since {trial.title} ({trial.connector}) was provisioned, {len(trial.failed)} have failed to log in "
                f"with what it newly asks for, {scopes}, the last with {trial.last_error}, and nobody has come "
                f"through. Look in the app's console whether it has these scopes; meanwhile logins can leave them out."
            )
            leave_out = Paste("Leave them out of logins for now", f"scopefold idp withhold {idp.idp}")
            look_for = Paste("The scopes to look for in the console", scopes)
            yield Check(check="suspect", verdict="wrong", says=says, paste=(leave_out, look_for))
        else:
            says = f"Nobody has come through yet with what {trial.title} newly asks for: {scopes}."
            yield Check(check="suspect", verdict="not-known", says=says)
    if idp.withheld:
        says = f"Logins leave out {' '.join(idp.withheld)}. When the app has them:"
        paste = (Paste("Ask for them again", f"scopefold idp restore {idp.idp}"),)
        yield Check(check="withheld", verdict="doubtful", says=says, paste=paste)


def _in_vain(idp: Idp, facts: Facts, in_vain: Mapping[str, bool]) -> Iterator[Check]:
    for scope, nobody_gets_it in in_vain.items():
        again = Paste("When that is mended, ask everybody again", f"scopefold idp restore {idp.idp} --scope {scope}")
        if nobody_gets_it:
            says = f"{idp.profile.title} was asked for {scope} and gave it to nobody: the app's console lacks it."
            add = Paste("The scope to add in the app's console", scope)
            yield Check(check="in-vain", verdict="wrong", says=says, paste=(add, again))
        else:
            says = f"Some users were asked for {scope} and did not allow it. After the second time they are not asked."
            yield Check(check="in-vain", verdict="doubtful", says=says, paste=(again,))


def _failures(idp: Idp, facts: Facts) -> Iterator[Check]:
    """What the log tells of failed logins, the latest first."""
    for one in reversed(idp.failures):
        found = named(idp.profile, one.diagnosis, facts) if one.diagnosis else None
        found = found or diagnose(idp.profile, Failure(WHERE.get(one.stage, "redirect"), one.error), facts)
        at = one.last.at.strftime("%Y-%m-%d %H:%M UTC")
        logins = "1 login" if one.count == 1 else f"{one.count} logins"
        says = f"{logins} failed with {one.error}, the last on {at} (event {one.last.seq}). {found.what}"
        yield Check(check="failures", verdict="doubtful", says=says, diagnosis=found, paste=found.paste)
