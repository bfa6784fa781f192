"""The house itself: is it up, what does it offer, which hosts are there, what could not be delivered.

Rule of this room: looked at, never changed.
"""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from msgspec import Struct

from penstock import subjects as s
from penstock.bounds import clip
from penstock.catalog import HostState
from penstock_api.history import TIME_STAMP, read_page
from penstock_api.problems import broker_errors
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import After, Limit, problems

BODY_LENGTH_MAX: Final = 20_000


class Health(Struct, frozen=True, kw_only=True):
    """`problems`: why it is not ready, one sentence each."""

    ready: bool
    problems: tuple[str, ...] = ()


class Hosts(Struct, frozen=True, kw_only=True):
    """The executors that are there now, by name."""

    hosts: tuple[HostState, ...]


class DeadLetter(Struct, frozen=True, kw_only=True):
    """What could not be delivered or read. `source`: who gave it up; `headers` say why; `body` is its text, shortened."""

    sequence: int
    source: str
    name: str
    at: str
    headers: dict[str, str]
    body: str


class DeadLetters(Struct, frozen=True, kw_only=True):
    """Oldest first. `next`: the `after` of the page behind, null at the end."""

    dead_letters: tuple[DeadLetter, ...]
    next: int | None


@get("/healthz", summary="Is the process alive", tags=["house"])
async def healthz() -> Health:
    return Health(ready=True)


@get("/readyz", summary="Can it do its work, and if not, why", tags=["house"])
async def readyz(request: ApiRequest) -> Response[Health]:
    found = tuple(request.parts.problems())
    return Response(Health(ready=not found, problems=found), status_code=503 if found else 200)


@get("/v1/openapi.json", summary="This document", media_type="application/json", tags=["house"])
async def get_openapi(request: ApiRequest) -> Response[bytes]:
    return Response(request.app.state.document, media_type="application/json")


@get("/v1/hosts", summary="The executors that are there", responses=problems(), tags=["house"])
async def list_hosts(request: ApiRequest) -> Hosts:
    entries = request.parts.catalog.hosts.entries
    return Hosts(hosts=tuple(entries[name] for name in sorted(entries)))


@get("/v1/dead-letters", summary="What could not be delivered or read", responses=problems(422), tags=["house"])
async def list_dead_letters(request: ApiRequest, after: After = 0, limit: Limit = 50) -> DeadLetters:
    with broker_errors():
        page = await read_page(request.parts.nc, s.DEAD, s.dead_letter("*", ">"), after + 1, limit=limit)
    letters = []
    for stored in page.messages:
        _, _, source, name = stored.subject.split(".", 3)
        headers = dict(stored.headers or {})
        letters.append(
            DeadLetter(
                sequence=stored.seq,
                source=source,
                name=name,
                at=headers.get(TIME_STAMP, ""),
                # The server's own headers say where it is stored, which the other fields say already.
                headers={key: value for key, value in headers.items() if not key.startswith("Nats-")},
                body=clip(stored.body.decode("utf-8", "replace"), BODY_LENGTH_MAX),
            )
        )
    return DeadLetters(dead_letters=tuple(letters), next=page.messages[-1].seq if page.more else None)
