"""One history from its seed to its rest, and what must hold when it is there; a failing one, cut as short as it goes.

Rule of this room: a history is a seed and the numbers of its moves; nothing else decides what happens in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from msgspec import Struct

from penstock.codec import decode_event, encode_event
from penstock.events import Unknown
from penstock_orchestrator.core import advance as advancing
from penstock_orchestrator.core import evolve as evolving
from penstock_orchestrator.core import queue as queueing
from penstock_orchestrator.core import verdict
from penstock_orchestrator.core.budget import next_day
from penstock_orchestrator.core.classify import classify
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.waiting import waiting
from simulation import forge, moves, people, runs
from simulation.dice import Dice, mixed
from simulation.fleet_laws import judge
from simulation.leader import Leader
from simulation.world import Broken, World

MOVES_MIN: Final = 10
MOVES_MORE: Final = 90
ROUNDS_MAX: Final = 500
REST_MAX: Final = timedelta(days=60)
"""The longest wait that is believed is a week; nobody waits for several of them once all are honest."""

PATIENCE: Final = timedelta(seconds=61)
WIRE_EVERY: Final = 64
"""Every so many histories, the replay goes over the wire's form."""

STUMBLES: Final = (AssertionError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


class Failure(Struct, frozen=True):
    """A history that broke a law: `moves` are the numbers of those that it takes."""

    seed: int
    moves: tuple[int, ...]
    invariant: str
    what: str


def length_of(seed: int) -> int:
    """How many moves the history of this seed has before it comes to rest."""
    return MOVES_MIN + mixed(seed) % MOVES_MORE


def play(seed: int, some: Sequence[int] | None = None) -> World:
    """The world at the history's end. `some`: the moves to make, all of them where it is None. Raises Broken."""
    world = World(seed, judge)
    try:
        _storm(world, seed, range(length_of(seed)) if some is None else some)
        _rest(world)
        _at_the_end(world, over_the_wire=seed % WIRE_EVERY == 0)
    except STUMBLES as error:
        raise Broken("the_core_never_stumbles", f"{type(error).__name__}: {error}") from error
    return world


def _storm(world: World, seed: int, some: Sequence[int]) -> None:
    names = ("one", "two") if world.two_leaders else ("one",)
    world.leaders = [Leader(world, name, lambda: moves.mishap(world)) for name in names]
    for number in some:
        moves.move(world, Dice(seed * 1_000_003 + number))
        _look(world)


def _look(world: World) -> None:
    for task_id in world.touched:
        every_task_can_be_moved(world, world.tasks[task_id])
    world.touched.clear()


def every_task_can_be_moved(world: World, task: Task) -> None:
    """A living task can be moved by the holder of its job, a person, the clock, or the queue: never by nobody."""
    if task.outcome is not None or task.job is not None:
        return
    found = advancing.due(task, world.now)
    told = waiting(task)
    if not told.can_move:
        raise Broken("every_task_can_be_moved", f"task {task.id}: nobody knows who can move it ({told.why})")
    if found.event is not None:
        return
    match found.rule:
        case "blocked":
            good = task.blocked is not None and bool(task.blocked.can_do)
        case "parked":
            look = advancing.next_look(task)
            good = task.parked is not None and look is not None and look <= task.parked.wake_at
        case "in_review" | "looks_first":
            good = task.look is not None or advancing.next_look(task) is not None
        case "dependencies":
            good = any(on not in dict(task.resolved) for on in task.spec.depends_on)
        case "plan_waits":
            good = task.plan is not None and task.plan.answer in ("none", "parked")
        case "slot":
            good = advancing.wants_slot(task, world.now)
        case "gate_due":
            good = advancing.gate_event(task, world.leaders[0].fleet.history(task.repo)) is not None
        case "recall_due":
            # The memory answers, or its absence does.
            good = task.recalled is None and task.spec.policy.recall_max > 0
        case _:
            good = False
    if not good:
        raise Broken("every_task_can_be_moved", f"task {task.id} stands still at the rule {found.rule}")


def _rest(world: World) -> None:
    """From here on all are honest and somebody answers: everything comes to its end."""
    world.stormy = False
    world.limited.clear()
    world.controls.clear()
    world.hands += 1
    if all(host.gone for host in world.hosts.values()):
        moves.new_host(world)
    world.dice = Dice(7)
    leader = world.leaders[0]
    leader.read()
    leader.controls_changed()
    unblocked: dict[str, int] = {}
    latest = world.now + REST_MAX
    leader.offer_again()
    for _ in range(ROUNDS_MAX):
        leader.tend()
        _look(world)
        if not leader.fleet.living:
            return
        if not _round(world, leader, unblocked):
            leader.offer_again()
            _wait(world, leader)
        if world.now > latest:
            raise Broken("it_comes_to_an_end", f"after {REST_MAX}: {_what_is_waited_for(world)}")
    raise Broken("it_comes_to_an_end", f"after {ROUNDS_MAX} rounds: {_what_is_waited_for(world)}")


def _round(world: World, leader: Leader, unblocked: dict[str, int]) -> bool:
    """Everybody does what there is to do; whether there was anything."""
    dice, moved = world.dice, bool(world.reports)
    reports, world.reports = world.reports, []
    for report in reports:
        leader.report(report)
    for run in list(world.runs.values()):
        if not run.over and run.leased and not world.hosts[run.host].gone:
            moved = True
            runs.work(world, dice, run)
    if not world.reports:
        moved = moves.watch(world, leader) or moved
    for job in list(world.queue.values()):
        moved = moves.claim(world, dice, leader, job) or moved
    moved = forge.at_rest(world) or moved
    for task in list(leader.fleet.living.values()):
        command = people.at_rest(world, task, unblocked.get(task.id, 0))
        if command is not None:
            moved = True
            if task.blocked is not None:
                unblocked[task.id] = unblocked.get(task.id, 0) + 1
            people.send(world, leader, command)
    return moved


def _wait(world: World, leader: Leader) -> None:
    """Nobody has anything to do: the clock goes on to the next moment that somebody waits for."""
    looks: list[datetime | None] = [advancing.next_look(task) for task in leader.fleet.living.values()]
    looks.append(queueing.next_look(leader.fleet, world.now))
    ahead = [at for at in looks if at is not None and at > world.now]
    if not ahead:
        # Whoever tries an account has a minute; a day's budget lasts until midnight. The real leader looks every few seconds.
        minute = world.patient_at != len(world.log)
        world.patient_at = len(world.log)
        ahead = [world.now + PATIENCE if minute else next_day(world.now)]
    world.now = min(ahead)


def _what_is_waited_for(world: World) -> str:
    return "; ".join(
        f"task {task.id}: {advancing.due(task, world.now).rule}: {waiting(task).why}"
        for task in world.tasks.values()
        if task.outcome is None
    )[:600]


def _at_the_end(world: World, *, over_the_wire: bool) -> None:
    replay_gives_the_same(world, over_the_wire=over_the_wire)
    every_reader_sees_the_same(world)


def replay_gives_the_same(world: World, *, over_the_wire: bool) -> None:
    """Each task's own log, read again from its first event, gives the very same task."""
    again: dict[str, Task] = {}
    for recorded, _, _ in world.log:
        if over_the_wire:
            assert not isinstance(recorded.data, Unknown)
            body = encode_event(
                recorded.data,
                id=recorded.id,
                repo=recorded.repo,
                task=recorded.task,
                at=recorded.at,
                causation_id=recorded.causation_id,
                source="simulation",
            )
            recorded = decode_event(body, recorded.seq)
        task = evolving.evolve(again.get(recorded.task), recorded)
        assert task is not None
        again[task.id] = task
    for task_id, task in world.tasks.items():
        if again.get(task_id) != task:
            raise Broken("replay_gives_the_same", f"task {task_id} is another one")


def every_reader_sees_the_same(world: World) -> None:
    """Whoever reads the whole log, from the start or after a fall, has the same tasks and the same fleet; and no slot is
    held when all have ended."""
    fresh = Leader(world, "late", lambda: None)
    fresh.read()
    for leader in (*world.leaders, fresh):
        leader.read()
        if leader.tasks != world.tasks:
            raise Broken("every_reader_sees_the_same", f"leader {leader.name} has other tasks")
        fleet = leader.fleet
        seen = (fleet.outcomes, dict(fleet.of_repo), dict(fleet.of_account), dict(fleet.of_host), fleet.slots_taken)
        if seen != (fresh.fleet.outcomes, {}, {}, {}, 0):
            raise Broken("every_reader_sees_the_same", f"leader {leader.name} has another fleet: {seen}")


@contextmanager
def remembered_classes() -> Iterator[None]:
    """Within, what a check's words look like is found out once for each of the few that are said here."""
    names = vars(verdict)
    names["classify"] = cache(classify)
    try:
        yield
    finally:
        names["classify"] = classify


def shortest(seed: int, broken: Broken) -> Failure:
    """The failing history with as many moves cut out as it can do without, one after the other in ever smaller pieces."""
    some = list(range(length_of(seed)))
    found = broken
    size = len(some)
    while size:
        at = 0
        while at < len(some):
            fewer = some[:at] + some[at + size :]
            try:
                play(seed, fewer)
                at += size
            except Broken as error:
                if error.invariant == broken.invariant:
                    some, found = fewer, error
                else:
                    at += size
        size //= 2
    return Failure(seed, tuple(some), found.invariant, found.what)
