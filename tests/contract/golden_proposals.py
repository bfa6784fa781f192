"""What commands that a repository's own files propose have brought to the golden documents.

Rule of this room: new ones go to the end, since a document's number is its place.
"""

from __future__ import annotations

from typing import Final

from contract.golden_first import BASE, JOB

from penstock import events as e
from penstock import values as v

PROPOSALS: Final[tuple[e.KnownEvent, ...]] = (
    e.PrepareSucceeded(
        job=JOB,
        epoch=17,
        host="h1",
        base_commit=BASE,
        branch="agent/fix-rounding",
        wall_seconds=4.25,
        proposed=(
            v.ProposedCheck(
                stage="test",
                command="uv run pytest --junitxml=junit.xml",
                confidence="high",
                source="pyproject.toml",
                why="settings of pytest",
                reports=("junit.xml",),
            ),
            v.ProposedCheck(stage="lint", command="uv run ruff check", confidence="medium", source="ruff.toml"),
        ),
    ),
)
