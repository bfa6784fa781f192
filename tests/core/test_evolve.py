"""The fold as a whole: every event is folded by something, and what was folded cannot change any more."""

from __future__ import annotations

import copy
from typing import get_args

from scenario import published, recorded

from penstock.events import KnownEvent
from penstock_orchestrator.core import evolve as fold
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.task import Task


def test_every_event_of_the_catalogue_is_folded_by_something() -> None:
    assert set(fold._ARMS) == set(get_args(KnownEvent))


def test_the_task_that_an_event_is_folded_into_stays_as_it_was() -> None:
    task: Task | None = None
    for seq, event in enumerate(published(), start=1):
        before, as_it_was = task, copy.copy(task)
        task = evolve(before, recorded(event, seq))
        assert before == as_it_was, type(event).__name__
        assert task is not None
        assert task.seq == seq
