"""Why a task is not moving, who can move it and when: an answer in every phase; what a later
version's event does, and a cancel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from scenario import (
    AGENT,
    HEAD,
    T0,
    TASK,
    Given,
    Said,
    agent_bad,
    agent_ok,
    approve,
    failed,
    given,
    gone,
    prepare_ok,
    progress,
    proposed,
    publish_ok,
    report,
    seq_of,
    stopped,
    verify_ok,
    whole,
)

from penstock.commands import CancelTask
from penstock.events import (
    DependencyResolved,
    JobStopRequested,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskSucceeded,
    TaskUnblocked,
    TaskUnverified,
    Unknown,
)
from penstock.values import Kept, PlanGate, RepoSnapshot, Usage, Window
from penstock_orchestrator.core.advance import RULES, due, lost, next_look
from penstock_orchestrator.core.decide import accept
from penstock_orchestrator.core.evolve import hold
from penstock_orchestrator.core.waiting import phase, waiting

CANCEL = CancelTask(id="k" * 26, task=TASK, requested_by="ann", reason="no")
WANTED = TaskCancelRequested(requested_by="ann", reason="no")
KEPT = Kept(ref="refs/penstock/wip/1", commit=HEAD)


def living(**more: object) -> Given:
    return given(whole(**more))


PHASES: dict[str, tuple[Callable[[], Given], str, str, str]] = {
    # name: state, phase, why, who can move it
    "new": (lambda: living(), "queued", "prepare waits for a slot of the queue", "the queue"),
    "deciding": (
        lambda: living().and_then(*living().settled().log[1:2]),
        "preparing",
        "the next step is being decided",
        "the orchestrator",
    ),
    "asked for": (
        lambda: living().settled(),
        "preparing",
        "prepare waits for a host with a free slot that offers the vendor scripted",
        "any host that offers scripted",
    ),
    "preparing": (lambda: living().settled().works(), "preparing", "prepare runs on host h1", "host h1"),
    "planning": (
        lambda: living(mode="interactive").lives(prepare_ok),
        "planning",
        "plan waits for a free slot on host h1, which has the task's clone",
        "host h1",
    ),
    "plan approved": (
        lambda: living(mode="interactive").lives(prepare_ok, proposed("a")).asked(approve()),
        "queued",
        "agent waits for a slot of the queue",
        "the queue",
    ),
    "running": (lambda: living().lives(prepare_ok).works(), "running", "agent runs on host h1", "host h1"),
    "stopping": (
        lambda: living().lives(prepare_ok).works().asked(CANCEL),
        "running",
        "agent runs on host h1 (told to stop: the task was cancelled)",
        "host h1",
    ),
    "summing up": (
        lambda: living(compaction="agent").lives(prepare_ok, failed("vendor.context_overflow")).works(),
        "running",
        "compact runs on host h1",
        "host h1",
    ),
    "verifying": (
        lambda: living().lives(prepare_ok, agent_ok).works(),
        "verifying",
        "verify runs on host h1",
        "host h1",
    ),
    "publishing": (
        lambda: living().lives(prepare_ok, agent_ok, verify_ok).works(),
        "publishing",
        "publish runs on host h1",
        "host h1",
    ),
    "handed over": (
        lambda: living().lives(prepare_ok, agent_ok, verify_ok).works(publish_ok),
        "publishing",
        "the next step is being decided",
        "the orchestrator",
    ),
    "parked": (
        lambda: living().lives(prepare_ok, failed("vendor.rate_limit", transient=True)),
        "parked",
        "vendor.rate_limit: it broke",
        "the clock, or a person: wake it",
    ),
    "blocked": (
        lambda: living().lives(prepare_ok, failed("vendor.auth")),
        "blocked",
        "vendor.auth: it broke",
        "a person: renew the vendor's key or login on the host, then unblock the task",
    ),
    "held": (
        lambda: living().and_then(Unknown(type="teleported")),
        "blocked",
        "event e0000000000000000000000002 has the unknown type 'teleported'",
        "a later version of the orchestrator",
    ),
}


@pytest.mark.parametrize("name", PHASES)
def test_in_every_phase_a_task_says_why_it_waits_and_who_can_move_it(name: str) -> None:
    state, where, why, who = PHASES[name]
    task = state().state
    answer = waiting(task)
    assert (phase(task), answer.why, answer.can_move) == (where, why, who)
    parked = task.parked
    assert answer.wake_at == (None if parked is None else parked.wake_at)


def ended(*said: Said, **more: object) -> Given:
    return living(**more).lives(prepare_ok, *said)


@pytest.mark.parametrize(
    ("history", "where", "outcome"),
    [
        (lambda: ended(agent_ok, verify_ok, publish_ok), "done", "succeeded"),
        (lambda: ended(agent_ok, publish_ok, repo=RepoSnapshot(name="shop", clone_url="x")), "done", "unverified"),
        (lambda: ended(failed("agent.no_change"), max_attempts=1), "failed", "no_change"),
        (lambda: ended(failed("agent.crashed"), max_attempts=1), "failed", "failed"),
        (lambda: living().and_then(WANTED).settled(), "cancelled", "cancelled"),
    ],
)
def test_an_ended_task_waits_for_nothing_and_holds_nothing(
    history: Callable[[], Given], where: str, outcome: str
) -> None:
    state = history()
    task = state.state
    assert (phase(task), task.outcome, task.ended_at) == (where, outcome, T0)
    assert task.seq == len(state.log)
    answer = waiting(task)
    assert (answer.why, answer.can_move, answer.wake_at, next_look(task)) == ("", "", None, None)
    assert (task.job, task.stop, task.parked, task.blocked, task.admitted) == (None, None, None, None, False)
    # The end is the end.
    for event in (AGENT, TaskUnblocked(unblocked_by="x"), WANTED, DependencyResolved(on="o" * 26, outcome="failed")):
        assert state.and_then(event).state == replace(task, seq=task.seq + 1)
    assert lost(task, "h1", "silence") == []
    assert state.settled(1e9).log == state.log


@pytest.mark.parametrize("name", [name for name in PHASES if name != "held"])
def test_an_end_leaves_nothing_behind_wherever_it_came(name: str) -> None:
    end = TaskFailed(error_class="x", message="m", attempts=1, usage=Usage())
    task = PHASES[name][0]().and_then(end).state
    assert (task.job, task.stop, task.parked, task.blocked, task.admitted, task.failure) == (*[None] * 4, False, None)
    assert task.outcome == "failed"


def test_what_a_handed_over_change_ends_as_depends_on_what_has_checked_it() -> None:
    assert ended(agent_ok, verify_ok, publish_ok).last(TaskSucceeded).usage.cost_usd == 0.5
    assert ended(agent_ok, publish_ok, skip_verify=True).last(TaskUnverified).reason == "skip_verify"
    bare = RepoSnapshot(name="shop", clone_url="x")
    assert ended(agent_ok, publish_ok, repo=bare).last(TaskUnverified).reason == "nothing_configured"


# When the clock moves it


def test_the_next_look_is_when_the_clock_alone_may_make_something_due() -> None:
    assert next_look(living().state) is None
    parked = PHASES["parked"][0]().state
    assert parked.parked is not None
    assert next_look(parked) == parked.parked.wake_at
    assert next_look(PHASES["blocked"][0]().state) is None
    assert next_look(PHASES["running"][0]().state) is None
    gate = PlanGate(silence="park", silence_seconds=60.0)
    plan = living(mode="interactive", plan_gate=gate).lives(prepare_ok, proposed("a"))
    assert next_look(plan.state) == T0 + timedelta(seconds=60)
    assert next_look(plan.and_then(WANTED).settled().state) is None


# The rules


def test_every_rule_has_a_name_of_its_own_and_a_decision_says_which_rule_made_it() -> None:
    names = [name for name, _ in RULES]
    assert len(set(names)) == len(names)
    rules = {
        "the_end_is_the_end": living().and_then(Unknown(type="x")),
        "slot": living(),
        "at_work": living().settled(),
        "blocked": PHASES["blocked"][0](),
        "parked": PHASES["parked"][0](),
        "handed_over": PHASES["handed over"][0](),
        "cancelled": PHASES["stopping"][0](),
        "dependencies": living(depends_on=("o" * 26,)),
        "night_window": living(window=Window(opens="08:00", closes="09:00")),
        "plan_waits": living(mode="interactive").lives(prepare_ok, proposed("a")),
        "next_step": living().and_then(*living().settled().log[1:2]),
    }
    for name, state in rules.items():
        assert due(state.state, T0).rule == name


# Held by what this version cannot read


def test_an_event_that_cannot_be_decoded_holds_the_task_with_the_reason() -> None:
    state = living().state
    assert living().and_then(Unknown(type="x")).state.seq == 2
    held = hold(state, 9, "cannot be read")
    assert (held.seq, held.held, phase(held)) == (9, "cannot be read", "blocked")
    assert Given(held).settled(1e9).log == ()
    Given(held).when(CANCEL).refused("cannot be read; a later version")
    assert lost(held, "h1", "silence") == []
    running = living().lives(prepare_ok).works()
    assert running.state.job is not None
    body = agent_bad(seq_of(running.state.job.id))
    assert accept(running.task, report(body)) == [body]
    assert accept(hold(running.state, 9, "x"), report(body)) == []
    assert lost(hold(running.state, 9, "x"), "h1", "silence") == []


# Cancel


def test_a_cancelled_wait_is_over_at_once_and_what_was_kept_and_spent_is_said() -> None:
    for name in ("parked", "blocked"):
        state = PHASES[name][0]().asked(CANCEL)
        assert (state.state.parked, state.state.blocked) == (None, None)
        state = state.settled()
        end = state.last(TaskCancelled)
        assert (end.cancelled_by, end.reason, end.usage.cost_usd) == ("ann", "no", 0.5)
    state = living().lives(prepare_ok).works().asked(CANCEL).settled()
    assert state.settled(1e9).log == state.log
    assert state.state.job is not None
    seq = seq_of(state.state.job.id)
    end = state.and_then(stopped(kept=KEPT, usage=Usage(cost_usd=0.2))(seq)).settled().last(TaskCancelled)
    assert (end.kept, end.usage.cost_usd) == (KEPT, 0.2)
    end = state.and_then(progress(cost_usd=0.3)(seq), gone()(seq)).settled().last(TaskCancelled)
    assert (end.kept, end.usage.cost_usd) == (None, 0.3)
    end = state.and_then(agent_ok(seq)).settled().last(TaskCancelled)
    assert end.usage.cost_usd == 0.5


def test_a_cancel_that_came_too_late_is_not_said_to_have_been_done() -> None:
    state = living().lives(prepare_ok, agent_ok, verify_ok).works().asked(CANCEL)
    assert state.state.job is not None
    state = state.and_then(publish_ok(seq_of(state.state.job.id))).settled()
    assert isinstance(state.log[-1], TaskSucceeded)
    state.when(replace(CANCEL, id="l" * 26)).refused("already ended: succeeded")


def test_a_cancelled_task_is_not_stopped_twice() -> None:
    state = living(max_cost_usd=1.0).lives(prepare_ok).works().asked(CANCEL)
    assert state.state.job is not None
    state = state.and_then(progress(cost_usd=2.0)(seq_of(state.state.job.id))).settled()
    assert state.said(JobStopRequested) == []
    assert state.state.stop_wanted == "the task was cancelled"


def test_no_job_is_stopped_that_no_host_has() -> None:
    assert living().settled().state.stop_wanted == ""
    assert living().state.stop_wanted == ""
    assert living().settled().asked(CANCEL).state.stop_wanted == ""
    running = living().lives(prepare_ok).works().state
    assert running.stop_wanted == ""
    assert replace(running, stop=JobStopRequested(job="e" * 26, reason="old")).stop_wanted == ""
