"""Every route of the admin API."""

from collections.abc import Callable

from scopefold.auth.core.clearing import ClearTokens
from scopefold.auth.core.idps import RegisterIdp
from scopefold.auth.core.pruning import Prune
from scopefold.auth.core.withholding import Restore, Withhold
from scopefold.auth.web import (
    admin,
    clear_tokens,
    client_admin,
    doctor,
    erasing,
    log_reads,
    metrics,
    plans,
    previews,
    pruning,
    reconsent_link,
    registration,
    removing,
    signing_keys,
    users,
    vault_keys,
    webhook_admin,
    withholding,
    worklist,
    worklist_export,
)
from scopefold.auth.web.service import Service
from scopefold.consent.export import Line
from scopefold.runtime.moment import MomentQuery
from scopefold.runtime.web import Endpoint, Handler, require_bearer

Guard = Callable[[Handler], Handler]
CLIENTS = "/api/v1/organizations/{org}/clients"


def admin_endpoints(service: Service) -> list[Endpoint]:
    """Every route of the admin API, each for operators alone."""
    guard = require_bearer(service.settings.admin_token)
    return [
        *_idps(guard),
        *_unions(guard),
        *_clients(guard),
        *_users(guard),
        *_tokens(guard),
        *_keys(guard),
        *vault_keys.endpoints(guard),
        *_log(guard),
        *log_reads.endpoints(guard),
        _metrics(service),
    ]


def _metrics(service: Service) -> Endpoint:
    """For operators, and for a collector that has a credential for this alone."""
    settings = service.settings
    known = [one for one in (settings.admin_token, settings.metrics_token) if one.reveal()]
    return Endpoint(
        method="GET",
        path="/v1/metrics",
        summary="What this replica counts, as text in the Prometheus exposition format",
        handler=require_bearer(*known)(metrics.metrics),
        answers={200: None},
        problems=(401,),
    )


def _idps(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="POST",
            path="/v1/idps",
            summary="Register an identity provider",
            handler=guard(admin.register_idp),
            body=RegisterIdp,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 415, 422, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/idps",
            summary="List the identity providers",
            handler=guard(admin.list_idps),
            query=MomentQuery,
            answers={200: admin.IdpViews},
            problems=(400, 401, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/idps/{idp}",
            summary="Show one identity provider: its union, and which connectors it is made of",
            handler=guard(admin.show_idp),
            query=MomentQuery,
            answers={200: admin.IdpView},
            problems=(400, 401, 404, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/idps/{idp}/doctor",
            summary="What is wrong with an identity provider, why, who can mend it and how; no user is needed",
            handler=guard(doctor.doctor),
            query=doctor.DoctorQuery,
            answers={200: doctor.Checkup},
            problems=(400, 401, 404, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/idps/{idp}/withheld",
            summary="Leave scopes out of logins for now, since the provider refuses people over them",
            handler=guard(withholding.withhold_scopes),
            body=Withhold,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/idps/{idp}/restored",
            summary="Ask for scopes again: of everybody who lacks them",
            handler=guard(withholding.restore_scopes),
            body=Restore,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
        plans.endpoint(guard),
        removing.endpoint(guard),
    ]


def _unions(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/v1/idps/{idp}/scopes",
            summary="Who wants each scope of an identity provider's union, since when; and what nobody wants any more",
            handler=guard(pruning.list_scopes),
            query=MomentQuery,
            answers={200: pruning.ScopeViews},
            problems=(400, 401, 404, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/idps/{idp}/pruned",
            summary="Take scopes out of the union that nobody wants any more",
            handler=guard(pruning.prune_scopes),
            body=Prune,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/previews",
            summary="What would become of an identity provider and its users if an event were appended",
            handler=guard(previews.preview),
            body=previews.PreviewRequest,
            answers={200: previews.Preview},
            problems=(400, 401, 415, 422, 503),
        ),
    ]


def _clients(guard: Guard) -> list[Endpoint]:
    view, one = client_admin.ClientView, CLIENTS + "/{client_id:path}"
    return [
        Endpoint(
            method="POST",
            path=CLIENTS,
            summary="Register a client",
            handler=guard(client_admin.register_client),
            body=client_admin.RegisterClient,
            answers={201: view, 200: view},
            problems=(400, 401, 404, 409, 415, 422, 503),
        ),
        Endpoint(
            method="GET",
            path=CLIENTS,
            summary="List the clients",
            handler=guard(client_admin.list_clients),
            answers={200: client_admin.ClientViews},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="POST",
            path=f"{one}/secret",
            summary="Give a client a new secret",
            handler=guard(client_admin.rotate_secret),
            answers={200: view},
            problems=(401, 404, 409, 422, 503),
        ),
        Endpoint(
            method="GET",
            path=one,
            summary="Show one client",
            handler=guard(client_admin.show_client),
            answers={200: view},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="PUT",
            path=one,
            summary="Register a client, or make it so whatever it was",
            handler=guard(client_admin.put_client),
            body=client_admin.DescribeClient,
            answers={201: view, 200: view},
            problems=(400, 401, 404, 409, 415, 422, 503),
        ),
        Endpoint(
            method="DELETE",
            path=one,
            summary="Remove a client",
            handler=guard(client_admin.remove_client),
            answers={204: None},
            problems=(401, 404, 409, 503),
        ),
        Endpoint(
            method="POST",
            path="/api/v1/organizations/{org}/registration-tokens",
            summary="Give somebody leave to register clients (RFC 7591)",
            handler=guard(registration.issue_initial_access),
            body=registration.IssueInitialAccess,
            answers={201: registration.InitialAccessView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
    ]


def _users(guard: Guard) -> list[Endpoint]:
    sessions, groups = "/v1/users/{user}/sessions", "/v1/users/{user}/groups"
    return [
        Endpoint(
            method="GET",
            path=sessions,
            summary="List a user's sessions",
            handler=guard(users.list_sessions),
            answers={200: users.SessionViews},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="DELETE",
            path=sessions,
            summary="End all sessions of a user, and tell their clients",
            handler=guard(users.end_every_session),
            answers={200: users.SessionViews},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="DELETE",
            path=sessions + "/{sid}",
            summary="End one session, and tell its clients",
            handler=guard(users.end_one_session),
            answers={200: users.SessionView},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="GET",
            path=groups,
            summary="Show the groups that operators put a user into",
            handler=guard(users.show_groups),
            answers={200: users.UserGroups},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="PUT",
            path=groups,
            summary="Say which groups a user is in",
            handler=guard(users.put_groups),
            body=users.UserGroups,
            answers={200: users.UserGroups},
            problems=(400, 401, 404, 415, 422, 503),
        ),
        Endpoint(
            method="DELETE",
            path="/v1/users/{user}",
            summary="Erase a user for ever: nothing personal of them is left that anybody can read",
            handler=guard(erasing.erase_user),
            answers={200: erasing.ErasedUser},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="DELETE",
            path="/v1/users/{user}/grants",
            summary="End everything that apps were granted on behalf of a user: each must have them log in anew",
            handler=guard(users.end_grants),
            answers={204: None},
            problems=(401, 404, 503),
        ),
    ]


def _tokens(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="POST",
            path="/v1/tokens/clear",
            summary="Clear users' upstream tokens, or preview it: they must consent again at their next visit",
            handler=guard(clear_tokens.clear_tokens),
            body=ClearTokens,
            answers={200: clear_tokens.ClearedTokens},
            problems=(400, 401, 415, 422, 503),
        ),
    ]


def _keys(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/v1/keys",
            summary="List the signing keys, without anything secret",
            handler=guard(signing_keys.list_keys),
            answers={200: signing_keys.KeyViews},
            problems=(401, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/keys/rotate",
            summary="Sign with the next key of every algorithm, and announce another",
            handler=guard(signing_keys.rotate_keys),
            answers={200: signing_keys.KeyViews},
            problems=(401, 409, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/keys/{kid}/revoke",
            summary="Take a key that leaked out of use: nothing that it signed is believed any more",
            handler=guard(signing_keys.revoke_key),
            answers={200: signing_keys.KeyViews},
            problems=(401, 404, 503),
        ),
    ]


def _log(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/v1/webhook/dead",
            summary="The messages that the webhook did not take",
            handler=guard(webhook_admin.list_dead),
            answers={200: webhook_admin.DeadViews},
            problems=(401, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/webhook/dead/{message}/retry",
            summary="Send a message once more that the webhook did not take",
            handler=guard(webhook_admin.retry_dead),
            answers={204: None},
            problems=(401, 404, 409, 502, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/reconsent",
            summary="Who must consent again, to what, since when and because of what",
            handler=guard(worklist.reconsent),
            query=worklist.WorklistQuery,
            answers={200: worklist.Worklist},
            problems=(400, 401, 404, 422, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/reconsent/counts",
            summary="The worklist, counted by IdP, connector, scope, reason or group",
            handler=guard(worklist.counts),
            query=worklist.CountsQuery,
            answers={200: worklist.Counts},
            problems=(400, 401, 404, 422, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/reconsent/links",
            summary="Make links that take users to the consent that is missing at an IdP; sending them is not ours",
            handler=guard(reconsent_link.make_links),
            body=reconsent_link.MakeLinks,
            answers={201: reconsent_link.Links},
            problems=(400, 401, 415, 422, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/reconsent/export",
            summary="The whole worklist as CSV, JSON Lines or Parquet; what is described here is a line of it",
            handler=guard(worklist_export.export),
            query=worklist_export.ExportQuery,
            answers={200: Line},
            problems=(400, 401, 404, 422, 501, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/quarantine",
            summary="Messages of the log that no fold may use, and why",
            handler=guard(admin.quarantine),
            query=MomentQuery,
            answers={200: admin.QuarantineView},
            problems=(400, 401, 503),
        ),
    ]
