"""An agent that a file describes: how its program is found and started, and what its end means.

The rule of this room: nothing is known here of any program. What a run came to is said by its exit code and the rules of its
file; where these are silent, it is not a success.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from penstock.values import Usage as UsageTotal
from penstock_agent_exec.agents.api_errors import class_of_refusal
from penstock_agent_exec.agents.facts import RateLimited, VendorError, shown
from penstock_agent_exec.agents.generic_file import OK, Argv, Described
from penstock_agent_exec.agents.generic_listen import Listening, in_text
from penstock_agent_exec.agents.generic_rules import fact_of
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.state_files import find_files
from penstock_agent_exec.agents.vendor import (
    MODEL_PORT,
    NO_KEY,
    AgentRun,
    CommandLine,
    Dialogue,
    Forward,
    HostLacks,
    RunRefused,
    Verdict,
    why_we_stopped,
)
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.output import readable
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import DEFAULT_PATH, Bind

ARGUMENT_BYTES_MAX: Final = 128 * 1024 - 1
"""What Linux takes as one argument, without the zero at its end."""
VERSION_SECONDS_MAX: Final = 30.0
TRANSIENT: Final = frozenset(
    {"vendor.rate_limit", "vendor.usage_window", "vendor.overloaded", "vendor.unavailable", "agent.crashed"}
)
"""Classes of failure after which the same run may well go through later."""

_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OURS: Final = re.compile(r"\{(state_dir|work_dir|base_url|token)\}")

Values: TypeAlias = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Generic:
    """The agent `described`, with its program at `program`; `passed_on` are variables of this host's that it is to have."""

    described: Described
    program: Path
    version: str = ""
    passed_on: Mapping[str, str] = field(default_factory=dict, repr=False)
    clock: Callable[[], float] = time.time

    @property
    def name(self) -> str:
        return self.described.name

    @property
    def stop(self) -> tuple[StopStep, ...]:
        return tuple(StopStep(signal.Signals[one.signal], one.grace_seconds) for one in self.described.table.stop)

    def command(self, run: AgentRun) -> CommandLine:
        """Its arguments, environment and way to the model, as the file has them. Raises RunRefused."""
        described, table = self.described, self.described.table
        argv = (described.reading_argv if run.reads_only else ()) or described.argv
        values = _values(run, self.described)
        gated = run.gate_socket if table.model is not None else None
        return CommandLine(
            argv=(str(self.program), *_filled(described.resume_argv if run.resume else argv, values)),
            env=self._environment(run, values),
            binds=tuple(Bind(Path(path)) for path in dict.fromkeys((str(self.program), *table.visible))),
            forwards=(Forward(MODEL_PORT, gated),) if gated is not None else (),
            network=table.model is not None and gated is None,
        )

    def dialogue(self, run: AgentRun) -> Dialogue:
        """The prompt at the start, where it goes over stdin; nothing can be said later."""
        table = self.described.table
        first = run.prompt.encode() if table.prompt == "stdin" else b""
        return Listening(first, table.output, self.described.rules, self.clock)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """Well where its exit code and its rules say so, and nothing ended it before."""
        end = self._end(seen, ending)
        # Whoever has had the last word and would not go was ended by us, and its exit code with it.
        by_itself = ending.why == "exited" or (ending.why == "lingered" and seen.finished is not None)
        ok = end.is_good and by_itself
        error_class, transient = (None, False) if ok else _failure(end, ending)
        resets_at = end.limit.resets_at if end.limit is not None and not ok else 0.0
        said = (seen.finished.answer if seen.finished is not None else "") or seen.said
        return Verdict(
            ok=ok,
            error_class=error_class,
            message="" if ok else _message(end, seen, ending),
            transient=transient,
            resets_at=datetime.fromtimestamp(resets_at, UTC) if resets_at else None,
            session_id=_session(run, seen),
            vendor_version=self.version or (seen.started.vendor_version if seen.started is not None else ""),
            usage=_usage(run, seen, ending),
            final_text=shown(said),
            answer=said if ok else "",
        )

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """Where the file says how to go on with one; and its files are there, where it says which they are."""
        table = self.described.table
        if not self.described.resume_argv or not session_id:
            return False
        return not table.session_files or bool(self.session_files(state_dir, session_id))

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        """Those that the file names."""
        if _SESSION.fullmatch(session_id) is None:
            return ()
        patterns = (pattern.replace("{session_id}", session_id) for pattern in self.described.table.session_files)
        return tuple(path for pattern in patterns for path in find_files(state_dir, pattern))

    def _environment(self, run: AgentRun, values: Values) -> dict[str, str]:
        env = {"HOME": run.state_dir, "USER": "agent", "LOGNAME": "agent", "PATH": DEFAULT_PATH, "LANG": "C.UTF-8"}
        env |= {"TERM": "dumb", **self.passed_on}
        for name, template in self.described.table.env.items():
            if template[:1] + template[-1:] == "{}" and template[1:-1] in values:
                if (value := values[template[1:-1]]) is not None:
                    env[name] = value
            else:
                env[name] = _OURS.sub(lambda found: values[found[1]] or "", template)
        return env

    def _end(self, seen: Seen, ending: Ending) -> _End:
        """What its exit code means, and what it said went wrong: in its output, or where that is silent in its errors."""
        code = ending.exit_code
        meaning = self.described.exit_codes.get(code, "") if code is not None else ""
        limit = seen.limit if seen.limit is not None and seen.limit.refused else None
        if ending.why == "lingered" and seen.finished is not None:
            meaning = OK
        end = _End(meaning, seen.error, limit, is_good=False)
        if meaning == OK and seen.finished is not None:
            return end._replace(is_good=True)
        if end.error is None and end.limit is None:
            for line in readable(ending.stderr_tail).splitlines():
                end = end.with_facts(self._stderr_facts(line))
        finishes = any(rule.says == "finished" for rule in self.described.rules)
        return end._replace(is_good=meaning == OK and not finishes and end.error is None and end.limit is None)

    def _stderr_facts(self, line: str) -> list[object]:
        return [fact_of(rule, taken, self.clock) for rule, taken in in_text(self.described.stderr_rules, line)]


class _End(NamedTuple):
    meaning: str
    error: VendorError | None
    limit: RateLimited | None
    is_good: bool

    def with_facts(self, facts: list[object]) -> _End:
        """The first error and the first limit count."""
        error = next((fact for fact in facts if isinstance(fact, VendorError)), None)
        limit = next((fact for fact in facts if isinstance(fact, RateLimited)), None)
        return self._replace(error=self.error or error, limit=self.limit or limit)


def _failure(end: _End, ending: Ending) -> tuple[str, bool]:
    if ending.why not in ("exited", "lingered"):
        return why_we_stopped(ending)
    if end.limit is not None:
        return end.limit.kind or "vendor.rate_limit", True
    if end.error is not None:
        kind = end.error.kind
        return (kind, kind in TRANSIENT) if kind else class_of_refusal(end.error.status, end.error.message)
    if end.meaning and end.meaning != OK:
        return end.meaning, end.meaning in TRANSIENT
    return ("vendor.bad_answer", True) if end.meaning == OK else why_we_stopped(ending)


def _message(end: _End, seen: Seen, ending: Ending) -> str:
    said = end.error.message if end.error is not None else ""
    tail = ending.stderr_tail.strip()
    said = said or (shown(tail) if tail else "") or seen.garbage or seen.last_text
    return shown(f"{said or 'it said nothing'} ({ending.why}, exit code {ending.exit_code})")


def _session(run: AgentRun, seen: Seen) -> str:
    said = (seen.finished.session_id if seen.finished else "") or (seen.started.session_id if seen.started else "")
    return said or run.session_id


def _usage(run: AgentRun, seen: Seen, ending: Ending) -> UsageTotal:
    """The total where it says one, and never less than what was counted on the way."""
    total, counted = seen.usage(ending.wall_seconds, cost_known=True), seen.so_far(ending.wall_seconds)
    costs = [cost for cost in (total.cost_usd, counted.cost_usd) if cost is not None]
    cost_usd = max(costs, default=None) if run.billing == "api" else None
    return replace(total, turns=max(total.turns, counted.turns), cost_usd=cost_usd)


def _values(run: AgentRun, described: Described) -> Values:
    """What stands for each placeholder; None where there is nothing. Raises RunRefused."""
    for what, value in (("model", run.model), ("session", run.session_id)):
        if value.startswith("-"):
            raise RunRefused("vendor.bad_request", f"the name of a {what} does not begin with a dash: {value[:100]!r}")
    prompt = run.prompt.replace("\x00", "")
    if described.table.prompt == "argument" and len(prompt.encode()) > ARGUMENT_BYTES_MAX:
        raise RunRefused(
            "vendor.context_overflow",
            f"{described.name} takes its prompt as an argument, which has at most {ARGUMENT_BYTES_MAX} bytes; "
            f"this one has {len(prompt.encode())}",
        )
    base_url = run.base_url
    if described.table.model is not None and run.gate_socket is not None:
        base_url = run.gate_url + Dialect(described.table.model.dialect).path_inside
    return {
        "prompt": prompt,
        "model": run.model or None,
        "session_id": run.session_id or None,
        "max_turns": None if run.max_turns is None else str(run.max_turns),
        "state_dir": run.state_dir,
        "work_dir": run.work_dir,
        "base_url": base_url,
        "token": NO_KEY if run.gate_socket is not None else run.token.reveal(),
    }


def _filled(template: Argv, values: Values) -> tuple[str, ...]:
    """The arguments; a group is left out where one of its placeholders has no value."""
    words: list[str] = []
    for group in template:
        filled = [_value(word, values) for word in group]
        words += [word for word in filled if word is not None] if None not in filled else []
    return tuple(words)


def _value(word: str, values: Values) -> str | None:
    name = word[1:-1]
    return values[name] if word == f"{{{name}}}" and name in values else word


def find_generic(described: Described, environ: Mapping[str, str]) -> Generic:
    """The program that the file names, as this host has it. Blocks while it says its version. Raises HostLacks."""
    table = described.table
    found = shutil.which(table.program)
    if found is None:
        raise HostLacks(
            f"{table.program!r} was not found: install it, or name it by an absolute path in the file of agents"
        )
    if missing := next((path for path in table.visible if not Path(path).exists()), None):
        raise HostLacks(f"{missing}, which the file of agents says it needs to see, is not there")
    program = Path(found).resolve()
    passed_on = {name: environ[name] for name in table.pass_env if name in environ}
    return Generic(described, program, _version(described, program), passed_on)


def _version(described: Described, program: Path) -> str:
    """Raises HostLacks where it is too old, or says none although one is wanted."""
    check, pattern = described.table.version, described.version
    if check is None or pattern is None:
        return ""
    asked = " ".join((str(program), *check.argv))
    with tempfile.TemporaryDirectory() as home:
        try:
            ended = subprocess.run(
                [str(program), *check.argv],
                env={"HOME": home, "PATH": described.table.env.get("PATH", DEFAULT_PATH)},
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=VERSION_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostLacks(f"{asked}: {error}") from error
    printed = readable(ended.stdout)
    if (match := pattern.find(printed)) is None:
        raise HostLacks(f"{asked} says {printed.strip()[:100]!r}, in which there is no version")
    version = match[0]
    if check.minimum and _numbers(version) < _numbers(check.minimum):
        raise HostLacks(f"{program} is {version}; {check.minimum} or newer is needed")
    return shown(version, 100)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:6])
