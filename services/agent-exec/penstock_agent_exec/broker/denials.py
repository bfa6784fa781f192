"""What a job was kept from: told one by one while they are few, counted when they are many.

The rule of this room: a denial is never lost and never a flood. The same target is told once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

TOLD_MAX: Final = 10
"""Of one job, one by one."""

What: TypeAlias = Literal["model", "egress"]


@dataclass(frozen=True, slots=True)
class Denial:
    """`target` is empty where this stands for the `count` that were not told one by one."""

    what: What
    target: str
    reason: str
    count: int = 1


class Denials:
    """One job's. `tell` is called with each that is told; it must not wait."""

    def __init__(self, tell: Callable[[Denial], None] = lambda _: None) -> None:
        self._tell = tell
        self._told: set[tuple[What, str]] = set()
        self._untold: dict[What, int] = {}

    def note(self, what: What, target: str, reason: str) -> None:
        """Something was asked for and refused. `target` and `reason` are shown to people."""
        if (what, target) in self._told or len(self._told) >= TOLD_MAX:
            self._untold[what] = self._untold.get(what, 0) + 1
            return
        self._told.add((what, target))
        self._tell(Denial(what, target, reason))

    def end(self) -> None:
        """The job is over: tell how many there were beside those that were told."""
        for what, count in self._untold.items():
            self._tell(Denial(what, "", "again, or after the first few", count))
        self._untold.clear()
