"""One check beside another of the same command: run again, or on the commit where the task began.

Rule of this room: pure. Tests are known by their names; where a side has not named all that failed, nothing is said of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from penstock.bounds import Count, Seconds, Word
from penstock.values import Baseline, Rerun, Tally
from penstock_agent_exec.verify.reading import TEXT, Reading, first_of

NAMES_KEPT_MAX: Final = 5_000

LINTERS: Final = frozenset({"eslint", "ruff"})
"""Whose reports count findings, not tests."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command."""

    exit_code: int | None
    ended: str
    wall_seconds: float
    reading: Reading | None

    @property
    def passed(self) -> bool:
        return self.exit_code == 0 and self.ended == "exited"

    @property
    def can_be_rerun(self) -> bool:
        """It ended by itself, and its program is there."""
        return self.ended == "exited" and not self.passed and self.exit_code not in (126, 127)

    @property
    def tally(self) -> Tally | None:
        return None if self.reading is None else self.reading.tally()


class Past(Struct, frozen=True, kw_only=True):
    """How a command did on the commit where tasks begin. `failed`: the names of all that failed, None where not all have one."""

    stage: Word
    exit_code: int | None
    ended: Word
    wall_seconds: Seconds
    tests: Tally | None = None
    failed: tuple[str, ...] | None = None

    @property
    def source(self) -> str:
        return "" if self.tests is None else self.tests.source


def rerun(first: Run, again: Run) -> Rerun:
    """What running it once more has told."""
    flaky = None
    if first.reading is not None and first.reading.is_whole and first.reading.failed:
        if again.passed:
            flaky = first.reading.failed
        elif again.reading is not None and again.reading.is_whole and again.reading.source == first.reading.source:
            flaky = first.reading.failed - again.reading.failed
    return Rerun(
        exit_code=again.exit_code,
        ended=again.ended,
        wall_seconds=again.wall_seconds,
        tests=again.tally,
        flaky=None if flaky is None else len(flaky),
        flaky_names=() if flaky is None else first_of(flaky),
    )


def broken(first: Run, again: Run | None) -> frozenset[str] | None:
    """The names of what fails for sure: in both runs, where there are two and something does. None where not all have one."""
    found: frozenset[str] | None = None
    for run in (first, again):
        if run is None or run.passed:
            continue
        if run.reading is None or not run.reading.is_whole:
            return None
        found = run.reading.failed if found is None else found & run.reading.failed or found | run.reading.failed
    return found


def past(stage: str, first: Run, again: Run | None) -> Past:
    """As it is kept for the tasks that begin there. What is flaky there was not broken."""
    last = again if again is not None and again.passed else first
    names = broken(first, again) if not last.passed else frozenset[str]()
    return Past(
        stage=stage,
        exit_code=last.exit_code,
        ended=last.ended,
        wall_seconds=first.wall_seconds + (again.wall_seconds if again is not None else 0.0),
        tests=last.tally,
        failed=None if names is None or len(names) > NAMES_KEPT_MAX else tuple(sorted(names)),
    )


def _has_fewer(was: Past, now: Reading) -> bool:
    """Whether tests are gone, which may be the ones that would fail. Fewer findings of a linter are a mend."""
    return was.tests is not None and now.total < was.tests.total and now.source not in LINTERS


def beside(commit: str, was: Past, first: Run, again: Run | None, *, wall_seconds: Count | float) -> Baseline:
    """What the change has made of it."""
    now = frozenset[str]() if first.passed or (again is not None and again.passed) else broken(first, again)
    same = was.tests is not None and first.reading is not None and was.source == first.reading.source
    baseline = Baseline(
        commit=commit, exit_code=was.exit_code, ended=was.ended, wall_seconds=wall_seconds, tests=was.tests
    )
    if not same or was.failed is None or now is None or first.reading is None or _has_fewer(was, first.reading):
        return baseline
    old = frozenset(was.failed)
    last = again.reading if again is not None and again.passed and again.reading is not None else first.reading
    fixed = None if was.source == TEXT else (old - now) & last.passed
    return Baseline(
        commit=commit,
        exit_code=was.exit_code,
        ended=was.ended,
        wall_seconds=wall_seconds,
        tests=was.tests,
        new_failures=len(now - old),
        new_names=first_of(now - old),
        failed_before=len(now & old),
        failed_before_names=first_of(now & old),
        fixed=None if fixed is None else len(fixed),
        fixed_names=() if fixed is None else first_of(fixed),
    )
