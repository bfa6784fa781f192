"""The hours in which agents may run, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.values import Window
from penstock_orchestrator.core.window import check_zone, opens_at

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def local(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def opening(opens: str, closes: str, now: datetime, zone: str = "UTC") -> datetime | None:
    return opens_at(Window(opens=opens, closes=closes, timezone=zone), now)


def test_by_day_a_window_is_open_from_its_opening_up_to_its_closing() -> None:
    assert opening("09:00", "17:00", local("2026-01-05T09:00")) is None
    assert opening("09:00", "17:00", local("2026-01-05T16:59:59.999999")) is None
    assert opening("09:00", "17:00", local("2026-01-05T17:00")) == local("2026-01-06T09:00")
    assert opening("09:00", "17:00", local("2026-01-05T08:59:59.5")) == local("2026-01-05T09:00")


def test_a_window_may_span_midnight() -> None:
    assert opening("22:00", "06:00", local("2026-01-05T23:00")) is None
    assert opening("22:00", "06:00", local("2026-01-05T05:59")) is None
    assert opening("22:00", "06:00", local("2026-01-05T06:00")) == local("2026-01-05T22:00")


def test_a_window_that_closes_when_it_opens_never_closes() -> None:
    assert all(opening("08:00", "08:00", local(f"2026-01-05T{hour:02}:00")) is None for hour in range(24))


def test_the_answer_is_in_utc_and_the_clock_is_that_of_the_zone() -> None:
    found = opening("22:00", "06:00", datetime(2026, 7, 1, 12, tzinfo=UTC), BERLIN)
    assert found is not None
    assert (found.tzinfo, found.isoformat()) == (UTC, "2026-07-01T20:00:00+00:00")


@pytest.mark.parametrize(
    ("zone", "now", "opens", "closes", "then"),
    [
        # Put forward, 02:00 to 03:00: what should open in between opens at the jump, if it is still open then.
        (BERLIN, "2026-03-28T20:00", "02:30", "05:00", "2026-03-29T01:00+00:00"),
        (BERLIN, "2026-03-28T20:00", "02:10", "02:50", "2026-03-30T00:10+00:00"),
        (BERLIN, "2026-03-28T20:00", "04:00", "05:00", "2026-03-29T02:00+00:00"),
        (BERLIN, "2026-03-28T20:00", "01:00", "05:00", "2026-03-29T00:00+00:00"),
        (NEW_YORK, "2026-03-07T20:00", "02:30", "05:00", "2026-03-08T07:00+00:00"),
        (NEW_YORK, "2026-03-07T20:00", "02:10", "02:50", "2026-03-09T06:10+00:00"),
        (NEW_YORK, "2026-03-07T20:00", "22:00", "06:00", "2026-03-08T03:00+00:00"),
        # Put back, 03:00 to 02:00: an hour that is there twice opens the first time.
        (BERLIN, "2026-10-24T20:00", "02:30", "05:00", "2026-10-25T00:30+00:00"),
        (BERLIN, "2026-10-24T20:00", "03:00", "05:00", "2026-10-25T02:00+00:00"),
        (BERLIN, "2026-10-24T20:00", "04:00", "05:00", "2026-10-25T03:00+00:00"),
        (NEW_YORK, "2026-10-31T20:00", "01:30", "05:00", "2026-11-01T05:30+00:00"),
        (NEW_YORK, "2026-10-31T20:00", "02:00", "05:00", "2026-11-01T07:00+00:00"),
        # ... and a window that has closed in it is open once more when the hour begins again.
        (BERLIN, "2026-10-25T02:30", "01:00", "02:30", "2026-10-25T01:00+00:00"),
        (NEW_YORK, "2026-11-01T01:45", "00:00", "01:30", "2026-11-01T06:00+00:00"),
    ],
)
def test_on_the_days_when_clocks_are_changed(zone: str, now: str, opens: str, closes: str, then: str) -> None:
    found = opening(opens, closes, local(now, zone), zone)
    assert found == datetime.fromisoformat(then)
    assert opening(opens, closes, found, zone) is None


def test_the_second_time_of_a_repeated_hour_is_as_open_as_the_first() -> None:
    for fold in (0, 1):
        assert opening("02:15", "02:45", local("2026-10-25T02:30", BERLIN, fold), BERLIN) is None
        assert opening("01:15", "01:45", local("2026-11-01T01:30", NEW_YORK, fold), NEW_YORK) is None


CLOCKS = st.times().map(lambda at: f"{at.hour:02}:{at.minute:02}")
ZONES = st.sampled_from(["UTC", BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"])
NEAR_A_CHANGE = st.sampled_from(
    [datetime(2026, 3, 8, 7), datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1), datetime(2026, 11, 1, 6)]
)
MOMENTS = st.builds(
    lambda at, away: at.replace(tzinfo=UTC) + away,
    NEAR_A_CHANGE | st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),
    st.timedeltas(timedelta(hours=-30), timedelta(hours=6)),
)


@settings(deadline=None, database=None)
@given(opens=CLOCKS, closes=CLOCKS, zone=ZONES, now=MOMENTS)
def test_the_opening_is_the_first_open_moment_after_now(opens: str, closes: str, zone: str, now: datetime) -> None:
    window = Window(opens=opens, closes=closes, timezone=zone)
    found = opens_at(window, now)
    if found is None:
        return
    assert now < found <= now + timedelta(days=2, hours=1)
    assert opens_at(window, found) is None
    assert opens_at(window, max(now, found - timedelta(microseconds=1))) == found
    step = max((found - now) / 50, timedelta(microseconds=1))
    moments = (now + step * number for number in range(50))
    assert all(opens_at(window, moment) == found for moment in moments if moment < found)


@pytest.mark.parametrize("name", ["UTC", BERLIN, NEW_YORK, "Asia/Kathmandu"])
def test_a_time_zone_is_known_by_its_name(name: str) -> None:
    assert check_zone(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "Europe", "europe/berlin", "Berlin", "../UTC", "/etc/passwd", "localtime", "a\x00b", "UTC\n", "zone.tab"],
)
def test_what_is_no_time_zone_is_refused_with_an_example(name: str) -> None:
    assert check_zone(name) == f"{name!r} is not a time zone; give its name as in Europe/Berlin, or UTC"


def test_a_zone_that_is_no_longer_known_counts_as_utc() -> None:
    assert opening("09:00", "17:00", local("2026-01-05T18:00"), "Atlantis/Poseidonis") == local("2026-01-06T09:00")
