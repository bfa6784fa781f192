"""How much is measured: rounds, and the short or the long form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """`rounds` are counted; one more before them warms up and is thrown away. `events`: how many to rebuild from."""

    rounds: int
    short: bool
    events: int | None = None

    def size(self, *, short: int, long: int) -> int:
        return short if self.short else long

    def counted_rounds(self) -> Iterator[bool]:
        """False for the round that warms up, then True for each that counts."""
        yield False
        for _ in range(self.rounds):
            yield True
