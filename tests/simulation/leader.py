"""A leader: reads the log, decides by the core and the fleet, appends. There may be two, each of which believes it is alone.

Rule of this room: it does what the real loop does, without waiting; all it knows is what it has read of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from penstock.catalog import Repo
from penstock.commands import (
    Accepted,
    ClaimJob,
    ContinueTask,
    NewTask,
    NotReady,
    RefusedReply,
    Reply,
    RetryTask,
    StirPullRequest,
    SubmitTask,
    TaskCommand,
)
from penstock.events import DependencyResolved, KnownEvent, TaskAdmitted
from penstock.reports import Report
from penstock_orchestrator.core import advance as advancing
from penstock_orchestrator.core import decide as deciding
from penstock_orchestrator.core import follow as following
from penstock_orchestrator.core import queue as queueing
from penstock_orchestrator.core import react as reacting
from penstock_orchestrator.core import submit as submitting
from penstock_orchestrator.core.fleet import Fleet
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.task import Task
from simulation.ground import VENDORS
from simulation.world import AckLost, Broken, Killed, World

CONFLICTS_MAX: Final = 20
STEPS_MAX: Final = 400
"""So many events in a row for one task without anything from outside: it is going in circles."""

LOOKS_MAX: Final = 60


class Leader:
    """`position`: how much of the log it has read; `surprised`: since it last looked whose turn it is, it has read what another
    leader had appended. `mishap`: asked after each append, it may raise AckLost or Killed."""

    def __init__(self, world: World, name: str, mishap: Callable[[], None]) -> None:
        self.world, self.name, self.mishap = world, name, mishap
        self.begin()

    def begin(self) -> None:
        """Start with an empty memory."""
        self.position = 0
        self.tasks: dict[str, Task] = {}
        self.fleet = Fleet()
        self.fleet.controls = self.world.controls
        self.fleet.settings = self.world.settings
        self.fleet.repos = self.world.repos
        self.due: set[str] = set()
        self.offered: set[str] = set()
        self.halted: set[str] = set()
        self.seen: tuple[int, datetime, int] | None = None
        self.surprised = False

    def read(self, upto: int | None = None) -> None:
        """Read the log, to its end or to a position."""
        log = self.world.log
        end = len(log) if upto is None else min(upto, len(log))
        for number in range(self.position, end):
            recorded, before, after = log[number]
            self.tasks[after.id] = after
            self.fleet.changed(before, after, recorded)
            self.due.add(after.id)
        self.position = max(self.position, end)

    def append(self, task_id: str, repo: str, event: KnownEvent, after_seq: int, cause: str) -> int:
        """The sequence, read back; 0 where somebody else's event came first. Raises AckLost, Killed."""
        seq = self.world.append(self, task_id, repo, event, after_seq, cause)
        if seq:
            self.mishap()
            self.surprised = self.surprised or seq > self.position + 1
            self.read(seq)
        else:
            self.surprised = True
            self.read()
        return seq

    def tend(self) -> None:
        """Everything that is due now, for every task, until nothing is."""
        try:
            for _ in range(LOOKS_MAX):
                self._look_at_clock()
                while self.due:
                    self._drive(self.due.pop())
                if not self._give_turns():
                    return
            raise Broken("it_comes_to_rest", f"leader {self.name} still had something due after {LOOKS_MAX} looks")
        except AckLost:
            self.read()
        except Killed:
            self.begin()
            self.read()

    def controls_changed(self) -> None:
        """Somebody's hand has moved: whoever was halted is looked at."""
        self.fleet.go_on()
        self.due |= self.halted
        self.halted.clear()

    def offer_again(self) -> None:
        """Orders that no host has claimed are put on the queue once more, where they are not there already."""
        self.offered.clear()
        waits = [task for task in self.fleet.living.values() if following.look_order(task) is not None]
        waits += [task for task in self.fleet.living.values() if task.job is not None and task.job.epoch is None]
        self.due |= {task.id for task in waits}

    def _look_at_clock(self) -> None:
        now = self.world.now
        for task in self.fleet.living.values():
            at = advancing.next_look(task)
            if at is not None and at <= now:
                self.due.add(task.id)

    def _drive(self, task_id: str) -> None:
        last: KnownEvent | None = None
        for _ in range(STEPS_MAX):
            task = self.tasks[task_id]
            self._offer(task)
            if task.stop_wanted and task.job is not None:
                self.world.stops.add(task.job.id)
            event = self._next(task, last)
            if event is None:
                return
            last = event if self.append(task.id, task.repo, event, task.seq, task.id) else None
        raise Broken("it_comes_to_rest", f"task {task_id} had {STEPS_MAX} events in a row, the last {last!r}"[:300])

    def _offer(self, task: Task) -> None:
        look = following.look_order(task)
        if look is not None and look.id not in self.offered:
            self.world.queue.setdefault(look.id, look)
            self.offered.add(look.id)
        if task.job is None or task.job.epoch is not None or task.job.id in self.offered:
            return
        job = reacting.react(task)
        if job is not None:
            self.world.queue.setdefault(job.id, job)
            self.offered.add(job.id)

    def _next(self, task: Task, last: KnownEvent | None) -> KnownEvent | None:
        world = self.world
        found = advancing.due(task, world.now)
        world.rules[found.rule] += 1
        event = found.event
        if event is not None and event == last:
            raise Broken("asked_twice_it_answers_once", f"{event!r} is still due after it was appended"[:300])
        if world.rules[found.rule] % 8 == 0 and advancing.advance(task, world.now) != (
            [] if event is None else [event]
        ):
            raise Broken("asked_twice_it_answers_once", f"{found.rule} gave another answer the second time")
        if event is None:
            event = self._asked_for(task, found.rule)
            if event is None:
                return None
        said = queueing.veto(self.fleet, task, event, world.now)
        if said == "wait":
            self.halted.add(task.id)
            self.fleet.halt(task.id)
            return None
        return said or event

    def _asked_for(self, task: Task, rule: str) -> KnownEvent | None:
        match rule:
            case "gate_due":
                return advancing.gate_event(task, self.fleet.history(task.repo))
            case "recall_due":
                return self.world.remembered(task)
            case _:
                return None

    def _give_turns(self) -> bool:
        """Slots and news for those who wait; whether there was any."""
        seen = (self.position, self.world.now, self.world.hands)
        if seen == self.seen:
            return False
        answers: list[tuple[str, TaskAdmitted | DependencyResolved]] = [*queueing.resolvable(self.fleet)]
        if not answers:
            self.seen, self.surprised = seen, False
            answers += queueing.admissions(self.fleet, self.world.now)
            self.due |= self.fleet.passed_over
            self.fleet.passed_over = set()
        for task_id, event in answers:
            task = self.tasks[task_id]
            if self._still(task, event):
                self.append(task_id, task.repo, event, task.seq, task_id)
        return bool(answers) or bool(self.due)

    def _still(self, task: Task, event: TaskAdmitted | DependencyResolved) -> bool:
        if isinstance(event, TaskAdmitted):
            return event.number == task.admissions + 1 and advancing.wants_slot(task, self.world.now)
        return task.outcome is None and event in queueing.resolutions(self.fleet, task)

    def command(self, command: NewTask | TaskCommand) -> Reply:
        """The answer to a command; NotReady where nobody knows."""
        try:
            return self._command(command)
        except Refused as refused:
            return RefusedReply(code=refused.code, message=refused.message, field=refused.field)
        except AckLost:
            self.read()
            return NotReady(message="nobody knows")
        except Killed:
            self.begin()
            self.read()
            return NotReady(message="nobody knows")

    def _command(self, command: NewTask | TaskCommand) -> Reply:
        for _ in range(CONFLICTS_MAX):
            task = self.tasks.get(command.task)
            events = self._decided(task, command)
            if not events:
                return Accepted(task=command.task, seq=0 if task is None else task.seq)
            if isinstance(command, ClaimJob):
                assert task is not None
                looks = task.look is not None and task.look.id == command.job
                if not looks and (reason := queueing.may_claim(self.fleet, task, command.host, self.world.now)):
                    return NotReady(message=reason)
            repo = task.repo if task is not None else self._repo_of(command).name
            if seq := self.append(command.task, repo, events[0], 0 if task is None else task.seq, command.id):
                return Accepted(task=command.task, seq=seq)
        raise Broken("it_comes_to_rest", f"{CONFLICTS_MAX} conflicts for one command")

    def _decided(self, task: Task | None, command: NewTask | TaskCommand) -> list[KnownEvent]:
        if not isinstance(command, SubmitTask | RetryTask | ContinueTask):
            return deciding.decide(task, command)
        known = submitting.Known(
            repo=None if task is not None else self._repo_of(command),
            settings=self.world.settings,
            policy=self.world.policy,
            vendors=VENDORS,
            exists=self.tasks.__contains__,
        )
        if isinstance(command, SubmitTask):
            return submitting.submit(task, command, known)
        return submitting.again(task, command, self.tasks.get(command.of), known)

    def _repo_of(self, command: NewTask | TaskCommand) -> Repo:
        if isinstance(command, SubmitTask):
            assert isinstance(command.repo, str)
            return self.world.repos[command.repo]
        assert isinstance(command, RetryTask | ContinueTask)
        old = self.tasks.get(command.of)
        if old is None:
            raise Refused("unknown_task", "no such task", "of")
        return self.world.repos[old.repo]

    def report(self, report: Report) -> bool:
        """Whether the report has been dealt with; False where nobody knows, and it is to come again."""
        try:
            for _ in range(CONFLICTS_MAX):
                task = self.tasks.get(report.task)
                events = deciding.accept(task, report)
                if not events or task is None:
                    return True
                if self.append(task.id, task.repo, events[0], task.seq, report.id):
                    return True
        except AckLost:
            self.read()
        except Killed:
            self.begin()
            self.read()
        return False

    def lost(self, job_id: str, task_id: str, reason: str, *, host_gone: bool) -> None:
        """The holder of this job is gone."""
        task = self.tasks.get(task_id)
        events: list[KnownEvent] = []
        if task is not None and task.look is not None and task.look.id == job_id:
            events = advancing.look_lost(task, reason)
        elif task is not None and task.job is not None and task.job.id == job_id:
            events = advancing.lost(task, task.job.host or "", reason, host_gone=host_gone)
        if task is None or not events:
            return
        try:
            for event in events:
                self.append(task.id, task.repo, event, task.seq, job_id)
        except AckLost:
            self.read()
        except Killed:
            self.begin()
            self.read()

    def stir(self, command: StirPullRequest) -> None:
        """The forge says that there is news."""
        for task_id in list(self.fleet.living):
            try:
                for event in following.stir(self.tasks[task_id], command):
                    task = self.tasks[task_id]
                    self.append(task_id, task.repo, event, task.seq, command.id)
            except AckLost:
                self.read()
            except Killed:
                self.begin()
                self.read()
                return
