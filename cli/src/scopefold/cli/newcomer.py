"""What `scopefold up --sandbox` sets up, so that a newcomer can click through at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from scopefold.cli import client, connector, idp
from scopefold.cli.answers import Idps
from scopefold.cli.api import Api
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.failure import Failure
from scopefold.cli.stand_ins import stand_in_for
from scopefold.runtime.secret import Secret

CONFLICT: Final = 409
IDP: Final = "atlassian"
JIRA: Final = "identos.jira-user"


def set_up(where: Endpoints, say: Callable[[str], None], *, bare: bool) -> None:
    """Register the playground and, unless `bare`, the sandbox's Atlassian with a Jira connector.

    What an operator has changed since an earlier start stays as it is, and is said. Raises `Failure`.
    """
    assert where.sandbox is not None
    token = Secret(Path(where.admin_token_file).read_text().strip())
    auth, provisioner = Api("auth", where.auth, token), Api("provisioner", where.provisioner, token)
    try:
        auth.call("POST", client.PATH, body=playground(where.sandbox))
    except Failure as failure:
        if failure.problem.status != CONFLICT:
            raise
        say(f"The playground cannot log anyone in: it was registered otherwise than at {where.sandbox}/playground.")
    if bare:
        return
    known = {one.idp: one.client_id for one in auth.call("GET", "/v1/idps").decoded(Idps).items}
    atlassian = sandbox_atlassian(where.sandbox)
    if known.get(IDP, atlassian.client_id) != atlassian.client_id:
        say(f"The IdP {IDP} is not the sandbox's; it stays as you registered it.")
        return
    auth.call("POST", "/v1/idps", body=atlassian)
    if IDP not in known:
        provisioner.call("POST", connector.RESOURCES, body=connector.Provision(connector=JIRA, idp=IDP))


def playground(sandbox: str) -> client.Registration:
    """The sandbox's app that logs users in through Scopefold: a public client."""
    return client.Registration(
        client_id="playground", client_name="Playground", redirect_uris=(f"{sandbox}/playground/callback",)
    )


def sandbox_atlassian(sandbox: str) -> idp.Registration:
    """The sandbox's stand-in for Atlassian, as an IdP. Raises `Failure` where the sandbox does not answer."""
    return idp.of_stand_in(IDP, "atlassian", stand_in_for(sandbox, "atlassian"))
