"""Agent: one attempt, from the prompt to a change that the trusted side has counted.

Rule of this room: what the agent's program says is a claim, and git decides. Whatever ends the run, its work is kept on a
private ref before anything touches it, and what it used is in the report.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal, assert_never

import structlog

from penstock.bounds import LINE_LENGTH_MAX
from penstock.events import AgentFailed, AgentSucceeded
from penstock.jobs import AgentWork
from penstock.output import OutputLine
from penstock.reports import ReportBody
from penstock.values import Change, Kept, Usage
from penstock_agent_exec.agents.facts import (
    AnyFact,
    Compacted,
    FileChanged,
    Finished,
    Garbage,
    Noise,
    RateLimited,
    Retrying,
    Started,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    VendorError,
    shown,
)
from penstock_agent_exec.agents.facts import Usage as UsageFact
from penstock_agent_exec.agents.run import Outcome, Steering, run_agent
from penstock_agent_exec.agents.vendor import AgentRun, RunRefused, Verdict
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.git.change import Diffstat
from penstock_agent_exec.git.clone import Clone
from penstock_agent_exec.git.command import Sandboxed
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.work import commit_leftovers, keep_work, take_result
from penstock_agent_exec.model_gate import ModelGate
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import Watch
from penstock_agent_exec.report import failed, stopped
from penstock_agent_exec.sandbox import Bind
from penstock_agent_exec.steps.bench import NOTHING_USED, Bench, InHand
from penstock_agent_exec.steps.prepare import standing_clone
from penstock_agent_exec.vendors import Offer

log = structlog.get_logger()

FILES_LISTED_MAX: Final = 200
FILES_CHARACTERS_MAX: Final = 30_000
STDERR_LINE_BYTES_MAX: Final = 4_096
WORD_LENGTH_MAX: Final = 100
NO_CHANGE: Final = "agent.no_change"


async def agent(bench: Bench, hand: InHand, work: AgentWork) -> ReportBody:
    """Raises Stopped before the agent has begun, Lost, and the failures of git and of this host."""
    offer = bench.offers.get(work.vendor)
    if offer is None:
        return failed(hand, "host.vendor_missing", f"this host does not offer {work.vendor}", transient=True)
    mirror = bench.mirror(work.repo)
    clone, sandbox = await hand.tenure.stop.unless_asked(_ready(bench, hand, work, mirror))
    try:
        outcome = await _run(bench, hand, work, offer, clone, mirror)
    except RunRefused as error:
        return failed(hand, error.error_class, str(error))
    if not outcome.ending.nothing_left:
        raise ChildNotStarted("something of the agent is still alive in its sandbox; its clone is not touched")
    await heal_clone(clone, sandbox)
    await _keep(hand, clone, mirror, work.attempt, sandbox)
    if outcome.ending.why == "cancelled" and hand.tenure.stop.asked.is_set():
        return stopped(hand, hand.tenure.stop.reason)
    verdict = outcome.verdict
    if not verdict.ok:
        return _failed(
            hand, verdict, verdict.error_class or "agent.unknown", verdict.message, transient=verdict.transient
        )
    await commit_leftovers(clone, sandbox)
    result = await take_result(clone, mirror, sandbox)
    if not result.changed:
        return _failed(hand, verdict, NO_CHANGE, verdict.final_text or "the agent changed nothing")
    return AgentSucceeded(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        change=change_of(result),
        usage=hand.usage,
        session_id=hand.session_id,
        vendor_version=hand.vendor_version,
        summary=shown(verdict.final_text),
        sandbox=hand.sandbox,
        kept=hand.kept,
    )


async def _ready(bench: Bench, hand: InHand, work: AgentWork, mirror: Mirror) -> tuple[Clone, Sandboxed]:
    """The clone, fit to work in, whatever was killed in it before."""
    clone = await standing_clone(bench, hand, work.repo, work.base_commit)
    sandbox = bench.git_sandbox(clone.path, mirror)
    healed = await heal_clone(clone, sandbox)
    if healed.rebuilt or healed.ended:
        hand.note(f"the clone was mended: {', '.join(healed.ended) or 'a new .git over the files as they were'}")
    return clone, sandbox


async def _run(bench: Bench, hand: InHand, work: AgentWork, offer: Offer, clone: Clone, mirror: Mirror) -> Outcome:
    """The agent's program, from its start until nothing of it is left. What it used is in `hand` afterwards."""
    state = clone.path.parent / "home"
    state.mkdir(mode=0o700, exist_ok=True)
    settings = bench.settings
    profile = bench.profile(
        clone.path, (Bind(mirror.objects), Bind(clone.path, writable=True), Bind(state, writable=True))
    )
    watch = Watch(
        wall_seconds=work.wall_seconds_max,
        silence_seconds=settings.agent_silence_seconds,
        output_bytes_max=settings.output_bytes_max,
    )
    stderr = LineSplitter(STDERR_LINE_BYTES_MAX)

    async def on_facts(facts: tuple[AnyFact, ...]) -> None:
        for fact in facts:
            if (line := line_of(fact)) is not None:
                hand.output.add(line)

    async def on_output(name: Literal["stdout", "stderr"], chunk: bytes) -> None:
        if name == "stderr":
            hand.output.add_printed("stderr", stderr.feed(chunk))

    async with _gate(bench, offer) as gate:
        run = _agent_run(hand, work, clone, state, gate)
        hand.sandbox = _sandbox_label(bench, gate)
        # From here on somebody may be paying, and until there is a verdict nobody knows how much.
        hand.usage = Usage()
        try:
            outcome = await run_agent(
                offer.vendor,
                run,
                profile=profile,
                watch=watch,
                on_facts=on_facts,
                on_output=on_output,
                steering=Steering(cancel=hand.tenure.stop.asked),
                gate=gate,
            )
        except (RunRefused, ChildNotStarted):
            hand.usage = NOTHING_USED
            raise
    verdict = outcome.verdict
    hand.usage = verdict.usage
    hand.session_id = verdict.session_id[:WORD_LENGTH_MAX]
    hand.vendor_version = verdict.vendor_version[:WORD_LENGTH_MAX]
    for request in outcome.refused_requests:
        log.warning("gate.refused", task=hand.job.task, job=hand.job.id, request=request)
    return outcome


def _agent_run(hand: InHand, work: AgentWork, clone: Clone, state: Path, gate: ModelGate | None) -> AgentRun:
    resume = work.resume and has_session(work.vendor, state, work.session_id)
    if work.resume and not resume:
        hand.note("the session to go on with is not on this host: begun again with the whole history")
    return AgentRun(
        prompt=work.prompt if resume or not work.resume else work.fresh_prompt,
        session_id=work.session_id,
        resume=resume,
        attempt=work.attempt,
        model=work.model,
        max_turns=work.max_turns,
        max_cost_usd=work.max_cost_usd,
        state_dir=str(state),
        work_dir=str(clone.path),
        base_url=None if gate is None else gate.base_url,
    )


def has_session(vendor: str, state: Path, session_id: str) -> bool:
    """Whether the vendor's program has anything of this session to go on with. Looks at names only: an agent wrote them."""
    match vendor:
        case "claude":
            return any(state.glob(f".claude/projects/*/{session_id}.jsonl"))
        case _:
            return True


@contextlib.asynccontextmanager
async def _gate(bench: Bench, offer: Offer) -> AsyncIterator[ModelGate | None]:
    """The way to the model, where the agent needs one."""
    if offer.model is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix=bench.folder.socket_prefix) as folder:
        async with ModelGate(Path(folder) / "model", upstream=offer.model.upstream, key=offer.model.key) as gate:
            yield gate


def _sandbox_label(bench: Bench, gate: ModelGate | None) -> str:
    kept = "no sandbox" if bench.bwrap is None else "bwrap, no network"
    return kept if gate is None else f"{kept}, model by gate"


async def _keep(hand: InHand, clone: Clone, mirror: Mirror, number: int, sandbox: Sandboxed) -> None:
    """Everything in the work tree, on a ref that nothing else writes."""
    kept = await keep_work(clone, mirror, number, sandbox)
    if kept is None:
        return
    hand.kept = Kept(ref=kept.ref, commit=kept.commit)
    if kept.missed:
        hand.note(f"not everything could be kept: {kept.missed}")


def _failed(hand: InHand, verdict: Verdict, error_class: str, message: str, *, transient: bool = False) -> AgentFailed:
    return AgentFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        error_class=error_class[:WORD_LENGTH_MAX],
        message=shown(message),
        transient=transient,
        retry_at=verdict.resets_at,
        usage=hand.usage,
        session_id=hand.session_id,
        vendor_version=hand.vendor_version,
        sandbox=hand.sandbox,
        kept=hand.kept,
    )


def change_of(result: Diffstat) -> Change:
    """The change as an event holds it: every figure, and the names of the first files."""
    files: list[str] = []
    room = FILES_CHARACTERS_MAX
    for file in result.files[:FILES_LISTED_MAX]:
        name = shown(file.path, LINE_LENGTH_MAX)
        room -= len(name)
        if room < 0:
            break
        files.append(name)
    return Change(
        commit=result.head,
        commits=result.commits,
        files=tuple(files),
        files_changed=len(result.files),
        lines_added=result.lines_added,
        lines_removed=result.lines_removed,
    )


def line_of(fact: AnyFact) -> OutputLine | None:
    """The fact for those who watch; None for what tells them nothing."""
    match fact:
        case Started():
            return OutputLine(kind="started", text=f"{fact.model} {fact.vendor_version}".strip())
        case Text():
            return OutputLine(kind="text", text=fact.text)
        case ToolUse():
            return OutputLine(kind="tool_use", text=fact.summary, tool=fact.name[:WORD_LENGTH_MAX])
        case ToolResult():
            return OutputLine(kind="tool_result", text=fact.summary, ok=fact.ok)
        case FileChanged():
            return OutputLine(kind="file_changed", text=fact.path)
        case TodoChanged():
            return OutputLine(kind="todo", text=shown("\n".join(fact.items)))
        case UsageFact():
            return OutputLine(kind="usage", text=f"{fact.input_tokens} in, {fact.output_tokens} out")
        case Retrying():
            return OutputLine(kind="retrying", text=f"try {fact.attempt}: {fact.error} ({fact.status})")
        case RateLimited():
            return OutputLine(kind="rate_limited", text=fact.kind, ok=not fact.refused)
        case Compacted():
            return OutputLine(kind="compacted")
        case VendorError():
            return OutputLine(kind="error", text=shown(f"{fact.kind}: {fact.message}"))
        case Finished():
            return OutputLine(kind="finished", text=fact.text, ok=not fact.is_error)
        case Garbage():
            return OutputLine(kind="note", text=fact.text)
        case Noise():
            return None
        case _:
            assert_never(fact)
