"""The world of a recorded run, asked once more: what hosts, people and other tasks said, given again to the same question.

Rule of this room: an answer belongs to its question. What nobody was asked in the log has no answer here, only a sentence
that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock import events as e
from penstock.jobs import AgentWork, CompactWork, ObserveWork, PlanWork, PrepareWork, PublishWork, VerifyWork, Work
from penstock.values import Usage
from penstock_orchestrator.core.advance import Due, next_look
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.origin import origin
from penstock_orchestrator.core.react import react
from penstock_orchestrator.core.reasons import when
from penstock_orchestrator.core.task import BUDGET, MAX_TURNS, Task

STEPS_MAX: Final = 2_000
"""Events of a course that is told on: more is a circle."""

TIMED_OUT: Final = "agent.timeout"
_CANNOT: Final = "the log cannot know"

Rules: TypeAlias = Callable[[Task, datetime], Due]
_Unasked: TypeAlias = (
    e.TaskCancelRequested
    | e.PriorityChanged
    | e.CompactionAsked
    | e.MessageAccepted
    | e.TaskWoken
    | e.DependencyResolved
)
_Run: TypeAlias = (
    e.AgentSucceeded | e.AgentFailed | e.PlanProposed | e.PlanFailed | e.CompactSucceeded | e.CompactFailed
)


class Step(Struct, frozen=True, kw_only=True):
    """One event of the course. `rule`: by which it was decided, empty for what the world said. `assumed`: what was taken for
    granted with it."""

    at: datetime
    event: e.KnownEvent
    rule: str = ""
    assumed: str = ""


class Said(Struct, frozen=True):
    """What comes next, and when: `event` is None where only the clock goes on. `taken`: the event of the log that it is, None
    where it is none."""

    at: datetime
    event: e.KnownEvent | None = None
    assumed: str = ""
    taken: e.Recorded | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """A job of the log: the order, and all that was said about it. `told_to_stop`: its end was not its own."""

    request: e.Recorded
    work: Work
    answers: tuple[e.Recorded, ...] = ()
    told_to_stop: bool = False


class World:
    """What a log tells of the world. `jobs` by id, in the order in which they were asked for; `blocks`: what each person who
    unblocked the task did it for."""

    def __init__(self, log: Iterable[e.Recorded]) -> None:
        self.jobs: dict[str, Asked] = {}
        self.inputs: list[e.Recorded] = []
        self.blocks: dict[int, str] = {}
        task: Task | None = None
        for event in log:
            before, task = task, evolve(task, event)
            self._take(before, event, task)

    def _take(self, before: Task | None, event: e.Recorded, after: Task | None) -> None:
        if origin(event.data) != "rule":
            self.inputs.append(event)
        if before is not None and before.blocked is not None and isinstance(event.data, e.TaskUnblocked):
            self.blocks[event.seq] = before.blocked.reason
        if before is not None and before.job is not None and getattr(event.data, "job", "") == before.job.id:
            asked = self.jobs.get(before.job.id)
            if asked is not None and origin(event.data) != "rule":
                told = asked.told_to_stop or bool(before.stop_wanted)
                self.jobs[before.job.id] = replace(asked, answers=(*asked.answers, event), told_to_stop=told)
        job = None if after is None else react(after)
        if job is not None and job.id == event.id:
            self.jobs[job.id] = Asked(request=event, work=job.work)

    def cut_off(self, task: Task, event: e.AnyEvent) -> str:
        """Why what a run said in the log cannot stand for this task, which gives it other limits; empty where it can."""
        job = task.job
        if not isinstance(event, _Run) or job is None or (event.job, event.epoch) != (job.id, job.epoch):
            return ""
        return _cut_off(self.jobs[job.id].work, work_of(task), event)


def rejudged(event: e.AnyEvent, task: Task) -> e.AnyEvent:
    """The event as it would be recorded for this task: the same score, held against the task's own limit."""
    if not isinstance(event, e.GateScored):
        return event
    below = task.spec.policy.abstain_below
    return replace(event, abstain_below=below, abstained=event.score < below)


def work_of(task: Task) -> Work:
    """The order for the task's job, also when a host has it already."""
    assert task.job is not None
    job = react(replace(task, job=replace(task.job, epoch=None)))
    assert job is not None
    return job.work


class Course:
    """A task that goes its own way from `now` on. `seq`: of the first event of the log that it does not share."""

    def __init__(self, world: World, task: Task, now: datetime, seq: int, rules: Rules) -> None:
        self.world, self.task, self.now, self.rules = world, task, now, rules
        self.steps: list[Step] = []
        self._inputs = [event for event in world.inputs if event.seq >= seq]
        self._unused = [asked for asked in world.jobs.values() if asked.request.seq >= seq]
        self._asked: Asked | None = None
        self._answers: list[e.Recorded] = []
        if task.job is not None:
            self._asked = world.jobs[task.job.id]
            self._answers = [event for event in self._asked.answers if event.seq >= seq]

    def run(self) -> str:
        """Go on to the end, or to where the log cannot tell: then why."""
        while self.task.outcome is None:
            if len(self.steps) >= STEPS_MAX:
                return f"it would go on for more than {STEPS_MAX} steps"
            today = self.rules(self.task, self.now)
            unknown = self._wait(today.rule) if today.event is None else self._decide(today.event, today.rule)
            if unknown:
                return unknown
        return ""

    def _decide(self, event: e.KnownEvent, rule: str) -> str:
        before = self.task
        self._append(event, rule=rule)
        if self.task.job is None or (before.job is not None and before.job.id == self.task.job.id):
            return ""
        found = self._asked_before(work_of(self.task))
        if isinstance(found, str):
            return found
        self._asked, self._answers = found, list(found.answers)
        # Under the id that the log's answers name.
        taken = self.steps.pop()
        self.task = before
        self._append(taken.event, rule=rule, id=found.request.id)
        return ""

    def _asked_before(self, work: Work) -> Asked | str:
        """The job of the log that was asked the same, or why there is none."""
        same = [asked for asked in self._unused if question(asked.work) == question(work)]
        if not same:
            return f"{_NEVER[type(work)]}: in the log nobody was asked for it"
        found = same[0]
        failure = self.task.last_failure
        if failure is not None and failure.told is not None and failure.told.severity == "park":
            by_now = [asked for asked in same if asked.request.at <= self.now]
            found = by_now[-1] if by_now else found
            if not by_now and not _fails_as(found, failure.error_class):
                return (
                    f"what stood in the way ({failure.known_as}) was asked about next at {when(found.request.at)}; "
                    f"whether it had passed at {when(self.now)}, {_CANNOT}"
                )
        self._unused = self._unused[self._unused.index(found) + 1 :]
        return found

    # Waiting ----------------------------------------------------------------------------------------------------------

    def _wait(self, rule: str) -> str:
        """Let the next thing of the world happen. Why not, where nothing can."""
        awaited = self._awaited(rule)
        unasked = self._unasked(awaited.at if isinstance(awaited, Said) else None)
        said = awaited if unasked is None else unasked
        if not isinstance(said, Said):
            return said
        self.now = max(self.now, said.at)
        for told in (self._inputs, self._answers):
            if said.taken in told:
                told.remove(said.taken)
        if said.event is not None:
            self._append(said.event, assumed=said.assumed)
        return ""

    def _awaited(self, rule: str) -> Said | str:
        task = self.task
        match rule:
            case "at_work" | "cancelled":
                return self._answer()
            case "slot":
                given = e.TaskAdmitted(number=task.admissions + 1, priority=task.priority, waited_seconds=0.0)
                return Said(
                    self.now, given, "a slot is there at once, and the rest of the fleet stands in nobody's way"
                )
            case "gate_due":
                scored = next((event for event in self.world.inputs if isinstance(event.data, e.GateScored)), None)
                if scored is None:
                    return "the log holds no score"
                return Said(self.now, _known(rejudged(scored.data, task)), "the score is the one of the log")
            case "recall_due":
                told = next((event for event in self.world.inputs if isinstance(event.data, e.MemoryRecalled)), None)
                if told is None:
                    return Said(
                        self.now,
                        e.MemoryRecalled(),
                        "what would have been recalled is not known, and taken for nothing",
                    )
                return Said(self.now, _known(told.data), "what is recalled is what the log has")
            case "parked":
                assert task.parked is not None
                return Said(task.parked.wake_at)
            case "blocked":
                return self._person()
            case "plan_waits":
                return self._plan()
            case _:
                return f"it would wait for what this log does not tell ({rule})"

    def _answer(self) -> Said | str:
        """What the host says next about the running job."""
        task, asked = self.task, self._asked
        assert task.job is not None
        assert asked is not None
        if task.stop_wanted and not (self._answers and isinstance(self._answers[0].data, e.JobStopped)):
            stopped = e.JobStopped(
                job=task.job.id, epoch=task.job.epoch or 0, reason=task.stop_wanted, usage=task.run_usage or Usage()
            )
            return Said(self.now, stopped, "a run that is told to stop ends at once, with what it had said it had used")
        if not self._answers:
            return f"the log ends while the job {task.job.kind} runs"
        event = self._answers[0]
        if isinstance(event.data, e.JobStopped) and asked.told_to_stop and not task.stop_wanted:
            return f"in the log this run was told to stop; how it would have gone on, {_CANNOT}"
        if why := self.world.cut_off(task, event.data):
            return why
        assumed = "" if asked.request.at == task.job.requested_at else "what was asked again is answered as in the log"
        return Said(task.job.requested_at + (event.at - asked.request.at), _known(event.data), assumed, event)

    def _person(self) -> Said | str:
        blocked = self.task.blocked
        assert blocked is not None
        open_ = {point.id for point in self.task.points}
        for event in self._inputs:
            data = event.data
            unblocks = isinstance(data, e.TaskUnblocked) and self.world.blocks.get(event.seq) == blocked.reason
            answers = isinstance(data, e.DecisionAnswered) and data.decision in open_
            if unblocks or answers:
                return Said(event.at, _known(data), "people answer the same question as they did in the log", event)
        return f"a person would be asked ({blocked.reason}: {blocked.message}); what they would do, {_CANNOT}"

    def _plan(self) -> Said | str:
        plan = self.task.plan
        assert plan is not None
        look = next_look(self.task)
        for event in self._inputs:
            data = event.data
            if isinstance(data, e.PlanApproved | e.PlanRejected | e.PlanCommented) and data.number == plan.number:
                if look is not None and look < event.at:
                    break
                return Said(event.at, data, "people answer the same plan as they did in the log", event)
        return (
            f"a person would be asked about plan {plan.number}; what they would do, {_CANNOT}"
            if look is None
            else Said(look)
        )

    def _unasked(self, until: datetime | None) -> Said | None:
        """What somebody did of their own accord, up to then (None: at any time)."""
        for event in self._inputs:
            if until is not None and event.at > until:
                return None
            if isinstance(event.data, _Unasked) and self._takes(event.data):
                return Said(
                    event.at, event.data, "what people did of their own accord, they do at the same time", event
                )
        return None

    def _takes(self, data: _Unasked) -> bool:
        """Whether the orchestrator would have let it in, as things stand here."""
        task = self.task
        match data:
            case e.TaskWoken():
                return task.parked is not None
            case e.MessageAccepted():
                return task.publishes == 0
            case e.TaskCancelRequested():
                return task.cancel is None
            case e.DependencyResolved() | e.PriorityChanged() | e.CompactionAsked():
                return True
            case _:
                assert_never(data)

    def _append(self, event: e.KnownEvent, *, rule: str = "", assumed: str = "", id: str = "") -> None:
        seq = self.task.seq + 1
        recorded = e.Recorded(
            seq=seq,
            id=id or f"whatif{seq:020d}",
            repo=self.task.repo,
            task=self.task.id,
            at=self.now,
            causation_id=f"whatif{seq:020d}",
            data=event,
        )
        after = evolve(self.task, recorded)
        assert after is not None
        self.task = after
        self.steps.append(Step(at=self.now, event=event, rule=rule, assumed=assumed))


def question(work: Work) -> Work:
    """The order without what does not change the answer: limits (held against it apart), and words for a reviewer."""
    match work:
        case AgentWork():
            return replace(work, max_turns=None, max_cost_usd=None, wall_seconds_max=0.0)
        case PlanWork():
            return replace(work, max_turns=None, max_cost_usd=None, wall_seconds_max=0.0)
        case CompactWork():
            return replace(work, max_turns=None, max_cost_usd=None, wall_seconds_max=0.0)
        case PublishWork():
            return replace(work, body="", verified=False)
        case PrepareWork() | VerifyWork() | ObserveWork():
            return work
        case _:
            assert_never(work)


_NEVER: Final[dict[type[Work], str]] = {
    PrepareWork: "another clone would be made",
    PlanWork: "an agent would be asked for a plan",
    AgentWork: "the agent would be told something else, or once more",
    CompactWork: "an agent would be asked for a summary",
    VerifyWork: "another commit would be checked, or once more",
    PublishWork: "another commit would be handed over, or once more",
    ObserveWork: "the pull request would be looked at once more",
}


def _cut_off(had: Work, would: Work, said: _Run) -> str:
    assert isinstance(had, AgentWork | PlanWork | CompactWork)
    assert isinstance(would, AgentWork | PlanWork | CompactWork)
    used = said.usage
    limits: tuple[tuple[str, str, float | None, float | None, float | None], ...] = (
        ("turns", MAX_TURNS, used.turns, had.max_turns, would.max_turns),
        ("USD", BUDGET, used.cost_usd, had.max_cost_usd, would.max_cost_usd),
        ("seconds", TIMED_OUT, used.wall_seconds, had.wall_seconds_max, would.wall_seconds_max),
    )
    error_class = getattr(said, "error_class", "")
    for unit, cut, spent, was, now in limits:
        if was == now:
            continue
        if now is not None and spent is not None and spent > now:
            return f"the recorded run used {spent:g} {unit} and would have had {now:g}: where it would end, {_CANNOT}"
        if error_class == cut and was is not None and (now is None or now > was):
            return f"the recorded run was cut off at {was:g} {unit}: how it would have gone on with more, {_CANNOT}"
    return ""


def _fails_as(asked: Asked, error_class: str) -> bool:
    return any(getattr(event.data, "error_class", "") == error_class for event in asked.answers)


def _known(event: e.AnyEvent) -> e.KnownEvent:
    assert not isinstance(event, e.Unknown)
    return event
