"""The fold as a whole: every event is folded by something, and what was folded cannot change any more."""

from __future__ import annotations

import copy
import types
from datetime import datetime
from typing import Annotated, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct
from scenario import published, recorded

from penstock.codec import Envelope
from penstock.events import KnownEvent, Recorded
from penstock_orchestrator.core import evolve as fold
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.task import Task

PLAIN: Final = frozenset({str, int, float, bool, types.NoneType, datetime})


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


def test_a_value_that_the_collector_passes_over_is_frozen_to_the_bottom_so_that_it_cannot_hold_itself() -> None:
    found = structs_in(Task) | structs_in(Recorded) | structs_in(Envelope[KnownEvent])
    assert {cls.__name__ for cls in found if not cls.__struct_config__.frozen} == set()
    assert {Task, Recorded, Envelope, *get_args(KnownEvent)} <= {cls for cls in found if not cls.__struct_config__.gc}


def structs_in(type_: object, found: frozenset[type[Struct]] = frozenset()) -> frozenset[type[Struct]]:
    """Every struct that a value of this type can hold, itself included. What is neither a struct nor a tuple or a set that
    cannot change nor plain is refused."""
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return structs_in(arguments[0], found)
    if origin in (Union, types.UnionType, tuple, frozenset):
        for argument in arguments:
            found = structs_in(argument, found)
        return found
    cls = origin or type_
    if isinstance(cls, type) and issubclass(cls, Struct):
        if cls in found:
            return found
        found |= {cls}
        for info in msgspec.structs.fields(type_):  # type: ignore[arg-type]  # or a generic one with its arguments
            found = structs_in(info.type, found)
        return found
    assert type_ in PLAIN or type_ is ... or origin is Literal, f"{type_} is not frozen to the bottom"
    return found
