"""One run of an agent from its command line to its verdict: the vendor's pure functions around a child's life.

The rule of this room: what is not seen is not said. Facts are passed on as they come and folded; the verdict is made when the
child is gone, and says under which sandbox it lived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from penstock_agent_exec.agents.facts import AnyFact, Finished, Started, Usage
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.state_files import put_files
from penstock_agent_exec.agents.vendor import AgentRun, CommandLine, Dialogue, Vendor, Verdict
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.loopback import behind_loopback
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import STDERR_TAIL_BYTES, ChildInput, Ending, Watch, run_child
from penstock_agent_exec.redact import NOTHING_KNOWN, Redactor
from penstock_agent_exec.sandbox import Profile

LINES_IN_A_ROW_MAX: Final = 200

OnFacts: TypeAlias = Callable[[tuple[AnyFact, ...]], Awaitable[None]]
OnOutput: TypeAlias = Callable[[Literal["stdout", "stderr"], bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `sandbox` is the profile's label; `cut_lines` counts lines that were too long to be read whole.
    `hidden`: names of the secrets that were printed."""

    verdict: Verdict
    ending: Ending
    sandbox: str
    cut_lines: int
    refused_requests: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class Message(NamedTuple):
    """Something to say to an agent in the middle of its run. `said` is told whether its program was written it."""

    id: str
    text: str
    said: Callable[[bool], None]


@dataclass(slots=True)
class Steering:
    """What may be done to a run while it goes on: end it, or say something to the agent."""

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(16))


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
    egress: Path | None = None,
    redactor: Redactor = NOTHING_KNOWN,
) -> Outcome:
    """Run `vendor`'s program for `run` under `profile`, which the caller fills with the work, the state and limits.

    The command line's own binds, environment, network and way to stop are added here. `on_output` gets what is
    printed before it is parsed, and neither it nor anything that is made of it has what `redactor` hides. With `gate`,
    `run.base_url` must be the gate's; `egress` is the socket of a proxy for other hosts. Raises ChildNotStarted and RunRefused.
    """
    steering = steering or Steering()
    line = vendor.command(run)
    conversation = _Conversation(vendor.dialogue(run), on_facts, metered=gate is not None)
    if gate is not None:
        conversation.seen.price = gate.books.budget.price
        gate.books.tell(conversation.meter)
    kept, argv = behind_loopback(_under(profile, line), line.argv, line.forwards, egress=egress)
    _put_files(profile, run.state_dir, line)
    printed = _Printed(redactor, conversation, on_output)
    speaking = asyncio.ensure_future(conversation.speak(steering.messages))
    telling = asyncio.ensure_future(conversation.tell_metered())
    try:
        ending = await run_child(
            argv,
            kept,
            watch=replace(watch, stop=vendor.stop),
            on_stdout=printed.on_stdout,
            on_stderr=printed.on_stderr,
            stdin=conversation.input,
            cancel=steering.cancel,
            finished=conversation.finished,
        )
    finally:
        speaking.cancel()
        telling.cancel()
        if gate is not None:
            await gate.quiet()
    await printed.end()
    ending = replace(ending, stderr_tail=printed.stderr_tail)
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
        hidden=printed.hidden,
    )


def _under(profile: Profile, line: CommandLine) -> Profile:
    env, binds = dict(profile.env) | dict(line.env), (*profile.binds, *line.binds)
    return replace(profile, env=env, binds=binds, network=line.network)


def _put_files(profile: Profile, state_dir: str, line: CommandLine) -> None:
    """Into the folder of the host that is seen inside as `state_dir`."""
    folder = next((bind.source for bind in reversed(profile.binds) if bind.inside == state_dir), Path(state_dir))
    try:
        put_files(folder, line.files)
    except OSError as error:
        raise ChildNotStarted(f"the agent's home cannot be written: {error}") from error


class _Printed:
    """What the program prints, on its way to whoever reads it. Secrets stay behind."""

    def __init__(self, redactor: Redactor, conversation: _Conversation, on_output: OnOutput) -> None:
        self.stderr_tail = b""
        self._stdout, self._stderr = redactor.stream(), redactor.stream()
        self._conversation = conversation
        self._on_output = on_output

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(self._stdout.found | self._stderr.found)

    async def on_stdout(self, chunk: bytes) -> None:
        await self._heard(self._stdout.feed(chunk))

    async def on_stderr(self, chunk: bytes) -> None:
        await self._grumbled(self._stderr.feed(chunk))

    async def end(self) -> None:
        await self._heard(self._stdout.finish())
        await self._grumbled(self._stderr.finish())
        await self._conversation.end()

    async def _heard(self, said: bytes) -> None:
        if said:
            await self._on_output("stdout", said)
            await self._conversation.hear(said)

    async def _grumbled(self, said: bytes) -> None:
        if said:
            self.stderr_tail = (self.stderr_tail + said)[-STDERR_TAIL_BYTES:]
            await self._on_output("stderr", said)


class _Conversation:
    """Both directions of a run: the prompt and later messages in, facts out. `metered`: what it uses is told by `meter`, and
    the program's own word about single answers does not count."""

    def __init__(self, dialogue: Dialogue, on_facts: OnFacts, *, metered: bool) -> None:
        self.seen = Seen()
        self.splitter = LineSplitter()
        self.input = ChildInput()
        self.finished = asyncio.Event()
        self._dialogue = dialogue
        self._on_facts = on_facts
        self._is_metered = metered
        self._metered: asyncio.Queue[Usage] = asyncio.Queue()

    def meter(self, usage: Usage) -> None:
        """One answer of the model, as the gate has counted it."""
        self.seen.absorb(usage)
        self._metered.put_nowait(usage)

    async def tell_metered(self) -> None:
        """Pass on what is metered, until cancelled."""
        while True:
            await self._on_facts((await self._metered.get(),))

    async def speak(self, messages: asyncio.Queue[Message]) -> None:
        """The prompt, then whatever is said on the way, until the run has had its last word."""
        await self.input.send(self._dialogue.begin())
        while self._dialogue.listens and not self.finished.is_set():
            coming = asyncio.ensure_future(messages.get())
            over = asyncio.ensure_future(self.finished.wait())
            try:
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    await self._say(coming.result())
            finally:
                coming.cancel()
                over.cancel()
        await self.input.close()

    async def _say(self, message: Message) -> None:
        part = self._dialogue.say(message.text, message.id)
        if part is not None:
            await self.input.send(part)
        message.said(part is not None)

    async def hear(self, chunk: bytes) -> None:
        await self._take(self.splitter.feed(chunk))

    async def end(self) -> None:
        await self._take(self.splitter.finish())
        while not self._metered.empty():
            await self._on_facts((self._metered.get_nowait(),))

    async def _take(self, lines: list[bytes]) -> None:
        """Every line counts, and there may be ten thousands in one read: the others get their turn in between."""
        for at in range(0, len(lines), LINES_IN_A_ROW_MAX):
            if at:
                await asyncio.sleep(0)
            heard = [self._dialogue.hear(line) for line in lines[at : at + LINES_IN_A_ROW_MAX]]
            facts = tuple(fact for one in heard for fact in one.facts if not self._is_counted_elsewhere(fact))
            if reply := b"".join(one.reply for one in heard):
                await self.input.send(reply)
            self._absorb(facts)
            if facts:
                await self._on_facts(facts)

    def _is_counted_elsewhere(self, fact: AnyFact) -> bool:
        return self._is_metered and isinstance(fact, Usage)

    def _absorb(self, facts: tuple[AnyFact, ...]) -> None:
        for fact in facts:
            self.seen.absorb(fact)
            if isinstance(fact, Finished):
                self.finished.set()
            elif isinstance(fact, Started):
                self.finished.clear()  # a message that came in at the last moment has begun another turn
