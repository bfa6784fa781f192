"""What a vendor of coding agents is to this service: how to start its program, how to read it, and what to make of its end.

The rule of this room: pure functions over data. A vendor starts nothing, waits for nothing and keeps nothing; what a run has
said so far is in `Seen`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, assert_never

from msgspec import Struct

from penstock.settings import Secret
from penstock.values import Usage as UsageTotal
from penstock_agent_exec.agents.facts import AnyFact
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import Bind

Billing: TypeAlias = Literal["api", "subscription"]
Purpose: TypeAlias = Literal["agent", "plan", "compact"]
"""What a run is for: a change, or an answer to read. For the latter it may look at everything and change nothing."""

UNIX_PREFIX: Final = "unix:"


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
    def gate_socket(self) -> Path | None:
        """The socket that leads to the model, where that is the only way out."""
        if self.base_url is None or not self.base_url.startswith(UNIX_PREFIX):
            return None
        return Path(self.base_url.removeprefix(UNIX_PREFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """How to start a vendor's program. `binds` are what it needs to see besides the system, the work and the state."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    stdin: bytes = field(repr=False)
    binds: tuple[Bind, ...] = ()
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


class Vendor(Protocol):
    """One kind of agent program."""

    @property
    def name(self) -> str: ...

    @property
    def stop(self) -> tuple[StopStep, ...]:
        """How to end it so that it saves its session."""
        ...

    def command(self, run: AgentRun) -> CommandLine:
        """Raises RunRefused."""
        ...

    def message(self, text: str) -> bytes | None:
        """What to write to its input to say something while it runs; None where that cannot be done."""
        ...

    def parse(self, line: bytes) -> tuple[AnyFact, ...]:
        """What one line of its standard output says. Never raises."""
        ...

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the run came to."""
        ...


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
        case "exited":
            return "agent.crashed", True
        case never:
            assert_never(never)
