"""What runs have cost, and whether that is too much.

Rule of this room: an unknown cost is None and stays None; nothing here turns "nobody could say" into nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from penstock.bounds import COUNT_MAX, SECONDS_MAX, USD_MAX
from penstock.values import Price, Usage

SUBSCRIPTION: Final = "subscription"
TOKENS_PER_PRICE: Final = 1_000_000
USD_MOST: Final = float(USD_MAX)
SECONDS_MOST: Final = float(SECONDS_MAX)


def over(spent: float | None, limit: float | None, share: float) -> bool:
    """True when `share` (0..1, 0 is off) of `limit` is reached. Without a limit, or where nobody knows what was spent,
    nothing is ever reached; both are in the limit's own unit."""
    if limit is None or spent is None or share <= 0:
        return False
    return spent >= limit * share


def cost_usd(usage: Usage, price: Price | None, billing: str) -> float | None:
    """What the usage is charged with: nothing on a subscription, else as `equivalent_usd`."""
    return 0.0 if billing == SUBSCRIPTION else equivalent_usd(usage, price)


def equivalent_usd(usage: Usage, price: Price | None) -> float | None:
    """What the usage costs by the token: the vendor's word, else an estimate where there is a price and tokens were
    counted, else None."""
    if usage.cost_usd is not None:
        return usage.cost_usd
    counted = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    if price is None or not any(counted):
        return None
    prices = (price.input_usd, price.output_usd, price.cache_read_usd, price.cache_write_usd)
    usd = sum(tokens * each for tokens, each in zip(counted, prices, strict=True)) / TOKENS_PER_PRICE
    return min(usd, USD_MOST)


def priced(usage: Usage, price: Price | None, billing: str) -> Usage:
    """The usage with the cost that it is charged with."""
    return replace(usage, cost_usd=cost_usd(usage, price, billing))


def add(total: Usage, one: Usage) -> Usage:
    """The sum, up to the contract's bounds (an agent may say any number); a cost that is unknown once stays unknown."""
    known = total.cost_usd is not None and one.cost_usd is not None
    return Usage(
        turns=min(total.turns + one.turns, COUNT_MAX),
        input_tokens=min(total.input_tokens + one.input_tokens, COUNT_MAX),
        output_tokens=min(total.output_tokens + one.output_tokens, COUNT_MAX),
        cache_read_tokens=min(total.cache_read_tokens + one.cache_read_tokens, COUNT_MAX),
        cache_write_tokens=min(total.cache_write_tokens + one.cache_write_tokens, COUNT_MAX),
        cost_usd=min((total.cost_usd or 0.0) + (one.cost_usd or 0.0), USD_MOST) if known else None,
        wall_seconds=min(total.wall_seconds + one.wall_seconds, SECONDS_MOST),
    )


def add_wall(total: Usage, wall_seconds: float) -> Usage:
    """The usage with so many seconds more, and nothing else."""
    return replace(total, wall_seconds=min(total.wall_seconds + wall_seconds, SECONDS_MOST))


def since(total: Usage, before: Usage) -> Usage:
    """What the last run of a session used, where the vendor counts over the whole session: `total` less what earlier runs
    of it were counted with, never below nothing. The wall time is the host's own, of the last run alone, and is kept."""
    known = total.cost_usd is not None and before.cost_usd is not None
    return Usage(
        turns=max(total.turns - before.turns, 0),
        input_tokens=max(total.input_tokens - before.input_tokens, 0),
        output_tokens=max(total.output_tokens - before.output_tokens, 0),
        cache_read_tokens=max(total.cache_read_tokens - before.cache_read_tokens, 0),
        cache_write_tokens=max(total.cache_write_tokens - before.cache_write_tokens, 0),
        cost_usd=max((total.cost_usd or 0.0) - (before.cost_usd or 0.0), 0.0) if known else None,
        wall_seconds=total.wall_seconds,
    )


def day(at: datetime) -> str:
    """The day, in UTC, that spending at this moment counts for: `YYYY-MM-DD`."""
    return at.astimezone(UTC).date().isoformat()


def next_day(at: datetime) -> datetime:
    """The midnight, in UTC, at which that day is over."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)
