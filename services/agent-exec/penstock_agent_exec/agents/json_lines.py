"""Reading a line that a stranger printed as JSON: any bytes in, an object or nothing out, and fields by their type or not at all.

The rule of this room: nothing raises. A field of the wrong type is a field that is not there, so one surprise in a line does not
cost the rest of it.
"""

from __future__ import annotations

import json
import math
from typing import Final, TypeAlias

import msgspec

from penstock_agent_exec.agents.facts import COUNT_MAX

Object: TypeAlias = dict[str, object]
EMPTY: Final[Object] = {}
SECOND_READING_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of a line that is not ASCII: as characters it may take four times its bytes."""


def json_object(line: bytes) -> Object | None:
    """The object on `line`, None where there is none: not JSON, not an object, or nested deeper than a parser goes."""
    try:
        found: object = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = _second_reading(line)
    return found if isinstance(found, dict) else None


def _second_reading(line: bytes) -> object:
    """The stdlib takes what msgspec does not: half a surrogate pair in an escape, which JavaScript prints, and broken UTF-8."""
    if len(line) > SECOND_READING_BYTES_MAX and not line.isascii():
        return None
    try:
        return json.loads(line.decode("utf-8", errors="replace").lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None


def text(found: Object, key: str) -> str:
    """The string at `key`, or an empty one."""
    value = found.get(key)
    return value if isinstance(value, str) else ""


def number(found: Object, key: str) -> float | None:
    """The finite number at `key`, or None."""
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def count(found: Object, key: str) -> int:
    """The number at `key` as a count: never negative, never beyond what the contract can carry, 0 where there is none."""
    value = number(found, key)
    return 0 if value is None else int(min(max(value, 0.0), float(COUNT_MAX)))


def child(found: Object, key: str) -> Object:
    """The object at `key`, or an empty one."""
    value = found.get(key)
    return value if isinstance(value, dict) else EMPTY


def children(found: Object, key: str) -> list[Object]:
    """The objects in the list at `key`."""
    value = found.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(found: Object, key: str) -> list[str]:
    """The strings in the list at `key`."""
    value = found.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
