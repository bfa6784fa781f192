"""A task's log, told step by step: what happened, by which rule or by whom, and what the rule looked at.

Rule of this room: nothing is remembered about a decision but the decision; its reason is found by asking the same rules
again, on the state before it, at the time that the log names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from penstock.bounds import LINE_LENGTH_MAX, MESSAGE_LENGTH_MAX, clip
from penstock.commands import Transition
from penstock.events import AnyEvent, Recorded
from penstock_orchestrator.core.advance import Due, due
from penstock_orchestrator.core.clause import clause
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.origin import origin, type_name
from penstock_orchestrator.core.reasons import REASONS, Facts, when
from penstock_orchestrator.core.replay import likeness
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.waiting import phase


def explain(log: Iterable[Recorded]) -> list[Transition]:
    """One transition for each event from the submission on, in the order of the log."""
    told: list[Transition] = []
    task: Task | None = None
    for recorded in log:
        after = evolve(task, recorded)
        if after is not None:
            told.append(_transition(task, recorded, after))
        task = after
    return told


def _transition(before: Task | None, recorded: Recorded, after: Task) -> Transition:
    event, brought_by = recorded.data, origin(recorded.data)
    if brought_by == "rule" and before is not None:
        return _decision(before, recorded, after, due(before, recorded.at))
    ignored = before is not None and replace(before, seq=after.seq) == after
    says = clause(event) + ("; it changed nothing" if ignored else "")
    return Transition(
        seq=recorded.seq,
        at=recorded.at,
        event=type_name(event),
        before="" if before is None else phase(before),
        after=phase(after),
        kind="input",
        rule=brought_by,
        facts=(("cause", clip(recorded.causation_id, LINE_LENGTH_MAX)), *_said(event)),
        says=clip(says, MESSAGE_LENGTH_MAX),
    )


def _decision(before: Task, recorded: Recorded, after: Task, today: Due) -> Transition:
    like = likeness(recorded.data, today.event)
    agrees = like != "other"
    reason = REASONS[today.rule]
    if today.event is not None and type_name(today.event) == type_name(recorded.data):
        says = f"{clause(recorded.data)}, because {reason.because}"
        says += "" if like == "same" else f"; today it would read: {clause(today.event)}"
    else:
        instead = "nothing would be done" if today.event is None else clause(today.event)
        says = f"{clause(recorded.data)}; by today's rules {instead}, because {reason.because}"
    return Transition(
        seq=recorded.seq,
        at=recorded.at,
        event=type_name(recorded.data),
        before=phase(before),
        after=phase(after),
        kind="decision",
        rule=today.rule,
        facts=tuple((name, clip(value, LINE_LENGTH_MAX)) for name, value in reason.facts(before, recorded.at)),
        says=clip(says, MESSAGE_LENGTH_MAX),
        agrees=agrees,
        instead="" if agrees or today.event is None else type_name(today.event),
    )


def _said(event: AnyEvent) -> Facts:
    """What an input said, as far as it is one word, one number or one moment."""
    found: list[tuple[str, str]] = []
    for field in msgspec.structs.fields(event):
        value: object = getattr(event, field.name)
        if isinstance(value, bool):
            text = "yes" if value else ""
        elif isinstance(value, datetime):
            text = when(value)
        else:
            text = str(value) if isinstance(value, str | int | float) else ""
        if text:
            found.append((field.name.replace("_", " "), clip(text, LINE_LENGTH_MAX)))
    return tuple(found)
