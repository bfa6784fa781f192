"""An account's limits, as the answers of a model's API say them, and the same said again to somebody else.

The rule of this room: what a vendor did not say is not made up. A limit without an end has `resets_at` 0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias, assert_never

import msgspec

from penstock_agent_exec.agents.facts import REQUEST_LIMIT
from penstock_agent_exec.broker.dialect import Dialect, own_body

TOO_MANY: Final = 429
OVERLOADED: Final = 529
ERROR_BYTES_MAX: Final = 64 * 1024
SECONDS_MAX: Final = 8 * 86_400.0
"""A limit's end that is further away is not believed: the longest window of a subscription is a week."""

USAGE_LIMIT: Final = "usage_limit_reached"
DAY_LIMIT: Final = "day"

Object: TypeAlias = dict[str, object]

# Not a matter of time: somebody has to pay.
_UNPAID: Final = frozenset(
    {"insufficient_quota", "billing_not_active", "usage_not_included", "billing_hard_limit_reached"}
)
_REPEATED: Final = ("anthropic-ratelimit-unified-", "x-codex-", "x-should-retry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`kind` as in RateLimited. `resets_at`: Unix time in seconds, 0 where nobody said. `of_account`: whoever else uses the
    same key meets it too. `error` and `headers`: what of the vendor's words can be repeated."""

    kind: str
    resets_at: float
    of_account: bool
    error: Object
    headers: tuple[tuple[str, str], ...] = ()


def limit_of(dialect: Dialect, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Limit | None:
    """The limit that an answer has refused a request for; None where that was not why. `headers` by lower-case names."""
    if status not in (TOO_MANY, OVERLOADED):
        return None
    error = _error(body)
    if any(isinstance(word, str) and word in _UNPAID for word in (error.get("code"), error.get("type"))):
        return None
    match dialect:
        case Dialect.ANTHROPIC:
            kind, resets_at = _anthropic(headers, now)
        case Dialect.RESPONSES | Dialect.CHAT:
            kind, resets_at = _openai(headers, error, now)
        case Dialect.GEMINI:
            kind, resets_at = _gemini(headers, error, now)
        case _:
            assert_never(dialect)
    return Limit(
        kind=kind[:100],
        resets_at=resets_at if now < resets_at <= now + SECONDS_MAX else 0.0,
        of_account=status == TOO_MANY,
        error=error,
        headers=tuple((name, value) for name, value in headers.items() if name.startswith(_REPEATED)),
    )


def repeated(dialect: Dialect, limit: Limit, now: float) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Body and headers of the same refusal for another request, with the time that is left until then."""
    left_seconds = max(math.ceil(limit.resets_at - now), 1)
    said = limit.error.get("message")
    message = f"held until the account's limit ends: {said if isinstance(said, str) else limit.kind}"[:1_000]
    word = limit.error.get("type")
    details: tuple[Object, ...] = ()
    match dialect:
        case Dialect.ANTHROPIC:
            pass
        case Dialect.RESPONSES | Dialect.CHAT:
            kept = {name: limit.error[name] for name in ("code", "plan_type") if name in limit.error}
            details = (kept | {"resets_at": int(limit.resets_at), "resets_in_seconds": left_seconds},)
            if dialect is Dialect.CHAT:
                # These words, and only these, keep Qwen Code from sleeping until then.
                message = f"quota exceeded, it will reset in {left_seconds} s: {message}"
        case Dialect.GEMINI:
            others = [one for one in _details(limit.error) if not _is(one, "RetryInfo")]
            details = ({"@type": _RETRY_INFO, "retryDelay": f"{left_seconds}s"}, *others)
        case _:
            assert_never(dialect)
    kind = (
        word
        if isinstance(word, str)
        else ("rate_limit_error" if dialect is Dialect.ANTHROPIC else "rate_limit_exceeded")
    )
    body = own_body(dialect, TOO_MANY, message, kind=kind, details=details)
    headers = dict(limit.headers) | {"retry-after": str(left_seconds)}
    if dialect is Dialect.CHAT:
        headers["x-should-retry"] = "false"
    return body, tuple(headers.items())


def words_of(body: bytes) -> str:
    """What an error says for people; an empty one where it has no words."""
    said = _error(body).get("message")
    return said if isinstance(said, str) else ""


# -- what each says ------------------------------------------------------------------------------------------------------


def _anthropic(headers: Mapping[str, str], now: float) -> tuple[str, float]:
    unified = "anthropic-ratelimit-unified-"
    window = headers.get(f"{unified}representative-claim") or "window"
    kind = window if headers.get(f"{unified}status") == "rejected" else REQUEST_LIMIT
    if resets_at := _number(headers.get(f"{unified}reset")):
        return kind, resets_at
    names = ("requests", "tokens", "input-tokens", "output-tokens")
    empty = (name for name in names if headers.get(f"anthropic-ratelimit-{name}-remaining") == "0")
    resets = (_moment(headers.get(f"anthropic-ratelimit-{name}-reset")) for name in empty)
    return kind, _retry_after(headers, now) or max(resets, default=0.0)


def _openai(headers: Mapping[str, str], error: Object, now: float) -> tuple[str, float]:
    kind = USAGE_LIMIT if USAGE_LIMIT in (error.get("type"), error.get("code")) else REQUEST_LIMIT
    if resets_at := _number(error.get("resets_at")):
        return kind, resets_at
    if seconds := _number(error.get("resets_in_seconds")):
        return kind, now + seconds
    if kind == USAGE_LIMIT and (resets_at := max(_codex_windows(headers, now), default=0.0)):
        return kind, resets_at
    if resets_at := _retry_after(headers, now):
        return kind, resets_at
    names = [name for name in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{name}") == "0"]
    waits = [_duration_seconds(headers.get(f"x-ratelimit-reset-{name}")) for name in names]
    said = error.get("message")
    if found := _TRY_AGAIN.search(said if isinstance(said, str) else ""):
        waits.append(_duration_seconds(found[1]))
    longest_seconds = max(waits, default=0.0)
    return kind, now + longest_seconds if longest_seconds else 0.0


def _codex_windows(headers: Mapping[str, str], now: float) -> Iterable[float]:
    """When the windows of a subscription that are used up begin anew."""
    for window in ("primary", "secondary"):
        if _number(headers.get(f"x-codex-{window}-used-percent")) >= 100:
            after = _number(headers.get(f"x-codex-{window}-reset-after-seconds"))
            yield _number(headers.get(f"x-codex-{window}-reset-at")) or (now + after if after else 0.0)


_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"


def _gemini(headers: Mapping[str, str], error: Object, now: float) -> tuple[str, float]:
    kind, wait_seconds = REQUEST_LIMIT, 0.0
    for detail in _details(error):
        if _is(detail, "RetryInfo"):
            delay = detail.get("retryDelay")
            wait_seconds = max(wait_seconds, _duration_seconds(delay if isinstance(delay, str) else None))
        elif _is(detail, "QuotaFailure") and "PerDay" in json.dumps(detail):
            kind = DAY_LIMIT
    return kind, now + wait_seconds if wait_seconds else _retry_after(headers, now)


def _details(error: Object) -> list[Object]:
    found = error.get("details")
    return [one for one in found[:20] if isinstance(one, dict)] if isinstance(found, list) else []


def _is(detail: Object, name: str) -> bool:
    return str(detail.get("@type", "")).endswith(f"google.rpc.{name}")


def _error(body: bytes) -> Object:
    """The `error` of an error's body, {} where there is none. Some wrap it into a list."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(found, list) and found:
        found = found[0]
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, dict) else {}


# -- times ---------------------------------------------------------------------------------------------------------------

_TRY_AGAIN: Final = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)")
_PARTS: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}


def _retry_after(headers: Mapping[str, str], now: float) -> float:
    """When to come back by the header of that name, in any of its forms; 0 where it says nothing."""
    if milliseconds := _number(headers.get("retry-after-ms")):
        return now + milliseconds / 1_000
    value = headers.get("retry-after")
    if seconds := _number(value):
        return now + seconds
    try:
        found = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return 0.0
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def _moment(value: str | None) -> float:
    try:
        found = datetime.fromisoformat(value or "")
    except ValueError:
        return 0.0
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def _duration_seconds(value: str | None) -> float:
    """Of `1s`, `6m0s`, `20ms`, `1.5s` or a number of seconds; 0 where it is none of these."""
    if value is None:
        return 0.0
    if plain := _number(value):
        return plain
    if "".join(match[0] for match in _PARTS.finditer(value)) != value:
        return 0.0
    return sum(float(match[1]) * _SECONDS[match[2]] for match in _PARTS.finditer(value))


def _number(value: object) -> float:
    """A number in a header or a body; 0 where there is none, or a date, or nonsense."""
    if not isinstance(value, str | int | float):
        return 0.0
    try:
        found = float(value or 0)
    except (ValueError, OverflowError):
        return 0.0
    return found if 0 < found < 2**32 else 0.0
