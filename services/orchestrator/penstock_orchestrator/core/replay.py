"""A recorded log under today's rules: would they decide the same?

Rule of this room: the state always follows the record, so each decision is judged for itself, at the time that the log names;
a difference in words alone is told apart from one in what is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from penstock.events import AnyEvent, KnownEvent, MessageConsumed, MessageDelivered, Recorded
from penstock_orchestrator.core.advance import due, next_look
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.origin import origin
from penstock_orchestrator.core.queue import STEPS
from penstock_orchestrator.core.task import Task

Likeness: TypeAlias = Literal["same", "words", "other"]
Kind: TypeAlias = Literal["decision", "missing", "words", "pending"]

WORDS: Final = frozenset({"hint", "message", "evidence", "can_do", "summary", "characters_in", "characters_out"})
"""Fields that hold text for a person or an agent. What is decided does not hang on them."""

LATE_SECONDS: Final = 60.0
"""A decision that was due for less than this when something else came first may just have been on its way."""


class Difference(Struct, frozen=True, kw_only=True):
    """Where the record and today's rules part. `seq` and `at`: of the event before which, or in whose place, today's rules
    decide; for `pending` of the log's last event. `kind`: `decision`, another one or none was recorded; `missing`, none was,
    though it was due for long; `words`, the same with other words; `pending`, one is due where the log ends. `rule`: by which
    today's rules speak; `today` is None where they wait."""

    seq: int
    at: datetime
    kind: Kind
    rule: str
    recorded: AnyEvent | None
    today: KnownEvent | None

    @property
    def decides(self) -> bool:
        """True where something else would be done, and not only said or still to come."""
        return self.kind in ("decision", "missing")


def replay(log: Iterable[Recorded]) -> list[Difference]:
    """Every difference between the recorded decisions and today's, in the order of the log."""
    found: list[Difference] = []
    task: Task | None = None
    last: Recorded | None = None
    for recorded in log:
        if task is not None and last is not None:
            if origin(recorded.data) == "rule":
                # What comes late is not missing.
                found = [one for one in found if one.kind != "missing" or not _is(one.today, recorded.data)]
                found += _judged(task, recorded)
            else:
                found += [
                    one
                    for one in _overtaken(task, last.at, recorded)
                    if not any(known.kind == "missing" and _is(known.today, one.today) for known in found)
                ]
        task, last = evolve(task, recorded), recorded
    if task is not None and last is not None:
        today = due(task, last.at)
        if today.event is not None:
            found.append(
                Difference(seq=last.seq, at=last.at, kind="pending", rule=today.rule, recorded=None, today=today.event)
            )
    return found


def likeness(one: AnyEvent | None, other: AnyEvent | None) -> Likeness:
    """Whether two decisions are the same, differ in words alone, or are different ones."""
    if one == other:
        return "same"
    if one is None or other is None or type(one) is not type(other):
        return "other"
    words = frozenset() if isinstance(one, MessageDelivered | MessageConsumed) else WORDS
    first, second = asdict(one), asdict(other)
    return "words" if all(first[name] == second[name] for name in first if name not in words) else "other"


def since(task: Task, last: datetime, until: datetime) -> datetime:
    """Since when, in `last` to `until`, something has been due that is due at `until`."""
    if due(task, last).event is not None:
        return last
    look = next_look(task)
    return until if look is None else min(max(look, last), until)


def _judged(task: Task, recorded: Recorded) -> list[Difference]:
    today = due(task, recorded.at)
    like = likeness(recorded.data, today.event)
    if like == "same":
        return []
    return [
        Difference(
            seq=recorded.seq,
            at=recorded.at,
            kind="words" if like == "words" else "decision",
            rule=today.rule,
            recorded=recorded.data,
            today=today.event,
        )
    ]


def _overtaken(task: Task, last: datetime, recorded: Recorded) -> list[Difference]:
    """An input came where today's rules had something to decide first."""
    today = due(task, recorded.at)
    if today.event is None or isinstance(today.event, STEPS):
        # A step may have been held back by a pause, which is no part of the task's log.
        return []
    begun = since(task, last, recorded.at)
    if recorded.at - begun < timedelta(seconds=LATE_SECONDS):
        return []
    return [Difference(seq=recorded.seq, at=begun, kind="missing", rule=today.rule, recorded=None, today=today.event)]


def _is(one: AnyEvent | None, other: AnyEvent | None) -> bool:
    return type(one) is type(other)
