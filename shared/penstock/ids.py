"""Ids: 26 characters of Crockford's base 32, lower case; the first ten are the millisecond of birth, so ids sort by time."""

from __future__ import annotations

import hashlib
import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def fresh() -> str:
    """A new id: 48 bits of Unix time in milliseconds, 80 bits of chance."""
    return _base32((time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10)))


def derived(*parts: str) -> str:
    """The id that these parts always give. For work that must get the same id when it is asked for again."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return _base32(int.from_bytes(digest[:16]))


def _base32(number: int) -> str:
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
