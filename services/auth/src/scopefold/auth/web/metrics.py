"""`GET /v1/metrics`: what this replica counts, for collectors. No user, client, address or text of others is in it."""

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.metrics import CONTENT_TYPE, Metric, text_of
from scopefold.auth.store.bus_log import BusLogs
from scopefold.auth.web.service import Service, service_of
from scopefold.auth.web.turns import Came
from scopefold.contracts.recorded import KINDS
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.web import JSON_HEADERS


async def metrics(request: Request) -> Response:
    """`GET /v1/metrics`, also while this replica is not ready: it says so."""
    told = text_of(_counted(service_of(request)))
    return Response(told, headers={**JSON_HEADERS, "content-type": CONTENT_TYPE})


def _counted(service: Service) -> tuple[Metric, ...]:
    projection, came = service.projection, service.renewals.came
    folded = projection.checkpoint.seq if projection.checkpoint else 0
    aside = dict.fromkeys(KINDS, 0) | projection.quarantined
    lacking = {idp: projection.count("missing", idp) for idp in projection.scopes.idps}
    return (
        Metric(
            "ready", "1 while this replica serves, 0 while it waits or needs an operator.", "gauge", _ready(service)
        ),
        Metric("folded_sequence", "The last message of the log that is folded.", "gauge", {"": folded}),
        Metric(
            "quarantined_messages_total",
            "Messages of the log that no fold may use, by what is wrong: see scopefold log verify.",
            "counter",
            aside,
            "kind",
        ),
        Metric("reconsent_users", "Users who must consent again at an identity provider.", "gauge", lacking, "idp"),
        Metric(
            "renewals_total",
            "What came of renewing upstream tokens, at this replica since it began.",
            "counter",
            {one: came[one] for one in get_args(Came)},
            "outcome",
        ),
        Metric(
            "limited_requests_total",
            "Requests that were told to wait, at this replica since it began.",
            "counter",
            service.limits.refused(),
            "limit",
        ),
        Metric(
            "defects_total",
            "How often a defect ended a part of this replica, which was begun again, since the replica began.",
            "counter",
            service.parts.defects,
            "part",
        ),
        *_refused(service.bus_logs),
    )


def _refused(logs: BusLogs) -> tuple[Metric, ...]:
    """Nothing where this replica was told of no log: a counter that never rises would say that all is well."""
    if not logs.are_told:
        return ()
    told = "What the bus refused, by kind, as its servers' logs say since this replica began."
    read = "1 while every log of the bus that this replica was told of is read."
    return (
        Metric("bus_refused_total", told, "counter", logs.refused, "kind"),
        Metric("bus_log_read", read, "gauge", {"": int(not logs.unread)}),
    )


def _ready(service: Service) -> dict[str, int]:
    try:
        service.check_ready()
    except LogUnavailable:
        return {"": 0}
    return {"": 1}
