"""What the notifier decides and says, without a server: routes, paces, lines for people."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import get_args

import pytest
from contract.golden import EXPECTED

from penstock.catalog import Route
from penstock.codec import known_types, type_of
from penstock.events import (
    AnyEvent,
    KnownEvent,
    PullRequestObserved,
    Recorded,
    TaskFailed,
    TaskSubmitted,
    Unknown,
)
from penstock.values import Usage
from penstock_notifier.lane import (
    AT_ONCE_MAX,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    RETURNS_PER_SECOND,
    TRIES_MIN,
    Lane,
    is_given_up,
    pause_seconds,
)
from penstock_notifier.render import LINE_LENGTH_MAX, OfAJob, OfAStep, OfTheTask, clean, line
from penstock_notifier.route import TYPES_BY_DEFAULT, matching
from penstock_notifier.words import OfCompaction, OfJudgement, OfReview, OfTalk, OfThePlan, OfTheQueue

ALL: tuple[KnownEvent, ...] = tuple(
    recorded.data for recorded in EXPECTED.values() if not isinstance(recorded.data, Unknown)
)


GROUPS = (OfTheTask, OfAJob, OfAStep, OfTheQueue, OfThePlan, OfTalk, OfJudgement, OfCompaction, OfReview)


def names(routes: list[Route], repo: str, event: KnownEvent) -> list[str]:
    return [route.name for route in matching(routes, repo, event)]


def test_a_route_without_types_carries_the_ends_of_tasks_and_what_needs_a_person() -> None:
    route = Route(name="team", channel="console")
    carried = {type_of(event) for event in ALL if names([route], "shop", event)}
    ends = {"task_succeeded", "task_unverified", "task_failed", "task_cancelled"}
    assert carried == ends | {"task_blocked", "plan_proposed", "plan_unanswered", "decision_raised", "budget_warned"}
    assert carried == TYPES_BY_DEFAULT


def test_a_route_with_types_carries_these_and_no_others() -> None:
    route = Route(name="team", channel="console", types=("job_lost", "a_type_of_tomorrow"))
    assert {type_of(event) for event in ALL if names([route], "shop", event)} == {"job_lost"}


def test_repos_and_the_switch_narrow_a_route() -> None:
    routes = [
        Route(name="z-all", channel="console"),
        Route(name="a-shop", channel="console", repos=("shop", "bakery")),
        Route(name="other", channel="console", repos=("other",)),
        Route(name="off", channel="console", enabled=False),
    ]
    (event,) = [event for event in ALL if isinstance(event, TaskFailed)]
    assert names(routes, "shop", event) == ["a-shop", "z-all"]
    assert names(routes, "nowhere", event) == ["z-all"]


def test_a_pause_grows_with_the_waiting_and_stays_within_its_bounds() -> None:
    for waited in (0.0, 1.0, 10.0, 60.0, 600.0, 1e9):
        for chance in (0.0, 0.5, 0.999):
            pause = pause_seconds(waited, chance)
            assert 0.75 * PAUSE_SECONDS_MIN <= pause <= 1.25 * PAUSE_SECONDS_MAX
    assert pause_seconds(60, 0.5) == 30
    age, tries = 0.0, 0
    while age < 86_400:
        age, tries = age + pause_seconds(age, 0.5), tries + 1
    assert 280 < tries < 320


def test_a_delivery_is_given_up_only_when_it_is_old_and_was_given_its_chances() -> None:
    assert is_given_up(86_400, TRIES_MIN, 86_400)
    assert not is_given_up(86_399, 1_000, 86_400)
    assert not is_given_up(1_000_000, TRIES_MIN - 1, 86_400)


def test_a_lane_lets_so_many_in_at_once_and_no_more() -> None:
    lane = Lane()
    assert [lane.enter(0.0) for _ in range(AT_ONCE_MAX + 2)] == [True] * AT_ONCE_MAX + [False] * 2
    lane.succeeded()
    assert lane.enter(0.0)
    lane.ended()
    assert lane.enter(0.0)


def test_a_failure_closes_the_lane_for_longer_and_longer_until_a_success_opens_it() -> None:
    lane, now, pauses = Lane(), 1_000.0, []
    for _ in range(6):
        assert lane.enter(now)
        pauses.append(lane.failed(now, "answered 500", 0.0, 0.5))
        assert not lane.enter(now + pauses[-1] - 0.01)
        now += pauses[-1]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]
    assert lane.failing_with == "answered 500"
    assert lane.enter(now)
    lane.succeeded()
    assert lane.failing_with == ""
    assert lane.enter(now)
    assert lane.failed(now, "again", 0.0, 0.5) == pytest.approx(PAUSE_SECONDS_MIN)


def test_an_endpoint_that_says_when_is_left_alone_until_then() -> None:
    lane = Lane()
    assert lane.enter(0.0)
    assert lane.failed(0.0, "answered 429", 90.0, 0.5) == 90.0
    assert not lane.enter(89.9)
    assert lane.enter(90.0)


def test_put_off_deliveries_come_back_one_after_the_other_not_all_at_once() -> None:
    lane = Lane()
    assert lane.enter(0.0)
    closed = lane.failed(0.0, "down", 0.0, 0.5)
    returns = [lane.return_seconds(0.0) for _ in range(1_000)]
    assert returns == sorted(returns)
    assert returns[0] > closed
    assert returns[-1] == pytest.approx(closed + 1_000 / RETURNS_PER_SECOND)


def test_every_event_type_has_words_and_belongs_to_one_group() -> None:
    groups = [set(get_args(group)) for group in GROUPS]
    assert sum(len(group) for group in groups) == len(set.union(*groups)) == len(known_types())
    assert set.union(*groups) == set(get_args(KnownEvent))
    for recorded in EXPECTED.values():
        text = line(recorded)
        assert text.startswith(f"2026-03-01T09:30:00Z {recorded.repo}/{recorded.task} ")
        assert len(text) > 80


def recorded(data: AnyEvent) -> Recorded:
    at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    return Recorded(seq=1, id="e" * 26, repo="shop", task="t" * 26, at=at, causation_id="", data=data)


@pytest.mark.parametrize(("state", "said"), [("open", "is open, in review;"), ("merged", "is merged;")])
def test_only_a_pull_request_that_is_open_is_in_review(state: str, said: str) -> None:
    assert said in line(recorded(PullRequestObserved(job="j" * 26, epoch=1, pull_request=7, state=state)))


def test_an_event_of_a_later_version_is_named_and_no_more() -> None:
    says = line(recorded(Unknown(type="task_reviewed\x1b[2J")))
    assert says == f"2026-03-01T09:30:00Z shop/{'t' * 26} task_reviewed [2J an event of a later version"


def test_no_text_can_leave_its_line_or_talk_to_the_terminal() -> None:
    submitted, *_ = [event for event in ALL if isinstance(event, TaskSubmitted)]
    assert "(asked for by" in line(recorded(submitted))
    hostile = ["\x1b]0;title\x07", "a\r\nb", "\x9b31m", "\u202egnp.exe", "\u2028", "\x00", "\u200bx", "\x7f", "\x85"]
    chance = random.Random(7)
    for _ in range(500):
        text = "".join(chance.choice([*hostile, "word ", "é"]) for _ in range(chance.randint(0, 40)))
        event = TaskFailed(error_class="x", message=text, attempts=1, usage=Usage())
        for cleaned in (clean(text), line(recorded(event)).removeprefix(f"2026-03-01T09:30:00Z shop/{'t' * 26} ")):
            assert not cleaned or cleaned.isprintable()
            assert len(cleaned) <= LINE_LENGTH_MAX + len("task_failed ")


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert clean("x" * 500, 10) == "x" * 9 + "…"
    assert clean("  x \n y  ") == "x y"
