"""How likely a task is to make sense, before money is spent on it.

Rule of this room: a score is a function of recorded evidence and nothing else; a source that failed says so by name, and its
weight goes to the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from penstock.bounds import COUNT_MAX, LINE_LENGTH_MAX, clip
from penstock.values import Evidence, Forecast, History, Signal

Confidence: TypeAlias = Literal["low", "medium", "high"]

REPO_MAP: Final = "repo_map"
HISTORY: Final = "history"
RECENT_COMMITS: Final = "recent_commits"
OPEN_PULL_REQUESTS: Final = "open_pull_requests"
WEIGHTS: Final = {REPO_MAP: 0.40, HISTORY: 0.25, RECENT_COMMITS: 0.20, OPEN_PULL_REQUESTS: 0.15}

WARN_BELOW: Final = 0.5
WARN_STRONGLY_BELOW: Final = 0.25
NOTHING_TO_LOOK_FOR: Final = 0.5
"""Neither for nor against: the task has no word to look for."""

WORDS_MAX: Final = 24
WORD_LENGTH_MAX: Final = 100
WORD_LENGTH_MIN: Final = 3
"""Shorter ones stand in the paths of every repository by chance."""

UNKNOWN_GROUND: Final = 0.2
KNOWN_GROUND_SHARE: Final = 0.5
OVERLAP_SOME_MAX: Final = 3
GOOD_SHARE: Final = 0.75
TIMES_MIN: Final = 3
"""Fewer times than this have no middle worth telling."""


class Scored(Struct, frozen=True, kw_only=True):
    """`score` is 0..100. `degraded`: the sources that had nothing to say, and what the host told of it."""

    score: float
    confidence: Confidence
    signals: tuple[Signal, ...]
    warnings: tuple[str, ...]
    degraded: tuple[str, ...]


def score(evidence: Evidence | None, history: History) -> Scored:
    """The score of a task from what its host found out (None: nothing) and how earlier tasks of the repo ended."""
    found = dict(_found(evidence, history))
    whole = sum(WEIGHTS[source] for source in found)
    signals = tuple(
        Signal(source=source, value=value, weight=WEIGHTS[source] / whole, why=clip(why, LINE_LENGTH_MAX))
        for source, (value, why) in found.items()
    )
    total = sum(signal.value * signal.weight for signal in signals)
    missing = [source for source in WEIGHTS if source not in found]
    told = evidence.degraded if evidence is not None else ()
    return Scored(
        score=min(round(100 * total, 1), 100.0),
        confidence=_confidence(len(signals)),
        signals=signals,
        warnings=tuple(_warning(signal) for signal in signals if signal.value < WARN_BELOW),
        degraded=tuple(dict.fromkeys([*missing, *told])),
    )


def forecast(history: History) -> Forecast:
    """What the repo's history lets expect. The chance is smoothed (one good and one bad task are added), so that a single
    success is no certainty; times and turns are medians."""
    samples = history.succeeded + history.failed
    turns = _median(history.turns)
    return Forecast(
        samples=min(samples, COUNT_MAX),
        chance=(history.succeeded + 1) / (samples + 2) if samples else None,
        wall_seconds=_median(history.wall_seconds),
        turns=None if turns is None else round(turns),
    )


def history_value(history: History) -> float:
    """How earlier tasks speak for this one, 0..1: good where at least three quarters of them ended well."""
    if not history.succeeded + history.failed:
        return 0.5
    if history.failed > history.succeeded:
        return 0.35
    good = history.succeeded >= GOOD_SHARE * (history.succeeded + history.failed)
    return 0.85 if good else 0.6


def _found(evidence: Evidence | None, history: History) -> Iterator[tuple[str, tuple[float, str]]]:
    """Each source that has something to say, with its value and why."""
    if evidence is not None and evidence.overlap is not None:
        yield REPO_MAP, _repo_map(evidence, evidence.overlap)
    ended = f"earlier tasks of this repository: {history.succeeded} ended well, {history.failed} did not"
    yield HISTORY, (history_value(history), ended)
    if evidence is not None and evidence.recent_commits is not None:
        yield RECENT_COMMITS, _recent_commits(evidence, evidence.recent_commits)
    if evidence is not None and evidence.open_pull_requests is not None:
        yield OPEN_PULL_REQUESTS, _open_pull_requests(evidence, evidence.open_pull_requests)


def _repo_map(evidence: Evidence, overlap: int) -> tuple[float, str]:
    """Rises from 0.2, where the repository knows no word of the task (which is then likely to be about something else), to 1
    where it knows half of them: much of any task is plain language that no path holds, so more than half says no more."""
    if not evidence.words:
        return NOTHING_TO_LOOK_FOR, "the task has no word to look for in the repository"
    share = min(overlap / evidence.words / KNOWN_GROUND_SHARE, 1.0)
    value = UNKNOWN_GROUND + (1.0 - UNKNOWN_GROUND) * share
    knowing = "paths" if evidence.symbols is None else "paths and the names that it defines"
    known = f"words of the task that the repository's {knowing} know: {overlap} of {evidence.words}"
    return round(min(value, 1.0), 4), known + (f", as in {', '.join(evidence.paths[:3])}" if evidence.paths else "")


def _recent_commits(evidence: Evidence, overlap: int) -> tuple[float, str]:
    if evidence.recent_commits_all == 0:
        return 0.6, "nobody has committed anything for two weeks"
    if not overlap and not evidence.words:
        return NOTHING_TO_LOOK_FOR, "the task has no word to look for in the latest commits"
    why = f"commits of the last two weeks on what the task is about: {overlap}"
    if not overlap:
        return 0.9, why
    return (0.65 if overlap <= OVERLAP_SOME_MAX else 0.35), why


def _open_pull_requests(evidence: Evidence, open_now: int) -> tuple[float, str]:
    if open_now:
        return 0.2, f"open pull requests on what the task is about: {open_now}"
    if not evidence.words:
        return NOTHING_TO_LOOK_FOR, "the task has no word to look for in the open pull requests"
    return 1.0, "no open pull request touches what the task is about"


_MEANS: Final = {
    REPO_MAP: "the task may be about something that is not in this repository",
    HISTORY: "most earlier tasks of this repository went wrong",
    RECENT_COMMITS: "people are at work in the same place, and the change may conflict with theirs",
    OPEN_PULL_REQUESTS: "somebody may be doing this already, or the change will conflict with theirs",
}


def _warning(signal: Signal) -> str:
    means = _MEANS[signal.source]
    strength = "Look at this before anything is spent" if signal.value < WARN_STRONGLY_BELOW else "Mind"
    return clip(f"{strength}: {means} ({signal.why}).", LINE_LENGTH_MAX)


def _confidence(sources: int) -> Confidence:
    if sources >= 3:
        return "high"
    return "medium" if sources == 2 else "low"


def _median(values: tuple[float, ...] | tuple[int, ...]) -> float | None:
    if len(values) < TIMES_MIN:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://\S+", re.IGNORECASE)
_CONTRACTED: Final = re.compile(r"n['’]t\b|['’](?:s|re|ve|ll|d|m)\b", re.IGNORECASE)
# A path or an identifier is one token: words joined by / . - \ or ::, perhaps behind a leading dot.
_TOKEN: Final = re.compile(r"(?:(?<![\w.)\]])\.)?\w+(?:(?:::|/\.|[./\\-])\w+)*")
_SEAM: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")

_STOP_WORDS: Final = """
about above add added after again all also and any are because been before being below between both but can cannot
change code could did does doing done down each every few file files fix fixed for from had has have having here how
implement into its itself just let like make makes may might more most must need needs new nor not now off once one
only other our out over own pass passes please same see shall she should some src such test tests than that the their
them then there these they this those through too two under until use used uses using very want was way well were
what when where which while who why will with work works would yet you your
"""
_STOP: Final = frozenset(_STOP_WORDS.split())
"""Words of every task and of every repository: they tell none from another."""


def words(title: str, description: str, acceptance: str) -> tuple[str, ...]:
    """At most 24 words of a task that can be looked for in a repository, in lower case, in the order in which they appear.

    An identifier or a path is there as a whole and in its parts: `loadUser` gives `loaduser`, `load`, `user`."""
    chosen: dict[str, None] = {}
    for text in (title, description, acceptance):
        for word in _candidates(_CONTRACTED.sub("", _URL.sub(" ", text))):
            chosen[word[:WORD_LENGTH_MAX]] = None
            if len(chosen) == WORDS_MAX:
                return tuple(chosen)
    return tuple(chosen)


def _candidates(text: str) -> Iterator[str]:
    for token in _TOKEN.findall(text):
        parts = [part for part in _SEAM.split(token) if part]
        for word in (token, *parts) if parts else ():
            lower = word.lower()
            if len(lower) >= WORD_LENGTH_MIN and lower not in _STOP and not lower.isdigit():
                yield lower
