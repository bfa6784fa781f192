"""Which commands could check a repository for which nobody has said any: read from its own files by a program of its own, so that
whatever a stranger has written into them holds nobody up.

Rule of this room: what the program says is bounded, read as data, and left out where it cannot be shown as it stands. That there
is nothing to propose fails no task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from penstock.bounds import LINE_LENGTH_MAX, PROPOSED_MAX
from penstock.jobs import verify_steps
from penstock.values import ProposedCheck, RepoSnapshot
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.git.command import run, trusted_environment
from penstock_agent_exec.git.failures import GitFailed, readable
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.steps.bench import Bench, InHand

SECONDS_MAX: Final = 20.0
ANSWER_BYTES_MAX: Final = 1024 * 1024
OF_A_STAGE_MAX: Final = 4
COMMAND_LENGTH_MAX: Final = 500
"""A longer one is no command that a person would confirm."""


class _Proposal(Struct, frozen=True):
    stage: str
    command: str
    confidence: str
    source: str
    why: str
    reports: tuple[str, ...]


class _Proposals(Struct, frozen=True):
    proposals: tuple[_Proposal, ...]


async def proposals(
    bench: Bench, hand: InHand, repo: RepoSnapshot, mirror: Mirror, commit: str
) -> tuple[ProposedCheck, ...] | None:
    """By stage and the surest first; None where the repo has checks, or nobody could look."""
    if verify_steps(repo.verify):
        return None
    program = [sys.executable, "-I", "-m", "penstock_agent_exec.verify", str(mirror.path)]
    try:
        done = await run(
            [*program, f"--commit={commit}", "--json"],
            env=trusted_environment(),
            timeout_seconds=SECONDS_MAX,
            stdout_bytes_max=ANSWER_BYTES_MAX,
        )
    except GitFailed as error:
        hand.note(f"no commands are proposed: {error}")
        return None
    if done.returncode != 0 or done.truncated:
        hand.note(f"no commands are proposed: {readable(done.stderr.decode('utf-8', 'replace'))}")
        return None
    try:
        found = msgspec.json.decode(done.stdout, type=_Proposals)
    except msgspec.MsgspecError as error:
        hand.note(f"no commands are proposed: {error}")
        return None
    return tuple(_told(found.proposals, bench.secrets.redactor()))[:PROPOSED_MAX]


def _told(found: Sequence[_Proposal], redactor: Redactor) -> Iterator[ProposedCheck]:
    """Those that can be told as they stand: a command without its secret would be another one."""
    told: dict[str, int] = {}
    for one in found:
        plain = one.command.isprintable() and redactor.text(one.command) == one.command
        if not plain or len(one.command) > COMMAND_LENGTH_MAX or told.get(one.stage, 0) >= OF_A_STAGE_MAX:
            continue
        told[one.stage] = told.get(one.stage, 0) + 1
        yield ProposedCheck(
            stage=one.stage,
            command=one.command,
            confidence=one.confidence,
            source=shown(one.source, LINE_LENGTH_MAX),
            why=shown(redactor.text(one.why), LINE_LENGTH_MAX),
            reports=one.reports,
        )
