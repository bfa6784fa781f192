"""The hours in which agents may run.

Rule of this room: the clock on the wall of the window's time zone decides. An hour that is repeated is in the window both
times; an opening that the clock jumps over takes place when it jumps.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from penstock.values import Window

DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)
HOSTS_OWN: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Names that mean something else on every machine."""


def opens_at(window: Window, now: datetime) -> datetime | None:
    """None while the window is open at `now`; otherwise the moment, in UTC, at which it opens next.

    `opens` belongs to the window, `closes` no longer does; where both are the same it is always open. A zone that this
    machine no longer knows counts as UTC: `check_zone` has refused unknown ones at the door."""
    zone = _zone(window.timezone) or UTC
    if _is_open(window, zone, now):
        return None
    opening = now + _until(window, zone, now)
    jump = _jump(zone, now, opening)
    if jump is None:
        return opening.astimezone(UTC)
    # The clock is put forward or back before that. No zone does it twice within a day.
    if not _is_open(window, zone, jump):
        jump += _until(window, zone, jump)
    return jump.astimezone(UTC)


def check_zone(name: str) -> str:
    """What is wrong with a time zone's name, for a person; empty where it is one."""
    if name in HOSTS_OWN or _zone(name) is None:
        return f"{name!r} is not a time zone; give its name as in Europe/Berlin, or UTC"
    return ""


def _is_open(window: Window, zone: tzinfo, at: datetime) -> bool:
    opens, closes = time.fromisoformat(window.opens), time.fromisoformat(window.closes)
    clock = at.astimezone(zone).time()
    if opens < closes:
        return opens <= clock < closes
    return clock >= opens or clock < closes


def _until(window: Window, zone: tzinfo, at: datetime) -> timedelta:
    """How long until the clock shows the opening, if it goes on evenly from `at`."""
    clock = at.astimezone(zone).replace(tzinfo=None)
    opening = datetime.combine(clock.date(), time.fromisoformat(window.opens))
    return (opening - clock) % DAY


def _jump(zone: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """The first second in `after` < x <= `until` at which the zone's clock has been put forward or back; None if it has not."""
    low, high = after.astimezone(UTC), until.astimezone(UTC)
    offset = _offset(zone, low)
    if _offset(zone, high) == offset:
        return None
    low = low.replace(microsecond=0)
    while high - low > SECOND:
        middle = low + ((high - low) // 2 // SECOND) * SECOND
        low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
    return high


def _offset(zone: tzinfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # In turn: no such file, no name of a zone (or no zone in the file), the name of a folder.
        return None
