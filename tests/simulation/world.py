"""The made-up world: the log, the clock, the order queue, the remote repositories, and what was really seen outside.

Rule of this room: it knows the truth. Leaders see the log only as far as they have read it, and people and hosts only what
they are told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from penstock.catalog import Control, FleetSettings, Repo
from penstock.commands import NewTask, StirPullRequest, TaskCommand
from penstock.events import KnownEvent, MemoryRecalled, Recorded, TaskSubmitted
from penstock.jobs import Job
from penstock.reports import Report
from penstock.values import Policy, Recalled, Usage
from penstock_orchestrator.core import evolve as evolving
from penstock_orchestrator.core.task import Task
from simulation.book import Book
from simulation.dice import Dice
from simulation.forge import FOLLOWS, Pull
from simulation.ground import BASE, HOSTS, POLICIES, SETTINGS, T0, VENDORS, repos

if TYPE_CHECKING:
    from simulation.leader import Leader
    from simulation.runs import Run

COMMAND: Final = "c"
"""The first letter of a command's id; of an event's it is `e`, of a report's `r`."""


class AckLost(Exception):
    """the event is in the log, and its writer was not told"""


class Killed(Exception):
    """the leader was killed right after its append"""


class Broken(Exception):
    """an invariant does not hold"""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant, self.what = invariant, what


class Entry(NamedTuple):
    """One event of the log, with its task before and after."""

    recorded: Recorded
    before: Task | None
    after: Task


class Step(NamedTuple):
    """An append as the invariants see it. `leader`: who decided, with what it has read so far. `book`: before the event."""

    world: World
    leader: Leader
    recorded: Recorded
    event: KnownEvent
    before: Task | None
    after: Task
    book: Book


class Host(Struct):
    """A machine that runs jobs. `gone`: for good."""

    name: str
    gone: bool = False
    instance: int = 1


class World:
    """One history's world. `judge` is asked before every append. `stormy`: things go wrong; at its end everybody is honest."""

    def __init__(self, seed: int, judge: Callable[[Step], None]) -> None:
        dice = Dice(seed)
        self._judge = judge
        self.now: datetime = T0 + timedelta(hours=dice.below(24))
        self.put_back = 0
        """How often the clock was."""
        self.patient_at = -1
        self.log: list[Entry] = []
        self.tasks: dict[str, Task] = {}
        self.books: dict[str, Book] = {}
        self.leaders: list[Leader] = []
        self.controls: dict[tuple[str, str], Control] = {}
        self.hands = 0
        """How often somebody has paused or resumed something."""
        self.settings: FleetSettings = dice.pick(SETTINGS)
        self.repos: dict[str, Repo] = repos(1 + dice.below(3), 1.0 if dice.percent(15) else None)
        self.policy: Policy = dice.pick(POLICIES)
        # From dice of its own, so that worlds without it are what they would be without it.
        forges = Dice(seed ^ 0x5EED)
        if forges.percent(35):
            self.policy = replace(self.policy, follow=forges.pick(FOLLOWS))
        self.pulls: dict[str, Pull] = {}
        """By task."""
        self.tasks_most = dice.pick((1, 1, 1, 1, 2, 2, 2, 3, 4))
        self.vendors = dice.pick((VENDORS, VENDORS, VENDORS[:1], VENDORS[1:2]))
        self.two_leaders = dice.percent(35)
        self.trouble = dice.pick((0, 15, 30, 60))
        """How many steps in a hundred go wrong."""
        self.stormy = True
        self.queue: dict[str, Job] = {}
        self.runs: dict[tuple[str, int], Run] = {}
        self.reports: list[Report] = []
        self.stops: set[str] = set()
        self.hosts: dict[str, Host] = {name: Host(name=name) for name in HOSTS[: 1 + dice.below(3)]}
        self.limited: dict[str, datetime] = {}
        self.remote: dict[str, str] = {}
        self.tips: defaultdict[str, str] = defaultdict(lambda: BASE)
        """Where the default branch of each repository is; others push to it too."""
        self.landed: set[str] = set()
        self.files_of: dict[str, tuple[str, ...]] = {}
        self.pushed: dict[str, list[str]] = defaultdict(list)
        self.pushes: dict[str, list[str]] = defaultdict(list)
        """The hosts that have pushed for a task."""
        self.passed: set[str] = set()
        self.failed_before: set[str] = set()
        """Commits on which nothing failed that had not failed where the task began."""
        self.passing: dict[str, bool] = {}
        self.session_used: dict[str, Usage] = {}
        self.sent: list[NewTask | TaskCommand] = []
        self.hints: list[StirPullRequest] = []
        self.commands_done: set[str] = set()
        self.of_agents: set[str] = set()
        self.last_day = ""
        self.day_costs: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.holds: dict[str, AccountHold] = {}
        self.event_types: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.touched: set[str] = set()
        self.epochs: dict[str, int] = {}
        self.dice = dice
        """Of the move that is being made."""
        self._ids = 0

    def fresh(self, letter: str) -> str:
        """An id that nothing else has: 26 characters, in the order of their birth."""
        self._ids += 1
        return f"{letter}{self._ids:025d}"

    def remembered(self, task: Task) -> MemoryRecalled:
        """What a memory of the ended tasks would say. It is away now and then."""
        if len(self.log) % 5 == 0:
            return MemoryRecalled(degraded="the memory is away")
        others = [one for one in self.tasks.values() if one.outcome is not None and one.repo == task.repo]
        items = [
            Recalled(memory=one.id, task=one.id, kind="success", title="earlier", happened="it went", similarity=0.5)
            for one in others[: task.spec.policy.recall_max]
        ]
        return MemoryRecalled(items=tuple(items))

    def later(self, seconds: float) -> None:
        """Let time pass, or (below 0) the clock be put back."""
        self.now += timedelta(seconds=seconds)
        self.put_back += seconds < 0

    def append(self, leader: Leader, task_id: str, repo: str, event: KnownEvent, after_seq: int, cause: str) -> int:
        """The sequence of the stored event, 0 where the log holds a later event of the task than `after_seq`."""
        before = self.tasks.get(task_id)
        if (0 if before is None else before.seq) != after_seq:
            return 0
        recorded = Recorded(
            seq=len(self.log) + 1,
            id=self.fresh("e"),
            repo=repo,
            task=task_id,
            at=self.now,
            causation_id=cause,
            data=event,
        )
        after = evolving.evolve(before, recorded)
        if after is None:
            raise Broken("nothing_is_lost", f"the log of task {task_id} begins with {type(event).__name__}")
        if before is None and isinstance(event, TaskSubmitted):
            self.books[task_id] = Book(event, self.now)
        self._judge(Step(self, leader, recorded, event, before, after, self.books[task_id]))
        self.tasks[task_id] = after
        self.log.append(Entry(recorded, before, after))
        self.touched.add(task_id)
        self.event_types[type(event).__name__] += 1
        return recorded.seq


class AccountHold(Struct):
    """A limit that an account has met, as the log tells it. `trying`: tasks that were let through after its end."""

    since: int
    since_at: datetime
    until: datetime
    put_back: int
    trying: set[str]
