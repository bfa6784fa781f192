"""decode + fold: bytes of the log into tasks in memory, as the orchestrator does at every start.

The reference is msgspec alone, decoding the same bytes into the same tagged union and dropping the result. A second
reference has the same shapes without their bounds: what is between the two is the price of checking every id and text.
"""

from __future__ import annotations

import gc
import statistics
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bench.bare import unbounded
from bench.figures import Goal, Table, Took, clock
from bench.lives import STORIES, Life, Line
from bench.plan import Plan
from penstock.codec import Envelope, decode_event
from penstock.events import KnownEvent
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.task import Task

TASKS: Final = 200
TASKS_WEIGHED: Final = 1_000
EVENTS_OF_A_LIVING_TASK: Final = 12
PASSES: Final = 5
"""Per round and side: the work of one pass is too short to be measured alone."""


async def run(plan: Plan) -> list[Table]:
    lines = _lines(TASKS)
    table = Table(f"fold: {len(lines):,} events of {TASKS} tasks, mean {_mean_bytes(lines):.0f} B, CPU time")
    against_bounded = table.row("decode_event + evolve / msgspec, same types, events", "/s", Goal(">=", 0.6))
    against_bare = table.row("decode_event + evolve / msgspec without bounds, events", "/s")
    decoding = table.row("decode_event / msgspec, same types, events", "/s")
    bounds = table.row("msgspec, same types / without bounds, events", "/s")
    bounded = msgspec.json.Decoder(Envelope[KnownEvent])
    bare = unbounded(Envelope[KnownEvent])
    for counted in plan.counted_rounds():
        took = [
            _each(lines, side)
            for side in (
                lambda: fold(lines),
                lambda: _decode(lines, bounded.decode),
                lambda: _decode(lines, bare.decode),
                lambda: _decode_events(lines),
            )
        ]
        if not counted:
            continue
        folded, with_bounds, without, decoded = (Took(1e6 / us, us) for us in took)
        against_bounded.add(folded, with_bounds)
        against_bare.add(folded, without)
        decoding.add(decoded, with_bounds)
        bounds.add(with_bounds, without)
    table.notes.append(_weight())
    return [table]


def fold(lines: Sequence[Line]) -> dict[str, Task]:
    """Every task of these lines, as the orchestrator would have them."""
    tasks: dict[str, Task] = {}
    fold_into(tasks, lines)
    return tasks


def fold_into(tasks: dict[str, Task], lines: Sequence[Line]) -> None:
    for seq, line in enumerate(lines, start=1):
        recorded = decode_event(line.body, seq)
        task = evolve(tasks.get(recorded.task), recorded)
        if task is not None:
            tasks[recorded.task] = task


def _decode(lines: Sequence[Line], decode: Callable[[bytes], object]) -> None:
    for line in lines:
        decode(line.body)


def _decode_events(lines: Sequence[Line]) -> None:
    for seq, line in enumerate(lines, start=1):
        decode_event(line.body, seq)


def _each(lines: Sequence[Line], side: Callable[[], object]) -> float:
    """CPU microseconds per event."""
    with clock() as taken:
        for _ in range(PASSES):
            side()
    return taken.each(PASSES * len(lines))


def _lines(tasks: int) -> list[Line]:
    lives = [Life(story) for story in STORIES]
    return [line for number in range(tasks) for line in lives[number % len(lives)].of(number)]


def _mean_bytes(lines: Sequence[Line]) -> float:
    return statistics.mean(len(line.body) for line in lines)


def _weight() -> str:
    """Memory of one living task, by what Python allocates for the folded state; the events themselves are gone."""
    lives = [Life(story) for story in STORIES]
    lines = [line for n in range(TASKS_WEIGHED) for line in lives[n % len(lives)].of(n)[:EVENTS_OF_A_LIVING_TASK]]
    gc.collect()
    tracemalloc.start()
    try:
        tasks = fold(lines)
        gc.collect()
        size_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    alive = [task for task in tasks.values() if task.outcome is None]
    assert len(alive) == TASKS_WEIGHED
    texts = statistics.mean(
        sum(len(text) for text in (task.spec.title, task.spec.description, task.spec.acceptance)) for task in alive
    )
    return (
        f"memory of one folded living task after {EVENTS_OF_A_LIVING_TASK} events: {size_bytes / len(alive) / 1000:.2f} kB "
        f"(goal <= 2 kB), {texts:.0f} B of it title, description and acceptance as they were submitted"
    )
