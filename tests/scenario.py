"""Given what has happened, when this comes, then that: the words in which the core's tests are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from penstock.catalog import Repo
from penstock.commands import SubmitTask, TaskCommand
from penstock.events import (
    AgentFailed,
    AgentRequested,
    AgentSucceeded,
    FailureClassified,
    JobClaimed,
    KnownEvent,
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
from penstock.values import Change, CommandResult, Delivery, Policy, RepoSnapshot, Usage, VerifyCommands
from penstock_orchestrator.core.advance import advance, wants_slot
from penstock_orchestrator.core.decide import accept, decide
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.submit import Known, submit
from penstock_orchestrator.core.task import Task

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TASK = "t" * 26
BASE, HEAD = "b" * 40, "c" * 40
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


@dataclass(frozen=True)
class Given:
    """A task with a history."""

    task: Task | None

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

    def and_then(self, *events: KnownEvent | Unknown) -> Given:
        return after(self.task, *events)


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


def after(task: Task | None, *events: KnownEvent | Unknown) -> Given:
    seq = 0 if task is None else task.seq
    for event in events:
        seq += 1
        task = evolve(task, recorded(event, seq))
    return Given(task)


def given(*events: KnownEvent | Unknown) -> Given:
    return after(None, *events)


# Histories. The event at position n has the sequence n, so a job that was asked for at n is job_at(n).


def job_at(seq: int) -> str:
    return event_id(seq)


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
