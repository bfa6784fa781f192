"""What a vendor of coding agents is to this service: how to start its program, how to read it, and what to make of its end.

The rule of this room: pure functions over data. A vendor starts nothing and waits for nothing. What a run has said so far is
in `Seen`; what its program's protocol must remember is in the `Dialogue` of that one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, assert_never

from msgspec import Struct

from penstock.settings import Secret
from penstock.values import Usage as UsageTotal
from penstock_agent_exec.agents.facts import AnyFact
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.loopback import Forward as Forward  # vendors name their forwards in the terms of this seam
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import Bind

Billing: TypeAlias = Literal["api", "subscription"]
Purpose: TypeAlias = Literal["agent", "plan", "compact"]
"""What a run is for: a change, or an answer to read. For the latter it may look at everything and change nothing."""

UNIX_PREFIX: Final = "unix:"
MODEL_PORT: Final = 8009
"""Where, on the loopback of a sandbox, a program that knows no unix sockets finds its model. Nobody else is there."""
NO_KEY: Final = "no-key-in-here"
"""Shown to a model gate, which throws it away. No program starts without something in its place."""


class HostLacks(Exception):
    """This host has not what the vendor's program needs. A fault of the host: no task is to blame, another host may do."""


class RunRefused(Exception):
    """This run cannot be made, on any host. `error_class` as in a Verdict."""

    def __init__(self, error_class: str, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRun:
    """One run of an agent, as its vendor must know it. Paths are paths inside.

    `session_id` is a UUID of our choosing; `resume` says that a run with it was begun before. `state_dir` is this task's private
    home. `base_url` is `unix:<path>` for a model gate's socket, an http(s) URL, or None for the vendor's own endpoint; only the
    first goes without a network. `token` is what the vendor's program shows as its key: a real one only where there is no gate.
    """

    prompt: str = field(repr=False)
    purpose: Purpose = "agent"
    session_id: str
    resume: bool = False
    attempt: int = 1
    model: str
    max_turns: int | None = None
    max_cost_usd: float | None = None
    state_dir: str
    work_dir: str
    base_url: str | None = None
    token: Secret = field(default=Secret(""))
    billing: Billing = "api"

    @property
    def reads_only(self) -> bool:
        return self.purpose != "agent"

    @property
    def gate_url(self) -> str:
        """Where the model gate is found on the loopback inside, by a command line that forwards `MODEL_PORT` to its socket."""
        return f"http://127.0.0.1:{MODEL_PORT}"

    @property
    def gate_socket(self) -> Path | None:
        """The socket that leads to the model, where that is the only way out."""
        if self.base_url is None or not self.base_url.startswith(UNIX_PREFIX):
            return None
        return Path(self.base_url.removeprefix(UNIX_PREFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """How to start a vendor's program. `binds` are what it needs to see besides the system, the work and the state; sockets
    that are forwarded to are bound by themselves. `forwards`: what listens on the sandbox's loopback on its behalf. `files`
    are put into the state folder first, named by their paths below it."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    binds: tuple[Bind, ...] = ()
    forwards: tuple[Forward, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    network: bool = False


class Verdict(Struct, frozen=True, kw_only=True):
    """What a run came to, as its vendor's output has it. Whether the repo has a usable change is for git to say.

    `error_class` is None exactly where `ok`. `transient`: the same run may well go through later. `usage.cost_usd` is what this
    run added, and None where that is not known or not charged. `answer` is the last word of a run that is `ok`, in full.
    """

    ok: bool
    error_class: str | None = None
    message: str = ""
    transient: bool = False
    resets_at: datetime | None = None
    session_id: str = ""
    vendor_version: str = ""
    usage: UsageTotal = UsageTotal()
    final_text: str = ""
    answer: str = ""


class Heard(NamedTuple):
    """What a line of output comes to: facts, and what the program's protocol wants written to its input in answer."""

    facts: tuple[AnyFact, ...] = ()
    reply: bytes = b""


class Dialogue(Protocol):
    """Both directions of one run, as its program speaks: what it said so far decides what is written next. No I/O here."""

    def begin(self) -> bytes:
        """What is written first."""
        ...

    def hear(self, line: bytes) -> Heard:
        """What one line of its standard output comes to. Never raises."""
        ...

    def say(self, text: str, message_id: str) -> bytes | None:
        """What to write to say something in the middle of the run. None where nothing can be said now: before it has begun,
        after its last word, or because its program takes no more than one prompt."""
        ...

    @property
    def listens(self) -> bool:
        """Whether the input stays open after `begin`, until the run has had its last word."""
        ...


class Vendor(Protocol):
    """One kind of agent program."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Of the program on this host; empty where it says none."""
        ...

    @property
    def stop(self) -> tuple[StopStep, ...]:
        """How to end it so that it saves its session."""
        ...

    def command(self, run: AgentRun) -> CommandLine:
        """Raises RunRefused."""
        ...

    def dialogue(self, run: AgentRun) -> Dialogue:
        """A new one for each run."""
        ...

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the run came to."""
        ...

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """Whether there is anything of this session to go on with in `state_dir`, a path of the host. Looks at names only: an
        agent wrote them."""
        ...

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        """What another host needs below its own `state_dir`, at the same place, to go on with the session; empty where there is
        nothing, or where it cannot be carried. Looks at names only."""
        ...


class Monologue:
    """The dialogue of a program that gets everything it is told at its start, on standard input, and prints facts by the line."""

    listens = False

    def __init__(self, first: bytes, parse: Callable[[bytes], tuple[AnyFact, ...]]) -> None:
        self._first = first
        self._parse = parse

    def begin(self) -> bytes:
        return self._first

    def hear(self, line: bytes) -> Heard:
        return Heard(self._parse(line))

    def say(self, text: str, message_id: str) -> bytes | None:
        return None


OUT_OF_MEMORY: Final = "env.out_of_memory"


def why_we_stopped(ending: Ending) -> tuple[str, bool]:
    """(class of the failure, transient) of a run that had no last word of its own."""
    match ending.why:
        case "wall_limit":
            return "agent.timeout", False
        case "silence_limit" | "lingered":
            return "agent.stalled", True
        case "output_limit":
            return "agent.output_limit", False
        case "cancelled":
            return "agent.interrupted", False
        case "memory_limit":
            return OUT_OF_MEMORY, False
        case "process_limit":
            return "agent.crashed", False
        case "exited":
            return (OUT_OF_MEMORY, False) if ending.out_of_memory else ("agent.crashed", True)
        case never:
            assert_never(never)
