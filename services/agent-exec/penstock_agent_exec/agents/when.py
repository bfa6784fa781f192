"""When a limit ends, in the ways in which it is said: a moment as a number or a date, or how long from now.

The rule of this room: what cannot be read is not known (0), and never soon.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

UNIX_SECONDS_MAX: Final = 2**32
MILLISECONDS_FROM: Final = 10**11
"""A number beyond this is a moment in milliseconds: in seconds it would be thousands of years away."""

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) ?(ms|[smhd]?)", re.ASCII)


def seconds_of(resets_at: object, retry_after: object, now: Callable[[], float]) -> float:
    """The moment in Unix seconds, 0 where neither says one. `retry_after`: seconds, or such as `2m30s`."""
    moment = _moment(resets_at)
    wait_seconds = 0.0 if moment else _duration(retry_after)
    moment = moment or (now() + wait_seconds if wait_seconds else 0.0)
    return moment if 0 < moment < UNIX_SECONDS_MAX else 0.0


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return 0.0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return _date(str(value).strip())
    if not math.isfinite(number):
        return 0.0
    return number / 1000 if number > MILLISECONDS_FROM else number


def _date(text: str) -> float:
    """ISO 8601, or as HTTP has dates; without a zone it is UTC."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
            return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError, TypeError):
            continue
    return 0.0


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return 0.0
    text = str(value).strip().lower()[:100]
    parts = _DURATION.findall(text)
    if "".join(f"{amount}{unit}" for amount, unit in parts) != text.replace(" ", ""):
        return 0.0
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
