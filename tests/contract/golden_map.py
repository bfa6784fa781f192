"""What the map of a repository has brought to the golden documents.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from typing import Final

from contract.golden_first import BASE, JOB

from penstock import events as e
from penstock import values as v

MAP: Final[tuple[e.KnownEvent, ...]] = (
    e.PrepareSucceeded(
        job=JOB,
        epoch=17,
        host="h1",
        base_commit=BASE,
        branch="agent/fix-rounding",
        wall_seconds=4.25,
        evidence=v.Evidence(
            words=8,
            overlap=3,
            paths=("src/round.py",),
            recent_commits=3,
            recent_commits_all=41,
            open_pull_requests=1,
            degraded=("forge: answered 502",),
            symbols=2,
            map="src/round.py\n    12: def half_up(amount: Decimal) -> Decimal:\n",
        ),
        tip=BASE,
    ),
)
