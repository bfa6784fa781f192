"""Routes of the notifier: which events go where.

Rule of this room: a secret is named, never given; what could never be delivered is refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from litestar import Response, delete, get, put
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct

from penstock.bounds import Line, Name, Word
from penstock.catalog import Route
from penstock.codec import known_types
from penstock_api.problems import invalid
from penstock_api.request import ApiRequest
from penstock_api.routes import entries
from penstock_api.routes.shapes import EntryName, IfMatch, IfNoneMatch, problems

ENTRIES_MAX: Final = 100
_SECRET_REF: Final = re.compile(r"file:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class RouteBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route as it is put. `types` empty: the ends of tasks and whatever needs a person. `repos` empty: all.
    `secret_ref`: `file:<name>`, a file in the notifier's folder of secrets."""

    name: Name | None = None
    channel: Literal["console", "webhook"]
    types: Annotated[tuple[Word, ...], Meta(max_length=ENTRIES_MAX)] = ()
    repos: Annotated[tuple[Name, ...], Meta(max_length=ENTRIES_MAX)] = ()
    url: Annotated[str, Meta(max_length=1_000)] = ""
    secret_ref: Line = ""
    enabled: bool = True


class Routes(Struct, frozen=True, kw_only=True):
    """All routes, by name."""

    routes: tuple[Route, ...]


Body = Annotated[
    RouteBody,
    BodyKwarg(
        media_type="application/json",
        examples=[
            Example(
                value={"channel": "webhook", "url": "https://example.com/penstock", "secret_ref": "file:penstock-hook"}
            )
        ],
    ),
]


@put(
    "/v1/routes/{name:str}",
    summary="Add or replace a route",
    responses=problems(404, 412, 413, 415, 422),
    tags=["catalogue"],
)
async def put_route(
    request: ApiRequest, name: EntryName, data: Body, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> Response[Route]:
    if data.name not in (None, name):
        raise invalid("name", f"the path says {name}", value=data.name, hint="leave it out, or give the same name")
    if unknown := sorted(set(data.types) - known_types()):
        known = f"known: {', '.join(sorted(known_types()))}"
        raise invalid("types", "there is no such event", value=unknown[0], hint=known)
    _check_target(data)
    route = Route(
        name=name,
        channel=data.channel,
        types=data.types,
        repos=data.repos,
        url=data.url,
        secret_ref=data.secret_ref,
        enabled=data.enabled,
    )
    return await entries.write(request.parts.catalog.routes, name, route, if_match, if_none_match)


def _check_target(data: RouteBody) -> None:
    if data.channel == "console":
        for field, value in (("url", data.url), ("secret_ref", data.secret_ref)):
            if value:
                raise invalid(field, "this is for webhooks only", hint="leave it out, or set channel to webhook")
        return
    if reason := _url_problem(data.url):
        raise invalid("url", f"this address is refused: {reason}", hint="https://host/path")
    if not _SECRET_REF.fullmatch(data.secret_ref):
        detail = "a webhook is signed, so it needs a secret" if not data.secret_ref else "not the name of a secret"
        raise invalid("secret_ref", detail, hint="file:<name> of a file in the notifier's folder of secrets")


def _url_problem(url: str) -> str | None:
    if not url.isascii() or not url.isprintable() or " " in url:
        return "it holds something other than visible ASCII"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in ("https", "http"):
        return f"its scheme is {parts.scheme or 'missing'}"
    if parts.username is not None or parts.password is not None:
        return "it carries credentials"
    return None if parts.hostname else "it names no host"


@get("/v1/routes/{name:str}", summary="One route", responses=problems(404), tags=["catalogue"])
async def get_route(request: ApiRequest, name: EntryName) -> Response[Route]:
    return await entries.read(request.parts.catalog.routes, name, f"route {name}")


@get("/v1/routes", summary="All routes", responses=problems(), tags=["catalogue"])
async def list_routes(request: ApiRequest) -> Routes:
    found = request.parts.catalog.routes.entries
    return Routes(routes=tuple(found[name] for name in sorted(found)))


@delete("/v1/routes/{name:str}", summary="Remove a route", responses=problems(404, 412), tags=["catalogue"])
async def delete_route(request: ApiRequest, name: EntryName, if_match: IfMatch = None) -> None:
    await entries.remove(request.parts.catalog.routes, name, f"route {name}", if_match)
