"""One run of an agent from its command line to its verdict: the vendor's pure functions around a child's life.

The rule of this room: what is not seen is not said. Facts are passed on as they come and folded; the verdict is made when the
child is gone, and says under which sandbox it lived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from penstock_agent_exec.agents.facts import AnyFact, Finished, Started
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, CommandLine, Vendor, Verdict
from penstock_agent_exec.model_gate import ModelGate
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import ChildInput, Ending, Watch, run_child
from penstock_agent_exec.sandbox import Profile

LINES_IN_A_ROW_MAX: Final = 200

OnFacts: TypeAlias = Callable[[tuple[AnyFact, ...]], Awaitable[None]]
OnOutput: TypeAlias = Callable[[Literal["stdout", "stderr"], bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `sandbox` is the profile's label; `cut_lines` counts lines that were too long to be read whole."""

    verdict: Verdict
    ending: Ending
    sandbox: str
    cut_lines: int
    refused_requests: tuple[str, ...] = ()


@dataclass(slots=True)
class Steering:
    """What may be done to a run while it goes on: end it, or say something to the agent."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(16))


async def run_agent(
    vendor: Vendor,
    run: AgentRun,
    *,
    profile: Profile,
    watch: Watch,
    on_facts: OnFacts,
    on_output: OnOutput,
    steering: Steering | None = None,
    gate: ModelGate | None = None,
) -> Outcome:
    """Run `vendor`'s program for `run` under `profile`, which the caller fills with the work, the state and limits.

    The command line's own binds, environment, network and way to stop are added here. `on_output` gets every byte before it is
    parsed. With `gate`, `run.base_url` must be the gate's. Raises ChildNotStarted and RunRefused.
    """
    steering = steering or Steering()
    line = vendor.command(run)
    conversation = _Conversation(vendor, line, on_facts)
    kept = _under(profile, line)

    async def on_stdout(chunk: bytes) -> None:
        await on_output("stdout", chunk)
        await conversation.hear(chunk)

    async def on_stderr(chunk: bytes) -> None:
        await on_output("stderr", chunk)

    speaking = asyncio.ensure_future(conversation.speak(steering.messages))
    try:
        ending = await run_child(
            line.argv,
            kept,
            watch=replace(watch, stop=vendor.stop),
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            stdin=conversation.input,
            cancel=steering.cancel,
            finished=conversation.finished,
        )
    finally:
        speaking.cancel()
    await conversation.end()
    if (
        gate is not None
        and gate.rate_limited is not None
        and not (conversation.seen.limit and conversation.seen.limit.refused)
    ):
        conversation.seen.absorb(gate.rate_limited)
    return Outcome(
        verdict=vendor.verdict(run, conversation.seen, ending),
        ending=ending,
        sandbox=kept.label,
        cut_lines=conversation.splitter.cut_lines,
        refused_requests=tuple(gate.refused) if gate is not None else (),
    )


def _under(profile: Profile, line: CommandLine) -> Profile:
    return replace(
        profile,
        env=dict(profile.env) | dict(line.env),
        binds=(*profile.binds, *line.binds),
        network=line.network,
    )


class _Conversation:
    """Both directions of a run: the prompt and later messages in, facts out."""

    def __init__(self, vendor: Vendor, line: CommandLine, on_facts: OnFacts) -> None:
        self.seen = Seen()
        self.splitter = LineSplitter()
        self.input = ChildInput()
        self.finished = asyncio.Event()
        self._vendor = vendor
        self._first = line.stdin
        self._on_facts = on_facts

    async def speak(self, messages: asyncio.Queue[str]) -> None:
        """The prompt, then whatever is said on the way, until the run has had its last word."""
        await self.input.send(self._first)
        if self._vendor.message("") is None:
            await self.input.close()
            return
        while not self.finished.is_set():
            said = asyncio.ensure_future(messages.get())
            over = asyncio.ensure_future(self.finished.wait())
            try:
                await asyncio.wait({said, over}, return_when=asyncio.FIRST_COMPLETED)
                if said.done() and (part := self._vendor.message(said.result())) is not None:
                    await self.input.send(part)
            finally:
                said.cancel()
                over.cancel()
        await self.input.close()

    async def hear(self, chunk: bytes) -> None:
        await self._take(self.splitter.feed(chunk))

    async def end(self) -> None:
        await self._take(self.splitter.finish())

    async def _take(self, lines: list[bytes]) -> None:
        """Every line counts, and there may be ten thousands in one read: the others get their turn in between."""
        for at in range(0, len(lines), LINES_IN_A_ROW_MAX):
            if at:
                await asyncio.sleep(0)
            facts = tuple(fact for line in lines[at : at + LINES_IN_A_ROW_MAX] for fact in self._vendor.parse(line))
            self._absorb(facts)
            if facts:
                await self._on_facts(facts)

    def _absorb(self, facts: tuple[AnyFact, ...]) -> None:
        for fact in facts:
            self.seen.absorb(fact)
            if isinstance(fact, Finished):
                self.finished.set()
            elif isinstance(fact, Started):
                self.finished.clear()  # a message that came in at the last moment has begun another turn
