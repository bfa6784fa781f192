"""Figures: what one stretch of work took, how two of them compare, and the tables they are printed in.

Rule of this room: a comparison is made of rounds that ran next to each other (A B A B ...), its ratio is the median of the
rounds' own ratios, and the absolute numbers stand beside it.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal, assert_never


@dataclass(frozen=True)
class Goal:
    """The ratio that is promised: at most, or at least."""

    way: Literal["<=", ">="]
    ratio: float

    def verdict(self, found: float) -> str:
        met = found <= self.ratio if self.way == "<=" else found >= self.ratio
        return "met" if met else "MISSED"

    def __str__(self) -> str:
        return f"{self.way} {self.ratio:g}x"


Unit = Literal["us", "ms", "s", "/s", "share", "MB"]


@dataclass(frozen=True)
class Took:
    """One round of one side: its figure in its row's unit, and the CPU microseconds of this process per operation."""

    figure: float
    cpu_us: float | None = None


@dataclass
class Row:
    """One comparison. `ours` and `reference` are filled round by round, always both."""

    what: str
    unit: Unit
    goal: Goal | None = None
    ours: list[Took] = field(default_factory=list)
    reference: list[Took] = field(default_factory=list)

    def add(self, ours: Took, reference: Took) -> None:
        self.ours.append(ours)
        self.reference.append(reference)

    @property
    def ratio(self) -> float:
        return statistics.median(self._ratios())

    def _ratios(self) -> list[float]:
        return [a.figure / b.figure for a, b in zip(self.ours, self.reference, strict=True)]

    def cells(self) -> list[str]:
        ratios = self._ratios()
        return [
            self.what,
            f"{self.ratio:.2f}x",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            "-" if self.goal is None else f"{self.goal} {self.goal.verdict(self.ratio)}",
            _middle(self.ours, self.unit),
            _middle(self.reference, self.unit),
            f"{_cpu(self.ours)} / {_cpu(self.reference)}",
        ]


HEADS = ["", "ratio", "min-max", "goal", "ours", "reference", "CPU us/op ours / ref."]


@dataclass
class Table:
    """What one bench has to say: the rows, under the conditions named in `title`, and sentences below."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, what: str, unit: Unit, goal: Goal | None = None) -> Row:
        self.rows.append(Row(what, unit, goal))
        return self.rows[-1]

    def text(self) -> str:
        cells = [HEADS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in cells
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(
            ["", f"## {self.title}", "", *lines, *([""] if self.notes else []), *(f"* {note}" for note in self.notes)]
        )


class Clock:
    """Wall and CPU seconds of a `with` block."""

    wall_seconds = 0.0
    cpu_seconds = 0.0

    def each(self, count: int) -> float:
        """CPU microseconds per operation."""
        return self.cpu_seconds / count * 1e6


@contextmanager
def clock() -> Iterator[Clock]:
    taken = Clock()
    wall, cpu = time.perf_counter(), time.process_time()
    yield taken
    taken.wall_seconds, taken.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def surroundings() -> list[str]:
    """The machine and the versions, one line each. Servers add their own to the tables."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("nats-py", "msgspec", "asyncpg", "uvloop"))
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} cores ({_processor()}), load {os.getloadavg()[0]:.1f}",
        f"{platform.system()} {platform.release()}, Python {sys.version.split()[0]}, {packages}",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _middle(side: list[Took], unit: Unit) -> str:
    value = statistics.median(took.figure for took in side)
    match unit:
        case "/s":
            return f"{value:,.0f}/s"
        case "us":
            return f"{value:,.0f} us"
        case "ms" | "s" | "MB":
            return f"{value:,.2f} {unit}"
        case "share":
            return f"{value:.3f}"
        case _:
            assert_never(unit)


def _cpu(side: list[Took]) -> str:
    known = [took.cpu_us for took in side if took.cpu_us is not None]
    return f"{statistics.median(known):.1f}" if known else "-"
