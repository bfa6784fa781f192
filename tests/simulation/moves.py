"""What may happen next in the world: a host works, a report arrives, somebody asks for something, time passes, things break.

Rule of this room: a move is thrown from its own dice and does what it can in the world as it stands, so that a history from
which moves were cut is a history still.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.catalog import Control
from penstock.commands import Accepted, ClaimJob, NotReady
from penstock.jobs import Job
from penstock_orchestrator.core.task import Task
from simulation import forge, people, runs
from simulation.dice import Dice
from simulation.ground import CHECKED, VENDORS
from simulation.leader import Leader
from simulation.world import AckLost, Host, Killed, World

Move = Callable[[World, Dice], None]

REPEATS_MAX: Final = 6
MISHAP_IN: Final = 1_500


def mishap(world: World) -> None:
    """After an append its writer may not be told of it, or be killed."""
    if not world.stormy or not world.trouble:
        return
    throw = world.dice.below(MISHAP_IN)
    if throw < world.trouble:
        raise AckLost
    if throw < world.trouble + world.trouble // 3:
        raise Killed


def move(world: World, dice: Dice) -> None:
    """One thing happens; then, mostly, a leader looks at what is due."""
    world.dice = dice
    if len(world.tasks) < world.tasks_most and dice.percent(25 if world.tasks else 100):
        _submit(world, dice)
    else:
        dice.pick(_TABLE)(world, dice)
    if world.pulls and dice.percent(25):
        _forge(world, dice)
    if dice.percent(88):
        some_leader(world, dice).tend()


def some_leader(world: World, dice: Dice) -> Leader:
    """The leader, or one of two, each with the log as far as it happens to have read it."""
    leader = dice.pick(world.leaders)
    behind = len(world.leaders) > 1 and dice.percent(40)
    leader.read(leader.position + dice.below(4) if behind else None)
    return leader


def _forge(world: World, dice: Dice) -> None:
    """Something happens to a pull request, and the forge mostly says so: once or twice, or once more later."""
    task = forge.happens(world, dice)
    if dice.percent(60):
        world.hints.append(forge.hint(world, task))
    for _ in range(dice.below(3)):
        if world.hints:
            some_leader(world, dice).stir(dice.pick(world.hints))


def _living(world: World) -> list[Task]:
    return [task for task in world.tasks.values() if task.outcome is None]


# -- hosts -------------------------------------------------------------------------------------------------------------


def _go_on(world: World, dice: Dice) -> None:
    """Something that is under way goes one step further: a run, an order, a report."""
    active = [run for run in world.runs.values() if not run.over]
    options = [*(_work,) * min(len(active), 2), *(_claim,) * bool(world.queue), *(_deliver,) * bool(world.reports)]
    if options:
        dice.pick(options)(world, dice)
    else:
        _to_next_wake(world, dice)


def _work(world: World, dice: Dice) -> None:
    runs.work(world, dice, dice.pick([run for run in world.runs.values() if not run.over]))


def _claim(world: World, dice: Dice) -> None:
    claim(world, dice, some_leader(world, dice), dice.pick(list(world.queue.values())))


def claim(world: World, dice: Dice, leader: Leader, job: Job) -> bool:
    """A host fetches the order, takes the lease, and asks to begin; whether the order is off the queue."""
    there = [host for host in world.hosts.values() if not host.gone and job.host in (None, host.name)]
    if not there:
        return False
    host = dice.pick(there)
    running = world.runs.get((job.id, world.epochs.get(job.id, 0)))
    if running is not None and running.leased and not running.over:
        # Somebody has its lease: nobody else gets that far.
        return False
    epoch = world.epochs[job.id] = len(world.log) + len(world.runs) + 1
    command = ClaimJob(
        id=world.fresh("j"),
        task=job.task,
        job=job.id,
        host=host.name,
        epoch=epoch,
        instance=f"{host.name}.{host.instance}",
    )
    reply = leader.command(command)
    if isinstance(reply, NotReady) and reply.message == "nobody knows" and dice.percent(70):
        reply = leader.command(command)
    if isinstance(reply, NotReady):
        return False
    world.queue.pop(job.id, None)
    if isinstance(reply, Accepted):
        runs.begin(world, dice, job, host.name, epoch)
    return True


def _deliver(world: World, dice: Dice) -> None:
    number = dice.below(len(world.reports))
    report = world.reports[number]
    if some_leader(world, dice).report(report):
        del world.reports[number]


def _watch(world: World, dice: Dice) -> None:
    watch(world, some_leader(world, dice))


def watch(world: World, leader: Leader) -> bool:
    """The leader looks at the leases of the jobs it knows: whether one was found lost."""
    before = len(world.log)
    held = [(task, job) for task in leader.tasks.values() for job in (task.job, task.look) if task.outcome is None]
    for task, job in held:
        if job is None or job.host is None:
            continue
        gone = world.hosts[job.host].gone
        run = world.runs.get((job.id, job.epoch)) if job.epoch is not None else None
        silent = job.epoch is not None and (run is None or (not run.leased) or gone)
        # A report on its way is waited for, as the real watch does; one that was lost is not.
        coming = any(report.job == job.id for report in world.reports) and not (silent and world.dice.percent(20))
        if (silent or (gone and job.epoch is None)) and not coming:
            leader.lost(job.id, task.id, "silent", host_gone=gone)
        elif run is not None and run.over and not coming:
            leader.lost(job.id, task.id, "its report was lost", host_gone=False)
    return len(world.log) > before


# -- people ------------------------------------------------------------------------------------------------------------


def _submit(world: World, dice: Dice) -> None:
    _say(world, dice, people.submit(world, dice))


def _person(world: World, dice: Dice) -> None:
    if world.tasks:
        command = people.sensible(world, dice, dice.pick(list(world.tasks.values())))
        if command is not None:
            _say(world, dice, command)


def _agent_asks(world: World, dice: Dice) -> None:
    living = _living(world)
    if living:
        command = people.agents(world, dice, dice.pick(living))
        world.of_agents.add(command.id)
        _say(world, dice, command)


def _say(world: World, dice: Dice, command: people.AnyCommand) -> None:
    people.send(world, some_leader(world, dice), command)
    if dice.percent(20):
        people.send(world, some_leader(world, dice), command)
    world.sent = [*world.sent[-REPEATS_MAX:], command]


def _say_again(world: World, dice: Dice) -> None:
    if world.sent:
        people.send(world, some_leader(world, dice), dice.pick(world.sent))


# -- time --------------------------------------------------------------------------------------------------------------


def _time(world: World, dice: Dice) -> None:
    world.later(dice.pick((1.0, 5.0, 30.0, 60.0, 300.0, 900.0)))


def _to_next_wake(world: World, dice: Dice) -> None:
    wakes = [task.parked.wake_at for task in _living(world) if task.parked is not None]
    if wakes:
        world.later(max((min(wakes) - world.now).total_seconds(), 0.0) + dice.below(2))
    else:
        _time(world, dice)


def _jump(world: World, dice: Dice) -> None:
    world.later(dice.pick((-7_200.0, -600.0, -30.0, 4_000.0, 30_000.0, 90_000.0)))


# -- trouble -----------------------------------------------------------------------------------------------------------


def _break(world: World, dice: Dice) -> None:
    if world.trouble and dice.percent(60):
        dice.pick(_TROUBLES)(world, dice)


def _host_gone(world: World, dice: Dice) -> None:
    if dice.percent(50):
        world.hosts[dice.pick(sorted(world.hosts))].gone = True
    if all(host.gone for host in world.hosts.values()) and dice.percent(50):
        new_host(world)


def new_host(world: World) -> None:
    """Somebody starts one more host."""
    name = f"n{len(world.hosts)}"
    world.hosts[name] = Host(name=name)


def _host_restarts(world: World, dice: Dice) -> None:
    host = world.hosts[dice.pick(sorted(world.hosts))]
    host.instance += 1
    for run in world.runs.values():
        if run.host == host.name and not run.over:
            run.leased, run.habit = False, "dead"


def _lease_ends(world: World, dice: Dice) -> None:
    active = [run for run in world.runs.values() if not run.over and run.leased]
    if active:
        run = dice.pick(active)
        run.leased, run.habit = False, "zombie"


def _leader_restarts(world: World, dice: Dice) -> None:
    dice.pick(world.leaders).begin()


def _hand(world: World, dice: Dice) -> None:
    if world.controls and dice.percent(60):
        del world.controls[dice.pick(sorted(world.controls))]
    else:
        scopes = (("fleet", "all"), ("repo", CHECKED), ("vendor", VENDORS[0]), ("host", "h1"))
        world.controls[dice.pick(scopes)] = Control(mode=dice.pick(("pause", "drain")), set_by="ann")
    world.hands += 1
    for leader in world.leaders:
        leader.controls_changed()


def _offer_again(world: World, dice: Dice) -> None:
    for leader in world.leaders:
        leader.offer_again()


_TROUBLES: Final[tuple[Move, ...]] = (
    _host_gone,
    _host_restarts,
    _host_restarts,
    _lease_ends,
    _lease_ends,
    _leader_restarts,
    _jump,
    _jump,
    _hand,
    _hand,
    _hand,
)
_TABLE: Final[tuple[Move, ...]] = (
    *(_go_on,) * 62,
    *(_watch,) * 5,
    *(_person,) * 10,
    *(_agent_asks,) * 3,
    *(_say_again,) * 2,
    *(_time,) * 5,
    *(_to_next_wake,) * 6,
    _offer_again,
    *(_break,) * 6,
)
