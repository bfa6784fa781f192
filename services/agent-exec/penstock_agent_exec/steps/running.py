"""One run of an agent's program in the task's clone, whatever it is for: an attempt, a plan, a summary.

Rule of this room: a run that may only read gets the clone read-only, and what it may not do is up to the sandbox and not to
the agent's program. Nothing is made of a run here but its outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

import structlog

from penstock.jobs import AgentWork, CompactWork, PlanWork
from penstock.output import OutputLine
from penstock.values import RepoSnapshot, Usage
from penstock_agent_exec.agents.facts import (
    AnyFact,
    Compacted,
    Decision,
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
from penstock_agent_exec.agents.vendor import AgentRun, Purpose, RunRefused
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.denials import Denials
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.git.clone import Clone
from penstock_agent_exec.git.command import Sandboxed
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import Watch
from penstock_agent_exec.sandbox import Bind, Profile
from penstock_agent_exec.steps.bench import NOTHING_USED, Bench, InHand
from penstock_agent_exec.steps.middle import Middle
from penstock_agent_exec.steps.prepare import standing_clone
from penstock_agent_exec.steps.say import hearing, own_line
from penstock_agent_exec.steps.ways import Ways, egress_label, ways_out
from penstock_agent_exec.vendors import Offer

log = structlog.get_logger()

Work: TypeAlias = AgentWork | PlanWork | CompactWork

STDERR_LINE_BYTES_MAX: Final = 4_096
WORD_LENGTH_MAX: Final = 100
SESSION_FREE_SECONDS: Final = 10.0
"""When to come back to a session that is in use: by a run that was cut off, and is over by then."""

BUDGET: Final = "vendor.budget"

WORK_INSIDE: Final = "/workspace/repo"
HOME_INSIDE: Final = "/workspace/home"
"""Where an agent sees its clone and its home, on every host: what its program remembers of a session names these paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run works: the task's clone, fit to work in, and a sandbox for git there. `moved`: the agent sees clone and home
    at fixed paths, which only a sandbox can do."""

    clone: Clone
    mirror: Mirror
    sandbox: Sandboxed
    moved: bool

    @property
    def home(self) -> Path:
        """The agent's own folder, for its sessions. Any agent of the task can write there."""
        return self.clone.path.parent / "home"

    @property
    def work_inside(self) -> str:
        return WORK_INSIDE if self.moved else str(self.clone.path)

    @property
    def home_inside(self) -> str:
        return HOME_INSIDE if self.moved else str(self.home)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run that was not told to stop is no success. `retry_at` where the vendor said so, or we know."""

    error_class: str
    message: str
    transient: bool
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended. `stopped`: it was told to. `failure` is None where its program says that it went well."""

    outcome: Outcome
    stopped: bool
    failure: Failure | None


async def ready(bench: Bench, hand: InHand, repo: RepoSnapshot, base: str) -> Place:
    """The clone, fit to work in, whatever was killed in it before."""
    mirror = bench.mirror(repo)
    clone = await standing_clone(bench, hand, repo, base)
    sandbox = bench.git_sandbox(clone.path, mirror)
    healed = await heal_clone(clone, sandbox)
    if healed.rebuilt or healed.ended:
        hand.note(f"the clone was mended: {', '.join(healed.ended) or 'a new .git over the files as they were'}")
    return Place(clone=clone, mirror=mirror, sandbox=sandbox, moved=bench.bwrap is not None)


async def run(bench: Bench, hand: InHand, work: Work, offer: Offer, place: Place, given: AgentRun) -> Ran:
    """The agent's program, from its start until nothing of it is left. What it used is in `hand` afterwards. `given`: the
    prompt and the session; what else there is to a run is filled in here. Raises RunRefused, ChildNotStarted, Lost."""
    place.home.mkdir(mode=0o700, exist_ok=True)
    stderr = LineSplitter(STDERR_LINE_BYTES_MAX)
    middle = Middle(
        bench.nc,
        hand,
        bench.settings.host,
        max_cost_usd=work.max_cost_usd,
        wall_seconds_max=work.wall_seconds_max,
    )

    steering = Steering(cancel=middle.cancel)
    denials = Denials(middle.denied)
    budget = RunBudget(work.price, work.max_cost_usd)

    async def on_facts(facts: tuple[AnyFact, ...]) -> None:
        middle.hear(facts)
        for fact in facts:
            if (line := line_of(fact)) is not None:
                hand.output.add(line)

    async def on_output(name: Literal["stdout", "stderr"], chunk: bytes) -> None:
        hand.transcript.take(name, chunk)
        if name == "stderr":
            hand.output.add_printed("stderr", stderr.feed(chunk))

    async with ways_out(bench, work.repo, denials, offer.access(given.billing), budget) as ways:
        hand.sandbox = _sandbox_label(bench, ways, work.repo, reads_only=given.reads_only)
        # From here on somebody may be paying, and until there is a verdict nobody knows how much.
        hand.usage = Usage()
        hand.transcript.begin(offer.vendor.name, given.session_id)
        try:
            async with (
                middle.telling(),
                hearing(bench.nc, hand, steering, middle, listens=offer.vendor.dialogue(given).listens) as ears,
                own_line(bench, hand, middle, ears) as own,
            ):
                outcome = await run_agent(
                    offer.vendor,
                    given if ways.gate is None else _through(ways.gate, given),
                    profile=_profile(bench, place, work.repo, own, reads_only=given.reads_only),
                    watch=_watch(bench, work),
                    on_facts=on_facts,
                    on_output=on_output,
                    steering=steering,
                    gate=ways.gate,
                    egress=ways.egress,
                    redactor=hand.redactor,
                )
                denials.end()
        except (RunRefused, ChildNotStarted):
            hand.usage = NOTHING_USED
            raise
    _note_outcome(hand, outcome)
    if not outcome.ending.nothing_left:
        raise ChildNotStarted("something of the agent is still alive in its sandbox; its clone is not touched")
    return _ran(hand, outcome, middle, budget)


def _through(gate: ModelGate, given: AgentRun) -> AgentRun:
    """The run as it goes through the gate. Where that holds the budget the program is told of none: its own idea of a price may
    be another one."""
    max_cost_usd = given.max_cost_usd if gate.books.budget.price is None else None
    return replace(given, base_url=gate.base_url, max_cost_usd=max_cost_usd)


def run_for(work: Work, place: Place, *, prompt: str, session_id: str, resume: bool, attempt: int = 1) -> AgentRun:
    """The run that this work asks for."""
    return AgentRun(
        prompt=prompt,
        purpose=_purpose(work),
        session_id=session_id,
        resume=resume,
        attempt=attempt,
        model=work.model,
        max_turns=work.max_turns,
        max_cost_usd=work.max_cost_usd,
        state_dir=place.home_inside,
        work_dir=place.work_inside,
        billing="subscription" if work.billing == "subscription" else "api",
    )


def _purpose(work: Work) -> Purpose:
    match work:
        case AgentWork():
            return "agent"
        case PlanWork():
            return "plan"
        case CompactWork():
            return "compact"
        case _:
            assert_never(work)


def _profile(bench: Bench, place: Place, repo: RepoSnapshot, own: tuple[Bind, ...], *, reads_only: bool) -> Profile:
    extras = bench.extras(repo)
    binds = (
        Bind(place.mirror.objects),
        Bind(place.clone.path, place.work_inside, writable=not reads_only),
        Bind(place.home, place.home_inside, writable=True),
        *extras.binds,
        *own,
    )
    return bench.profile(Path(place.work_inside), binds, extras.env)


def _watch(bench: Bench, work: Work) -> Watch:
    return Watch(
        wall_seconds=work.wall_seconds_max,
        silence_seconds=bench.settings.agent_silence_seconds,
        output_bytes_max=bench.settings.output_bytes_max,
    )


def _note_outcome(hand: InHand, outcome: Outcome) -> None:
    verdict = outcome.verdict
    hand.usage = verdict.usage
    hand.session_id = verdict.session_id[:WORD_LENGTH_MAX]
    hand.vendor_version = verdict.vendor_version[:WORD_LENGTH_MAX]
    if outcome.hidden:
        log.warning("secret.printed", task=hand.job.task, job=hand.job.id, names=outcome.hidden)
    for request in outcome.refused_requests:
        log.warning("gate.refused", task=hand.job.task, job=hand.job.id, request=request)


def _ran(hand: InHand, outcome: Outcome, middle: Middle, budget: RunBudget) -> Ran:
    verdict, cancelled = outcome.verdict, outcome.ending.why == "cancelled"
    if (cancelled and middle.over_budget) or (not cancelled and not verdict.ok and budget.has_refused):
        message = (
            f"ended by us: it had cost {middle.usage().cost_usd} USD of the {middle.max_cost_usd} that it may cost"
        )
        failure = Failure(error_class=BUDGET, message=message, transient=False, retry_at=None)
        return Ran(outcome=outcome, stopped=False, failure=failure)
    if cancelled and hand.tenure.stop.asked.is_set():
        return Ran(outcome=outcome, stopped=True, failure=None)
    if verdict.ok:
        return Ran(outcome=outcome, stopped=False, failure=None)
    error_class, retry_at = (verdict.error_class or "agent.unknown")[:WORD_LENGTH_MAX], verdict.resets_at
    if error_class == "vendor.session_in_use":
        retry_at = datetime.now(UTC) + timedelta(seconds=SESSION_FREE_SECONDS)
    failure = Failure(
        error_class=error_class, message=shown(verdict.message), transient=verdict.transient, retry_at=retry_at
    )
    return Ran(outcome=outcome, stopped=False, failure=failure)


def _sandbox_label(bench: Bench, ways: Ways, repo: RepoSnapshot, *, reads_only: bool) -> str:
    kept = bench.keeping.label
    kept += ", read-only" if reads_only and bench.bwrap is not None else ""
    kept += ", model by gate" if ways.gate is not None else ""
    return kept + egress_label(ways, repo)


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
        case Decision():
            return OutputLine(kind="decision", text=shown(f"{fact.subject}: {fact.question}"))
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
