"""Lives of tasks as they would stand in a real log: written by the core itself, with texts of the length people write.

Rule of this room: the bytes are the same on every machine and in every run. A life is written once with a mark where the
task's number belongs, and copied by putting numbers in, so that a million events cost a second to make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Final, NamedTuple, assert_never

from penstock import subjects as s
from penstock.catalog import Repo
from penstock.codec import encode_event, type_of
from penstock.commands import SubmitTask
from penstock.events import (
    AgentFailed,
    AgentSucceeded,
    JobClaimed,
    KnownEvent,
    PrepareSucceeded,
    PublishSucceeded,
    Recorded,
    TaskAdmitted,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.values import Change, CommandResult, Delivery, Usage, VerifyCommands
from penstock_orchestrator.core.advance import advance, wants_slot
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.submit import Known, submit
from penstock_orchestrator.core.task import CurrentJob, Task

MARK: Final = "nnnnnnnn"
"""Stands in every id where the eight digits of the task's number go."""

T0: Final = datetime(2026, 1, 1, 9, tzinfo=UTC)
REPO: Final = "shop"
EVENTS_MAX: Final = 200
LIVING_AT_ONCE: Final = 400
BASE, HEAD = "b" * 40, "c" * 40
FILES: Final = ("src/cart/total.py", "src/cart/rounding.py", "tests/cart/test_total.py")

DESCRIPTION: Final = (
    "The cart adds the prices up as floats and rounds at the end, so that three items of 0.10 give 0.30000000000000004 in "
    "the receipt's JSON. Add up in the smallest unit of the currency, and keep the public signature of `total` as it is. "
    "There is a test of the receipt that pins today's wrong text; mend it too."
)
SUMMARY: Final = (
    "`total` now adds up integers and formats once. The receipt's test pinned the old text, it expects `0.30` now. "
    "I ran `make test` in the clone: 41 passed."
)
TRACE: Final = "\n".join(
    f"tests/cart/test_total.py::test_sum_{n} FAILED  assert Decimal('0.3{n}') == Decimal('0.30')" for n in range(9)
)
USAGE: Final = Usage(
    turns=14,
    input_tokens=2_310,
    output_tokens=5_120,
    cache_read_tokens=181_000,
    cache_write_tokens=24_500,
    cost_usd=0.31,
    wall_seconds=141.7,
)


class Story(NamedTuple):
    """What goes wrong on the way, before all is well. 6 events more for each rejected change, 4 for each rate limit."""

    rejected_changes: int = 0
    rate_limits: int = 0


STORIES: Final = (Story(), Story(1), Story(), Story(0, 1), Story(2, 1))
LONG: Final = Story(6)
"""A life of fifty events."""


class Line(NamedTuple):
    """One event as it is published."""

    task: str
    type: str
    body: bytes

    @property
    def ingest(self) -> str:
        return s.event_ingest(REPO, self.task, self.type)


class Life:
    """One story, written down; `of(number)` is a task that lived it."""

    def __init__(self, story: Story) -> None:
        self._lines = _Author(story).write()

    def __len__(self) -> int:
        return len(self._lines)

    def of(self, number: int) -> list[Line]:
        digits = f"{number:08d}"
        mark, put = MARK.encode(), digits.encode()
        task = _task_id(digits)
        return [Line(task, line.type, line.body.replace(mark, put)) for line in self._lines]


def log_of(events: int, *, living: int = LIVING_AT_ONCE) -> Iterator[Line]:
    """A log of that many events, with `living` tasks at work at once; the last lives are cut off in the middle."""
    lives = [Life(story) for story in STORIES]
    return islice(taking_turns((lives[number % len(lives)].of(number) for number in count()), living), events)


def taking_turns(lives: Iterator[list[Line]], living: int) -> Iterator[Line]:
    """One event of each of the `living` lives after the other, a new life where one has ended; ends with the last."""
    turns = deque(iter(life) for life in islice(lives, living))
    while turns:
        life = turns.popleft()
        line = next(life, None)
        if line is not None:
            turns.append(life)
            yield line
        elif (fresh := next(lives, None)) is not None:
            turns.append(iter(fresh))


def _task_id(number: str) -> str:
    return f"01jqa0task{number}00000000"


class _Author:
    """Asks the core what is due, and answers it as an honest executor would, and a queue with slots for all."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._task: Task | None = None
        self._lines: list[Line] = []
        self._now = T0
        self._rejected = 0
        self._limited = 0

    def write(self) -> list[Line]:
        command = SubmitTask(
            id=f"01jqa0comd{MARK}00000000",
            task=_task_id(MARK),
            repo=REPO,
            title="Add prices up without floats",
            description=DESCRIPTION,
            acceptance="`make test` passes, and the receipt of three items of 0.10 says 0.30",
            vendor="scripted",
            model="some-model-20260101",
            max_attempts=20,
            submitted_by="ann@shop.example",
        )
        repo = Repo(
            name=REPO,
            clone_url="https://git.example/shop/shop.git",
            verify=VerifyCommands(test="make test", lint="make lint"),
        )
        self._tell(*submit(None, command, Known(repo=repo, vendors=("scripted",))))
        while self._task is not None and self._task.outcome is None:
            self._tell(*self._next(self._task))
        return self._lines

    def _next(self, task: Task) -> list[KnownEvent]:
        if task.parked is not None:
            self._now = max(self._now, task.parked.wake_at)
        if due := advance(task, self._now):
            return due
        if wants_slot(task, self._now):
            return [TaskAdmitted(number=task.admissions + 1, priority=task.priority, waited_seconds=1.25)]
        job = task.job
        assert job is not None, "an honest executor has nothing to say"
        if job.epoch is None:
            return [JobClaimed(job=job.id, host="h1", epoch=len(self._lines) + 7, instance="4711-0a1b2c3d")]
        return [self._report(task, job, job.epoch)]

    def _report(self, task: Task, job: CurrentJob, epoch: int) -> KnownEvent:
        ran = CommandResult(
            stage="test", command="make test", exit_code=0, wall_seconds=18.4, tail="41 passed in 18.02s"
        )
        match job.kind:
            case "prepare":
                return PrepareSucceeded(
                    job=job.id, epoch=epoch, host="h1", base_commit=BASE, branch=f"agent/{task.id}", wall_seconds=0.4
                )
            case "agent":
                return self._agent(job, epoch)
            case "verify":
                if self._rejected < self._story.rejected_changes:
                    self._rejected += 1
                    bad = CommandResult(stage="test", command="make test", exit_code=2, wall_seconds=17.9, tail=TRACE)
                    return VerifyFailed(
                        job=job.id,
                        epoch=epoch,
                        commit=HEAD,
                        error_class="test.failed",
                        message="make test: 2",
                        commands=(bad,),
                    )
                return VerifySucceeded(job=job.id, epoch=epoch, commit=HEAD, commands=(ran,), sandbox="bwrap")
            case "publish":
                delivery = Delivery(kind="branch", commit=HEAD, branch=f"agent/{task.id}")
                return PublishSucceeded(job=job.id, epoch=epoch, delivery=delivery)
            case "plan" | "compact":
                raise AssertionError("no story has plans or summaries")
            case _:
                assert_never(job.kind)

    def _agent(self, job: CurrentJob, epoch: int) -> AgentSucceeded | AgentFailed:
        if self._limited < self._story.rate_limits:
            self._limited += 1
            return AgentFailed(
                job=job.id,
                epoch=epoch,
                error_class="vendor.rate_limit",
                message="429 try again later",
                transient=True,
                usage=USAGE,
            )
        change = Change(commit=HEAD, commits=2, files=FILES, files_changed=len(FILES), lines_added=38, lines_removed=17)
        return AgentSucceeded(
            job=job.id,
            epoch=epoch,
            change=change,
            usage=USAGE,
            session_id="3b1f0c9e-6d0a-4c55-8a71-0e3c7d2b9f10",
            vendor_version="2.1.197",
            summary=SUMMARY,
            sandbox="bwrap",
        )

    def _tell(self, *events: KnownEvent) -> None:
        for event in events:
            seq = len(self._lines) + 1
            assert seq <= EVENTS_MAX, "the story does not end"
            self._now += timedelta(seconds=1.25)
            id_, cause = f"01jqa0e{seq:03d}{MARK}00000000", f"01jqa0c{seq:03d}{MARK}00000000"
            body = encode_event(
                event,
                id=id_,
                repo=REPO,
                task=_task_id(MARK),
                at=self._now,
                causation_id=cause,
                source="penstock-orchestrator/0.1.0",
            )
            self._lines.append(Line(_task_id(MARK), type_of(event), body))
            recorded = Recorded(
                seq=seq, id=id_, repo=REPO, task=_task_id(MARK), at=self._now, causation_id=cause, data=event
            )
            self._task = evolve(self._task, recorded)
