"""What a developer console shows of a stand-in and lets one set: its app, its switches, its faults."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from scopefold.sandbox.core.faults import Faults
from scopefold.sandbox.core.state import App, State

S = TypeVar("S", bound=Struct)
Callback = Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]{1,2000}$")]
Scope = Annotated[str, Meta(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,255}$")]


class AppSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the developer console lets one change of an app."""

    name: Annotated[str, Meta(min_length=1, max_length=100, title="Name", description="As the consent page says it.")]
    callbacks: Annotated[
        tuple[Callback, ...],
        Meta(max_length=50, title="Callbacks", description="Where users may be sent back to, one address a line."),
    ]
    permitted_scopes: Annotated[
        tuple[Scope, ...],
        Meta(
            max_length=500,
            title="Permitted scopes",
            description="What the console lists, one scope a line. Take one out to see what a login does without it.",
        ),
    ]


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """What to set of a stand-in. A part that is left out stays; what is left out of a part goes to its first value."""

    app: AppSettings | None = None
    switches: msgspec.Raw = msgspec.Raw()
    faults: Faults | None = None


def app_of(state: State[S]) -> App:
    """The one app that a stand-in has."""
    return next(iter(state.apps.values()))


def settings_of(app: App) -> AppSettings:
    """What the console shows of an app that can be changed."""
    return AppSettings(app.name, app.callbacks, tuple(sorted(app.permitted_scopes)))


def change(state: State[S], app: App, wanted: AppSettings) -> None:
    """Change an app; grants already given stay as they are."""
    state.apps[app.client_id] = replace(
        app, name=wanted.name, callbacks=wanted.callbacks, permitted_scopes=frozenset(wanted.permitted_scopes)
    )


def shown(state: State[S]) -> Mapping[str, Any]:
    """Everything that can be set, the grants that can be revoked, and how refresh tokens were used."""
    given = [{"client_id": one.client_id, "user": one.user, "scopes": one.scopes} for one in state.grants.values()]
    return {
        "app": {"client_id": app_of(state).client_id, **msgspec.structs.asdict(settings_of(app_of(state)))},
        "switches": state.switches,
        "faults": state.faults,
        "grants": given,
        "seen": state.seen,
    }


def read(state: State[S], wanted: Wanted) -> tuple[AppSettings | None, S | None, Faults | None]:
    """The parts, each checked. Raises `msgspec.ValidationError`."""
    switches = msgspec.json.decode(wanted.switches, type=type(state.switches)) if wanted.switches else None
    return wanted.app, switches, wanted.faults


def apply(state: State[S], app: AppSettings | None, switches: S | None, faults: Faults | None) -> None:
    """Set the parts that are there."""
    if app is not None:
        change(state, app_of(state), app)
    state.switches = state.switches if switches is None else switches
    state.faults = state.faults if faults is None else faults
