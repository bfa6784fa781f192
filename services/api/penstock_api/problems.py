"""Every error that a client sees, as problem details (RFC 9457).

Rule of this room: a client gets a sentence that helps it on; what went wrong inside is in the log, under the id it is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
import nats.errors
import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct

from penstock import ids
from penstock.bounds import clip

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
VALUE_LENGTH_MAX: Final = 100
RETRY_AFTER_SECONDS: Final = 2


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong. `type` names the kind for programs; `field` is what was wrong in the request, `value` what stood there
    (shortened), `hint` what would be right; `instance` is the path, or the id under which an error of ours is in the log."""

    type: str
    title: str
    status: int
    detail: str = ""
    field: str = ""
    value: str = ""
    hint: str = ""
    instance: str = ""


class Problem(Exception):
    """An answer that is not the one hoped for. `kind` is the last part of the problem's type."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        field: str = "",
        value: str = "",
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.field, self.value, self.hint = field, value, hint
        self.headers = dict(headers or {})


def invalid(field: str, detail: str, *, value: object = None, hint: str = "", status: int = 422) -> Problem:
    """A value that cannot be taken. `value` is shown shortened: leave it out where it may be a secret."""
    return Problem(status, "invalid", detail, field=field, value=shown(value), hint=hint)


def not_found(what: str, hint: str = "") -> Problem:
    return Problem(404, "not-found", f"there is no {what}", hint=hint)


def conflict(detail: str, *, field: str = "", hint: str = "") -> Problem:
    return Problem(409, "conflict", detail, field=field, hint=hint)


def unavailable(part: str, reason: str, *, after_seconds: int = RETRY_AFTER_SECONDS) -> Problem:
    """`part` is what is waited for: postgresql, nats, orchestrator."""
    return Problem(503, "unavailable", f"{part}: {reason}", headers={"Retry-After": str(after_seconds)})


def shown(value: object) -> str:
    """The value as a client wrote it, at most 100 characters."""
    if value is None:
        return ""
    try:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return ""
    return clip(text, VALUE_LENGTH_MAX) if len(text) <= 10_000 else text[:VALUE_LENGTH_MAX] + "..."


@contextlib.contextmanager
def broker_errors() -> Iterator[None]:
    """Around calls to the broker: its absence becomes a 503 that says so."""
    try:
        yield
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise unavailable("nats", str(error) or type(error).__name__) from error


def details(problem: Problem, path: str) -> ProblemDetails:
    return ProblemDetails(
        type=f"urn:penstock:problem:{problem.kind}",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        field=problem.field,
        value=problem.value,
        hint=problem.hint,
        instance=path,
    )


AnyRequest = Request[object, object, State]


def answer(request: AnyRequest, problem: Problem) -> Response[bytes]:
    """The handler for Problem."""
    return _response(details(problem, request.scope["path"]), problem.headers)


def answer_http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """The handler for what the framework itself refuses: no such path, method, parameter, too much body."""
    status, headers = error.status_code, error.headers or {}
    if status >= 500:
        return answer_unexpected(request, error)
    if isinstance(error, ValidationException):
        return answer(request, _parameter_problem(request, error))
    texts = {
        404: "there is nothing at this path",
        405: f"{request.method} is not possible here",
        413: "the body is too large: at most 256 kB",
    }
    kind = HTTPStatus(status).phrase.lower().replace(" ", "-")
    return answer(request, Problem(status, kind, texts.get(status, error.detail), headers=headers))


def _parameter_problem(request: AnyRequest, error: ValidationException) -> Problem:
    extra = error.extra
    first = extra[0] if isinstance(extra, list) and extra else {}
    assert isinstance(first, dict)
    field, message = str(first.get("key", "")), str(first.get("message", error.detail))
    if field == "data":
        return Problem(400, "malformed-json", "the body is empty", hint="send JSON with Content-Type: application/json")
    if first.get("source") != "path":
        allowed = request.app.state.parameters.get((request.method, request.scope["path_template"]), {})
        hint = allowed.get(field, "see the parameter in /v1/openapi.json")
        return invalid(field, message, value=request.query_params.get(field), hint=hint)
    if request.method == "PUT":
        return invalid(field, message, hint="1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit")
    return Problem(404, "not-found", f"there is no such {field}: {message}", field=field)


def answer_unexpected(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The handler for everything else: an id for the client, the rest for the log."""
    id_ = ids.fresh()
    log.error("http.failed", error_id=id_, method=request.method, path=request.scope["path"], exc_info=error)
    return _response(unexpected(id_), {})


def unexpected(error_id: str) -> ProblemDetails:
    return ProblemDetails(
        type="urn:penstock:problem:internal",
        title="Internal Server Error",
        status=500,
        detail=f"an error of the api, in its log under {error_id}",
        instance=f"urn:penstock:error:{error_id}",
    )


def _response(body: ProblemDetails, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(
        content=msgspec.json.encode(body), status_code=body.status, media_type=MEDIA_TYPE, headers=dict(headers)
    )
