"""Talk to a service's HTTP API: Structs in and out, its problems as failures of this command."""

from collections.abc import Mapping
from typing import Any, BinaryIO, Final, TypeVar

import httpx
import msgspec
from msgspec import Struct

from scopefold.cli.failure import REFUSED, Failure, refused, unreachable
from scopefold.contracts.commands import Problem
from scopefold.runtime.secret import Secret

CALL_SECONDS: Final = 15.0
_NO_ADDRESS: Final = (httpx.InvalidURL, httpx.UnsupportedProtocol)
T = TypeVar("T")


class Reply(Struct, frozen=True):
    """An answer: its status, and its body untouched."""

    status: int
    body: bytes

    def decoded(self, kind: type[T]) -> T:
        """The body as this Struct. Raises `Failure` where the service speaks another version of its API."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise refused("The service answered something that this command does not understand", str(error)) from None


class Api:
    """One service, as an operator reaches it."""

    def __init__(self, service: str, url: str, admin_token: Secret) -> None:
        self.service = service
        self.url = url.rstrip("/")
        self._token = admin_token

    def _without_address(self, error: Exception) -> Failure:
        return unreachable(f"{self.service} has no usable address", f"{self.url!r}: {error}")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Do one operation. Raises `Failure`: refused with the service's own problem, or unreachable."""
        sent: dict[str, Any] = {"authorization": f"Bearer {self._token.reveal()}", **(headers or {})}
        content = None
        if body is not None:
            sent["content-type"] = "application/json"
            content = msgspec.json.encode(body)
        try:
            answer = httpx.request(
                method, self.url + path, params=params, headers=sent, content=content, timeout=CALL_SECONDS
            )
        except _NO_ADDRESS as error:
            raise self._without_address(error) from None
        except httpx.HTTPError as error:
            detail = f"{self.url} does not answer ({error}). Is Scopefold running? Try: scopefold up"
            raise unreachable(f"Cannot reach {self.service}", detail) from None
        if answer.is_success:
            return Reply(answer.status_code, answer.content)
        raise Failure(REFUSED, problem_in(answer))

    def download(self, path: str, params: Mapping[str, str], into: BinaryIO) -> None:
        """Read an answer of any length into a file. Raises `Failure` as `call`, also where it ends too early."""
        headers = {"authorization": f"Bearer {self._token.reveal()}"}
        try:
            with httpx.stream("GET", self.url + path, params=params, headers=headers, timeout=CALL_SECONDS) as answer:
                if not answer.is_success:
                    answer.read()
                    raise Failure(REFUSED, problem_in(answer))
                for chunk in answer.iter_bytes():
                    into.write(chunk)
        except _NO_ADDRESS as error:
            raise self._without_address(error) from None
        except httpx.HTTPError as error:
            raise unreachable(f"Cannot read all that {self.service} answers", f"{self.url}: {error}") from None


def problem_in(answer: httpx.Response) -> Problem:
    """The problem that an answer tells, or one that says that it told none."""
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        title = f"HTTP {answer.status_code} {answer.reason_phrase}".rstrip()
        detail = f"{answer.request.method} {answer.request.url.path} was refused, without saying why"
        status = answer.status_code if 400 <= answer.status_code <= 599 else 502
        return Problem(type="about:blank", title=title, status=status, detail=detail)
