"""What a run has said so far, as much of it as a verdict needs.

The rule of this room: of bounded size, whatever the child prints; and a total is never less than what was seen being used, up
to the most that a report can say: there it stays, for a total that nobody can read is a run that costs nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from penstock.bounds import COUNT_MAX, SECONDS_MAX, USD_MAX
from penstock.values import Price
from penstock.values import Usage as UsageTotal
from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    AnyFact,
    Compacted,
    Decision,
    FileChanged,
    Finished,
    Garbage,
    Noise,
    RateLimited,
    Retrying,
    Started,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    Usage,
    VendorError,
)
from penstock_agent_exec.broker.budget import cost_of
from penstock_agent_exec.broker.metering import Used

MESSAGES_COUNTED_MAX: Final = 100_000


@dataclass(slots=True)
class Seen:
    """The facts of one run, folded. `finished`, `error` and `limit` are the last of their kind; a refusing limit stays.
    `price`: what tokens cost, where that is known; then nobody else's word about the cost counts."""

    started: Started | None = None
    finished: Finished | None = None
    error: VendorError | None = None
    limit: RateLimited | None = None
    last_text: str = ""
    garbage: str = ""
    cumulative: bool = False
    price: Price | None = None
    _cost_usd: float | None = 0.0
    _turns: int = 0
    _said: Usage = field(default_factory=Usage)
    _counted: Usage = field(default_factory=Usage)
    _counted_turns: int = 0
    _counted_cost_usd: float | None = 0.0
    _message_ids: set[str] = field(default_factory=set)
    _texts: deque[str] = field(default_factory=deque)
    _texts_length: int = 0

    def absorb(self, fact: AnyFact) -> None:
        """Take `fact` into account."""
        match fact:
            case Started():
                self.started = fact
            case Text():
                self.last_text = fact.text
                self._say(fact.text)
            case Usage():
                self._count(fact)
            case RateLimited():
                self.limit = fact if fact.refused or self.limit is None else self.limit
            case VendorError():
                self.error = fact
            case Finished():
                self._finish(fact)
            case Garbage():
                self.garbage = fact.text
            case (
                ToolUse()
                | ToolResult()
                | FileChanged()
                | TodoChanged()
                | Retrying()
                | Compacted()
                | Decision()
                | Noise()
            ):
                pass

    @property
    def said(self) -> str:
        """All its texts, or where they are many the last of them."""
        return "\n".join(self._texts)[-ANSWER_LENGTH_MAX:]

    def so_far(self, wall_seconds: float) -> UsageTotal:
        """What was counted on the way, while the run goes on. The cost is None where one of the answers came without it."""
        return UsageTotal(
            turns=self._counted_turns,
            input_tokens=self._counted.input_tokens,
            output_tokens=self._counted.output_tokens,
            cache_read_tokens=self._counted.cache_read_tokens,
            cache_write_tokens=self._counted.cache_write_tokens,
            cost_usd=self._counted_cost_usd if self._message_ids else None,
            wall_seconds=min(round(wall_seconds, 3), SECONDS_MAX),
        )

    def usage(self, wall_seconds: float, *, cost_known: bool) -> UsageTotal:
        """What the run used. The vendor's total may leave out a request that failed half-way; what was counted on the way may
        leave out the end of an answer: of each number the larger is nearer the truth."""
        counted = self.so_far(wall_seconds)
        tokens = Used(
            max(self._said.input_tokens, self._counted.input_tokens),
            max(self._said.output_tokens, self._counted.output_tokens),
            max(self._said.cache_read_tokens, self._counted.cache_read_tokens),
            max(self._said.cache_write_tokens, self._counted.cache_write_tokens),
        )
        cost_usd = counted.cost_usd if self.finished is None else self._cost_usd
        if self.price is not None:
            cost_usd = cost_of(tokens, self.price)
        return UsageTotal(
            turns=self._turns if self.finished is not None else counted.turns,
            **tokens._asdict(),
            cost_usd=cost_usd if cost_known or self.price is not None else None,
            wall_seconds=counted.wall_seconds,
        )

    def _say(self, text: str) -> None:
        self._texts.append(text)
        self._texts_length += len(text) + 1
        while len(self._texts) > 1 and self._texts_length > ANSWER_LENGTH_MAX:
            self._texts_length -= len(self._texts.popleft()) + 1

    def _count(self, fact: Usage) -> None:
        if fact.message_id in self._message_ids or len(self._message_ids) >= MESSAGES_COUNTED_MAX:
            return
        self._message_ids.add(fact.message_id)
        self._counted = _sum(self._counted, fact)
        self._counted_turns = _added(self._counted_turns, fact.turns)
        known = self._counted_cost_usd is not None and fact.cost_usd is not None and fact.cost_usd >= 0
        cost_usd = (self._counted_cost_usd or 0.0) + (fact.cost_usd or 0.0)
        self._counted_cost_usd = min(cost_usd, float(USD_MAX)) if known else None

    def _finish(self, fact: Finished) -> None:
        self.finished = fact
        self._turns = _added(self._turns, fact.turns)
        self.cumulative = self.cumulative or fact.cumulative
        self._said = _sum(Usage() if fact.cumulative else self._said, fact)
        before = 0.0 if fact.cumulative else self._cost_usd
        # Less than nothing is no price: it would pay for what was said before.
        known = before is not None and fact.cost_usd is not None and fact.cost_usd >= 0
        self._cost_usd = min((before or 0.0) + (fact.cost_usd or 0.0), float(USD_MAX)) if known else None


def _sum(one: Usage, other: Usage | Finished) -> Usage:
    return Usage(
        input_tokens=_added(one.input_tokens, other.input_tokens),
        output_tokens=_added(one.output_tokens, other.output_tokens),
        cache_read_tokens=_added(one.cache_read_tokens, other.cache_read_tokens),
        cache_write_tokens=_added(one.cache_write_tokens, other.cache_write_tokens),
    )


def _added(one: int, other: int) -> int:
    return min(one + other, COUNT_MAX)
