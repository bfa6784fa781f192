"""People, programs and agents, and what they ask for: sensible or not, once or twice.

Rule of this room: a command is made from what its sender could have seen; whether it is good is the core's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from penstock.commands import (
    Accepted,
    AnswerDecision,
    ApprovePlan,
    CancelTask,
    CommentPlan,
    CompactTask,
    ContinueTask,
    NewTask,
    PrioritizeTask,
    RaiseDecision,
    RejectPlan,
    Reply,
    RetryTask,
    SendMessage,
    SubmitTask,
    TaskCommand,
    UnblockTask,
    WakeTask,
)
from penstock.values import PlanGate
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.waiting import awaits_approval
from simulation.dice import Dice
from simulation.ground import CHECKED, GATES, NIGHT, PEOPLE, PRICED, SILENT, UNCHECKED, VENDORS
from simulation.leader import Leader
from simulation.world import COMMAND, Broken, World

AnyCommand = NewTask | TaskCommand

SENT_REMEMBERED_MAX: Final = 6
UNBLOCKS_MAX: Final = 3
"""At rest a person lets a task go on so often, and then gives it up."""


def send(world: World, leader: Leader, command: AnyCommand) -> Reply:
    """The answer, which is checked: accepted is accepted for good."""
    complete = leader.position == len(world.log)
    reply = leader.command(command)
    if not isinstance(reply, Accepted) or not complete:
        return reply
    task = world.tasks.get(command.task)
    if task is None or (task.seq != reply.seq and leader.position == len(world.log)):
        raise Broken(
            "nothing_is_lost", f"{type(command).__name__} was accepted at {reply.seq}, and the log has no such event"
        )
    return reply


FLOWS: Final = (*("branch",) * 7, *("commit",) * 2, "patch")


def submit(world: World, dice: Dice) -> SubmitTask:
    """A new task, of any sort."""
    vendor = dice.pick(world.vendors)
    living = [task.id for task in world.tasks.values()]
    interactive = dice.percent(35)
    backup = dice.pick(VENDORS) if dice.percent(35) else ""
    return SubmitTask(
        id=world.fresh(COMMAND),
        task=world.fresh("t"),
        repo=CHECKED if dice.percent(80) else UNCHECKED,
        title="mend the sum",
        description="the sum in the cart is wrong",
        priority=1 + dice.below(9),
        mode="interactive" if interactive else "autonomous",
        plan_gate=dice.pick(GATES) if interactive else PlanGate(),
        depends_on=(dice.pick(living),) if living and dice.percent(25) else (),
        vendor=vendor,
        model=PRICED if vendor == SILENT and dice.percent(60) else "",
        backup_vendor=backup,
        backup_model=PRICED if backup == SILENT else "",
        billing="subscription" if dice.percent(15) else "api",
        account="team" if dice.percent(20) else "",
        flow=dice.pick(FLOWS),
        max_attempts=1 + dice.below(3),
        max_cost_usd=dice.pick((0.3, 0.6, 1.5)) if dice.percent(45) else None,
        max_wall_seconds=dice.pick((300.0, 1_200.0, 3_600.0)),
        skip_verify=dice.percent(6),
        window=NIGHT if dice.percent(10) else None,
        submitted_by=dice.pick(PEOPLE),
    )


def sensible(world: World, dice: Dice, task: Task) -> AnyCommand | None:
    """What somebody who looks at the task may want, None where there is nothing to do."""
    id_, by = world.fresh(COMMAND), dice.pick(PEOPLE)
    if task.outcome is not None:
        return _take_up(world, dice, task)
    if task.points and dice.percent(70):
        return AnswerDecision(
            id=id_, task=task.id, requested_by=by, decision=task.points[0].id, answer=dice.pick(("yes", "no"))
        )
    if awaits_approval(task) and task.plan is not None:
        number, throw = task.plan.number, dice.below(10)
        if throw < 5:
            return ApprovePlan(id=id_, task=task.id, requested_by=by, number=number, via="http")
        if throw < 9:
            return CommentPlan(id=id_, task=task.id, requested_by=by, number=number, comment=f"less of {id_}")
        return RejectPlan(id=id_, task=task.id, requested_by=by, number=number)
    if task.blocked is not None:
        return unblock(world, task) if dice.percent(80) else CancelTask(id=id_, task=task.id, requested_by=by)
    if task.parked is not None and dice.percent(50):
        return WakeTask(id=id_, task=task.id, requested_by=by)
    return dice.pick(_WISHES)(world, dice, task)


def unblock(world: World, task: Task) -> UnblockTask:
    """Let it go on, with twice as much to spend where that was the trouble."""
    reason = "" if task.blocked is None else task.blocked.reason
    cost = (
        max((task.max_cost_usd or 0.0), task.cost_so_far) * 2 + 0.5
        if reason in ("budget.cost", "vendor.budget")
        else None
    )
    wall = max(task.max_wall_seconds, task.wall_so_far) * 2 if reason == "budget.wall" else None
    return UnblockTask(
        id=world.fresh(COMMAND), task=task.id, requested_by="ann", max_cost_usd=cost, max_wall_seconds=wall
    )


def _take_up(world: World, dice: Dice, task: Task) -> AnyCommand | None:
    if len(world.tasks) > world.tasks_most:
        return None
    id_, new = world.fresh(COMMAND), world.fresh("t")
    if task.delivery is not None and dice.percent(70):
        return ContinueTask(id=id_, task=new, requested_by="bob", of=task.id, title="and the tax")
    return RetryTask(id=id_, task=new, requested_by="bob", of=task.id)


def _priority(world: World, dice: Dice, task: Task) -> AnyCommand:
    return PrioritizeTask(id=world.fresh(COMMAND), task=task.id, requested_by="bob", priority=1 + dice.below(9))


def _message(world: World, dice: Dice, task: Task) -> AnyCommand:
    return SendMessage(id=world.fresh(COMMAND), task=task.id, requested_by="bob", text="mind the tax")


def _compact(world: World, dice: Dice, task: Task) -> AnyCommand:
    return CompactTask(id=world.fresh(COMMAND), task=task.id, requested_by="bob")


def _cancel(world: World, dice: Dice, task: Task) -> AnyCommand:
    return CancelTask(id=world.fresh(COMMAND), task=task.id, requested_by="bob")


_WISHES: Final[tuple[Callable[[World, Dice, Task], AnyCommand], ...]] = (
    _message,
    _message,
    _message,
    _priority,
    _priority,
    _compact,
    _cancel,
)


def agents(world: World, dice: Dice, task: Task) -> AnyCommand:
    """What the agent of a task may try: two things that it may do, and all that it may not."""
    id_ = world.fresh(COMMAND)
    number = 1 if task.plan is None else task.plan.number
    options: tuple[AnyCommand, ...] = (
        SendMessage(id=id_, task=dice.pick(sorted(world.tasks)), as_agent_of=task.id, text="I have changed the sum"),
        RaiseDecision(id=id_, task=task.id, as_agent_of=task.id, subject="irreversible", question="may I drop it?"),
        RaiseDecision(id=id_, task=task.id, as_agent_of=task.id, subject="ambiguous", question="which one?"),
        ApprovePlan(id=id_, task=task.id, as_agent_of=task.id, number=number),
        ApprovePlan(id=id_, task=task.id, as_agent_of=task.id, number=number),
        UnblockTask(id=id_, task=task.id, as_agent_of=task.id, max_cost_usd=1_000.0),
        WakeTask(id=id_, task=task.id, as_agent_of=task.id),
        CancelTask(id=id_, task=task.id, as_agent_of=task.id),
        PrioritizeTask(id=id_, task=task.id, as_agent_of=task.id, priority=1),
        AnswerDecision(
            id=id_,
            task=task.id,
            as_agent_of=task.id,
            decision=task.points[0].id if task.points else id_,
            answer="yes, by myself",
        ),
        replace(submit(world, dice), as_agent_of=task.id),
    )
    return dice.pick(options)


def at_rest(world: World, task: Task, times: int) -> AnyCommand | None:
    """What a person does who wants the task to end, and has let it go on `times` times already."""
    id_ = world.fresh(COMMAND)
    if task.points:
        return AnswerDecision(id=id_, task=task.id, requested_by="ann", decision=task.points[0].id, answer="yes")
    if awaits_approval(task) and task.plan is not None:
        return ApprovePlan(id=id_, task=task.id, requested_by="ann", number=task.plan.number)
    if task.blocked is not None:
        return CancelTask(id=id_, task=task.id, requested_by="ann") if times >= UNBLOCKS_MAX else unblock(world, task)
    return None
