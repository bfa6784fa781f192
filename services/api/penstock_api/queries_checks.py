"""What the api asks of the read model about commands that could check a repository.

Rule of this room: it only reads, and of each repo no more than its newest tasks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

from penstock.codec import Undecodable, decode_event
from penstock.events import PrepareSucceeded
from penstock.values import ProposedCheck, VerifyCommands
from penstock_api.database import Database

TASKS_MAX: Final = 20

PREPARED: Final = """
select event.seq, event.body from (
    select task from penstock.task where repo = $1 order by submitted_at desc, task desc limit $2
) as newest join penstock.event using (task)
where event.type = 'prepare_succeeded' order by event.seq desc limit $2"""


STATEMENTS: Final = (PREPARED,)


class ProposedChecks(Struct, frozen=True, kw_only=True):
    """What the repository's own files propose, as the host of a task has read them at a commit: nothing of it was run, and nobody
    has confirmed it. `commands`: by stage and the surest first; `verify`: the surest of each stage, as a repo takes it."""

    task: str
    commit: str
    seen_at: datetime
    verify: VerifyCommands
    commands: tuple[ProposedCheck, ...]


async def read_proposed(database: Database, repo: str) -> ProposedChecks | None:
    """The newest; None where no host has looked for any of the newest tasks. Raises Problem (503)."""
    async with database.connection() as connection:
        rows = await connection.fetch(PREPARED, repo, TASKS_MAX)
    for row in rows:
        try:
            recorded = decode_event(row["body"], row["seq"])
        except Undecodable:
            # The timeline holds it as it came; what it says is for a later version to read.
            continue
        event = recorded.data
        if isinstance(event, PrepareSucceeded) and event.proposed is not None:
            return ProposedChecks(
                task=recorded.task,
                commit=event.tip or event.base_commit,
                seen_at=recorded.at,
                verify=_surest(event.proposed),
                commands=event.proposed,
            )
    return None


def _surest(proposed: tuple[ProposedCheck, ...]) -> VerifyCommands:
    best: dict[str, ProposedCheck] = {}
    for one in proposed:
        best.setdefault(one.stage, one)
    commands = {stage: best[stage].command if stage in best else None for stage in ("pre", "build", "test", "lint")}
    reports = sorted({glob for one in best.values() for glob in one.reports})
    return VerifyCommands(**commands, reports=tuple(reports))
