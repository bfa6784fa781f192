"""A task's log, written as the loop writes it: what comes from outside is said here, what is decided the core decides.

Deterministic: its clock moves only by what is said, its ids count, so the same words give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from scenario import BASE, REPO, WHOLE_POLICY

from penstock.codec import encode_event
from penstock.commands import ClaimJob, StirPullRequest, TaskCommand
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentRequested,
    AgentSucceeded,
    JobStopped,
    KnownEvent,
    PlanProposed,
    PrepareSucceeded,
    PublishSucceeded,
    PullRequestObserved,
    Recorded,
    TaskAdmitted,
    TaskParked,
    TaskSubmitted,
    Unknown,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.reports import Report, ReportBody
from penstock.values import Change, CommandResult, Delivery, Evidence, History, Plan, Policy, Usage
from penstock_orchestrator.core.advance import advance, gate_event, lost, next_look, wants_slot
from penstock_orchestrator.core.decide import accept, decide
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.follow import stir
from penstock_orchestrator.core.task import CurrentJob, Task

MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TICK = timedelta(milliseconds=7)
SETTLES_MAX = 40
HISTORY = History(succeeded=4, failed=1, wall_seconds=(120.0, 90.0, 200.0, 150.0), turns=(12, 9, 20, 15))
EVIDENCE = Evidence(words=3, overlap=2, paths=("shop/sum.py",), recent_commits=1, recent_commits_all=9)
POLICY = replace(WHOLE_POLICY, park_seconds_min=10.0, park_seconds_max=100.0, parks_max=3, lost_max=2, pauses_max=2)

PYTEST_FAILED = """\
FAILED tests/test_sum.py::test_half - assert 4 == 5
=========================== short test summary info ============================
1 failed, 3 passed in 0.12s"""


class Author:
    """One task's log. Sequences have gaps, as in a stream that other tasks write to as well. `hold`: what the fleet says to
    the next run of an agent, in its place."""

    def __init__(self, name: str, *, begins: datetime = MORNING, **wish: object) -> None:
        self.now = begins
        self.name = name
        self.task_id = f"01golden{name.replace('_', ''):0<18.18}"
        self.log: list[Recorded] = []
        self.task: Task | None = None
        self.hold: TaskParked | None = None
        policy = {key: wish.pop(key) for key in list(wish) if key in Policy.__struct_fields__}
        plain: dict[str, object] = {
            "title": "Mend the sum of the cart",
            "description": "2.5 and 2.5 give 4.",
            "acceptance": "`make test` passes",
            "vendor": "claude",
            "repo": REPO,
            "submitted_by": "ana",
            "policy": replace(POLICY, **policy),
        }
        self.append(TaskSubmitted(**(plain | wish)), cause=self._id("command"))  # type: ignore[arg-type]  # a test's words
        self.settle()

    @property
    def state(self) -> Task:
        assert self.task is not None
        return self.task

    @property
    def job(self) -> CurrentJob:
        assert self.state.job is not None, self.log[-1].data
        return self.state.job

    def append(self, event: KnownEvent, *, cause: str = "") -> None:
        seq = 1_000 + 3 * len(self.log)
        recorded = Recorded(
            seq=seq,
            id=self._id("event"),
            repo="shop",
            task=self.task_id,
            at=self.now,
            causation_id=cause or self.task_id,
            data=event,
        )
        self.task = evolve(self.task, recorded)
        self.log.append(recorded)
        self.now += TICK

    def settle(self) -> Author:
        """All that is due now: a slot at once, the score, the rules."""
        for _ in range(SETTLES_MAX):
            if wants_slot(self.state, self.now):
                waited = max((self.now - self.state.queued_at).total_seconds(), 0.0)
                number, priority = self.state.admissions + 1, self.state.priority
                self.append(TaskAdmitted(number=number, priority=priority, waited_seconds=waited))
                continue
            scored = gate_event(self.state, HISTORY) if self.state.admitted else None
            events = [scored] if scored is not None else advance(self.state, self.now)
            if not events:
                return self
            event = events[0]
            if self.hold is not None and isinstance(event, AgentRequested):
                event, self.hold = self.hold, None
            self.append(event)
        raise AssertionError(f"this never comes to rest: {self.log[-1]}")

    # What the world does ----------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> Author:
        self.now += timedelta(seconds=seconds)
        return self.settle()

    def wake(self) -> Author:
        """The clock goes on to when the task wakes."""
        assert self.state.parked is not None, self.log[-1].data
        self.now = max(self.now, self.state.parked.wake_at)
        return self.settle()

    def input(self, event: KnownEvent) -> Author:
        """What the queue or a watch brings."""
        self.append(event, cause=self._id("cause"))
        return self.settle()

    def ask(self, make: Callable[[str], TaskCommand]) -> Author:
        """A command, made with its id."""
        command = make(self._id("command"))
        for event in decide(self.state, command):
            self.append(event, cause=command.id)
        return self.settle()

    def claim(self, host: str = "host1") -> Author:
        job = self.job
        epoch = 500 + len(self.log)
        return self.ask(
            lambda id: ClaimJob(
                id=id, task=self.task_id, job=job.id, host=job.host or host, epoch=epoch, instance="4711-ab"
            )
        )

    def report(self, body: Callable[[str, int], ReportBody], seconds: float = 1.0) -> Author:
        """What the host that has the job says of it, after so long; a job that nobody has is claimed first."""
        if self.job.epoch is None:
            self.wait(0.05).claim()
        self.now += timedelta(seconds=seconds)
        job, id = self.job, self._id("report")
        assert job.epoch is not None
        said = body(job.id, job.epoch)
        report = Report(
            id=id, task=self.task_id, repo="shop", job=job.id, epoch=job.epoch, host="host1", at=self.now, body=said
        )
        events = accept(self.state, report)
        assert events, f"{said} is not accepted"
        self.append(events[0], cause=id)
        return self.settle()

    def lose(self, *, host_gone: bool = False, seconds: float = 30.0) -> Author:
        self.now += timedelta(seconds=seconds)
        for event in lost(self.state, self.job.host or "", "its lease ended", host_gone=host_gone):
            self.append(event, cause=self.job.id)
        return self.settle()

    # What becomes of the pull request ----------------------------------------------------------------------------------

    def hinted(self, what: str = "pull_request_review") -> Author:
        """The forge says that there is news."""
        hint = StirPullRequest(id=self._id("command"), repo="shop", number=7, what=what, by="ann", via="github")
        for event in stir(self.state, hint):
            self.append(event, cause=hint.id)
        return self.settle()

    def looked(self, body: Callable[[str, int], ReportBody]) -> Author:
        """The clock goes on to the next look, and this is what it comes to."""
        at = next_look(self.state)
        if self.state.look is None and at is not None:
            self.now = max(self.now, at)
            self.settle()
        look, epoch = self.state.look, 500 + len(self.log)
        assert look is not None, self.log[-1].data
        claim = ClaimJob(
            id=self._id("command"), task=self.task_id, job=look.id, host="host1", epoch=epoch, instance="4711-ab"
        )
        self.append(decide(self.state, claim)[0], cause=claim.id)
        self.now += timedelta(seconds=1)
        self.append(body(look.id, epoch), cause=self._id("report"))
        return self.settle()

    def seen(self, state: str = "open", **more: object) -> Author:
        assert self.state.delivery is not None
        plain: dict[str, object] = {"head_commit": self.state.delivery.commit, "checks": "passed"}
        return self.looked(
            lambda job, epoch: PullRequestObserved(
                job=job,
                epoch=epoch,
                pull_request=7,
                state=state,
                **(plain | more),  # type: ignore[arg-type]  # a test's words
            )
        )

    # What hosts say, in one word ---------------------------------------------------------------------------------------

    def prepared(self, **more: object) -> Author:
        branch = f"agent/{self.task_id}"
        plain: dict[str, object] = {"host": "host1", "base_commit": BASE, "branch": branch, "evidence": EVIDENCE}
        return self.report(lambda job, epoch: PrepareSucceeded(job=job, epoch=epoch, **(plain | more)), 4.0)  # type: ignore[arg-type]

    def worked(self, *, cost: float | None = 0.4, commit: str = "c", turns: int = 9, **more: object) -> Author:
        files = more.pop("files", ("shop/sum.py",))
        assert isinstance(files, tuple)
        change = Change(
            commit=commit * 40, commits=1, files=files, files_changed=len(files), lines_added=3, lines_removed=1
        )
        usage = used(cost, turns)
        return self.report(
            lambda job, epoch: AgentSucceeded(
                job=job,
                epoch=epoch,
                change=change,
                usage=usage,
                summary="The sum is right now.",
                **more,  # type: ignore[arg-type]
            ),
            usage.wall_seconds,
        )

    def broke(self, error_class: str, message: str = "it broke", *, cost: float = 0.1, **more: object) -> Author:
        usage = used(cost, 3)
        return self.report(
            lambda job, epoch: AgentFailed(
                job=job,
                epoch=epoch,
                error_class=error_class,
                message=message,
                usage=usage,
                **more,  # type: ignore[arg-type]
            ),
            usage.wall_seconds,
        )

    def used_so_far(self, cost: float, wall_seconds: float) -> Author:
        usage = Usage(turns=4, input_tokens=800, output_tokens=90, cost_usd=cost, wall_seconds=wall_seconds)
        return self.report(lambda job, epoch: AgentProgressed(job=job, epoch=epoch, usage=usage), 15.0)

    def stopped(self, cost: float = 0.0, wall_seconds: float = 0.0, turns: int = 5) -> Author:
        usage = Usage(turns=turns, cost_usd=cost, wall_seconds=wall_seconds)
        return self.report(lambda job, epoch: JobStopped(job=job, epoch=epoch, reason="told to", usage=usage))

    def planned(self, *files: str, risk: str = "low") -> Author:
        plan = Plan(
            summary="Round half to even in one place", steps=("find it", "mend it"), files_to_touch=files, risk=risk
        )
        return self.report(lambda job, epoch: PlanProposed(job=job, epoch=epoch, plan=plan, usage=used(0.05, 2)), 30.0)

    def passed(self) -> Author:
        one = CommandResult(stage="test", command="make test", exit_code=0, wall_seconds=6.0, tail="4 passed")
        commit = self._commit()
        return self.report(
            lambda job, epoch: VerifySucceeded(job=job, epoch=epoch, commit=commit, commands=(one,)), 6.0
        )

    def refused(self, tail: str = PYTEST_FAILED, error_class: str = "verify.failed") -> Author:
        one = CommandResult(stage="test", command="make test", exit_code=2, wall_seconds=6.0, tail=tail)
        commit = self._commit()
        return self.report(
            lambda job, epoch: VerifyFailed(
                job=job,
                epoch=epoch,
                commit=commit,
                error_class=error_class,
                message="`make test` ended with 2",
                commands=(one,),
            ),
            6.0,
        )

    def published(self) -> Author:
        branch, commit = f"agent/{self.task_id}", self._commit()
        delivery = Delivery(kind="pull_request", commit=commit, branch=branch, url="https://git.example/shop/pulls/7")
        return self.report(lambda job, epoch: PublishSucceeded(job=job, epoch=epoch, delivery=delivery), 3.0)

    def _commit(self) -> str:
        assert self.state.change is not None
        return self.state.change.commit

    def _id(self, kind: str) -> str:
        return f"01{kind[:4]}{len(self.log):04d}{self.name.replace('_', ''):0<16.16}"

    def documents(self) -> str:
        """The log as the api hands it out, one event a line."""
        return "".join(f"{line}\n" for line in map(_line, self.log))


def used(cost: float | None, turns: int) -> Usage:
    return Usage(turns=turns, input_tokens=1_200, output_tokens=300, cost_usd=cost, wall_seconds=turns * 5.0)


def _line(recorded: Recorded) -> str:
    assert not isinstance(recorded.data, Unknown)
    body = encode_event(
        recorded.data,
        id=recorded.id,
        repo=recorded.repo,
        task=recorded.task,
        at=recorded.at,
        causation_id=recorded.causation_id,
        source="/penstock/orchestrator/golden",
    )
    return json.dumps({"sequence": recorded.seq, "event": json.loads(body)}, separators=(",", ":"))
