"""Chance, from a number alone: the same seed gives the same throws on every machine and version of Python.

Rule of this room: whatever is left to chance in a history is thrown here, so that a history is its seed and its moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_WIDTH: Final = (1 << 64) - 1


class Dice:
    """Throws from one seed. Not good enough for secrets, and quick."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = mixed(seed)

    def below(self, limit: int) -> int:
        """A number from 0 up to `limit`, which it never is."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & _WIDTH
        return (self._state >> 33) % limit

    def percent(self, share: int) -> bool:
        """True in `share` of a hundred throws."""
        return self.below(100) < share

    def pick(self, options: Sequence[T]) -> T:
        """One of the options. Raises ZeroDivisionError where there are none."""
        return options[self.below(len(options))]


def mixed(seed: int) -> int:
    """A number in which neighbouring seeds have nothing in common."""
    seed = (seed + 0x9E3779B97F4A7C15) & _WIDTH
    seed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & _WIDTH
    seed = ((seed ^ (seed >> 27)) * 0x94D049BB133111EB) & _WIDTH
    return seed ^ (seed >> 31)
