"""Secrets that belong to nobody, and how they get printed: for tests that look for them where they must not be.

Rule of this room: nothing of the product is asked how a secret may look; who is tried does not write the questions.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Iterator
from typing import Final

LETTERS: Final = string.ascii_letters + string.digits
AWKWARD: Final = LETTERS + "+/=\"\\-_%&<>' é"


def planted(count: int, seed: int = 1) -> dict[str, str]:
    """Secrets of all kinds of lengths and characters, by name."""
    dice = random.Random(seed)
    return {
        f"secret-{n}": "".join(dice.choice(LETTERS if n % 2 else AWKWARD) for _ in range(dice.randint(16, 60))).strip()
        + dice.choice(LETTERS)
        for n in range(count)
    }


def eight_ways(secret: str) -> tuple[bytes, ...]:
    """How an attacker, or an accident, prints it."""
    raw = secret.encode()
    return (
        raw,
        json.dumps(secret)[1:-1].encode(),
        "".join(c if c in LETTERS else "".join(f"%{byte:02X}" for byte in c.encode()) for c in secret).encode(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        raw[::-1],
        base64.b64encode(raw),
        base64.urlsafe_b64encode(raw).rstrip(b"="),
    )


def in_pieces(text: bytes, dice: random.Random) -> Iterator[bytes]:
    """The text, cut anywhere."""
    at = 0
    while at < len(text):
        size = dice.choice((1, 2, 7, 30, 200, 4_000))
        yield text[at : at + size]
        at += size
