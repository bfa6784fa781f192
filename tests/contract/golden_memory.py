"""What the memory of earlier work has brought to the golden documents.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from typing import Final

from penstock import events as e
from penstock import values as v

MEMORY: Final[tuple[e.KnownEvent, ...]] = (
    e.MemoryRecalled(
        items=(
            v.Recalled(
                memory="01jqa0task000000000000000b",
                kind="failure",
                title="Round prices half up",
                happened="`test_totals` failed three times: the shipping fee was rounded twice.",
                similarity=0.62,
                task="01jqa0task000000000000000b",
                outcome="failed",
                error_class="test.failed.pytest",
                files=("shop/prices.py",),
            ),
        ),
        degraded="the read model is behind, at 40 of 44",
    ),
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(name="shop", clone_url="https://forge.example/shop.git"),
        policy=v.Policy(recall_max=3),
    ),
)
