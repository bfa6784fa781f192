"""When schedules fire: clocks that are put forward and back, and fires that nobody was there for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from penstock.catalog import Schedule
from penstock.codec import commands, encode
from penstock.commands import SubmitTask
from penstock.wish import Wish
from penstock_orchestrator.core.schedule import MADE_UP_MAX, check, due, fires, next_fire, submission

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def schedule(cron: str = "0 * * * *", **more: object) -> Schedule:
    given: dict[str, object] = {"name": "nightly", "cron": cron, "task": Wish(repo="shop", title="Update the packages")}
    return Schedule(**(given | more))  # type: ignore[arg-type]  # a test's own keywords


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # year to minute


def origins(found: list[SubmitTask]) -> list[tuple[str, int]]:
    """(time of day, missed before it) of each fire."""
    told = []
    for one in found:
        assert one.origin is not None
        assert one.origin.scheduled_for is not None
        told.append((f"{one.origin.scheduled_for:%H:%M}", one.origin.missed))
    return told


# The clock


def test_a_fire_is_after_the_last_one_and_not_after_now() -> None:
    hourly = schedule()
    assert fires(hourly, utc(2026, 5, 4, 10, 0), utc(2026, 5, 4, 12, 0)) == [utc(2026, 5, 4, 11, 0), NOON]
    assert fires(hourly, NOON, utc(2026, 5, 4, 12, 59)) == []
    assert fires(hourly, utc(2026, 5, 4), NOON, limit=2) == [utc(2026, 5, 4, 1, 0), utc(2026, 5, 4, 2, 0)]


def test_fires_before_since_are_none_of_the_schedules() -> None:
    hourly = schedule(since=utc(2026, 5, 4, 11, 0))
    assert fires(hourly, utc(2026, 5, 1), NOON) == [utc(2026, 5, 4, 11, 0), NOON]
    assert next_fire(hourly, utc(2026, 5, 1)) == utc(2026, 5, 4, 11, 0)


def test_a_daily_schedule_keeps_to_the_wall_clock_of_its_zone() -> None:
    daily = schedule("30 9 * * *", timezone="Europe/Berlin")
    found = fires(daily, utc(2026, 3, 28), utc(2026, 3, 30))
    assert found == [utc(2026, 3, 28, 8, 30), utc(2026, 3, 29, 7, 30)]


def test_an_hour_that_the_clock_leaves_out_fires_when_it_goes_on() -> None:
    daily = schedule("30 2 * * *", timezone="Europe/Berlin")
    assert fires(daily, utc(2026, 3, 28, 12), utc(2026, 3, 29, 12)) == [utc(2026, 3, 29, 1, 0)]
    assert fires(daily, utc(2026, 3, 29, 1, 0), utc(2026, 3, 29, 23)) == []


def test_an_hour_that_the_clock_repeats_fires_a_daily_schedule_once() -> None:
    daily = schedule("30 2 * * *", timezone="Europe/Berlin")
    assert fires(daily, utc(2026, 10, 24, 12), utc(2026, 10, 25, 12)) == [utc(2026, 10, 25, 0, 30)]
    for minutes in range(0, 120, 5):
        after = utc(2026, 10, 25, 0, 30) + timedelta(minutes=minutes)
        assert fires(daily, after, utc(2026, 10, 25, 12)) == []


def test_an_hourly_schedule_fires_every_real_hour_of_a_day_with_twenty_five() -> None:
    hourly = schedule(timezone="Europe/Berlin")
    found = fires(hourly, utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))
    assert len(found) == 25
    assert {after - before for before, after in pairwise(found)} == {timedelta(hours=1)}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("cron", ["*/20 * * * *", "30 2 * * *", "0 */2 * * *", "15 1-3 * * 0", "0 0 1 * *"])
@pytest.mark.parametrize(("begin", "end"), [(utc(2026, 3, 1), utc(2026, 4, 10)), (utc(2026, 10, 1), utc(2026, 11, 5))])
def test_from_wherever_one_looks_the_fires_are_the_same(zone: str, cron: str, begin: datetime, end: datetime) -> None:
    one = schedule(cron, timezone=zone)
    every = fires(one, begin, end)
    assert every == sorted(set(every))
    for number, fire in enumerate(every[:-1]):
        assert next_fire(one, fire) == every[number + 1]
    for days in range(0, 45, 2):
        after = begin + timedelta(days=days, minutes=days)
        assert fires(one, after, end) == [fire for fire in every if fire > after]


# What was missed


def test_a_fire_in_time_becomes_a_task_and_the_next_one_is_waited_for() -> None:
    hourly = schedule()
    assert origins(due(hourly, utc(2026, 5, 4, 11), utc(2026, 5, 4, 12, 0, 3))) == [("12:00", 0)]
    assert due(hourly, NOON, utc(2026, 5, 4, 12, 59)) == []


@pytest.mark.parametrize(
    ("missed", "told"),
    [
        ("skip", [("12:00", 3)]),
        ("last", [("11:00", 2), ("12:00", 0)]),
        ("all", [("09:00", 0), ("10:00", 0), ("11:00", 0), ("12:00", 0)]),
    ],
)
def test_missed_fires_are_skipped_or_made_up_for_and_counted(missed: str, told: list[tuple[str, int]]) -> None:
    hourly = schedule(missed=missed)
    assert origins(due(hourly, utc(2026, 5, 4, 8), utc(2026, 5, 4, 12, 0, 30))) == told


def test_what_was_skipped_is_counted_by_the_next_fire_in_time() -> None:
    hourly = schedule(missed="skip")
    assert due(hourly, utc(2026, 5, 4, 8), utc(2026, 5, 4, 11, 30)) == []
    assert origins(due(hourly, utc(2026, 5, 4, 8), NOON)) == [("12:00", 3)]


def test_the_grace_says_what_is_missed() -> None:
    patient = schedule(missed="skip", grace_seconds=3_600.0)
    assert origins(due(patient, utc(2026, 5, 4, 10), utc(2026, 5, 4, 12, 30))) == [("12:00", 1)]
    assert origins(due(patient, utc(2026, 5, 4, 10), utc(2026, 5, 4, 12, 0))) == [("11:00", 0), ("12:00", 0)]


def test_not_more_than_a_hundred_are_made_up_for_the_newest_of_them() -> None:
    found = due(schedule("* * * * *", missed="all"), utc(2026, 5, 4, 0), NOON + timedelta(seconds=90))
    assert len(found) == MADE_UP_MAX + 1
    assert origins(found)[0] == ("10:21", 12 * 60 - MADE_UP_MAX)
    assert origins(found)[-1] == ("12:01", 0)


def test_a_schedule_that_never_fired_begins_at_since_and_without_it_now() -> None:
    assert due(schedule(), None, utc(2026, 5, 4, 12, 30)) == []
    assert origins(due(schedule(), None, utc(2026, 5, 4, 12, 0, 30))) == [("12:00", 0)]
    since = schedule(missed="all", since=utc(2026, 5, 4, 11, 0))
    assert origins(due(since, None, utc(2026, 5, 4, 12, 0, 30))) == [("11:00", 0), ("12:00", 0)]


def test_a_schedule_that_is_off_fires_nothing() -> None:
    assert due(schedule(enabled=False), utc(2026, 5, 1), NOON) == []


def test_a_year_of_missed_minutes_is_looked_at_in_no_time() -> None:
    begun = time.process_time()
    found = due(schedule("* * * * *"), utc(2025, 5, 4), NOON)
    # Half a million minutes, one by one, would take seconds on the quickest of machines.
    assert time.process_time() - begun < 1.0
    assert origins(found)[0][0] == "11:58"


def test_a_yearly_fire_that_was_missed_months_ago_is_still_made_up_for() -> None:
    assert origins(due(schedule("0 6 1 1 *"), utc(2025, 1, 1, 6), NOON)) == [("06:00", 0)]


# The task


def test_a_fire_is_one_task_whoever_submits_it_and_another_fire_another() -> None:
    hourly = schedule(template="small", timezone="Europe/Berlin")
    first, again = submission(hourly, NOON), submission(hourly, NOON.astimezone(None))
    assert first == again
    other, elsewhere = submission(hourly, utc(2026, 5, 4, 13)), submission(schedule(name="other"), NOON)
    assert len({first.task, other.task, elsewhere.task, first.id, other.id, elsewhere.id}) == 6
    assert (first.template, first.repo, first.submitted_by) == ("small", "shop", "schedule:nightly")
    assert commands.decode(encode(first)) == first


def test_a_fire_carries_everything_that_was_wished_for() -> None:
    wish = Wish(repo="shop", title="x", labels=("a",), priority=2, max_turns=None, max_cost_usd=1.0)
    told = submission(schedule(task=wish), NOON)
    assert msgspec.convert(msgspec.to_builtins(told), SubmitTask) == told
    assert (told.labels, told.priority, told.max_turns, told.max_cost_usd) == (("a",), 2, None, 1.0)


# What is none


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("60 * * * *", "Bad minute"),
        ("0 0 31 2 *", "Bad day"),
        ("0 0 * 2 1#5/2", "not a schedule"),
        ("* * * * * *", "give minute, hour"),
        ("every day", "give minute, hour"),
        ("0 0 29 2 x", "not a schedule"),
    ],
)
def test_a_schedule_that_is_none_is_told_why(cron: str, words: str) -> None:
    assert words in check(schedule(cron))


def test_a_since_at_the_ends_of_the_calendar_is_told() -> None:
    for since in (datetime.min, datetime(1999, 12, 31), datetime.max):
        assert "is not between 2000 and 2100" in check(schedule(since=since.replace(tzinfo=UTC)))


def test_an_unknown_zone_is_told_and_a_good_schedule_passes() -> None:
    assert "is not a time zone" in check(schedule(timezone="Mars/Olympus"))
    for cron in ("*/5 * * * *", "0 3 * * mon-fri", "0 0 29 2 *", "0 0 L * *", "0 0 * * 1#2"):
        assert check(schedule(cron, timezone="Europe/Berlin")) == ""
