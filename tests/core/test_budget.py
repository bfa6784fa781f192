"""What runs have cost, and whether that is too much."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert, to_builtins

from penstock.bounds import COUNT_MAX, SECONDS_MAX, USD_MAX
from penstock.values import Price, Usage
from penstock_orchestrator.core.budget import add, cost_usd, day, equivalent_usd, next_day, over, priced, since

PRICE = Price(input_usd=3.0, output_usd=15.0, cache_read_usd=0.3, cache_write_usd=3.75)
RUN = Usage(
    turns=4, input_tokens=1_000_000, output_tokens=100_000, cache_read_tokens=2_000_000, cache_write_tokens=400_000
)
COUNTS = st.integers(0, COUNT_MAX)
USAGES = st.builds(
    Usage,
    turns=COUNTS,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS,
    cost_usd=st.none() | st.floats(0, USD_MAX),
    wall_seconds=st.floats(0, SECONDS_MAX),
)


def test_what_the_vendor_says_is_believed_before_an_estimate() -> None:
    assert cost_usd(Usage(cost_usd=0.25, input_tokens=1_000_000), PRICE, "api") == 0.25


def test_without_the_vendors_word_each_kind_of_token_is_weighted_with_its_own_price() -> None:
    assert cost_usd(RUN, PRICE, "api") == pytest.approx(3.0 + 1.5 + 0.6 + 1.5)


@pytest.mark.parametrize(("usage", "price"), [(RUN, None), (Usage(turns=3, wall_seconds=9.0), PRICE), (Usage(), PRICE)])
def test_a_cost_that_nobody_knows_is_unknown_and_not_nothing(usage: Usage, price: Price | None) -> None:
    assert cost_usd(usage, price, "api") is None
    assert equivalent_usd(usage, price) is None


def test_a_subscription_charges_nothing_and_still_has_an_equivalent() -> None:
    assert cost_usd(RUN, PRICE, "subscription") == 0.0
    assert cost_usd(Usage(), None, "subscription") == 0.0
    assert equivalent_usd(RUN, PRICE) == pytest.approx(6.6)


def test_a_priced_usage_keeps_everything_but_the_cost() -> None:
    usage = priced(RUN, PRICE, "api")
    assert usage.cost_usd == pytest.approx(6.6)
    assert (usage.turns, usage.input_tokens, usage.cache_read_tokens) == (4, 1_000_000, 2_000_000)
    assert priced(RUN, None, "api") == RUN
    assert priced(RUN, None, "subscription").cost_usd == 0.0


def test_usage_adds_up_and_an_unknown_cost_stays_unknown() -> None:
    one = Usage(turns=1, input_tokens=2, output_tokens=3, cost_usd=0.5, wall_seconds=10.0)
    assert add(one, one) == Usage(turns=2, input_tokens=4, output_tokens=6, cost_usd=1.0, wall_seconds=20.0)
    assert add(one, Usage(turns=1)).cost_usd is None
    assert add(Usage(turns=1), one).cost_usd is None


@settings(deadline=None, database=None)
@given(USAGES, USAGES)
def test_every_sum_difference_and_price_is_within_the_contracts_bounds(one: Usage, other: Usage) -> None:
    for usage in (add(one, other), since(one, other), priced(one, PRICE, "api")):
        assert convert(to_builtins(usage), Usage) == usage


@settings(deadline=None, database=None)
@given(USAGES, USAGES)
def test_what_was_added_can_be_taken_away_again(before: Usage, run: Usage) -> None:
    total = add(before, run)
    again = since(total, before)
    assert again.turns == min(run.turns, COUNT_MAX - before.turns)
    assert again.output_tokens == min(run.output_tokens, COUNT_MAX - before.output_tokens)
    assert (again.cost_usd is None) == (before.cost_usd is None or run.cost_usd is None)


def test_a_session_that_counts_less_than_before_has_used_nothing_and_never_less() -> None:
    less = since(Usage(turns=1, input_tokens=5, cost_usd=0.1), Usage(turns=2, input_tokens=9, cost_usd=0.4))
    assert less == Usage(cost_usd=0.0)


def test_the_wall_time_is_the_hosts_own_and_not_the_sessions() -> None:
    assert since(Usage(turns=5, wall_seconds=30.0), Usage(turns=3, wall_seconds=90.0)).wall_seconds == 30.0


@pytest.mark.parametrize(
    ("spent", "limit", "share", "reached"),
    [
        (8.0, 10.0, 0.8, True),
        (7.99, 10.0, 0.8, False),
        (10.0, 10.0, 1.0, True),
        (0.0, 0.0, 1.0, True),
        (None, 10.0, 1.0, False),
        (99.0, None, 1.0, False),
        (99.0, 10.0, 0.0, False),
    ],
)
def test_a_share_of_a_limit_is_reached_or_not(
    spent: float | None, limit: float | None, share: float, reached: bool
) -> None:
    assert over(spent, limit, share) is reached


def test_the_day_of_spending_is_the_day_in_utc() -> None:
    late_in_new_york = datetime(2026, 3, 7, 22, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert day(late_in_new_york) == "2026-03-08"
    assert next_day(late_in_new_york) == datetime(2026, 3, 9, tzinfo=UTC)


@settings(deadline=None, database=None)
@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_the_next_day_is_the_first_moment_of_another_one(at: datetime) -> None:
    midnight = next_day(at)
    assert timedelta(0) < midnight - at <= timedelta(days=1)
    assert day(midnight) != day(at) == day(midnight - timedelta(microseconds=1))
