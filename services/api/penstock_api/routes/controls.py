"""A person's hand on the fleet, a repo, a vendor or a host: pause, drain. And the limits over all tasks.

Rule of this room: who has done it stands in the entry.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeAlias

from litestar import Response, delete, get, put
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, PathParameter
from msgspec import Meta, Struct, structs

from penstock.bounds import Line, Name, Usd, Word
from penstock.catalog import Control, Days, FleetSettings, MemorySettings, PriceOf, Slots
from penstock.values import Price
from penstock_api.problems import Problem, invalid
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes import entries
from penstock_api.routes.shapes import EntryName, IfMatch, IfNoneMatch, problems
from penstock_api.routes.wishes import check_repo, check_vendor

LIMITS_MAX: Final = 1_000
PRICES_MAX: Final = 200
WHOLE_FLEET: Final = "all"
Scope: TypeAlias = Annotated[
    Literal["fleet", "repo", "vendor", "host"],
    PathParameter(description="fleet (its only name is all), repo, vendor, host"),
]


class ControlBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`pause`: nothing new begins, a running step ends and the next one waits. `drain`: nothing new begins, what has a slot
    goes on to its end."""

    mode: Literal["pause", "drain"]
    reason: Line = ""


class ControlView(Control, frozen=True, kw_only=True):
    """A control and what it is on."""

    scope: str
    name: str


class Controls(Struct, frozen=True, kw_only=True):
    """All controls that are on, by scope and name."""

    controls: tuple[ControlView, ...]


class PriceBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD for a million tokens of each kind."""

    input_usd: Usd
    output_usd: Usd
    cache_read_usd: Usd = 0.0
    cache_write_usd: Usd = 0.0


class PriceOfBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's price. `model` is the beginning of its name; empty for all of the vendor's; the longest that fits counts."""

    vendor: Name
    model: Word = ""
    price: PriceBody


class MemoryBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`half_life_days`: a memory of that age counts half as much as a new one. `archive_after_days`: what a task has left and
    nobody has recalled for so long is passed over. 0 is off."""

    half_life_days: Days = 0.0
    archive_after_days: Days = 0.0


class SettingsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits over all tasks; what is left out is at its default. `tasks_max`: slots of the whole fleet. `accounts`, `hosts`:
    slots by vendor account and by host. `ageing_seconds`: so long a wait counts as one step of priority.
    `max_cost_usd_per_day`: of all tasks together (UTC). `share_work`: hosts leave what they have done for others, so that a task
    outlives its host. `publish_pool`: hosts of this pool hand changes over. Both are for tasks submitted from then on."""

    tasks_max: Slots = 100
    accounts: Annotated[dict[Word, Slots], Meta(max_length=LIMITS_MAX)] = {}
    hosts: Annotated[dict[Name, Slots], Meta(max_length=LIMITS_MAX)] = {}
    ageing_seconds: Annotated[float, Meta(gt=0, le=31_536_000)] = 900.0
    max_cost_usd_per_day: Usd | None = None
    prices: Annotated[tuple[PriceOfBody, ...], Meta(max_length=PRICES_MAX)] = ()
    share_work: bool = False
    publish_pool: Name | None = None
    memory: MemoryBody = MemoryBody()


Body = Annotated[
    ControlBody,
    BodyKwarg(
        media_type="application/json", examples=[Example(value={"mode": "pause", "reason": "the forge is moving"})]
    ),
]
FleetBody = Annotated[
    SettingsBody,
    BodyKwarg(
        media_type="application/json",
        examples=[Example(value={"tasks_max": 20, "accounts": {"claude": 4}, "max_cost_usd_per_day": 100})],
    ),
]


@put(
    "/v1/controls/{kind:str}/{name:str}",
    summary="Pause or drain the fleet, a repo, a vendor or a host",
    responses=problems(404, 412, 413, 415, 422),
    tags=["catalogue"],
)
async def put_control(
    request: ApiRequest,
    kind: Scope,
    name: EntryName,
    data: Body,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[ControlView]:
    await _check_target(request.parts, kind, name)
    control = Control(mode=data.mode, reason=data.reason, set_by=request.user.label, set_at=datetime.now(UTC))
    bucket = request.parts.catalog.controls
    stored = await entries.write(bucket, f"{kind}.{name}", control, if_match, if_none_match)
    return Response(_view(kind, name, control), headers=stored.headers)


async def _check_target(parts: Parts, scope: str, name: str) -> None:
    """A host may come later than the hand on it; the rest must be there."""
    if scope == "fleet" and name != WHOLE_FLEET:
        raise invalid("name", "there is one fleet", value=name, hint=f"its only name is {WHOLE_FLEET}")
    if scope == "repo":
        await check_repo(parts, name, "name")
    if scope == "vendor":
        check_vendor(parts, name, "name")


@get("/v1/controls/{kind:str}/{name:str}", summary="One control", responses=problems(404), tags=["catalogue"])
async def get_control(request: ApiRequest, kind: Scope, name: EntryName) -> Response[ControlView]:
    entry = await request.parts.catalog.controls.get(f"{kind}.{name}")
    control = entries.present(entry, f"control on {kind} {name}")
    return entries.tagged(_view(kind, name, control), entry.revision)


@get("/v1/controls", summary="All controls that are on", responses=problems(), tags=["catalogue"])
async def list_controls(request: ApiRequest) -> Controls:
    found = request.parts.catalog.controls.entries
    return Controls(controls=tuple(_view(*_parts(key), found[key]) for key in sorted(found)))


def _parts(key: str) -> tuple[str, str]:
    scope, _, name = key.partition(".")
    return scope, name


@delete(
    "/v1/controls/{kind:str}/{name:str}",
    summary="Take the hand off: what was held may begin",
    responses=problems(404, 412),
    tags=["catalogue"],
)
async def delete_control(request: ApiRequest, kind: Scope, name: EntryName, if_match: IfMatch = None) -> None:
    await entries.remove(request.parts.catalog.controls, f"{kind}.{name}", f"control on {kind} {name}", if_match)


def _view(scope: str, name: str, control: Control) -> ControlView:
    return ControlView(scope=scope, name=name, **structs.asdict(control))


@get("/v1/settings", summary="The limits over all tasks", responses=problems(), tags=["catalogue"])
async def get_settings(request: ApiRequest) -> Response[FleetSettings]:
    entry = await request.parts.catalog.settings.get("")
    return entries.tagged(entry.value or FleetSettings(), entry.revision)


@put(
    "/v1/settings",
    summary="Replace the limits over all tasks",
    responses=problems(412, 413, 415, 422),
    tags=["catalogue"],
)
async def put_settings(
    request: ApiRequest, data: FleetBody, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> Response[FleetSettings]:
    for at, priced in enumerate(data.prices):
        check_vendor(request.parts, priced.vendor, f"prices[{at}].vendor")
    for field, limits in (("accounts", data.accounts), ("hosts", data.hosts)):
        if "" in limits:
            raise Problem(422, "invalid", "a limit needs a name", field=field, hint="the name of what it limits")
    settings = FleetSettings(
        tasks_max=data.tasks_max,
        accounts=data.accounts,
        hosts=data.hosts,
        ageing_seconds=data.ageing_seconds,
        max_cost_usd_per_day=data.max_cost_usd_per_day,
        prices=tuple(
            PriceOf(vendor=priced.vendor, model=priced.model, price=Price(**structs.asdict(priced.price)))
            for priced in data.prices
        ),
        share_work=data.share_work,
        publish_pool=data.publish_pool,
        memory=MemorySettings(**structs.asdict(data.memory)),
    )
    return await entries.write(request.parts.catalog.settings, "", settings, if_match, if_none_match)
