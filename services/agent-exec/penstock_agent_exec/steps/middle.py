"""The middle of a run: what it has used so far and what it asks of a person, told while it goes on.

Rule of this room: telling costs the run nothing. Figures are sent beside it, the newest in the place of all before, and are
let go where the broker is away; a decision is kept until the broker has it, and known before the run's end is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError

from penstock import ids
from penstock.bounds import LINE_LENGTH_MAX
from penstock.ending import end
from penstock.events import AgentProgressed, DecisionRaised, MessageTold
from penstock.lease import Lost
from penstock.reports import Report
from penstock.values import Usage
from penstock_agent_exec.agents.facts import AnyFact, Decision, shown
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.broker.denials import Denial
from penstock_agent_exec.report import news_of, send, send_once
from penstock_agent_exec.steps.bench import InHand
from penstock_agent_exec.steps.ways import denied_body

log = structlog.get_logger()

PROGRESS_SECONDS: Final = 15.0
"""The least time between two reports of figures, where no share of a budget was reached in between."""

SHARES: Final = (0.8, 1.0)
"""Shares of a budget that are told at once."""

ROUNDING_SECONDS: Final = 0.01
"""So much later than the moment itself its time shows in figures that are rounded."""

RETRY_PAUSE_SECONDS: Final = 2.0
DECISIONS_MAX: Final = 10
OPTIONS_MAX: Final = 20
WORD_LENGTH_MAX: Final = 100


class Middle:
    """One run's. `cancel` ends the run: told to stop, or because what it costs has reached `max_cost_usd` (`over_budget`)."""

    def __init__(
        self, nc: Client, hand: InHand, host: str, *, max_cost_usd: float | None, wall_seconds_max: float
    ) -> None:
        self.cancel = asyncio.Event()
        self.over_budget = False
        self._nc = nc
        self._hand = hand
        self._host = host
        self.max_cost_usd = max_cost_usd
        self._wall_seconds_max = wall_seconds_max
        self._seen = Seen()
        self._loop = asyncio.get_running_loop()
        self._began_at = self._told_at = self._loop.time()
        self._told = _figures(Usage())
        self._shares_told = (0, 0)
        self._decisions: deque[Report] = deque()
        self._raised = 0
        self._news = asyncio.Event()

    def hear(self, facts: tuple[AnyFact, ...]) -> None:
        """Take what the run has said. Must not wait."""
        for fact in facts:
            self._seen.absorb(fact)
            if isinstance(fact, Decision):
                self._raise(fact)
        cost_usd = self.usage().cost_usd
        if self.max_cost_usd is not None and cost_usd is not None and 0 < cost_usd >= self.max_cost_usd:
            self.over_budget = self.over_budget or not self.cancel.is_set()
            self.cancel.set()
        if self._has_changed():
            self._news.set()

    def usage(self) -> Usage:
        """Of the run so far."""
        return self._seen.so_far(self._loop.time() - self._began_at)

    def told(self, message: str) -> None:
        """The run's program has taken this message: it is kept until the broker has it, like a decision."""
        body = MessageTold(job=self._hand.job.id, epoch=self._hand.tenure.epoch, message=message)
        self._decisions.append(news_of(self._hand, self._host, body))
        self._news.set()

    def denied(self, denial: Denial) -> None:
        """The sandbox has kept something inside: kept until the broker has it, like a decision."""
        self._decisions.append(news_of(self._hand, self._host, denied_body(self._hand, denial)))
        self._news.set()

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """While inside, news are told and a stop order is passed on. After it every decision is known. Raises Lost."""
        telling = asyncio.create_task(self._tell())
        stopping = asyncio.create_task(self._pass_on_the_stop())
        try:
            yield
            await _end(telling)
            await self._tell_decisions()
        finally:
            await _end(telling)
            await _end(stopping)

    async def _pass_on_the_stop(self) -> None:
        await self._hand.tenure.stop.asked.wait()
        self.cancel.set()

    # -- telling -----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Until cancelled, or the job is not ours any more."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_the_next()):
                    await self._news.wait()
            self._news.clear()
            try:
                await self._tell_decisions()
                if self._is_due():
                    await self._tell_figures()
            except Lost:
                return
            except (nats.errors.Error, APIError, OSError) as error:
                reason = str(error) or type(error).__name__
                log.info("progress.not_told", task=self._hand.job.task, job=self._hand.job.id, reason=reason)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
                self._news.set()

    async def _tell_decisions(self) -> None:
        while self._decisions:
            # The same report again, where the answer to the first try was lost.
            await send(self._nc, self._decisions[0], self._hand.tenure.must_hold)
            self._decisions.popleft()

    async def _tell_figures(self) -> None:
        usage, shares = self.usage(), self._shares()
        body = AgentProgressed(job=self._hand.job.id, epoch=self._hand.tenure.epoch, usage=usage)
        await send_once(self._nc, news_of(self._hand, self._host, body), self._hand.tenure.must_hold)
        self._told, self._shares_told, self._told_at = _figures(usage), shares, self._loop.time()

    def _raise(self, fact: Decision) -> None:
        self._raised += 1
        if self._raised > DECISIONS_MAX:
            self._hand.note(f"more than {DECISIONS_MAX} decisions asked for in one run: {fact.question}")
            return
        body = DecisionRaised(
            job=self._hand.job.id,
            epoch=self._hand.tenure.epoch,
            decision=ids.fresh(),
            subject=shown(fact.subject, WORD_LENGTH_MAX) or "unnamed",
            question=shown(fact.question),
            options=tuple(shown(option, LINE_LENGTH_MAX) for option in fact.options[:OPTIONS_MAX]),
        )
        self._decisions.append(news_of(self._hand, self._host, body))
        self._news.set()

    # -- when --------------------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        if self._shares() != self._shares_told:
            return True
        return self._has_changed() and self._loop.time() - self._told_at >= PROGRESS_SECONDS

    def _has_changed(self) -> bool:
        """Time alone is no news."""
        return _figures(self.usage()) != self._told

    def _seconds_to_the_next(self) -> float | None:
        """Until something may be due that nothing announces; None where there is nothing to come."""
        now = self._loop.time()
        moments = [self._began_at + share * self._wall_seconds_max + ROUNDING_SECONDS for share in SHARES]
        if self._has_changed():
            moments.append(self._told_at + PROGRESS_SECONDS)
        return min((moment - now for moment in moments if moment > now), default=None)

    def _shares(self) -> tuple[int, int]:
        """How many of the shares of each budget are reached."""
        usage = self.usage()
        return _reached(usage.cost_usd, self.max_cost_usd), _reached(usage.wall_seconds, self._wall_seconds_max)


def _reached(spent: float | None, limit: float | None) -> int:
    return sum(spent >= share * limit for share in SHARES) if spent and limit else 0


def _figures(usage: Usage) -> Usage:
    return msgspec.structs.replace(usage, wall_seconds=0.0)


async def _end(task: asyncio.Task[None]) -> None:
    """A fault in telling is logged and costs the run nothing."""
    await end(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("progress.broken", exc_info=error)
