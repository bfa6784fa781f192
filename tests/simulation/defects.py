"""Is each planted defect found, by which law, after how many histories? `python -m simulation.defects` prints the table.

Rule of this room: a defect counts as found only by a law that is named for it.
"""

from __future__ import annotations

import sys
from typing import Final

from msgspec import Struct

from simulation.history import Failure, play, remembered_classes, shortest
from simulation.planted import DEFECTS, Planted, planted
from simulation.world import Broken

HISTORIES_MAX: Final = 5_000
"""A defect that as many histories do not show is not found."""


class Found(Struct, frozen=True):
    """`histories`: how many it took."""

    histories: int
    failure: Failure


def found(defect: Planted, *, cut: bool = False) -> Found | None:
    """The first history that shows the defect; None where none does. `cut`: with as few moves as it can do with."""
    with remembered_classes(), planted(defect):
        for seed in range(HISTORIES_MAX):
            try:
                play(seed)
            except Broken as broken:
                failure = shortest(seed, broken) if cut else Failure(seed, (), broken.invariant, broken.what)
                return Found(seed + 1, failure)
    return None


def table() -> tuple[str, bool]:
    """One row for each defect, as Markdown; and whether all were found by a law that is named for them."""
    rows = ["| planted defect | what it does | found by | histories | moves |", "|---|---|---|---:|---:|"]
    good = True
    for defect in DEFECTS:
        one = found(defect, cut=True)
        if one is None:
            good = False
            rows.append(f"| {defect.name} | {defect.wrong} | **not found** | {HISTORIES_MAX} | |")
            continue
        by = one.failure.invariant
        if by not in defect.caught_by:
            good, by = False, f"**{by}**"
        rows.append(f"| {defect.name} | {defect.wrong} | {by} | {one.histories} | {len(one.failure.moves)} |")
    return "\n".join(rows), good


if __name__ == "__main__":
    text, complete = table()
    print(text)
    sys.exit(0 if complete else 1)
