"""What this host knows about an account of a vendor: whether it is at a limit, and until when.

The rule of this room: one for each key, shared by everybody who uses it, so that a limit is met once by all who were at work
then. An account that is held is not asked by them; the first good answer frees it. A run that begins later was sent to try: when
to is not decided here.
"""

from __future__ import annotations

from penstock_agent_exec.broker.limits import Limit


class Account:
    """An account, as long as this process lives."""

    def __init__(self) -> None:
        self.limits_met = 0
        self._limit: Limit | None = None

    def limited(self, limit: Limit) -> None:
        """It has refused a request. Holds nobody where it is not known until when."""
        if limit.of_account and limit.resets_at and (self._limit is None or limit.resets_at >= self._limit.resets_at):
            self._limit = limit
            self.limits_met += 1

    def answered(self) -> None:
        """It has answered a request: whatever it was held for is over."""
        self._limit = None

    def held(self, now: float, limits_met: int = 0) -> Limit | None:
        """The limit that it is held for; None where it may be asked. `now`: Unix time in seconds. `limits_met`: how many had been
        met when the run began that wants to ask."""
        if self._limit is not None and self._limit.resets_at <= now:
            self._limit = None
        return self._limit if limits_met < self.limits_met else None
