"""Schedules: tasks that are submitted by the clock.

Rule of this room: what could never fire, or never be submitted, is refused here; what comes next is shown as the
orchestrator computes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from litestar import Response, delete, get, put
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg
from msgspec import Meta, Struct, structs

from penstock.bounds import Name, Seconds, Word
from penstock.catalog import Schedule
from penstock.values import Utc
from penstock_api.problems import invalid
from penstock_api.request import ApiRequest
from penstock_api.routes import entries
from penstock_api.routes.shapes import EntryName, IfMatch, IfNoneMatch, problems
from penstock_api.routes.wishes import WishBody, check_timezone, check_whole, checked_wish

NEXT_SHOWN: Final = 5
CRON_FIELDS: Final = 5
SINCE_MIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
SINCE_MAX: Final = datetime(2100, 1, 1, tzinfo=UTC)
INSTANT: Final = timedelta(microseconds=1)
CRON_HINT: Final = "five fields: minute hour day-of-month month day-of-week, such as 30 2 * * MON-FRI"


class ScheduleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule as it is put. `missed`: what to do about fires that passed while nobody could submit: skip them, make up for
    the last one, or for all. `since`: fires before are none of this schedule's; now, where it is left out and the schedule
    is new, was disabled, or fires at other times than before."""

    name: Name | None = None
    cron: Annotated[str, Meta(min_length=9, max_length=100)]
    timezone: Word = "UTC"
    template: Name | None = None
    task: WishBody = WishBody()
    missed: Literal["skip", "last", "all"] = "last"
    grace_seconds: Seconds = 60.0
    enabled: bool = True
    since: Utc | None = None


class ScheduleView(Schedule, frozen=True, kw_only=True):
    """A schedule. `next`: when it fires next, in UTC; none while it is disabled."""

    next: tuple[datetime, ...]


class Schedules(Struct, frozen=True, kw_only=True):
    """All schedules, by name."""

    schedules: tuple[ScheduleView, ...]


Body = Annotated[
    ScheduleBody,
    BodyKwarg(
        media_type="application/json",
        examples=[
            Example(
                value={
                    "cron": "30 2 * * MON-FRI",
                    "timezone": "Europe/Berlin",
                    "task": {"repo": "shop", "title": "Bring the dependencies up to date"},
                }
            )
        ],
    ),
]


@put(
    "/v1/schedules/{name:str}",
    summary="Add or replace a schedule",
    responses=problems(404, 412, 413, 415, 422),
    tags=["catalogue"],
)
async def put_schedule(
    request: ApiRequest, name: EntryName, data: Body, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> Response[ScheduleView]:
    if data.name not in (None, name):
        raise invalid("name", f"the path says {name}", value=data.name, hint="leave it out, or give the same name")
    parts, now = request.parts, datetime.now(UTC)
    _check_fires(data, now)
    wish = await checked_wish(parts, data.task, "task.")
    await check_whole(parts, wish, data.template, "task.")
    schedule = Schedule(
        name=name,
        cron=data.cron,
        timezone=data.timezone,
        template=data.template,
        task=wish,
        missed=data.missed,
        grace_seconds=data.grace_seconds,
        enabled=data.enabled,
        since=data.since or _since((await parts.catalog.schedules.get(name)).value, data, now),
    )
    # Shown before it is stored: what cannot be shown could not be lived with either.
    view = _view(schedule, now)
    stored = await entries.write(parts.catalog.schedules, name, schedule, if_match, if_none_match)
    return Response(view, headers=stored.headers)


def _check_fires(data: ScheduleBody, now: datetime) -> None:
    zone = check_timezone(data.timezone, "timezone")
    if data.since is not None and not SINCE_MIN <= data.since <= SINCE_MAX:
        raise invalid("since", f"not between {SINCE_MIN.year} and {SINCE_MAX.year}", value=data.since.isoformat())
    if len(data.cron.split()) != CRON_FIELDS:
        raise invalid("cron", "not five fields", value=data.cron, hint=CRON_HINT)
    try:
        never = next(_moments(data.cron, zone, now), None) is None
    except (CronSimError, AssertionError, TypeError, ValueError, ArithmeticError) as error:
        # The parser meets a few odd expressions with errors that are not its own.
        raise invalid("cron", str(error) or "it cannot be read", value=data.cron, hint=CRON_HINT) from error
    if never:
        raise invalid("cron", "this never fires", value=data.cron, hint=CRON_HINT)


def _moments(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Every fire after that moment, in UTC, each later than the one before."""
    last = after
    for moment in CronSim(cron, after.astimezone(zone)):
        fire = moment.astimezone(UTC)
        # In an hour that the clock repeats, its time of day alone would name a moment that is over.
        if fire > last:
            last = fire
            yield fire


def _since(before: Schedule | None, data: ScheduleBody, now: datetime) -> datetime | None:
    """What the schedule has answered for so far it still does, unless it is another one now."""
    if before is None or not before.enabled or (before.cron, before.timezone) != (data.cron, data.timezone):
        return now
    return before.since


def _view(schedule: Schedule, now: datetime) -> ScheduleView:
    return ScheduleView(**structs.asdict(schedule), next=_next(schedule, now) if schedule.enabled else ())


def _next(schedule: Schedule, now: datetime) -> tuple[datetime, ...]:
    begin = now if schedule.since is None else max(now, schedule.since - INSTANT)
    return tuple(islice(_moments(schedule.cron, ZoneInfo(schedule.timezone), begin), NEXT_SHOWN))


@get(
    "/v1/schedules/{name:str}",
    summary="One schedule, and when it fires next",
    responses=problems(404),
    tags=["catalogue"],
)
async def get_schedule(request: ApiRequest, name: EntryName) -> Response[ScheduleView]:
    entry = await request.parts.catalog.schedules.get(name)
    schedule = entries.present(entry, f"schedule {name}")
    return entries.tagged(_view(schedule, datetime.now(UTC)), entry.revision)


@get("/v1/schedules", summary="All schedules", responses=problems(), tags=["catalogue"])
async def list_schedules(request: ApiRequest) -> Schedules:
    found, now = request.parts.catalog.schedules.entries, datetime.now(UTC)
    return Schedules(schedules=tuple(_view(found[name], now) for name in sorted(found)))


@delete("/v1/schedules/{name:str}", summary="Remove a schedule", responses=problems(404, 412), tags=["catalogue"])
async def delete_schedule(request: ApiRequest, name: EntryName, if_match: IfMatch = None) -> None:
    await entries.remove(request.parts.catalog.schedules, name, f"schedule {name}", if_match)
