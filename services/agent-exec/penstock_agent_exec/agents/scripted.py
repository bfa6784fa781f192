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

from penstock.bounds import MESSAGE_LENGTH_MAX, NAME_PATTERN, Usd
from penstock_agent_exec.agents.facts import ANSWER_LENGTH_MAX, AnyFact, Garbage, shown
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import (
    AgentRun,
    CommandLine,
    Dialogue,
    Heard,
    Monologue,
    Purpose,
    RunRefused,
    Verdict,
    why_we_stopped,
)
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import DEFAULT_PATH, Bind, python_binds, python_program

NAME: Final = "scripted"
PROGRAM: Final = Path(__file__).parent.parent / "scripted_agent.py"
INTERRUPTED: Final = "agent.interrupted"
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


class Wait(Step, frozen=True, kw_only=True, tag="wait"):
    """Wait, in silence, until there is a file of this name in the agent's home (`<data>/executor/tasks/<task>/home`), or
    `seconds` have passed; either way the next step comes."""

    file: Annotated[str, Meta(pattern=NAME_PATTERN)]
    seconds: Seconds = 60.0


class Listen(Step, frozen=True, kw_only=True, tag="listen"):
    """Wait until something was said to the running agent, and repeat it; the next step comes after `seconds` all the same.
    Only an attempt with such a step takes messages in the middle of its run."""

    seconds: Seconds = 60.0


class Fail(Step, frozen=True, kw_only=True, tag="fail"):
    """End as a failure of this class. `retry_after_seconds`: as a limit that ends then."""

    error_class: Annotated[str, Meta(pattern=r"^[a-z]{2,20}\.[a-z][a-z0-9_]{1,60}(?!\n)$")] = struct_field(name="class")
    message: Text = "scripted failure"
    transient: bool = False
    retry_after_seconds: Seconds = 0.0


class RateLimit(Step, frozen=True, kw_only=True, tag="rate_limit"):
    """End at a limit of the account: of requests, or of its usage `window`. It is over after `retry_after_seconds`, or at
    `resets_at`; with neither the vendor has not said when."""

    retry_after_seconds: Seconds = 0.0
    resets_at: Annotated[datetime, Meta(tz=True)] | None = None
    window: bool = False
    message: Text = "scripted limit"


class TurnLimit(Step, frozen=True, kw_only=True, tag="turn_limit"):
    """End because the turns are used up; the session can be gone on with."""


class ContextFull(Step, frozen=True, kw_only=True, tag="context_full"):
    """End because the session has become too long for the model."""


class Usage(Step, frozen=True, kw_only=True, tag="usage"):
    """Report what a model would have used, at once. `cost_usd`: null where it is not known, which it then stays."""

    turns: Count = 1
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cost_usd: Usd | None = 0.0


class Plan(Step, frozen=True, kw_only=True, tag="plan"):
    """Answer with this plan; what is in it is not looked at here."""

    plan: dict[str, object]


class Summary(Step, frozen=True, kw_only=True, tag="summary"):
    """Answer with this summary."""

    text: Text


class Decision(Step, frozen=True, kw_only=True, tag="decision"):
    """Say that a person has to decide; the next step comes all the same."""

    subject: Text
    question: Text
    options: Annotated[tuple[Text, ...], Meta(max_length=20)] = ()


AnyStep: TypeAlias = (
    Say
    | Write
    | Replace
    | Run
    | Commit
    | Sleep
    | Wait
    | Listen
    | Emit
    | Hang
    | Fail
    | RateLimit
    | TurnLimit
    | ContextFull
    | Usage
    | Plan
    | Summary
    | Decision
)
Steps: TypeAlias = Annotated[tuple[AnyStep, ...], Meta(max_length=1_000)]


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs a case is for; what is left out says nothing. `run`: an attempt, or a plan or a summary that is asked for.
    `vendor`: the name under which the scripted agent was asked for. `resumed`: whether a session is gone on with."""

    run: Purpose = "agent"
    attempt: Count | None = None
    vendor: str | None = None
    resumed: bool | None = None
    prompt_contains: Text = ""

    def fits(self, run: AgentRun, vendor: str) -> bool:
        return (
            self.run == run.purpose
            and self.attempt in (None, run.attempt)
            and self.vendor in (None, vendor)
            and self.resumed in (None, run.resume)
            and self.prompt_contains in run.prompt
        )


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps for some of the runs."""

    when: When = When()
    steps: Steps


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do: the first case that fits the run, or else what stands there for the attempt. Attempts beyond the last do
    what the last one did."""

    cases: Annotated[tuple[Case, ...], Meta(max_length=100)] = ()
    attempts: Annotated[tuple[Steps, ...], Meta(min_length=1, max_length=100)] = ()
    about: Text = ""

    def steps(self, run: AgentRun, vendor: str) -> tuple[AnyStep, ...] | None:
        """The steps for this run; None where the script has nothing for it."""
        for case in self.cases:
            if case.when.fits(run, vendor):
                return case.steps
        if run.purpose != "agent" or not self.attempts:
            return None
        return self.attempts[min(max(run.attempt, 1), len(self.attempts)) - 1]


class _Order(Struct, frozen=True, kw_only=True):
    """What the program reads from its standard input."""

    session_id: str
    script: str
    steps: tuple[AnyStep, ...]


@dataclass(frozen=True, slots=True)
class Scripted:
    """The scripted agent, with its scripts in the directory `scripts`: `<name>.json`, named by a run's `model`. `name` may be
    another one than its own, so that there is a second vendor to go over to."""

    scripts: Path
    name: str = NAME

    version = ""
    stop = (StopStep(signal.SIGINT, 2.0), StopStep(signal.SIGTERM, 2.0))

    def command(self, run: AgentRun) -> CommandLine:
        """The program with this attempt's steps on its standard input."""
        self._order(run)
        return CommandLine(
            argv=(str(python_program()), "-I", "-S", str(PROGRAM)),
            env={"HOME": run.state_dir, "PATH": DEFAULT_PATH, "LANG": "C.UTF-8", "USER": "agent"},
            binds=(*python_binds(), Bind(PROGRAM)),
        )

    def dialogue(self, run: AgentRun) -> Dialogue:
        """It is told everything at its start, and more where its script listens. Raises RunRefused as `command` does."""
        order = self._order(run)
        first = msgspec.json.encode(order) + b"\n"
        return (
            _Listener(first) if any(isinstance(step, Listen) for step in order.steps) else Monologue(first, parse_line)
        )

    def _order(self, run: AgentRun) -> _Order:
        steps = read_script(self.scripts, run.model).steps(run, self.name)
        if steps is None:
            raise RunRefused("vendor.bad_request", f"the script {run.model} has nothing for this run ({run.purpose})")
        return _Order(session_id=run.session_id, script=run.model, steps=steps)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the script ended with; a result counts however the process ended, except where it was cancelled."""
        last = seen.finished
        ok = last is not None and not last.is_error and ending.why != "cancelled"
        error_class, transient = None, False
        ended_by_itself = ending.why == "exited" or (last is not None and last.kind != INTERRUPTED)
        if not ok and ended_by_itself and last is not None and last.is_error and last.kind:
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
            answer=(last.answer or seen.last_text) if last is not None and ok else "",
        )

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """Always: it remembers nothing, and so has nothing to lose."""
        return True

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        return ()


def parse_line(line: bytes) -> tuple[AnyFact, ...]:
    """The program prints facts as they are; what a command of the script prints among them is garbage."""
    if not line.strip():
        return ()
    try:
        fact = msgspec.json.decode(line, type=AnyFact)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return (Garbage(text=shown(line)),)
    return (_bounded(fact),)


class _Listener:
    """The dialogue of a script that listens: a line of JSON for whatever is said."""

    listens = True

    def __init__(self, first: bytes) -> None:
        self._first = first

    def begin(self) -> bytes:
        return self._first

    def hear(self, line: bytes) -> Heard:
        return Heard(parse_line(line))

    def say(self, text: str, message_id: str) -> bytes | None:
        return msgspec.json.encode(text) + b"\n"


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
            changes[field] = shown(value, ANSWER_LENGTH_MAX if field == "answer" else MESSAGE_LENGTH_MAX)
        elif isinstance(value, tuple):
            changes[field] = tuple(shown(item) for item in value[:100])
    return msgspec.structs.replace(fact, **changes)
