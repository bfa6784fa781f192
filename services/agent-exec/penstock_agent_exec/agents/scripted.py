"""The scripted agent: it plays steps that an operator wrote down. No model is called, and it says so.

For the demo and for tests that need an agent to do exactly this. It is a real child in the real sandbox, so everything around a
vendor is exercised; only the thinking is missing.

The rule of this room: a task names a script, it never brings one. The name is looked up in the operator's directory.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct
from msgspec import field as struct_field

from penstock.bounds import NAME_PATTERN
from penstock_agent_exec.agents.facts import AnyFact, Garbage, shown
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, CommandLine, RunRefused, Verdict, why_we_stopped
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import DEFAULT_PATH, Bind, python_binds, python_program

PROGRAM: Final = Path(__file__).parent.parent / "scripted_agent.py"
SCRIPT_BYTES_MAX: Final = 4 * 1024 * 1024

Text: TypeAlias = Annotated[str, Meta(max_length=1_000_000)]
Path_: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=1_000, pattern=r"^(?!/)(?!.*(?:^|/)\.\.(?:/|$))[^\x00]*$")
]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**40)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86_400)]


class Step(Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    """One thing the scripted agent does. Done twice, each comes to the same, so a resumed attempt may begin again."""


class Say(Step, frozen=True, kw_only=True, tag="say"):
    """Print text."""

    text: Text


class Write(Step, frozen=True, kw_only=True, tag="write"):
    """Make a file, or write over it. `path` is relative to the work."""

    path: Path_
    content: Text


class Replace(Step, frozen=True, kw_only=True, tag="replace"):
    """Put `new` in the place of `old`; nothing where `new` is there already."""

    path: Path_
    old: Annotated[str, Meta(min_length=1, max_length=1_000_000)]
    new: Text


class Run(Step, frozen=True, kw_only=True, tag="run"):
    """Run a command; that it fails is a result, not a failure of the script."""

    argv: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=200)]


class Commit(Step, frozen=True, kw_only=True, tag="commit"):
    """Commit everything there is; nothing where nothing changed."""

    message: Text


class Sleep(Step, frozen=True, kw_only=True, tag="sleep"):
    """Wait, in silence."""

    seconds: Seconds


class Emit(Step, frozen=True, kw_only=True, tag="emit"):
    """Print `count` lines of `line_bytes` bytes."""

    count: Count
    line_bytes: Count = 200


class Hang(Step, frozen=True, kw_only=True, tag="hang"):
    """Wait for ever; `deaf` to the signals that ask nicely."""

    deaf: bool = False


class Fail(Step, frozen=True, kw_only=True, tag="fail"):
    """End as a failure of this class. `retry_after_seconds`: as a limit that ends then."""

    error_class: Annotated[str, Meta(pattern=r"^(vendor|agent)\.[a-z_]{1,40}$")] = struct_field(name="class")
    message: Text = "scripted failure"
    transient: bool = False
    retry_after_seconds: Seconds = 0.0


class Usage(Step, frozen=True, kw_only=True, tag="usage"):
    """Report turns and tokens as if a model had been used."""

    turns: Count = 1
    input_tokens: Count = 0
    output_tokens: Count = 0


AnyStep: TypeAlias = Say | Write | Replace | Run | Commit | Sleep | Emit | Hang | Fail | Usage
Steps: TypeAlias = Annotated[tuple[AnyStep, ...], Meta(max_length=1_000)]


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do at each attempt; attempts beyond the last do what the last one did."""

    attempts: Annotated[tuple[Steps, ...], Meta(min_length=1, max_length=100)]
    about: Text = ""


class _Order(Struct, frozen=True, kw_only=True):
    """What the program reads from its standard input."""

    session_id: str
    script: str
    steps: tuple[AnyStep, ...]


@dataclass(frozen=True, slots=True)
class Scripted:
    """The scripted agent, with its scripts in the directory `scripts`: `<name>.json`, named by a run's `model`."""

    scripts: Path

    name = "scripted"
    stop = (StopStep(signal.SIGINT, 2.0), StopStep(signal.SIGTERM, 2.0))

    def command(self, run: AgentRun) -> CommandLine:
        """The program with this attempt's steps on its standard input."""
        script = read_script(self.scripts, run.model)
        steps = script.attempts[min(max(run.attempt, 1), len(script.attempts)) - 1]
        order = _Order(session_id=run.session_id, script=run.model, steps=steps)
        return CommandLine(
            argv=(str(python_program()), "-I", "-S", str(PROGRAM)),
            env={"HOME": run.state_dir, "PATH": DEFAULT_PATH, "LANG": "C.UTF-8", "USER": "agent"},
            stdin=msgspec.json.encode(order),
            binds=(*python_binds(), Bind(PROGRAM)),
        )

    def message(self, text: str) -> bytes | None:
        """It listens to nobody."""
        return None

    def parse(self, line: bytes) -> tuple[AnyFact, ...]:
        """The program prints facts as they are; what a command of the script prints among them is garbage."""
        if not line.strip():
            return ()
        try:
            fact = msgspec.json.decode(line, type=AnyFact)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return (Garbage(text=shown(line)),)
        return (_bounded(fact),)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the script ended with; a result counts however the process ended, except where it was cancelled."""
        last = seen.finished
        ok = last is not None and not last.is_error and ending.why != "cancelled"
        error_class, transient = None, False
        if not ok and last is not None and last.is_error and last.kind:
            error_class, transient = last.kind, last.reason == "transient"
        elif not ok:
            error_class, transient = why_we_stopped(ending)
        resets_at = seen.limit.resets_at if seen.limit is not None and not ok else 0.0
        tail = shown(ending.stderr_tail.strip())
        message = "" if ok else (last.text if last is not None and last.is_error else "") or tail or ending.why
        return Verdict(
            ok=ok,
            error_class=error_class,
            message=shown(message),
            transient=transient,
            resets_at=datetime.fromtimestamp(resets_at, UTC) if 0 < resets_at < 2**32 else None,
            session_id=run.session_id,
            vendor_version=seen.started.vendor_version if seen.started is not None else "",
            usage=seen.usage(ending.wall_seconds, cost_known=True),
            final_text=seen.last_text,
        )


def read_script(scripts: Path, name: str) -> Script:
    """The script `name`. Raises RunRefused where there is none, or it is not a script."""
    path = scripts / f"{name}.json"
    if re.match(NAME_PATTERN, name) is None or not path.is_file():
        raise RunRefused("vendor.model_not_found", f"there is no script named {name[:100]!r} on this host")
    if path.stat().st_size > SCRIPT_BYTES_MAX:
        raise RunRefused("vendor.bad_request", f"the script {name} has more than {SCRIPT_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RunRefused("vendor.bad_request", f"the script {name} is not one: {error}") from error


def _bounded(fact: AnyFact) -> AnyFact:
    """`fact` with every text in it fit to be shown."""
    changes: dict[str, object] = {}
    for field in fact.__struct_fields__:
        value = getattr(fact, field)
        if isinstance(value, str):
            changes[field] = shown(value)
        elif isinstance(value, tuple):
            changes[field] = tuple(shown(item) for item in value[:100])
    return msgspec.structs.replace(fact, **changes)
