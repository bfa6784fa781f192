"""Given what has happened, when this comes, then that: the words in which the core's tests are written."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from msgspec.structs import replace

from penstock.catalog import Repo
from penstock.commands import ApprovePlan, CommentPlan, RejectPlan, SendMessage, SubmitTask, TaskCommand, UnblockTask
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentRequested,
    AgentSucceeded,
    CompactFailed,
    CompactSucceeded,
    DecisionRaised,
    FailureClassified,
    GateScored,
    JobClaimed,
    JobLost,
    JobStopped,
    KnownEvent,
    MessageTold,
    PlanFailed,
    PlanProposed,
    PrepareFailed,
    PrepareRequested,
    PrepareSucceeded,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    Recorded,
    TaskAdmitted,
    TaskSubmitted,
    Unknown,
    VerifyFailed,
    VerifyRequested,
    VerifySucceeded,
)
from penstock.reports import Report, ReportBody
from penstock.values import Change, CommandResult, Delivery, Evidence, Plan, Policy, RepoSnapshot, Usage, VerifyCommands
from penstock_orchestrator.core.advance import advance, wants_slot
from penstock_orchestrator.core.decide import accept, decide
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.submit import Known, submit
from penstock_orchestrator.core.task import Task

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TASK = "t" * 26
BASE, HEAD = "b" * 40, "c" * 40
DAY_SECONDS = 86_400.0
WHOLE_POLICY = Policy(
    failures_alike_max=2,
    reset_seconds_max=8 * DAY_SECONDS,
    compact_after_attempts=3,
    abstain_below=40.0,
    budget_warning=0.8,
)
"""As the orchestrator decides when nobody has set anything."""

SETTLES_MAX = 30
"""Events that may be due one after the other before a host or a person is waited for."""

POLICY = Policy(park_seconds_min=10.0, park_seconds_max=100.0, parks_max=3, lost_max=2, pauses_max=2)
REPO = RepoSnapshot(name="shop", clone_url="https://git.example/shop.git", verify=VerifyCommands(test="make test"))


def event_id(seq: int) -> str:
    return f"e{seq:025d}"


def recorded(event: KnownEvent | Unknown, seq: int, *, at: datetime = T0, cause: str = "") -> Recorded:
    return Recorded(
        seq=seq, id=event_id(seq), repo="shop", task=TASK, at=at, causation_id=cause or f"cause{seq}", data=event
    )


@dataclass(frozen=True)
class Then:
    """What came of it."""

    events: list[KnownEvent]
    refusal: Refused | None = None

    def then(self, *wanted: type[object] | KnownEvent) -> KnownEvent:
        """Exactly these events, by type or by value; the first one."""
        assert self.refusal is None, self.refusal
        assert len(self.events) == len(wanted), self.events
        for found, want in zip(self.events, wanted, strict=True):
            assert isinstance(found, want) if isinstance(want, type) else found == want
        return self.events[0]

    def then_nothing(self) -> None:
        assert self.refusal is None, self.refusal
        assert self.events == []

    def refused(self, part: str) -> None:
        assert self.refusal is not None, self.events
        assert part in self.refusal.message


E = TypeVar("E")


@dataclass(frozen=True)
class Given:
    """A task with a history."""

    task: Task | None
    log: tuple[KnownEvent | Unknown, ...] = ()

    @property
    def state(self) -> Task:
        assert self.task is not None
        return self.task

    def when(self, command: TaskCommand) -> Then:
        try:
            return Then(decide(self.task, command))
        except Refused as refusal:
            return Then([], refusal)

    def when_submitted(self, command: SubmitTask, repo: Repo | None) -> Then:
        try:
            return Then(submit(self.task, command, Known(repo=repo, policy=POLICY, vendors=("scripted", "claude"))))
        except Refused as refusal:
            return Then([], refusal)

    def when_reported(self, body: ReportBody, *, epoch: int | None = None) -> Then:
        return Then(accept(self.task, report(body, epoch=epoch)))

    def at(self, seconds: float = 0.0) -> Then:
        """What is due so many seconds after the beginning of time, once a slot was given and a failure classified."""
        now = T0 + timedelta(seconds=seconds)
        return Then(advance(self.ready(seconds).state, now))

    def ready(self, seconds: float = 0.0) -> Given:
        """The same task with what comes before every step: its slot, and the class of its last failure."""
        now, state = T0 + timedelta(seconds=seconds), self
        for _ in range(2):
            if wants_slot(state.state, now):
                state = state.and_then(ADMITTED)
            events = advance(state.state, now)
            if events and isinstance(events[0], FailureClassified):
                state = state.and_then(events[0])
        return state

    def and_then(self, *events: KnownEvent | Unknown, seconds: float = 0.0) -> Given:
        return Given(after(self.task, *events, seconds=seconds).task, (*self.log, *events))

    def settled(self, seconds: float = 0.0) -> Given:
        """With all that is due by then: until a host, a person or the clock has to come next."""
        now, state = T0 + timedelta(seconds=seconds), self
        for _ in range(SETTLES_MAX):
            events = [ADMITTED] if wants_slot(state.state, now) else advance(state.state, now)
            if not events:
                return state
            state = state.and_then(*events, seconds=seconds)
        raise AssertionError(f"this never comes to rest: {state.log[-4:]}")

    def works(self, *said: Callable[[int], KnownEvent]) -> Given:
        """The job that is asked for is claimed, and this is what its host says."""
        assert self.state.job is not None, self.log[-1]
        seq = seq_of(self.state.job.id)
        return self.and_then(claimed(seq), *(one(seq) for one in said))

    def lives(self, *said: Callable[[int], KnownEvent], seconds: float = 0.0) -> Given:
        """One job after the other, each answered so, and all that is due in between and after."""
        state = self.settled(seconds)
        for one in said:
            state = state.works(one).settled(seconds)
        return state

    def asked(self, command: TaskCommand) -> Given:
        """What came of the command is part of the history."""
        events = decide(self.task, command)
        state = self
        for event in events:
            done = evolve(state.state, recorded(event, state.state.seq + 1, cause=command.id))
            state = Given(done, (*state.log, event))
        return state

    def said(self, kind: type[E]) -> list[E]:
        """All events of this type, in their order."""
        return [event for event in self.log if isinstance(event, kind)]

    def last(self, kind: type[E]) -> E:
        """The last event of all, which is of this type."""
        assert isinstance(self.log[-1], kind), self.log[-3:]
        return self.log[-1]


def report(body: ReportBody, *, epoch: int | None = None) -> Report:
    return Report(
        id="r" * 26,
        task=TASK,
        repo="shop",
        job=body.job,
        epoch=body.epoch if epoch is None else epoch,
        host="h1",
        at=T0,
        body=body,
    )


def after(task: Task | None, *events: KnownEvent | Unknown, seconds: float = 0.0) -> Given:
    seq = 0 if task is None else task.seq
    for event in events:
        seq += 1
        task = evolve(task, recorded(event, seq, at=T0 + timedelta(seconds=seconds)))
    return Given(task, events)


def given(*events: KnownEvent | Unknown) -> Given:
    return after(None, *events)


# Histories. The event at position n has the sequence n, so a job that was asked for at n is job_at(n).


def job_at(seq: int) -> str:
    return event_id(seq)


def seq_of(job: str) -> int:
    return int(job[1:])


def whole(**more: object) -> TaskSubmitted:
    """A task under the whole policy; keywords of the policy go into it."""
    known = set(Policy.__struct_fields__)
    policy = replace(WHOLE_POLICY, **{name: value for name, value in more.items() if name in known})
    return submitted(policy=policy, **{name: value for name, value in more.items() if name not in known})


def submitted(**more: object) -> TaskSubmitted:
    plain: dict[str, object] = {"title": "Mend the sum", "vendor": "scripted", "repo": REPO, "policy": POLICY}
    return TaskSubmitted(**(plain | more))  # type: ignore[arg-type]  # a test's own keywords


def claimed(seq: int, epoch: int = 7) -> JobClaimed:
    return JobClaimed(job=job_at(seq), host="h1", epoch=epoch, instance="i1")


def prepare_ok(seq: int, host: str = "h1") -> PrepareSucceeded:
    return PrepareSucceeded(job=job_at(seq), epoch=7, host=host, base_commit=BASE, branch=f"agent/{TASK}")


def prepare_bad(seq: int, error_class: str = "git.unreachable", *, transient: bool = True) -> PrepareFailed:
    return PrepareFailed(job=job_at(seq), epoch=7, error_class=error_class, message="no route", transient=transient)


def change(commit: str = HEAD) -> Change:
    return Change(commit=commit, commits=1, files=("sum.py",), files_changed=1, lines_added=2, lines_removed=1)


def agent_ok(seq: int, cost: float | None = 0.5) -> AgentSucceeded:
    usage = Usage(turns=3, input_tokens=100, output_tokens=10, cost_usd=cost, wall_seconds=20.0)
    return AgentSucceeded(job=job_at(seq), epoch=7, change=change(), usage=usage)


def agent_bad(seq: int, error_class: str = "agent.crashed", **more: object) -> AgentFailed:
    plain: dict[str, object] = {"job": job_at(seq), "epoch": 7, "error_class": error_class, "message": "it broke"}
    return AgentFailed(**(plain | more))  # type: ignore[arg-type]  # a test's own keywords


def verify_ok(seq: int) -> VerifySucceeded:
    return VerifySucceeded(job=job_at(seq), epoch=7, commit=HEAD, commands=(ran(0),))


def verify_bad(seq: int, error_class: str = "test.failed") -> VerifyFailed:
    return VerifyFailed(
        job=job_at(seq), epoch=7, commit=HEAD, error_class=error_class, message="1 failed", commands=(ran(1),)
    )


def ran(exit_code: int | None) -> CommandResult:
    return CommandResult(stage="test", command="make test", exit_code=exit_code, wall_seconds=1.0, tail="assert 1 == 2")


def publish_ok(seq: int) -> PublishSucceeded:
    return PublishSucceeded(
        job=job_at(seq), epoch=7, delivery=Delivery(kind="branch", commit=HEAD, branch=f"agent/{TASK}")
    )


def publish_bad(seq: int, error_class: str = "git.unreachable", *, transient: bool = True) -> PublishFailed:
    return PublishFailed(job=job_at(seq), epoch=7, error_class=error_class, message="no route", transient=transient)


ADMITTED = TaskAdmitted(number=1, priority=5, waited_seconds=0.0)
PREPARE = PrepareRequested(number=1)
AGENT = AgentRequested(attempt=1, host="h1", session_id="s1")
VERIFY = VerifyRequested(attempt=1, host="h1", commit=HEAD)
PUBLISH = PublishRequested(number=1, host="h1", commit=HEAD, branch=f"agent/{TASK}", flow="branch", verified=True)


def prepared(**more: object) -> tuple[KnownEvent, ...]:
    """Up to a clone on h1; four events."""
    return (submitted(**more), PREPARE, claimed(2), prepare_ok(2))


def changed(**more: object) -> tuple[KnownEvent, ...]:
    """Up to an agent's change; seven events."""
    return (*prepared(**more), AGENT, claimed(5), agent_ok(5))


def verified(**more: object) -> tuple[KnownEvent, ...]:
    """Up to a change that has passed; ten events."""
    return (*changed(**more), VERIFY, claimed(8), verify_ok(8))


def published(**more: object) -> tuple[KnownEvent, ...]:
    """Up to the delivery; thirteen events."""
    return (*verified(**more), PUBLISH, claimed(11), publish_ok(11))


# What hosts say, each for the job that was asked for at `seq`, with what one test is about


Said = Callable[[int], KnownEvent]
NOTHING, A_DIME = Usage(), Usage(cost_usd=0.1)


def found(**more: object) -> Said:
    """A clone on h1, and what the repository knows of the task."""
    evidence = Evidence(words=2, overlap=1, paths=("sum.py",), recent_commits=1, recent_commits_all=9)
    return lambda seq: replace(prepare_ok(seq), **({"evidence": evidence} | more))


def failed(error_class: str = "agent.crashed", **more: object) -> Said:
    """An agent's run that failed, after three turns for half a dollar."""
    usage = Usage(turns=3, input_tokens=100, output_tokens=10, cost_usd=0.5, wall_seconds=20.0)
    return lambda seq: agent_bad(seq, error_class, **({"usage": usage} | more))


def worked(**more: object) -> Said:
    return lambda seq: replace(agent_ok(seq), **more)


def refused(tail: str = "", **more: object) -> Said:
    """A check that said no, and what it printed."""
    one = CommandResult(stage="test", command="make test", exit_code=2, wall_seconds=1.0, tail=tail)
    plain: dict[str, object] = {"commit": HEAD, "error_class": "verify.failed", "message": "no", "commands": (one,)}
    return lambda seq: VerifyFailed(job=job_at(seq), epoch=7, **(plain | more))  # type: ignore[arg-type]  # a test's own keywords


def proposed(*files: str, risk: str = "unknown", usage: Usage = NOTHING) -> Said:
    plan = Plan(summary="Mend it", steps=("read", "write"), files_to_touch=files, risk=risk)
    return lambda seq: PlanProposed(job=job_at(seq), epoch=7, plan=plan, usage=usage)


def no_plan(error_class: str = "agent.crashed", **more: object) -> Said:
    plain: dict[str, object] = {"error_class": error_class, "message": "no plan in it"}
    return lambda seq: PlanFailed(job=job_at(seq), epoch=7, **(plain | more))  # type: ignore[arg-type]  # a test's own keywords


def summed_up(summary: str, usage: Usage = A_DIME) -> Said:
    return lambda seq: CompactSucceeded(job=job_at(seq), epoch=7, summary=summary, usage=usage)


def no_summary(usage: Usage = A_DIME) -> Said:
    return lambda seq: CompactFailed(
        job=job_at(seq), epoch=7, error_class="vendor.overloaded", message="later", usage=usage
    )


def progress(**usage: object) -> Said:
    return lambda seq: AgentProgressed(job=job_at(seq), epoch=7, usage=Usage(**usage))  # type: ignore[arg-type]  # likewise


def raised(decision: str, subject: str = "publish", options: Iterable[str] = ()) -> Said:
    return lambda seq: DecisionRaised(
        job=job_at(seq), epoch=7, decision=decision, subject=subject, question="Shall I?", options=tuple(options)
    )


def told(message: str) -> Said:
    return lambda seq: MessageTold(job=job_at(seq), epoch=7, message=message)


def stopped(**more: object) -> Said:
    plain: dict[str, object] = {"reason": "told to"}
    return lambda seq: JobStopped(job=job_at(seq), epoch=7, **(plain | more))  # type: ignore[arg-type]  # likewise


def gone(*, host_gone: bool = False) -> Said:
    return lambda seq: JobLost(job=job_at(seq), epoch=7, host="h1", reason="silence", host_gone=host_gone)


def scored(score: float = 80.0, *, abstained: bool = False) -> GateScored:
    return GateScored(score=score, confidence="high", signals=(), abstained=abstained, abstain_below=40.0)


# What people ask for


def unblock(**more: object) -> UnblockTask:
    return UnblockTask(id=_fresh("u", more), task=TASK, requested_by="ann", **more)  # type: ignore[arg-type]  # likewise


def approve(number: int = 1) -> ApprovePlan:
    return ApprovePlan(id=_fresh("a", number), task=TASK, number=number, requested_by="ann", via="http")


def comment(text: str, number: int = 1) -> CommentPlan:
    return CommentPlan(id=_fresh("m", text), task=TASK, number=number, comment=text, requested_by="bob", via="chat")


def reject(number: int = 1) -> RejectPlan:
    return RejectPlan(id=_fresh("r", number), task=TASK, number=number, requested_by="cem", reason="no", via="http")


def tell(text: str, **more: object) -> SendMessage:
    return SendMessage(id=_fresh("s", text), task=TASK, text=text, **({"requested_by": "ann"} | more))  # type: ignore[arg-type]  # likewise


def _fresh(letter: str, seed: object) -> str:
    """An id that is the same for the same wish."""
    return f"{letter}{zlib.crc32(repr(seed).encode()):025d}"
