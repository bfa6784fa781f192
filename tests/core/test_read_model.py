"""The rows of the read model: coalesced, the same whatever the batches, and only living tasks in memory."""

from __future__ import annotations

from typing import get_args

import msgspec
from msgspec.structs import replace
from scenario import T0, TASK, event_id, prepare_ok, prepared, published, submitted

from penstock import events as e
from penstock import subjects as s
from penstock.codec import encode_event, type_of
from penstock.events import JobClaimed, KnownEvent, TaskSucceeded
from penstock.reader import Stored
from penstock.values import Artifact, Delivery, Follow, Plan, Policy, ProposedCheck, Usage
from penstock_orchestrator import step_rows
from penstock_orchestrator.projector import ReadModel
from penstock_orchestrator.rows import TaskRow
from penstock_orchestrator.step_rows import StepRow
from penstock_orchestrator.talk_rows import DecisionRow, MessageRow, PlanRow

DELIVERED = Delivery(kind="branch", commit="c" * 40)
LIFE: tuple[KnownEvent, ...] = (*published(), TaskSucceeded(delivery=DELIVERED, attempts=1, usage=Usage()))
LATE = JobClaimed(job=event_id(11), host="h1", epoch=9)


def stored(event: KnownEvent, seq: int) -> Stored:
    body = encode_event(event, id=event_id(seq), repo="shop", task=TASK, at=T0, causation_id="", source="/test")
    return Stored(seq, s.event("shop", TASK, type_of(event)), body, None)


def written(model: ReadModel, batches: list[list[Stored]]) -> tuple[dict[str, TaskRow], dict[str, StepRow], list[int]]:
    """What stands in the tables of tasks, jobs and events after these batches, each written on its own."""
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


def talk(model: ReadModel, batches: list[list[Stored]]) -> tuple[list[PlanRow], list[MessageRow], list[DecisionRow]]:
    """What stands in the tables of plans, messages and decisions after these batches, each written on its own."""
    plans: dict[str, PlanRow] = {}
    messages: dict[str, MessageRow] = {}
    decisions: dict[str, DecisionRow] = {}
    for batch in batches:
        model.take(batch)
        plans |= {row.job: row for row in model.plan_rows()}
        messages |= {row.message: row for row in model.message_rows()}
        decisions |= {row.decision: row for row in model.decision_rows()}
        model.written()
    return list(plans.values()), list(messages.values()), list(decisions.values())


PLAN = Plan(summary="one \0 thing", steps=("do it",), risk="low")
MESSAGE, DECISION = "m" * 26, "d" * 26
TALK: tuple[KnownEvent, ...] = (
    submitted(),
    e.PlanRequested(number=1, host="h1", session_id="s"),
    e.JobClaimed(job=event_id(2), host="h1", epoch=1),
    e.PlanProposed(job=event_id(2), epoch=1, plan=PLAN, usage=Usage(turns=3)),
    e.PlanCommented(number=1, comment="smaller", commented_by="ana", via="chat"),
    e.PlanRequested(number=2, host="h1", session_id="s", comments=("smaller",)),
    e.JobClaimed(job=event_id(6), host="h1", epoch=2),
    e.PlanProposed(job=event_id(6), epoch=2, plan=PLAN),
    e.PlanApproved(number=1, approved_by="somebody who has not seen the new one"),
    e.PlanUnanswered(number=2, waited_seconds=60, meaning="park"),
    e.PlanApproved(number=2, approved_by="ana", via="http"),
    e.MessageAccepted(message=MESSAGE, text="leave the schema", sender="ana"),
    e.AgentRequested(attempt=1, host="h1", session_id="s", messages=(MESSAGE,)),
    e.JobClaimed(job=event_id(13), host="h1", epoch=3),
    e.MessageDelivered(message=MESSAGE, job=event_id(13)),
    e.DecisionRaised(job=event_id(13), epoch=2, decision="x" * 26, subject="x", question="from before"),
    e.DecisionRaised(job=event_id(13), epoch=3, decision=DECISION, subject="publish", question="now?"),
    e.AgentProgressed(job=event_id(13), epoch=3, usage=Usage(turns=9, cost_usd=0.5, wall_seconds=2.0)),
)


def test_of_every_event_it_is_said_whether_it_makes_or_changes_the_row_of_a_job() -> None:
    assert set(step_rows._ROWS) == set(get_args(e.AnyEvent))


def test_plans_messages_and_decisions_are_the_same_whatever_the_batches() -> None:
    log = [stored(event, seq) for seq, event in enumerate(TALK, start=1)]
    found = talk(ReadModel(0), [log])
    assert found == talk(ReadModel(0), [[one] for one in log])
    (first, second), (message,), (decision,) = found
    assert (first.number, first.state, first.job) == (1, "commented", event_id(2))
    assert (second.number, second.state, second.answered_by, second.silence) == (2, "approved", "ana", "park")
    assert "\\u0000" not in first.plan
    assert (message.job, message.consumed_at) == (event_id(13), None)
    assert message.delivered_at is not None
    assert (decision.decision, decision.subject, decision.answer) == (DECISION, "publish", None)


def test_what_a_run_has_used_so_far_is_in_the_row_of_its_task_and_of_its_job() -> None:
    log = [stored(event, seq) for seq, event in enumerate(TALK, start=1)]
    tasks, steps, _ = written(ReadModel(0), [log])
    row, step = tasks[TASK], steps[event_id(13)]
    assert (step.turns, step.cost_usd, step.ended) == (9, 0.5, None)
    assert (row.turns, row.cost_at_least_usd) == (12, 0.5)
    assert row.cost_usd is None, "the plan's run has not said what it cost"
    assert (row.plan_number, row.plan_state, row.decisions_open) == (2, "approved", 1)
    assert [step.kind for step in steps.values()] == ["plan", "plan", "agent"]


def test_a_run_that_is_cut_off_and_knows_its_numbers_no_more_has_used_what_it_had_told() -> None:
    job = event_id(13)
    late = e.AgentProgressed(job=job, epoch=3, usage=Usage(turns=8, output_tokens=90, wall_seconds=3.0))
    failed = e.AgentFailed(job=job, epoch=3, error_class="agent.timeout", message="cut off", usage=Usage(turns=1))
    stopped = e.JobStopped(job=job, epoch=3, reason="told to", usage=Usage(turns=1))
    for end in (failed, stopped):
        log = [stored(event, seq) for seq, event in enumerate((*TALK, late, end), start=1)]
        tasks, steps, _ = written(ReadModel(0), [log])
        step, row = steps[job], tasks[TASK]
        assert (step.turns, step.output_tokens, step.cost_usd, step.wall_seconds) == (9, 90, 0.5, 3.0)
        assert (row.turns, row.output_tokens, row.cost_at_least_usd, row.wall_seconds) == (12, 90, 0.5, 3.0)


def test_what_a_repo_s_own_files_propose_is_in_the_row_of_the_job_that_has_read_them() -> None:
    test = ProposedCheck(stage="test", command="pytest", confidence="high", source="pyproject.toml")
    lint = ProposedCheck(stage="lint", command="make lint", confidence="medium", source="Makefile")
    said = []
    for proposed in (None, (), (test, lint)):
        done = replace(prepare_ok(2), proposed=proposed)
        log = [stored(event, seq) for seq, event in enumerate((*prepared()[:-1], done), start=1)]
        _, steps, _ = written(ReadModel(0), [log])
        said.append(steps[event_id(2)].message)
    assert said == [
        None,
        None,
        "the repo has no checks; its own files propose\n"
        "test: pytest (high, pyproject.toml)\n"
        "lint: make lint (medium, Makefile)",
    ]


def test_where_a_run_s_transcript_is_kept_is_in_the_row_of_its_job() -> None:
    kept = Artifact(name="transcript", size_bytes=9, sha256="ab" * 32, chunks=1, media_type="application/gzip")
    ended = e.AgentFailed(job=event_id(13), epoch=3, error_class="agent.crashed", message="", transcript=kept)
    log = [stored(event, seq) for seq, event in enumerate((*TALK, ended), start=1)]
    _, steps, _ = written(ReadModel(0), [log])
    assert [step.transcript is not None for step in steps.values()] == [False, False, True]
    assert msgspec.json.decode(steps[event_id(13)].transcript or "", type=Artifact) == kept


def test_how_a_task_has_ended_is_in_its_row_as_its_last_event_has_it() -> None:
    """Whatever had failed on the way, and whatever was at work when it ended."""
    usage, url = Usage(cost_usd=0.0), "https://git.example/shop/pulls/7"
    opened = Delivery(kind="pull_request", commit="c" * 40, branch=f"agent/{TASK}", url=url, number=7)
    life = [replace(one, delivery=opened) if isinstance(one, e.PublishSucceeded) else one for one in LIFE[:-1]]
    life[0] = submitted(policy=Policy(follow=Follow()))
    feedback = e.FeedbackAccepted(number=1, head_commit="c" * 40, checks=("ci",))
    agent = e.AgentRequested(attempt=1, host="h1", session_id="s")
    failed = e.AgentFailed(job=event_id(15), epoch=9, error_class="agent.crashed", message="it broke")
    life += [feedback, agent, JobClaimed(job=event_id(15), host="h1", epoch=9), failed]
    closed = e.TaskFailed(error_class="review.closed", message="it was closed", attempts=1, usage=usage)
    unchecked = e.TaskUnverified(delivery=opened, attempts=1, usage=usage, reason="failed_before")
    stopped = e.TaskCancelled(cancelled_by="ana", reason="enough; it is left as it is", usage=usage)
    merged = TaskSucceeded(delivery=replace(opened, commit="d" * 40), attempts=1, usage=usage)
    said = []
    for end in (closed, unchecked, stopped, merged):
        log = [stored(event, seq) for seq, event in enumerate((*life, end), start=1)]
        row = written(ReadModel(0), [log])[0][TASK]
        said.append((row.outcome, row.reason, row.message, row.head_commit))
    assert said == [
        ("failed", "review.closed", "it was closed", None),
        ("unverified", "failed_before", None, "c" * 40),
        ("cancelled", "cancelled", "enough; it is left as it is", None),
        ("succeeded", None, None, "d" * 40),
    ]


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
