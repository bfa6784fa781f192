"""Parameters and problem answers that routes share, declared once for the OpenAPI document.

Rule of this room: declarations only. The framework reads bounds of parameters from these, not from the contract's types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from penstock.bounds import ID_PATTERN, NAME_PATTERN
from penstock_api.problems import MEDIA_TYPE, ProblemDetails

SEQUENCE_MAX: Final = 2**53

TaskId: TypeAlias = Annotated[str, PathParameter(pattern=ID_PATTERN, description="the task's id")]
EntryName: TypeAlias = Annotated[str, PathParameter(pattern=NAME_PATTERN, description="1 to 63 of a-z, 0-9, - and _")]
TokenId: TypeAlias = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{16}(?!\n)$", description="the token's id")]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=200, description="how many at most")]
After: TypeAlias = Annotated[int, QueryParameter(ge=0, le=SEQUENCE_MAX, description="only what is after this sequence")]
PatchNumber: TypeAlias = Annotated[int, PathParameter(ge=1, le=1_000, description="which commit, 1 first")]
JobId: TypeAlias = Annotated[str, PathParameter(pattern=ID_PATTERN, description="the job's id")]
CheckStage: TypeAlias = Annotated[
    str,
    PathParameter(
        pattern=r"^[a-z]{1,20}(-again)?$", description="the check's stage, such as test; test-again for its second run"
    ),
]
DecisionId: TypeAlias = Annotated[str, PathParameter(pattern=ID_PATTERN, description="the decision's id")]
IfMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="the ETag that was seen (or *): refused with 412 where another one stands"
    ),
]
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="* : refused with 412 where there is an entry already"),
]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="1 to 200 visible characters; the same key of the same token asks for the same thing",
    ),
]

_MEANING: Final[Mapping[int, str]] = {
    400: "the request cannot be read",
    401: "no good token",
    403: "the token's role does not suffice",
    404: "no such thing",
    409: "not possible as things stand",
    410: "no longer stored",
    412: "the entry is not the one that was seen",
    413: "the body is over 256 kB",
    415: "the body is not JSON",
    422: "a value that cannot be taken; `field` says which",
    429: "too many at once; `Retry-After` says when to ask again",
    503: "a part is away; `Retry-After` says when to ask again",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem answers of a route: the ones named and those of every route with a token."""
    return {status: _spec(status) for status in sorted({400, 401, 403, 422, 503, *statuses})}


def _spec(status: int) -> ResponseSpec:
    return ResponseSpec(
        ProblemDetails,
        generate_examples=False,
        description=_MEANING[status],
        media_type=MEDIA_TYPE,
        examples=[_EXAMPLE] if status == 422 else None,
    )


_EXAMPLE: Final = Example(
    value={
        "type": "urn:penstock:problem:invalid",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "Expected `int` <= 9",
        "field": "priority",
        "value": "12",
        "hint": "a whole number from 1 to 9",
        "instance": "/v1/tasks",
    }
)
