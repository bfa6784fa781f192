"""What a route takes behind the question mark: which names, and in words what each of them may be.

Rule of this room: it is read off the OpenAPI document, so that an answer never says anything else than the document does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct, field

from penstock_api.auth import ACCESS
from penstock_api.problems import AnyRequest, invalid

Parameters: TypeAlias = Mapping[tuple[str, str], Mapping[str, str]]
"""By method and path of a route: by name, what each parameter may be, in words."""


class _Schema(Struct, frozen=True, kw_only=True):
    type: str | tuple[str, ...] = ""
    enum: tuple[str | None, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    longest: int | None = field(name="maxLength", default=None)


class _Parameter(Struct, frozen=True, kw_only=True):
    name: str
    place: str = field(name="in")
    schema: _Schema


class _Operation(Struct, frozen=True, kw_only=True):
    parameters: tuple[_Parameter, ...] = ()


class _Document(Struct, frozen=True, kw_only=True):
    paths: dict[str, dict[str, _Operation]]


async def check_query(request: AnyRequest) -> None:
    """Before every route, and after its guard. Raises Problem where a parameter is unknown, or there twice: a filter with a
    slip in its name would filter nothing, and its answer would look like one."""
    template = request.scope["path_template"]
    if ACCESS.get((request.method, template)) is None:
        # For everybody, probes and forges among them: what these add to an address is theirs to say.
        return
    parameters: Parameters = request.app.state.parameters
    known = parameters.get((request.method, template), {})
    for name in request.query_params:
        if name not in known:
            hint = f"there are: {', '.join(known)}" if known else "there are none here"
            raise invalid(name[:200], "there is no such parameter", hint=hint)
        if len(request.query_params.getall(name)) > 1:
            raise invalid(name, "this parameter is given twice", hint="give it once")


def parameters_of(document: bytes) -> Parameters:
    """What the parameters of each route's query may be, as the OpenAPI document has it."""
    return {
        (method.upper(), template): {
            one.name: _in_words(one.schema) for one in operation.parameters if one.place == "query"
        }
        for template, operations in msgspec.json.decode(document, type=_Document).paths.items()
        for method, operation in operations.items()
    }


def _in_words(schema: _Schema) -> str:
    if schema.enum:
        return f"one of: {', '.join(value for value in schema.enum if value is not None)}"
    if schema.type == "integer":
        assert schema.minimum is not None
        assert schema.maximum is not None
        return f"a whole number from {schema.minimum:.16g} to {schema.maximum:.16g}"
    return "text" if schema.longest is None else f"text of at most {schema.longest} characters"
