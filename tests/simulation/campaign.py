"""Many histories at once, on all processors: what was reached, what was found.

Rule of this room: the seeds are split over the processes, and the same seeds give the same result however they are split.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from typing import Final

from msgspec import Struct

from penstock.codec import known_types
from penstock.events import Event
from penstock_orchestrator.core.advance import RULES
from simulation.history import Failure, play, remembered_classes, shortest
from simulation.world import Broken

FAILURES_MAX: Final = 5
"""So many failing histories of a part are told, each cut short; then the part is given up."""

PART: Final = 250
"""Histories that one process takes at a time."""

PROCESSES_MAX: Final = 32


class Seen(Struct):
    """What some histories came to."""

    histories: int = 0
    events: int = 0
    seconds: float = 0.0
    types: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    failures: list[Failure] = []

    def add(self, other: Seen) -> None:
        self.histories += other.histories
        self.events += other.events
        self.seconds += other.seconds
        self.types += other.types
        self.rules += other.rules
        self.outcomes += other.outcomes
        self.failures += other.failures


def some(seeds: range) -> Seen:
    """The histories of these seeds, one after the other. `seconds`: of this process."""
    began = time.process_time()
    seen = Seen(types=Counter(), rules=Counter(), outcomes=Counter(), failures=[])
    # Every history is one big ring of objects: swept up at the end of the part, not again and again on the way.
    gc.disable()
    with remembered_classes():
        for seed in seeds:
            try:
                world = play(seed)
            except Broken as broken:
                seen.failures.append(shortest(seed, broken))
                if len(seen.failures) >= FAILURES_MAX:
                    break
                continue
            finally:
                seen.histories += 1
            seen.events += len(world.log)
            seen.types += world.event_types
            seen.rules += world.rules
            seen.outcomes.update(str(task.outcome) for task in world.tasks.values())
    gc.enable()
    gc.collect()
    seen.seconds = time.process_time() - began
    return seen


def campaign(count: int, first: int = 0) -> Seen:
    """`count` histories from seed `first` on, over all processors."""
    parts = [range(at, min(at + PART, first + count)) for at in range(first, first + count, PART)]
    whole = Seen(types=Counter(), rules=Counter(), outcomes=Counter(), failures=[])
    processes = min(len(os.sched_getaffinity(0)), PROCESSES_MAX, len(parts))
    with multiprocessing.get_context("spawn").Pool(processes, _begin, (sys.path,)) as pool:
        for seen in pool.imap_unordered(some, parts):
            whole.add(seen)
            if len(whole.failures) >= FAILURES_MAX:
                pool.terminate()
                break
    return whole


def _begin(path: list[str]) -> None:
    sys.path[:] = path


def missing(seen: Seen) -> list[str]:
    """Event types and rules that no history has reached."""
    names = {cls.__name__ for cls in Event.__subclasses__()}
    assert len(names) == len(known_types())
    unseen = sorted(name for name in names if not seen.types[name])
    return unseen + sorted(name for name, _ in RULES if not seen.rules[name])


def told(seen: Seen) -> str:
    """The figures, for a person."""
    speed = seen.histories / max(seen.seconds, 1e-9)
    lines = [
        f"{seen.histories} histories, {seen.events} events, {speed:.0f} histories a second and processor",
        "ends: " + _counts(seen.outcomes),
        "events: " + _counts(seen.types),
        "rules: " + _counts(seen.rules),
    ]
    for failure in seen.failures[:FAILURES_MAX]:
        lines.append(f"seed {failure.seed}, moves {list(failure.moves)}: {failure.invariant}: {failure.what}")
    return "\n".join(lines)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


if __name__ == "__main__":
    found = campaign(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(told(found))
    print("not reached:", ", ".join(missing(found)) or "nothing")
    sys.exit(1 if found.failures else 0)
