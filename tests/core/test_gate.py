"""How likely a task is to make sense, from recorded evidence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert, to_builtins
from msgspec.structs import replace

from penstock.events import GateScored
from penstock.jobs import PrepareWork
from penstock.values import Evidence, Forecast, History, RepoSnapshot
from penstock_orchestrator.core.gate import forecast, history_value, score, words

NO_HISTORY = History()
GOOD_HISTORY = History(succeeded=4)
KNOWN = Evidence(words=8, overlap=4, recent_commits=0, recent_commits_all=12, open_pull_requests=0)
REPO = RepoSnapshot(name="shop", clone_url="https://git.example/shop.git")


def value(source: str, evidence: Evidence | None, history: History = NO_HISTORY) -> float:
    return next(signal.value for signal in score(evidence, history).signals if signal.source == source)


def test_identifiers_and_paths_are_kept_whole_and_in_their_parts() -> None:
    assert words("TypeError in loadUser", "", "") == ("typeerror", "type", "error", "loaduser", "load", "user")
    assert words("snake_case_name", "", "") == ("snake_case_name", "snake", "case", "name")
    assert words("HTTPServerError", "", "") == ("httpservererror", "http", "server", "error")
    assert words("see `pkg/user_cache.py`.", "", "") == ("pkg/user_cache.py", "pkg", "user", "cache")
    assert words("cart::Line in .github/ci.yml", "", "") == (
        *("cart::line", "cart", "line"),
        *(".github/ci.yml", "github", "yml"),
    )


def test_words_that_tell_no_task_from_another_are_left_out() -> None:
    assert words("Fix the code", "It doesn't work, and you should change it: see #42", "All tests pass") == ()
    assert words("Look at https://example.org/shop/issues/1 ...then retry ___", "", "") == ("look", "retry")


def test_words_stand_in_the_order_in_which_they_first_appear_and_the_title_comes_first() -> None:
    assert words("Retry uploads", "Uploads of images", "images retry") == ("retry", "uploads", "images")


def test_of_many_words_the_first_twenty_four_are_taken() -> None:
    found = words("Parser", " ".join(f"word{number}x" for number in range(100)), "never reached")
    assert len(found) == 24
    assert found[:2] == ("parser", "word0x")


@settings(deadline=None, database=None)
@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_task_says_its_words_fit_into_a_job(title: str, description: str, acceptance: str) -> None:
    found = words(title, description, acceptance)
    work = PrepareWork(repo=REPO, branch="agent/x", words=found)
    assert convert(to_builtins(work), PrepareWork).words == found == words(title, description, acceptance)
    assert len(found) == len(set(found)) <= 24
    assert all(word == word.lower() for word in found)


def test_a_word_is_cut_at_a_hundred_characters() -> None:
    assert words("x" * 150, "", "") == ("x" * 100,)


def test_a_task_on_known_ground_in_a_repo_that_went_well_scores_high() -> None:
    scored = score(KNOWN, GOOD_HISTORY)
    assert scored.score == pytest.approx(100 * (0.40 * 1.0 + 0.25 * 0.85 + 0.20 * 0.9 + 0.15 * 1.0), abs=0.05)
    assert (scored.confidence, scored.warnings, scored.degraded) == ("high", (), ())
    assert [signal.weight for signal in scored.signals] == [0.40, 0.25, 0.20, 0.15]


def test_the_ground_is_the_better_known_the_more_words_the_repository_knows() -> None:
    values = [value("repo_map", replace(KNOWN, overlap=overlap)) for overlap in range(9)]
    assert values == sorted(values)
    assert (values[0], values[1], values[2], values[4], values[8]) == (0.2, 0.4, 0.6, 1.0, 1.0)


def test_a_task_without_a_word_to_look_for_is_neither_likely_nor_unlikely() -> None:
    nothing = replace(KNOWN, words=0, overlap=0)
    assert [value(source, nothing) for source in ("repo_map", "recent_commits", "open_pull_requests")] == [0.5] * 3


@pytest.mark.parametrize(("commits", "expected"), [(0, 0.9), (1, 0.65), (3, 0.65), (4, 0.35)])
def test_the_more_people_are_at_work_in_the_same_place_the_worse(commits: int, expected: float) -> None:
    assert value("recent_commits", replace(KNOWN, recent_commits=commits)) == expected


def test_a_quiet_repository_says_little() -> None:
    assert value("recent_commits", replace(KNOWN, recent_commits_all=0)) == 0.6


def test_an_open_pull_request_on_the_same_paths_speaks_loudly_against_a_task() -> None:
    scored = score(replace(KNOWN, open_pull_requests=2), GOOD_HISTORY)
    assert scored.warnings == (
        "Look at this before anything is spent: somebody may be doing this already, or the change will conflict with theirs "
        "(open pull requests on what the task is about: 2).",
    )


def test_a_signal_below_a_half_is_a_warning_in_words() -> None:
    scored = score(replace(KNOWN, overlap=1, recent_commits=9, paths=("src/cart.py",)), History(failed=3))
    assert scored.warnings == (
        "Mind: the task may be about something that is not in this repository "
        "(words of the task that the repository's paths know: 1 of 8, as in src/cart.py).",
        "Mind: most earlier tasks of this repository went wrong "
        "(earlier tasks of this repository: 0 ended well, 3 did not).",
        "Mind: people are at work in the same place, and the change may conflict with theirs "
        "(commits of the last two weeks on what the task is about: 9).",
    )


def test_words_that_names_know_count_and_the_reason_says_that_names_were_looked_at() -> None:
    evidence = replace(KNOWN, overlap=1, symbols=1, map="src/cart.py\n     1: class Cart:\n")
    (warning, *_) = score(evidence, History()).warnings
    assert "the repository's paths and the names that it defines know: 1 of 8" in warning


@pytest.mark.parametrize(
    ("succeeded", "failed", "expected"),
    [(0, 0, 0.5), (1, 0, 0.85), (3, 1, 0.85), (2, 1, 0.6), (1, 1, 0.6), (1, 2, 0.35), (0, 1, 0.35)],
)
def test_earlier_tasks_speak_for_or_against_the_next(succeeded: int, failed: int, expected: float) -> None:
    assert history_value(History(succeeded=succeeded, failed=failed)) == expected


def test_a_source_that_failed_is_named_and_its_weight_goes_to_the_others() -> None:
    scored = score(replace(KNOWN, open_pull_requests=None, degraded=("the forge did not answer",)), GOOD_HISTORY)
    assert scored.degraded == ("open_pull_requests", "the forge did not answer")
    assert [signal.weight for signal in scored.signals] == pytest.approx([0.40 / 0.85, 0.25 / 0.85, 0.20 / 0.85])
    assert scored.confidence == "high"


def test_with_two_sources_the_confidence_is_medium_and_with_one_it_is_low() -> None:
    assert score(Evidence(words=4, overlap=2), NO_HISTORY).confidence == "medium"
    alone = score(None, GOOD_HISTORY)
    assert (alone.score, alone.confidence) == (85.0, "low")
    assert alone.degraded == ("repo_map", "recent_commits", "open_pull_requests")


COUNTS = st.integers(0, 2**53)
MAYBE = st.none() | COUNTS
LINES = st.lists(st.text(max_size=500), max_size=5).map(tuple)
HISTORIES = st.builds(
    History,
    succeeded=COUNTS,
    failed=COUNTS,
    wall_seconds=st.lists(st.floats(0, 31_536_000), max_size=9).map(tuple),
    turns=st.lists(COUNTS, max_size=9).map(tuple),
)
EVIDENCE = st.none() | st.builds(
    Evidence,
    words=COUNTS,
    overlap=MAYBE,
    paths=LINES,
    recent_commits=MAYBE,
    recent_commits_all=MAYBE,
    open_pull_requests=MAYBE,
    degraded=LINES,
)


@settings(deadline=None, database=None)
@given(EVIDENCE, HISTORIES)
def test_whatever_a_host_found_the_score_is_an_event_within_its_bounds(
    evidence: Evidence | None, history: History
) -> None:
    scored = score(evidence, history)
    event = GateScored(
        score=scored.score,
        confidence=scored.confidence,
        signals=scored.signals,
        warnings=scored.warnings,
        degraded=scored.degraded,
        history=history,
        forecast=forecast(history),
    )
    assert convert(to_builtins(event), GateScored) == event
    assert sum(signal.weight for signal in scored.signals) == pytest.approx(1)


def test_a_repo_without_history_lets_expect_nothing() -> None:
    assert forecast(NO_HISTORY) == Forecast(samples=0)


def test_a_single_success_is_no_certainty_and_too_few_times_have_no_middle() -> None:
    assert forecast(History(succeeded=1, wall_seconds=(9.0, 9.0), turns=(3,))) == Forecast(samples=1, chance=2 / 3)


def test_times_and_turns_are_those_in_the_middle() -> None:
    history = History(succeeded=4, failed=2, wall_seconds=(900.0, 10.0, 20.0), turns=(40, 3, 5, 4))
    assert forecast(history) == Forecast(samples=6, chance=0.625, wall_seconds=20.0, turns=4)
