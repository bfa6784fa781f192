"""The pace of one route: how many deliveries at once, when the next try, when a put-off delivery is to come back.

Rule of this room: pure; the clock and chance come in. How long a thing has waited decides how long it waits next, so
nothing needs counting and nothing is forgotten in a restart.
"""

from __future__ import annotations

from typing import Final

AT_ONCE_MAX: Final = 4
"""Deliveries of one route that are tried at the same time."""
PAUSE_SECONDS_MIN: Final = 1.0
PAUSE_SECONDS_MAX: Final = 300.0
RETRY_AFTER_SECONDS_MAX: Final = 3_600.0
RETURNS_PER_SECOND: Final = 40.0
"""Put-off deliveries of one route come back at this pace, however many there are."""
TRIES_MIN: Final = 4
"""A delivery is not given up before it was given out so often: after an outage of our own, old ones get their chance."""


def pause_seconds(waited_seconds: float, chance: float) -> float:
    """Half as long again as it has waited, give or take a quarter. `chance` in [0, 1)."""
    pause = min(max(waited_seconds / 2, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX)
    return pause * (0.75 + chance / 2)


def is_given_up(age_seconds: float, given_out: int, age_seconds_max: float) -> bool:
    """Whether a delivery that could not be made has had its time."""
    return age_seconds >= age_seconds_max and given_out >= TRIES_MIN


class Lane:
    """One route's state. `now` is the monotonic clock in seconds."""

    def __init__(self) -> None:
        self._busy = 0
        self._open_at = 0.0
        self._failing_since: float | None = None
        self._next_return = 0.0
        self.failing_with = ""
        """Why the last try failed; empty while the endpoint does what it should."""

    def enter(self, now: float) -> bool:
        """Take a place if there is one; whoever did calls `succeeded`, `failed` or `ended`."""
        if now < self._open_at or self._busy >= AT_ONCE_MAX:
            return False
        self._busy += 1
        return True

    def return_seconds(self, now: float) -> float:
        """After how long a delivery that found no place is to come back."""
        self._next_return = max(self._next_return, self._open_at, now) + 1 / RETURNS_PER_SECOND
        return self._next_return - now

    def ended(self) -> None:
        """The try says nothing about the endpoint."""
        self._busy -= 1

    def succeeded(self) -> None:
        self._busy -= 1
        self._failing_since, self._open_at, self._next_return, self.failing_with = None, 0.0, 0.0, ""

    def failed(self, now: float, reason: str, retry_after_seconds: float, chance: float) -> float:
        """Nobody is to try before the endpoint has had its pause; returns how long that is."""
        self._busy -= 1
        if self._failing_since is None:
            self._failing_since = now
        self.failing_with = reason
        pause = max(pause_seconds(now - self._failing_since, chance), retry_after_seconds)
        self._open_at = max(self._open_at, now + pause)
        return self._open_at - now
