"""The rows of the read model: coalesced, the same whatever the batches, and only living tasks in memory."""

from __future__ import annotations

from scenario import T0, TASK, event_id, published, submitted

from penstock import subjects as s
from penstock.codec import encode_event, type_of
from penstock.events import JobClaimed, KnownEvent, TaskSucceeded
from penstock.reader import Stored
from penstock.values import Delivery, Usage
from penstock_orchestrator.projector import ReadModel
from penstock_orchestrator.rows import TaskRow
from penstock_orchestrator.step_rows import StepRow

DELIVERED = Delivery(kind="branch", commit="c" * 40)
LIFE: tuple[KnownEvent, ...] = (*published(), TaskSucceeded(delivery=DELIVERED, attempts=1, usage=Usage()))
LATE = JobClaimed(job=event_id(11), host="h1", epoch=9)


def stored(event: KnownEvent, seq: int) -> Stored:
    body = encode_event(event, id=event_id(seq), repo="shop", task=TASK, at=T0, causation_id="", source="/test")
    return Stored(seq, s.event("shop", TASK, type_of(event)), body, None)


def written(model: ReadModel, batches: list[list[Stored]]) -> tuple[dict[str, TaskRow], dict[str, StepRow], list[int]]:
    """What stands in the three tables after these batches, each written on its own."""
    tasks: dict[str, TaskRow] = {}
    steps: dict[str, StepRow] = {}
    timeline: list[int] = []
    for batch in batches:
        model.take(batch)
        tasks |= {row.task: row for row in model.task_rows()}
        steps |= {row.job: row for row in model.step_rows()}
        timeline += [event[0] for event in model.events]
        model.written()
    return tasks, steps, timeline


def test_one_batch_and_a_batch_for_each_event_give_the_same_rows() -> None:
    log = [stored(event, seq) for seq, event in enumerate((*LIFE, LATE), start=1)]
    assert written(ReadModel(0), [log]) == written(ReadModel(0), [[one] for one in log])


def test_what_comes_after_the_end_is_in_the_timeline_and_changes_no_row() -> None:
    log = [stored(event, seq) for seq, event in enumerate(LIFE, start=1)]
    late = stored(LATE, len(log) + 1)
    tasks, steps, timeline = written(ReadModel(0), [log])
    assert written(ReadModel(0), [log, [late]]) == (tasks, steps, [*timeline, late.seq])
    assert tasks[TASK].outcome == "succeeded"


def test_what_was_written_before_a_restart_is_not_written_again() -> None:
    log = [stored(event, seq) for seq, event in enumerate(LIFE, start=1)]
    model = ReadModel(len(log))
    assert written(model, [log]) == ({}, {}, [])
    assert not model.has_news


def test_an_event_that_cannot_be_read_holds_its_task_and_says_so() -> None:
    log = [stored(submitted(), 1), Stored(2, s.event("shop", TASK, "prepare_requested"), b"{", None)]
    tasks, _, timeline = written(ReadModel(0), [log])
    assert "cannot be read" in tasks[TASK].waiting_for
    assert (tasks[TASK].seq, timeline) == (2, [1])
