"""What a run may still spend, asked before each request and told after each answer.

The rule of this room: a request passes only when those that are under way could not already have used the budget up, each at
its worst. So far from the limit many pass at once, near it one at a time, and no more than one goes beyond it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from penstock.bounds import USD_MAX
from penstock.values import Price
from penstock_agent_exec.broker.metering import Used

TOKENS_PER_PRICE: Final = 1_000_000

OUTPUT_TOKENS_MAX: Final = 128_000
"""The longest answer that any model gives, as far as was seen."""


def cost_of(used: Used, price: Price) -> float:
    """In USD, as the orchestrator counts it."""
    prices = (price.input_usd, price.output_usd, price.cache_read_usd, price.cache_write_usd)
    usd = sum(tokens * each for tokens, each in zip(used, prices, strict=True)) / TOKENS_PER_PRICE
    return min(usd, float(USD_MAX))


class BudgetSpent(Exception):
    """The run may not cost any more."""


class RunBudget:
    """One run's. Without a `price` nobody knows what a request costs, and without `max_cost_usd` nobody minds."""

    def __init__(self, price: Price | None = None, max_cost_usd: float | None = None) -> None:
        self.price = price
        self.max_cost_usd = max_cost_usd
        self.spent_usd = 0.0
        self.has_refused = False
        self._worst_under_way: dict[object, float] = {}
        self._changed = asyncio.Event()

    @property
    def is_spent(self) -> bool:
        return self.price is not None and self.max_cost_usd is not None and self.spent_usd >= self.max_cost_usd

    @property
    def words(self) -> str:
        return f"the run has cost {self.spent_usd:.4f} USD, and may cost {self.max_cost_usd} USD"

    def cost_usd(self, used: Used) -> float | None:
        """Of one answer; None where there is no price."""
        return None if self.price is None else cost_of(used, self.price)

    def spend(self, used: Used) -> float | None:
        """Count one answer, and what it cost."""
        cost_usd = self.cost_usd(used)
        self.spent_usd += cost_usd or 0.0
        return cost_usd

    @contextlib.asynccontextmanager
    async def request(self, body_bytes_max: int) -> AsyncIterator[None]:
        """While inside, one more request is under way. Waits for others where they may use up what is left. Raises
        BudgetSpent."""
        while not self._leaves_something():
            await self._changed.wait()
        if self.is_spent:
            self.has_refused = True
            raise BudgetSpent
        mark = object()
        self._worst_under_way[mark] = self._worst_usd(body_bytes_max)
        try:
            yield
        finally:
            del self._worst_under_way[mark]
            self._changed.set()
            self._changed = asyncio.Event()

    def _leaves_something(self) -> bool:
        """Also when it is spent: then there is nothing to wait for."""
        if self.price is None or self.max_cost_usd is None or self.is_spent:
            return True
        return self.spent_usd + sum(self._worst_under_way.values()) < self.max_cost_usd

    def _worst_usd(self, body_bytes_max: int) -> float:
        """No token is shorter than a byte."""
        if self.price is None:
            return 0.0
        dearest = max(self.price.input_usd, self.price.cache_write_usd)
        return (body_bytes_max * dearest + OUTPUT_TOKENS_MAX * self.price.output_usd) / TOKENS_PER_PRICE
