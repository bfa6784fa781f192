"""Templates: settings of a task by name.

Rule of this room: what a template says is checked as strictly as what a task says.
"""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, get, put
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Struct

from penstock.bounds import Name
from penstock.catalog import Template
from penstock_api.problems import invalid
from penstock_api.request import ApiRequest
from penstock_api.routes import entries
from penstock_api.routes.shapes import EntryName, IfMatch, IfNoneMatch, problems
from penstock_api.routes.wishes import WishBody, checked_wish


class TemplateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template as it is put. `name`, where it is given, is the one in the path."""

    name: Name | None = None
    task: WishBody


class Templates(Struct, frozen=True, kw_only=True):
    """All templates, by name."""

    templates: tuple[Template, ...]


Body = Annotated[
    TemplateBody,
    BodyKwarg(
        media_type="application/json",
        examples=[Example(value={"task": {"mode": "interactive", "labels": ["careful"], "max_cost_usd": 5}})],
    ),
]


@put(
    "/v1/templates/{name:str}",
    summary="Add or replace a template",
    responses=problems(404, 412, 413, 415, 422),
    tags=["catalogue"],
)
async def put_template(
    request: ApiRequest, name: EntryName, data: Body, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> Response[Template]:
    if data.name not in (None, name):
        raise invalid("name", f"the path says {name}", value=data.name, hint="leave it out, or give the same name")
    template = Template(name=name, task=await checked_wish(request.parts, data.task, "task."))
    return await entries.write(request.parts.catalog.templates, name, template, if_match, if_none_match)


@get("/v1/templates/{name:str}", summary="One template", responses=problems(404), tags=["catalogue"])
async def get_template(request: ApiRequest, name: EntryName) -> Response[Template]:
    return await entries.read(request.parts.catalog.templates, name, f"template {name}")


@get("/v1/templates", summary="All templates", responses=problems(), tags=["catalogue"])
async def list_templates(request: ApiRequest) -> Templates:
    found = request.parts.catalog.templates.entries
    return Templates(templates=tuple(found[name] for name in sorted(found)))


@delete(
    "/v1/templates/{name:str}",
    summary="Remove a template; schedules that use it can submit nothing until there is one again",
    responses=problems(404, 412),
    tags=["catalogue"],
)
async def delete_template(request: ApiRequest, name: EntryName, if_match: IfMatch = None) -> None:
    await entries.remove(request.parts.catalog.templates, name, f"template {name}", if_match)
