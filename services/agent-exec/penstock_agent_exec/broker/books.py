"""What the answers of one run's model come to: usage, money, limits.

The rule of this room: each answer is counted once, when it is over, however it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from penstock_agent_exec.agents.facts import RateLimited, Usage
from penstock_agent_exec.broker.account import Account
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.client import OwnAnswerHeaders
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.limits import TOO_MANY, Limit, limit_of, repeated, words_of
from penstock_agent_exec.broker.metering import AnswerMeter

FAILURE_LENGTH_MAX: Final = 1_000
FAILURES_IN_A_ROW_MAX: Final = 3
"""So often a program that cannot be told to stop trying may try. Qwen Code asks four times in a row before it begins to wait for
as long as it was told to, an hour if need be: the last of the four must be an answer that ends it."""

_TRIES_ON: Final = frozenset({Dialect.CHAT})


class Books:
    """One run's; `account` is shared with others. `rate_limited` is the last refusal for a limit that no success has followed.
    `clock` tells Unix time in seconds."""

    def __init__(self, dialect: Dialect, account: Account, budget: RunBudget, clock: Callable[[], float]) -> None:
        self.dialect = dialect
        self.budget = budget
        self.rate_limited: RateLimited | None = None
        self._account = account
        self._limits_met = account.limits_met
        self._clock = clock
        self._listener: Callable[[Usage], None] = lambda _: None
        self._answers = 0
        self._failures = 0
        self._failure = ""
        self._answer_ids: set[str] = set()

    def tell(self, listener: Callable[[Usage], None]) -> None:
        """Have each answer's usage told when it is known, once each. `listener` must not wait."""
        self._listener = listener

    def held(self) -> tuple[bytes, OwnAnswerHeaders] | None:
        """Body and headers to refuse a request with, where the account is at a limit; None where it may be asked."""
        now = self._clock()
        if (limit := self._account.held(now, self._limits_met)) is None:
            return None
        self._limited(limit)
        return repeated(self.dialect, limit, now)

    def failed(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """The model's API has answered with an error, or not at all: then we did."""
        if status == TOO_MANY or status >= 500:
            self._failures += 1
            self._failure = f"{status} {words_of(body)}"[:FAILURE_LENGTH_MAX]
        if (limit := limit_of(self.dialect, status, headers, body, self._clock())) is not None:
            self._limited(limit)
            self._account.limited(limit)

    def answered(self) -> None:
        """The model's API has begun to answer: whatever it was limited by is over."""
        self.rate_limited = None
        self._failures = 0
        self._account.answered()

    @property
    def given_up(self) -> str | None:
        """What the model's API said last, where a program that would go on trying for minutes has tried often enough."""
        if self.dialect not in _TRIES_ON or self._failures < FAILURES_IN_A_ROW_MAX:
            return None
        return f"given up after {self._failures} tries: {self._failure}"

    def count(self, meter: AnswerMeter, *, body_bytes: int, broken_off: bool) -> None:
        """An answer is over. `body_bytes`: of its request. `broken_off`: it was not heard to its end."""
        used = meter.used(body_bytes=body_bytes, broken_off=broken_off)
        if used is None:
            return
        self._answers += 1
        # Each request is paid for, also one whose answer has the name of another's.
        is_new = bool(meter.answer_id) and meter.answer_id not in self._answer_ids
        named = meter.answer_id if is_new else f"{meter.answer_id}#{self._answers}"
        self._answer_ids.add(named)
        self._listener(Usage(message_id=named, **used._asdict(), cost_usd=self.budget.spend(used)))

    def _limited(self, limit: Limit) -> None:
        self.rate_limited = RateLimited(kind=limit.kind, refused=True, resets_at=limit.resets_at)
