"""OpenAI's Codex, headless: how it is started. Its output is read in `codex_output.py`, talked to in `codex_dialogue.py`.

The rule of this room: what is not said on the command line is codex's own default, and never the repo's. A repo's settings
count only in a folder that is trusted, and nothing here trusts one. Measured with 0.169.0.

A session is a folder of its own: codex names its threads itself, so that which thread belongs to a session of ours is where
it lies. That holds when the executor dies before anybody was told a name, and when a session is carried to another host.
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

from penstock_agent_exec.agents.codex_dialogue import AppServer
from penstock_agent_exec.agents.codex_output import ExecReader, verdict_of
from penstock_agent_exec.agents.codex_program import find_program, try_settings
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.state_files import find_files
from penstock_agent_exec.agents.vendor import (
    MODEL_PORT,
    NO_KEY,
    AgentRun,
    CommandLine,
    Dialogue,
    Forward,
    Monologue,
    RunRefused,
    Verdict,
)
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import DEFAULT_PATH, Bind

Mode: TypeAlias = Literal["app-server", "exec"]
"""`app-server` is talked to while it works and names its errors; `exec` takes one prompt and tells them in English. Where a
release breaks the first, the second is there."""

SERVER_ERROR_TRIES: Final = 2
"""Within a second or two. A limit is not tried again, and neither is a stream that broke: when to come back is decided
elsewhere, and codex would wait for as long as a `retry-after` says."""
MODEL_SILENCE_SECONDS: Final = 300

_APP_SERVER: Final = ("app-server", "--strict-config")

TOKEN_VARIABLE: Final = "PENSTOCK_MODEL_TOKEN"  # noqa: S105  a name
OPENAI_URL: Final = "https://api.openai.com/v1"

_SWITCHES: Final = {
    "analytics.enabled": "false",
    "check_for_update_on_startup": "false",
    "features.plugins": "false",  # else it fetches them from GitHub
    "features.apps": "false",
    "features.remote_plugin": "false",
    "features.goals": "false",  # else it may go on by itself after its last word
    "features.multi_agent": "false",
    "features.hooks": "false",
    "features.image_generation": "false",
    "features.unbounded_connection_retries": "false",  # else it waits for ever where nobody answers
    "features.shell_snapshot": "false",
    "skills.bundled.enabled": "false",
    "web_search": '"disabled"',  # the vendor's servers would fetch what an agent without a network may not
    "history.persistence": '"none"',
    "approval_policy": '"never"',
    "shell_environment_policy.inherit": '"all"',
    "shell_environment_policy.exclude": json.dumps([TOKEN_VARIABLE]),
}

_SESSION_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,99}")

# An unknown thread that is named is an error; `--last` would begin a new one and say nothing. The names end in the thread's id,
# and sort by when it began.
_RESUME: Final = """
for file in "$CODEX_HOME"/sessions/*/*/*/rollout-*.jsonl; do [ -e "$file" ] && last=$file; done
[ -n "$last" ] || { echo 'no rollout found for this session' >&2; exit 1; }
name=${last##*/}; name=${name%.jsonl}
exec "$@" "$(printf %s "$name" | tail -c 36)" -
"""


@dataclass(frozen=True, slots=True)
class Codex:
    """Codex at `program`, a native executable of `version`."""

    program: Path
    version: str
    mode: Mode = "app-server"

    name = "codex"

    @property
    def stop(self) -> tuple[StopStep, ...]:
        """Its session is on disk whenever it ends; a command that it runs ends with the sandbox."""
        match self.mode:
            case "app-server":
                return (StopStep(signal.SIGTERM, 5.0),)
            case "exec":
                return (StopStep(signal.SIGINT, 5.0), StopStep(signal.SIGTERM, 2.0))
            case _:
                assert_never(self.mode)

    def command(self, run: AgentRun) -> CommandLine:
        """Raises RunRefused."""
        home = _home_of(run.session_id)
        env = {
            "HOME": run.state_dir,
            "CODEX_HOME": f"{run.state_dir}/{home}",
            "USER": "agent",
            "LOGNAME": "agent",
            "PATH": DEFAULT_PATH,
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            TOKEN_VARIABLE: NO_KEY if run.gate_socket is not None else run.token.reveal(),
        }
        return CommandLine(
            argv=self._argv(run),
            env=env,
            binds=(Bind(_package(self.program)),),
            forwards=() if run.gate_socket is None else (Forward(MODEL_PORT, run.gate_socket),),
            # The folder must be there; and whatever an earlier run has written into its settings decides nothing.
            files={f"{home}/config.toml": b""},
            network=run.gate_socket is None,
        )

    def _argv(self, run: AgentRun) -> tuple[str, ...]:
        settings = _settings(f"{run.gate_url}/v1" if run.gate_socket is not None else run.base_url or OPENAI_URL)
        program = str(self.program)
        match self.mode:
            case "app-server":
                return (program, *_APP_SERVER, *settings)
            case "exec":
                model = ("-m", run.model) if run.model else ()
                given = ("--json", "--skip-git-repo-check", "--strict-config", *model, *settings)
                given = (*given, "-c", 'sandbox_mode="danger-full-access"')
                if run.resume:
                    return ("/bin/sh", "-c", _RESUME, "sh", program, "exec", "resume", *given)
                return (program, "exec", *given, "-")
            case _:
                assert_never(self.mode)

    def dialogue(self, run: AgentRun) -> Dialogue:
        """A new one for each run."""
        match self.mode:
            case "app-server":
                return AppServer(run)
            case "exec":
                return Monologue(run.prompt.encode(), ExecReader(run).parse)
            case _:
                assert_never(self.mode)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the run came to."""
        return verdict_of(run, seen, ending, self.version)

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """Its home holds a thread."""
        return bool(self.session_files(state_dir, session_id))

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        """The threads themselves; everything else in its home is made anew from them."""
        if _SESSION_ID.fullmatch(session_id) is None:
            return ()
        return find_files(state_dir, f".codex/{session_id}/sessions/*/*/*/rollout-*.jsonl")


def find_codex(program: Path | None = None) -> Codex:
    """Codex at `program`, or on PATH. Blocks for some 0.5 s. Raises HostLacks with what to install, also for a release that does
    not know our settings: a switch that it did not heed would be none."""
    native, version = find_program(program)
    try_settings(native, (*_APP_SERVER, *_settings(OPENAI_URL)))
    return Codex(native, version)


def _home_of(session_id: str) -> str:
    """Of this session, below the state folder."""
    if _SESSION_ID.fullmatch(session_id) is None:
        raise RunRefused("agent.misused", f"not a session's id: {session_id[:100]!r}")
    return f".codex/{session_id}"


def _settings(base_url: str) -> tuple[str, ...]:
    """Words of the command line: `-c` and a name with its value in TOML, for each."""
    provider = {
        "name": '"penstock"',
        "base_url": json.dumps(base_url),
        "env_key": json.dumps(TOKEN_VARIABLE),
        "wire_api": '"responses"',
        "request_max_retries": str(SERVER_ERROR_TRIES),
        "stream_max_retries": "0",
        "stream_idle_timeout_ms": str(MODEL_SILENCE_SECONDS * 1000),
    }
    named = {f"model_providers.penstock.{name}": value for name, value in provider.items()}
    pairs = {"model_provider": '"penstock"'} | named | _SWITCHES
    return tuple(word for name, value in pairs.items() for word in ("-c", f"{name}={value}"))


def _package(program: Path) -> Path:
    """What the program needs beside it: its folder of tools, where it lies in one."""
    package = program.parent.parent
    return package if (package / "codex-package.json").is_file() else program
