"""Ways to tell somebody: one file each.

Rule of this room: `send` ends within its own time limit with one of three outcomes, whatever is at the other end; it does
not know how often it has been called.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from penstock.catalog import Route


class Delivery(NamedTuple):
    """One event on its way along one route. `id` is the same at every repeat; `body` is the event's document."""

    id: str
    body: bytes


class Delivered(NamedTuple):
    """The other end has it."""


class NotNow(NamedTuple):
    """It may work later. `retry_after_seconds` where the other end said when, else 0."""

    reason: str
    retry_after_seconds: float = 0.0


class Never(NamedTuple):
    """Saying it again would change nothing."""

    reason: str


Outcome: TypeAlias = Delivered | NotNow | Never


class Channel(Protocol):
    async def send(self, route: Route, delivery: Delivery) -> Outcome: ...
