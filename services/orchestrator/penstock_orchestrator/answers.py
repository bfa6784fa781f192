"""Answers to commands, whoever carries them: a request, a message of the intake, a schedule.

Rule of this room: the same command is answered alike and done once; a refusal is an answer, and so is "not yet".
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar, assert_never

import nats.errors
from msgspec import UNSET
from msgspec.structs import replace
from nats.aio.client import Client

from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock.codec import TooLarge, Undecodable, Unreadable
from penstock.commands import (
    Accepted,
    ClaimJob,
    Command,
    ContinueTask,
    ExplainTask,
    NewTask,
    NotReady,
    RefusedReply,
    Reply,
    RetryTask,
    StirPullRequest,
    Stirred,
    SubmitTask,
    TaskCommand,
    Why,
    WhyTask,
)
from penstock.events import KnownEvent
from penstock.log import OutcomeUnknown
from penstock.values import Policy
from penstock_orchestrator.append import CONFLICTS_MAX, Appender
from penstock_orchestrator.core.decide import decide
from penstock_orchestrator.core.follow import follows, stir
from penstock_orchestrator.core.queue import may_claim, why
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.submit import Known, again, submit
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.explained import explained
from penstock_orchestrator.fold import Fold
from penstock_orchestrator.loop import Loop
from penstock_orchestrator.tables import find_repo, find_template

STIRRED_MAX: Final = 100
T = TypeVar("T")


class Answers:
    """Answers while this orchestrator leads."""

    def __init__(
        self,
        nc: Client,
        fold: Fold,
        loop: Loop,
        appender: Appender,
        *,
        vendors: tuple[str, ...],
        publish_pools: tuple[str, ...],
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._nc, self._fold, self._fleet = nc, fold, fold.fleet
        self._loop, self._appender = loop, appender
        self._vendors, self._publish_pools, self._policy = vendors, publish_pools, policy
        self._clock = clock

    async def command(self, command: Command) -> Reply:
        """The answer; what it leads to is in the log, and folded."""
        if isinstance(command, WhyTask):
            return self._why(command)
        if isinstance(command, ExplainTask):
            task = self._fold.tasks.get(command.task)
            return _unknown(command.task) if task is None else await explained(self._nc, task.repo, command)
        try:
            if isinstance(command, StirPullRequest):
                return await self._stir(command)
            async with self._appender.lock(command.task):
                reply = await self._command(command)
        except Refused as refused:
            return RefusedReply(code=refused.code, message=refused.message, field=refused.field)
        except (TooLarge, Unreadable) as error:
            # Each field within its bounds, and all of them together more than one event may be.
            return RefusedReply(code="invalid", message=clip(str(error), MESSAGE_LENGTH_MAX))
        except (nats.errors.Error, OSError, OutcomeUnknown, TimeoutError) as error:
            return NotReady(message=f"the event log cannot be written: {str(error) or type(error).__name__}")
        self._loop.kick(command.task)
        return reply

    async def _command(self, command: NewTask | TaskCommand) -> Reply:
        if isinstance(command, ClaimJob):
            return await self._claim(command)
        known = await self._known(command) if isinstance(command, NewTask) else Known(repo=None)
        for _ in range(CONFLICTS_MAX):
            task = self._fold.tasks.get(command.task)
            events = self._decided(task, command, known)
            if not events:
                return Accepted(task=command.task, seq=0 if task is None else task.seq)
            repo = task.repo if task is not None else known.repo.name if known.repo is not None else ""
            after = 0 if task is None else task.seq
            if seq := await self._appender.append(repo, command.task, events[0], after, cause=command.id):
                return Accepted(task=command.task, seq=seq)
        return NotReady(message=f"task {command.task} is changing too fast; ask again")

    def _decided(self, task: Task | None, command: NewTask | TaskCommand, known: Known) -> list[KnownEvent]:
        if isinstance(command, SubmitTask):
            return submit(task, command, known)
        if isinstance(command, RetryTask | ContinueTask):
            return again(task, command, self._fold.tasks.get(command.of), known)
        return decide(task, command)

    async def _stir(self, command: StirPullRequest) -> Reply:
        """Every task that has become this pull request; mostly one, and none where nobody follows it."""
        followed = [task.id for task in self._fleet.living.values() if task.repo == command.repo and task.review]
        stirred = [task_id for task_id in followed if await self._stir_one(task_id, command)]
        for task_id in stirred:
            self._loop.kick(task_id)
        return Stirred(tasks=tuple(stirred[:STIRRED_MAX]))

    async def _stir_one(self, task_id: str, command: StirPullRequest) -> bool:
        async with self._appender.lock(task_id):
            for _ in range(CONFLICTS_MAX):
                task = self._fold.tasks[task_id]
                events = stir(task, command)
                if not events:
                    return follows(task, command)
                if await self._appender.append(task.repo, task_id, events[0], task.seq, cause=command.id):
                    return True
        raise OutcomeUnknown(f"task {task_id} is changing too fast")

    async def _claim(self, command: ClaimJob) -> Reply:
        """As any command, and the host must have room: a "not yet" gives the order back to the queue."""
        limited = command.host in self._fleet.settings.hosts
        # Two claims at once must not both see the last free place.
        async with self._appender.lock(f"host:{command.host}") if limited else contextlib.nullcontext():
            for _ in range(CONFLICTS_MAX):
                task = self._fold.tasks.get(command.task)
                events = decide(task, command)
                assert task is not None
                if not events:
                    return Accepted(task=command.task, seq=task.seq)
                # A look takes no slot of the fleet, and no pause keeps anybody from looking.
                looks = task.look is not None and task.look.id == command.job
                if not looks and (reason := may_claim(self._fleet, task, command.host, self._clock())):
                    return NotReady(message=reason)
                if seq := await self._appender.append(task.repo, task.id, events[0], task.seq, cause=command.id):
                    return Accepted(task=command.task, seq=seq)
        return NotReady(message=f"task {command.task} is changing too fast; ask again")

    async def _known(self, command: NewTask) -> Known:
        """The catalogue at this moment, as far as the command is about it."""
        known = Known(
            repo=None,
            settings=self._fleet.settings,
            policy=self._policy,
            vendors=self._vendors,
            publish_pools=self._publish_pools,
            exists=self._fold.tasks.__contains__,
        )
        if command.task in self._fold.tasks:
            # Asked before: only the wish is compared.
            return known
        match command:
            case SubmitTask():
                named = command.template
                template = None if named is UNSET else await _readable("template", find_template(self._nc, str(named)))
                repo = command.repo
                if repo is UNSET and template is not None:
                    repo = template.task.repo
                known = replace(known, template=template)
            case RetryTask() | ContinueTask():
                old = self._fold.tasks.get(command.of)
                repo = UNSET if old is None else old.repo
            case _:
                assert_never(command)
        if repo is UNSET:
            return known
        return replace(known, repo=await _readable("repo", find_repo(self._nc, str(repo))))

    def _why(self, command: WhyTask) -> Why | RefusedReply:
        task = self._fold.tasks.get(command.task)
        if task is None:
            return _unknown(command.task)
        if stuck := self._loop.stuck.get(task.id):
            told = f"this version cannot decide what is next: {stuck}"
            can_move = "a later version of the orchestrator"
            return Why(
                task=task.id, seq=task.seq, phase="blocked", why=clip(told, MESSAGE_LENGTH_MAX), can_move=can_move
            )
        return why(self._fleet, task, self._clock())


def _unknown(task: str) -> RefusedReply:
    return RefusedReply(code="unknown_task", message=f"there is no task {task}", field="task")


async def _readable(field: str, entry: Awaitable[T]) -> T:
    try:
        return await entry
    except Undecodable as error:
        raise Refused("invalid", clip(str(error), MESSAGE_LENGTH_MAX), field) from error
