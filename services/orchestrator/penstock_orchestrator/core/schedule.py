"""When a schedule fires, and what becomes of the fires that nobody was there for.

Rule of this room: a fire is a moment of the schedule's own clock, and its task's id is made of the schedule's name and that
moment: whoever submits it, and however often, it is one task. An hour that the clock repeats fires a daily schedule once;
an hour that it leaves out fires it as soon as it goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import UNSET

from penstock.catalog import Schedule
from penstock.commands import SubmitTask
from penstock.values import Origin
from penstock_orchestrator.core.window import check_zone

KIND: Final = "schedule"
FIELDS: Final = 5
ID_LENGTH: Final = 26
MADE_UP_MAX: Final = 100
"""So many missed fires are made up for at most; older ones are counted and let go."""

FIRES_SEEN_MAX: Final = 20_000
LOOK_BACK_DAYS: Final = (1, 8, 64, 512, 4_096)
"""How far back missed fires are looked for: further only while few were found, so that one each minute costs no year."""

SINCE_MIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
SINCE_MAX: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Beyond these no calendar is asked: near its ends, dates can no longer be reckoned with."""

INSTANT: Final = timedelta(microseconds=1)


def check(schedule: Schedule) -> str:
    """What is wrong with the schedule's cron, zone or `since`, in words for a person; empty where it will fire some day."""
    if wrong := check_zone(schedule.timezone):
        return wrong
    if schedule.since is not None and not SINCE_MIN <= schedule.since <= SINCE_MAX:
        return f"since {schedule.since.isoformat()} is not between {SINCE_MIN.year} and {SINCE_MAX.year}"
    if len(schedule.cron.split()) != FIELDS:
        return f"{schedule.cron!r} is not a schedule: give minute, hour, day of month, month and day of week"
    try:
        first = next(_moments(schedule, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except (CronSimError, AssertionError, TypeError, ValueError, ArithmeticError) as error:
        # The parser meets a few odd expressions with errors that are not its own.
        return f"{schedule.cron!r} is not a schedule: {str(error) or type(error).__name__}"
    return f"{schedule.cron!r} never fires" if first is None else ""


def fires(schedule: Schedule, after: datetime, until: datetime, limit: int = FIRES_SEEN_MAX) -> list[datetime]:
    """The fires in `after` < x <= `until`, in UTC, the first `limit` of them. Of a schedule that `check` finds good."""
    if schedule.since is not None:
        after = max(after, schedule.since - INSTANT)
    return list(islice(takewhile(lambda moment: moment <= until, _moments(schedule, after)), limit))


def next_fire(schedule: Schedule, after: datetime) -> datetime | None:
    """The first fire after that moment, None where there is none any more."""
    if schedule.since is not None:
        after = max(after, schedule.since - INSTANT)
    return next(_moments(schedule, after), None)


def due(schedule: Schedule, last: datetime | None, now: datetime) -> list[SubmitTask]:
    """The tasks to submit at `now`, oldest first. `last`: the last fire that became a task, None where none has.

    A fire is missed when it is more than `grace_seconds` late; what becomes of those, `missed` says. Each task knows how
    many before it were let go. A schedule without `since` that has never fired looks back no further than its grace."""
    if not schedule.enabled:
        return []
    grace = timedelta(seconds=schedule.grace_seconds)
    start = last or schedule.since or now - grace
    if last is None and schedule.since is not None:
        start -= INSTANT
    found = _newest(schedule, start, now)
    late = [fire for fire in found if now - fire > grace]
    on_time = found[len(late) :]
    match schedule.missed:
        case "all":
            made_up = late[-MADE_UP_MAX:]
        case "last":
            made_up = late[-1:]
        case _:
            made_up = []
    let_go = len(late) - len(made_up)
    return [
        submission(schedule, fire, missed=let_go if number == 0 else 0)
        for number, fire in enumerate([*made_up, *on_time])
    ]


def submission(schedule: Schedule, fire: datetime, *, missed: int = 0) -> SubmitTask:
    """The command that this fire stands for; the same for whoever makes it."""
    moment = fire.astimezone(UTC).isoformat()
    origin = Origin(kind=KIND, name=schedule.name, scheduled_for=fire.astimezone(UTC), missed=missed)
    wish = {name: value for name, value in msgspec.structs.asdict(schedule.task).items() if value is not UNSET}
    return SubmitTask(
        id=_derived("command", schedule.name, moment),
        task=_derived("task", schedule.name, moment),
        template=UNSET if schedule.template is None else schedule.template,
        submitted_by=f"schedule:{schedule.name}",
        origin=origin,
        **wish,
    )


def _derived(*parts: str) -> str:
    """The id that these parts always give."""
    return hashlib.sha256("\x1f".join((KIND, *parts)).encode()).hexdigest()[:ID_LENGTH]


def _newest(schedule: Schedule, start: datetime, now: datetime) -> list[datetime]:
    """The fires since `start`; of very many, those of the last days."""
    found: list[datetime] = []
    for days in LOOK_BACK_DAYS:
        begin = max(start, now - timedelta(days=days))
        found = fires(schedule, begin, now)
        if begin == start or len(found) > MADE_UP_MAX:
            break
    return found


def _moments(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Every fire after that moment, for as long as there are any, each later than the one before."""
    last = after.astimezone(UTC)
    for moment in CronSim(schedule.cron, after.astimezone(_zone(schedule.timezone))):
        fire = moment.astimezone(UTC)
        # In an hour that is repeated, the wall clock alone would name a moment that is over.
        if fire > last:
            last = fire
            yield fire


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
