"""A recorded run under other limits: the first decision that would have been another one, and how far the log can tell what
would have come of it.

Rule of this room: nothing is made up. An answer of the world is used again only where the world would have been asked the
very same thing; what is assumed on the way is said, and where the log cannot know, the story ends there and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.events import AgentRequested, AnyEvent, FailureClassified, Recorded, TaskSubmitted
from penstock_orchestrator.core.advance import Due, due
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.origin import origin
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.replay import Difference, Kind, likeness, since
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.world import Course, Step, World, rejudged

Classifier: TypeAlias = Callable[[Task, FailureClassified], FailureClassified]
"""What to make of a failure instead: it is given the task and today's answer."""

Changed: TypeAlias = tuple[tuple[str, str, str], ...]
FIELDS_FIXED: Final = frozenset(
    {"repo", "title", "description", "acceptance", "fingerprint", "depends_on", "continues"}
)
"""What was asked for, and of whom: another one would be another task, of which this log knows nothing."""


class Story(Struct, frozen=True, kw_only=True):
    """What would have come. `changed`: field, recorded value and the one in its place. `first`: the first decision that
    differs, None where none does. `course`: from there on. `task`: where it got to; `recorded`: where the log got to.
    `unknown`: why the log cannot tell any further, empty where the task has ended or went as recorded."""

    changed: Changed
    first: Difference | None
    course: tuple[Step, ...]
    task: Task
    recorded: Task
    unknown: str = ""

    @property
    def assumed(self) -> tuple[str, ...]:
        """What was taken for granted on the way, each once."""
        return tuple(dict.fromkeys(step.assumed for step in self.course if step.assumed))


def what_if(
    log: Iterable[Recorded], limits: Mapping[str, str] | None = None, classifier: Classifier | None = None
) -> Story:
    """The run under other `limits`: names of `task_submitted`'s fields (`max_attempts`, `policy.parks_max`) with their values
    as text. Raises Refused for a field or a value that is not one, and for a log that does not begin with a submission."""
    events = list(log)
    if not events or not isinstance(events[0].data, TaskSubmitted):
        raise Refused("invalid", "the log does not begin with task_submitted", "log")
    spec, changed = with_limits(events[0].data, limits or {})
    return _Lockstep(events, spec, classifier).run(changed)


def with_limits(spec: TaskSubmitted, limits: Mapping[str, str]) -> tuple[TaskSubmitted, Changed]:
    """The submission with other values, and what changed. Raises Refused, which names the field."""
    changed: list[tuple[str, str, str]] = []
    for field, text in limits.items():
        plain: dict[str, object] = msgspec.to_builtins(spec)
        inner, name = _holder(plain, field)
        was = inner[name]
        spec = _converted(plain, inner, name, field, text)
        changed.append((field, _text(was), _text(inner[name])))
    return spec, tuple(changed)


def _holder(plain: dict[str, object], field: str) -> tuple[dict[str, object], str]:
    *path, name = field.split(".")
    inner = plain
    for part in path:
        found = inner.get(part)
        if not isinstance(found, dict):
            raise Refused("invalid", f"a task has no {part!r} with fields of its own", field)
        inner = found
    if name not in inner or name == "type" or (path or [name])[0] in FIELDS_FIXED:
        known = ", ".join(sorted(key for key in inner if key != "type" and key not in FIELDS_FIXED))
        raise Refused("invalid", f"there is nothing to change by this name; known here: {known}", field)
    return inner, name


def _converted(plain: dict[str, object], inner: dict[str, object], name: str, field: str, text: str) -> TaskSubmitted:
    """A value is read as JSON where it is JSON and fits, else as the text that it is."""
    tries: list[object] = [text]
    with suppress(msgspec.DecodeError):
        tries.insert(0, msgspec.json.decode(text))
    said = ""
    for value in tries:
        inner[name] = value
        try:
            return msgspec.convert(plain, TaskSubmitted)
        except msgspec.ValidationError as error:
            said = said or str(error)
    raise Refused("invalid", said, field)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class _Lockstep:
    """The recorded task and the other one, side by side until they part."""

    def __init__(self, events: list[Recorded], spec: TaskSubmitted, classifier: Classifier | None) -> None:
        self.events, self.classifier = events, classifier
        self.world = World(events)
        self.recorded = _living(evolve(None, events[0]))
        self.task = _living(evolve(None, replace(events[0], data=spec)))

    def run(self, changed: Changed) -> Story:
        first, unknown, course = self._part()
        steps: tuple[Step, ...] = ()
        if course is not None:
            unknown = course.run()
            self.task, steps = course.task, tuple(course.steps)
        return Story(
            changed=changed,
            first=first,
            course=steps,
            task=self.task,
            recorded=_living(_folded(self.events)),
            unknown=unknown,
        )

    def _part(self) -> tuple[Difference | None, str, Course | None]:
        """Go along with the log to where they part, or to where it cannot tell, or to its end."""
        for last, event in pairwise(self.events):
            decided = origin(event.data) == "rule"
            first = self._other_decision(event) if decided else self._decision_before(event, last.at)
            if first is not None:
                return first, "", Course(self.world, self.task, first.at, event.seq, self._due)
            if not decided and (why := self.world.cut_off(self.task, event.data)):
                return None, why, None
            self._both(event)
        return self._at_the_end(self.events[-1])

    def _at_the_end(self, last: Recorded) -> tuple[Difference | None, str, Course | None]:
        """The log of a task that goes on may end before what would have been decided here."""
        other = self._due(self.task, last.at)
        if other.event is None or not _differs(due(self.recorded, last.at), other):
            return None, "", None
        first = _difference(last, last.at, "pending", other, None)
        return first, "", Course(self.world, self.task, last.at, last.seq + 1, self._due)

    def _other_decision(self, event: Recorded) -> Difference | None:
        here, other = due(self.recorded, event.at), self._due(self.task, event.at)
        if not _differs(here, other):
            return None
        return _difference(event, event.at, "decision", other, event.data)

    def _decision_before(self, event: Recorded, last: datetime) -> Difference | None:
        """A decision that the log does not have before this input, and would have had."""
        here, other = due(self.recorded, event.at), self._due(self.task, event.at)
        if other.event is None or not _differs(here, other):
            return None
        begun = since(self.task, last, event.at)
        return _difference(event, begun, "missing", self._due(self.task, begun), None)

    def _both(self, event: Recorded) -> None:
        """One event further; words that name a limit name the other one."""
        here, other = due(self.recorded, event.at), self._due(self.task, event.at)
        same = origin(event.data) == "rule" and here.event == event.data and other.event is not None
        data = other.event if same else rejudged(event.data, self.task)
        assert data is not None
        self.recorded = _living(evolve(self.recorded, event))
        self.task = _living(evolve(self.task, replace(event, data=data)))

    def _due(self, task: Task, now: datetime) -> Due:
        today = due(task, now)
        if self.classifier is None or not isinstance(today.event, FailureClassified):
            return today
        return replace(today, event=self.classifier(task, today.event))


def _differs(here: Due, other: Due) -> bool:
    like = likeness(here.event, other.event)
    # Words for an agent are what it works from.
    return like == "other" or (like == "words" and isinstance(other.event, AgentRequested))


def _difference(event: Recorded, at: datetime, kind: Kind, other: Due, recorded: AnyEvent | None) -> Difference:
    return Difference(seq=event.seq, at=at, kind=kind, rule=other.rule, recorded=recorded, today=other.event)


def _folded(events: list[Recorded]) -> Task | None:
    task: Task | None = None
    for event in events:
        task = evolve(task, event)
    return task


def _living(task: Task | None) -> Task:
    assert task is not None, "a log that begins with a submission has a task"
    return task
