"""The ways out of a job's sandbox: to its model, and to the hosts that its repo names. What is kept inside is told.

Rule of this room: a way is open as long as somebody may use it, and its socket lies in a folder of its own.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from penstock.bounds import LINE_LENGTH_MAX
from penstock.events import NetworkDenied
from penstock.values import RepoSnapshot
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.denials import Denial, Denials
from penstock_agent_exec.broker.egress import EgressProxy
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.vendors import ModelAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """`gate` where there is a model to reach, `egress` (a socket) where the repo names hosts and there is a sandbox."""

    gate: ModelGate | None = None
    egress: Path | None = None


@contextlib.asynccontextmanager
async def ways_out(
    bench: Bench,
    repo: RepoSnapshot,
    denials: Denials,
    access: ModelAccess | None = None,
    budget: RunBudget | None = None,
) -> AsyncIterator[Ways]:
    """While inside, the ways are open."""
    names_hosts = bool(repo.egress) and bench.bwrap is not None
    if access is None and not names_hosts:
        yield Ways()
        return
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=bench.folder.socket_prefix)))
        gate = proxy = None
        if access is not None:
            gate = await stack.enter_async_context(_gate(folder / "model", access, budget, denials))
        if names_hosts:
            proxy = await stack.enter_async_context(EgressProxy(folder / "egress", repo.egress, denials=denials))
        yield Ways(gate=gate, egress=None if proxy is None else proxy.socket_path)


def _gate(path: Path, access: ModelAccess, budget: RunBudget | None, denials: Denials) -> ModelGate:
    return ModelGate(
        path,
        upstream=access.upstream,
        key=access.key,
        dialect=access.dialect,
        login=access.login,
        query=access.query,
        own_header=access.key_header,
        account=access.account,
        budget=budget,
        denials=denials,
    )


def egress_label(ways: Ways, repo: RepoSnapshot) -> str:
    """What a sandbox's label has besides, where it is let out."""
    return "" if ways.egress is None else f", egress to {len(repo.egress)} named hosts"


def denied_body(hand: InHand, denial: Denial) -> NetworkDenied:
    """The denial as the log has it."""
    return NetworkDenied(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        what=denial.what,
        target=shown(hand.redactor.text(denial.target), LINE_LENGTH_MAX),
        reason=shown(denial.reason, LINE_LENGTH_MAX),
        count=denial.count,
    )
