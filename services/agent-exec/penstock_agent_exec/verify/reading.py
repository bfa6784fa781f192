"""What one command's reports say, test by test.

Rule of this room: a name is one line, short and clean, whoever wrote it; of more tests than CASES_MAX the rest is counted and
not named, and then two readings are not compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from penstock.bounds import TEST_NAMES_MAX
from penstock.values import Tally
from penstock_agent_exec.output import readable

State: TypeAlias = Literal["passed", "failed", "skipped"]

CASES_MAX: Final = 50_000
NAME_LENGTH_MAX: Final = 200
NAMES_BYTES_MAX: Final = 4_000
"""Of all the names in one list of an event."""

TEXT: Final = "text"
"""Sums as they were printed, where there is no report."""

_WORSE: Final[dict[State, int]] = {"skipped": 0, "passed": 1, "failed": 2}


class NotAReport(ValueError):
    """This is not a report of a kind that is known, or not a harmless one."""


@dataclass(slots=True)
class Reading:
    """`is_whole`: every test has a name here, so that two readings can be compared by it."""

    source: str
    cases: dict[str, State] = field(default_factory=dict)
    counts: dict[State, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})
    is_whole: bool = True

    def add(self, name: str, state: State) -> None:
        """One test. Of the same name the worst counts."""
        self.counts[state] += 1
        clean = cleaned(name)
        there = self.cases.get(clean)
        if there is None and (len(self.cases) >= CASES_MAX or not clean):
            self.is_whole = False
        elif there is None or _WORSE[state] > _WORSE[there]:
            self.cases[clean] = state

    def add_all(self, other: Reading) -> None:
        """The tests of another report of the same command."""
        counts = {state: self.counts[state] + other.counts[state] for state in self.counts}
        for name, state in other.cases.items():
            self.add(name, state)
        self.counts = counts
        self.is_whole = self.is_whole and other.is_whole

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def failed(self) -> frozenset[str]:
        return frozenset(name for name, state in self.cases.items() if state == "failed")

    @property
    def passed(self) -> frozenset[str]:
        return frozenset(name for name, state in self.cases.items() if state == "passed")

    def tally(self) -> Tally:
        """As an event has it."""
        return Tally(
            total=self.total,
            passed=self.counts["passed"],
            failed=self.counts["failed"],
            skipped=self.counts["skipped"],
            failed_names=first_of(self.failed),
            source=self.source,
        )


def cleaned(name: str) -> str:
    """On one line; a long one has its beginning and a mark that keeps it apart from others that begin like it."""
    # Far more than is shown, and little enough to be cleaned for every test of a report.
    line = " ".join(readable(name[: 4 * NAME_LENGTH_MAX]).split())
    if len(line) <= NAME_LENGTH_MAX and len(name) <= 4 * NAME_LENGTH_MAX:
        return line
    mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{line[: NAME_LENGTH_MAX - 10]}… {mark}"


def first_of(names: Iterable[str]) -> tuple[str, ...]:
    """As many as one list of an event may name, in a fixed order."""
    chosen: list[str] = []
    room = NAMES_BYTES_MAX
    for name in sorted(names)[:TEST_NAMES_MAX]:
        room -= len(name.encode("utf-8", "replace"))
        if room < 0:
            break
        chosen.append(name)
    return tuple(chosen)


def without_root(report: bytes, root: str) -> bytes:
    """The same with paths below the work tree: it lies elsewhere for the next check, whose names are to be the same."""
    return report.replace(f"{root}/".encode(), b"")
