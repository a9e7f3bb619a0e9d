"""The commands over NATS request/reply. Whatever is sent, the answer is a ConnectorAnswer."""

from typing import Final, TypeVar

import msgspec
from faststream.nats import NatsBroker, NatsMessage

from scopefold.contracts.commands import ConnectorAnswer, DeprovisionConnector, ProvisionConnector, command_subject
from scopefold.provisioner.problems import FAILURES, as_struct, granted, problem_of
from scopefold.provisioner.provisioning import Provisioning
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, rule_of

QUEUE: Final = "provisioner"
C = TypeVar("C", ProvisionConnector, DeprovisionConnector)
_TOLD: Final[tuple[type[Exception], ...]] = (ProblemError, *FAILURES)
log = logger(__name__)


def subscribe(broker: NatsBroker, *, tenant: str, provisioning: Provisioning) -> None:
    """Add the subscribers of both commands; replicas share them through one queue group."""

    @broker.subscriber(command_subject(tenant, ProvisionConnector), queue=QUEUE, decoder=_untouched)
    async def provision(body: bytes) -> ConnectorAnswer:
        return await answer(provisioning, body, ProvisionConnector)

    @broker.subscriber(command_subject(tenant, DeprovisionConnector), queue=QUEUE, decoder=_untouched)
    async def deprovision(body: bytes) -> ConnectorAnswer:
        return await answer(provisioning, body, DeprovisionConnector)


async def answer(provisioning: Provisioning, body: bytes, kind: type[C]) -> ConnectorAnswer:
    """Decode, handle, answer. Never raises: what goes wrong is the answer's problem."""
    try:
        outcome = granted(await provisioning.handle(_decode(body, kind)))
    except _TOLD as error:
        return ConnectorAnswer(problem=as_struct(problem_of(error)))
    except Exception as error:
        log.error("command failed", command=kind.__name__, error=type(error).__name__, exc_info=error)
        return ConnectorAnswer(problem=as_struct(problem_of(error)))
    return ConnectorAnswer(changed=outcome.changed, resource=outcome.resource)


async def _untouched(message: NatsMessage) -> bytes:
    """The body as it came: FastStream would guess at its type, and drop what it cannot read without an answer."""
    return message.body


def _decode(body: bytes, kind: type[C]) -> C:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ProblemError(422, "invalid-body", "The command breaks a rule of this API", rule_of(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, "malformed-body", "The command cannot be read", str(error)) from None
