"""The rows of what a task leaves to be remembered: one at its end, one for each round of review, and who was told of which.

Rule of this room: pure, made of the task alone. A failure is remembered as a failure, and nothing as better than it was.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import fields

from penstock import events as e
from penstock.bounds import clip
from penstock_orchestrator.core.checks import FAILED_BEFORE
from penstock_orchestrator.core.compact import telling
from penstock_orchestrator.core.task import Outcome, Task

ASKED_ROOM: Final = 2_000
HAPPENED_ROOM: Final = 3_000
SAID_ROOM: Final = 1_200
FAILURES_MAX: Final = 4
"""Failed steps on the way that are told, the last ones."""

FILES_MAX: Final = 50
COMMENT_ROOM: Final = 600
COMMENTS_MAX: Final = 20


class MemoryRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.memory_of_task`."""

    memory: str
    repo: str
    task: str
    kind: str
    title: str
    asked: str
    happened: str
    outcome: str | None = None
    attempts: int | None = None
    turns: int | None = None
    url: str | None = None
    score: float | None = None
    error_class: str | None = None
    files: list[str]
    born_at: datetime
    number: int


class RecallRow(Struct, frozen=True, kw_only=True):
    """One row of `penstock.memory_recall`: the task was told of the memory."""

    memory: str
    task: str
    at: datetime


RememberedRow: TypeAlias = MemoryRow | RecallRow
MEMORY_COLUMNS: Final = tuple(field.name for field in fields(MemoryRow))
RECALL_COLUMNS: Final = tuple(field.name for field in fields(RecallRow))


def remembered(task: Task, recorded: e.Recorded) -> list[RememberedRow]:
    """What this event, already folded into the living `task`, leaves to be remembered."""
    event = recorded.data
    if isinstance(event, e.MemoryRecalled):
        return [RecallRow(memory=item.memory, task=task.id, at=recorded.at) for item in event.items]
    if isinstance(event, e.FeedbackAccepted):
        return _review(task, recorded, event)
    if task.outcome is None or (task.outcome == "cancelled" and not task.attempts):
        # Nothing was tried: there is nothing to learn from.
        return []
    return [_end(task, recorded, task.outcome)]


def _end(task: Task, recorded: e.Recorded, outcome: Outcome) -> MemoryRow:
    good = outcome in ("succeeded", "unverified")
    url = task.delivery.url if task.delivery is not None else ""
    return MemoryRow(
        memory=task.id,
        repo=task.repo,
        task=task.id,
        kind="success" if good else "failure",
        title=task.spec.title,
        asked=clip("\n".join(filter(None, (task.spec.description, task.spec.acceptance))), ASKED_ROOM),
        happened=clip("\n".join(_happened(task, recorded.data, outcome)), HAPPENED_ROOM),
        outcome=outcome,
        attempts=task.attempts,
        turns=task.usage.turns,
        url=url or None,
        score=None if task.gate is None else task.gate.score,
        error_class=_error_class(task),
        files=[] if task.change is None else list(task.change.files[:FILES_MAX]),
        born_at=recorded.at,
        number=recorded.seq,
    )


def _error_class(task: Task) -> str | None:
    """What it failed with; of one that did not, the last that went wrong on the way."""
    if isinstance(task.end, e.TaskFailed):
        return task.end.error_class
    failure = task.last_failure or task.failure
    return None if failure is None else failure.known_as


def _happened(task: Task, end: e.AnyEvent, outcome: Outcome) -> list[str]:
    """How it ended, the agent's last words, and what went wrong on the way: the telling lines of each failed step."""
    lines = [_ended(task, end, outcome)]
    said = next((note.said for note in reversed(task.notes) if note.step == "agent" and not note.error_class), "")
    if said:
        lines.append(f"The agent said: {clip(said, SAID_ROOM)}")
    for note in [note for note in task.notes if note.error_class][-FAILURES_MAX:]:
        lines.append(f"On the way, attempt {note.attempt}, {note.step} failed as {note.error_class}:")
        lines += [f"  {line}" for line in telling(note)]
    return lines


def _ended(task: Task, end: e.AnyEvent, outcome: Outcome) -> str:
    tries = f"{task.attempts} attempt{'' if task.attempts == 1 else 's'}"
    match outcome:
        case "succeeded":
            return f"Succeeded after {tries}: the checks passed and the change was handed over."
        case "unverified":
            why = end.reason if isinstance(end, e.TaskUnverified) else ""
            if why == FAILED_BEFORE:
                return f"Handed over after {tries}; what fails had failed before it too, so it is not verified."
            return f"Handed over after {tries}, and nothing has checked it ({why})."
        case "no_change":
            return f"Ended without any change after {tries}."
        case "failed":
            why = f" as {end.error_class}: {end.message}" if isinstance(end, e.TaskFailed) else ""
            return f"Failed after {tries}{why}"
        case "cancelled":
            why = f": {end.reason}" if isinstance(end, e.TaskCancelled) and end.reason else ""
            return f"Stopped by a person after {tries}{why}"
        case never:
            assert_never(never)


def _review(task: Task, recorded: e.Recorded, event: e.FeedbackAccepted) -> list[RememberedRow]:
    """What reviewers and the forge's checks have asked for, once for each fix run."""
    fix = None if task.review is None else task.review.fix
    if fix is None or fix.number != event.number:
        return []
    said = [f"The forge's check {check.name} failed: {clip(check.summary, COMMENT_ROOM)}" for check in fix.checks]
    for comment in fix.comments[:COMMENTS_MAX]:
        where = f" on {comment.path}" if comment.path else ""
        said.append(f"{comment.author}{where}: {clip(comment.text, COMMENT_ROOM)}")
    paths = dict.fromkeys(comment.path for comment in fix.comments if comment.path)
    row = MemoryRow(
        memory=f"{task.id}r{event.number}",
        repo=task.repo,
        task=task.id,
        kind="review",
        title=task.spec.title,
        asked="",
        happened=clip("\n".join(said), HAPPENED_ROOM),
        url=None if task.review is None else task.review.url or None,
        files=list(paths)[:FILES_MAX],
        born_at=recorded.at,
        number=recorded.seq,
    )
    return [row]
