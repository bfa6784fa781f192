"""Which routes an event goes to.

Rule of this room: pure; the same event and the same routes always give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.catalog import Route
from penstock.codec import type_of
from penstock.events import (
    BudgetWarned,
    DecisionRaised,
    KnownEvent,
    PlanProposed,
    PlanUnanswered,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
    TaskUnverified,
)

TYPES_BY_DEFAULT: Final = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (
        *(TaskSucceeded, TaskUnverified, TaskFailed, TaskCancelled),
        *(TaskBlocked, PlanProposed, PlanUnanswered, DecisionRaised, BudgetWarned),
    )
)
"""What a route without `types` carries: the ends of tasks, and what needs a person. A task that is passed on to a person or
that scored too low is blocked in the next event, so those two say nothing of their own here."""


def matching(routes: Iterable[Route], repo: str, event: KnownEvent) -> tuple[Route, ...]:
    """The enabled routes that want this event of this repo, by name."""
    type_ = type_of(event)
    wanted = [route for route in routes if _wants(route, repo, type_)]
    return tuple(sorted(wanted, key=lambda route: route.name))


def _wants(route: Route, repo: str, type_: str) -> bool:
    if not route.enabled or (route.repos and repo not in route.repos):
        return False
    return type_ in (route.types or TYPES_BY_DEFAULT)
