"""Gemini CLI, headless: how it is started, and where its program is found. Its output is read in `gemini_output.py`.

The rule of this room: a repo's own settings decide nothing. The program takes every variable that is not set already from a
`.env` in the work tree, whatever it is told; so each one that could lead its requests elsewhere, replace its instructions or
load code is set here, empty where it has no use. It trusts a work tree's hooks and servers only where a variable says so:
never set that one; `--skip-trust` is another thing. Measured with 0.61.0.
"""

from __future__ import annotations

import glob
import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.gemini_output import GeminiReader, verdict_of
from penstock_agent_exec.agents.node_program import NodeProgram, Wanted, find_node_program
from penstock_agent_exec.agents.plain_prompt import plain_prompt
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
from penstock_agent_exec.sandbox import DEFAULT_PATH

WANTED: Final = Wanted(
    title="Gemini CLI",
    command="gemini",
    package="@google/gemini-cli",
    script="bundle/gemini.js",
    version_min=(0, 61, 0),
)
MODEL_TRIES: Final = 2
TOOL_SILENCE_SECONDS: Final = 1_800
"""How long a shell command of the agent may print nothing. A silence limit on the run must be longer."""

SETTINGS_FILE: Final = ".gemini/settings.json"

_WRITING_TOOLS: Final = ["write_file", "replace", "save_memory"]

_SWITCHES: Final = {
    "GEMINI_CLI_NO_RELAUNCH": "true",  # else a second process does the work, and signals reach only the first
    "GEMINI_SANDBOX": "false",  # ours is around it
    "GEMINI_SYSTEM_MD": "false",
    "GEMINI_WRITE_SYSTEM_MD": "false",
    "NODE_TLS_REJECT_UNAUTHORIZED": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "COLORTERM": "truecolor",  # spares a warning on every run
    "NO_COLOR": "1",
}
_EMPTY: Final = (
    "HTTPS_PROXY HTTP_PROXY ALL_PROXY https_proxy http_proxy all_proxy NODE_OPTIONS NODE_EXTRA_CA_CERTS BASH_ENV ENV "
    "LD_PRELOAD SANDBOX CLOUD_SHELL DEBUG OTEL_EXPORTER_OTLP_ENDPOINT CODE_ASSIST_ENDPOINT GOOGLE_API_KEY "
    "GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_ACCESS_TOKEN GOOGLE_CLOUD_PROJECT GOOGLE_GENAI_API_VERSION "
    "GOOGLE_GENAI_USE_GCA GOOGLE_GENAI_USE_VERTEXAI GOOGLE_VERTEX_BASE_URL GEMINI_API_KEY_AUTH_MECHANISM "
    "GEMINI_CLI_ACTIVITY_LOG_TARGET GEMINI_CLI_CUSTOM_HEADERS GEMINI_CLI_EXP_AGENT GEMINI_CLI_IDE_SERVER_PORT "
    "GEMINI_CLI_IDE_SERVER_STDIO_ARGS GEMINI_CLI_IDE_SERVER_STDIO_COMMAND GEMINI_CLI_SYSTEM_DEFAULTS_PATH "
    "GEMINI_CLI_SYSTEM_SETTINGS_PATH GEMINI_CLI_TRUSTED_FOLDERS_PATH GEMINI_DEBUG_LOG_FILE GEMINI_EXP GEMINI_RESTRICTED_MODE "
    "GEMINI_TELEMETRY_ENABLED GEMINI_TELEMETRY_OUTFILE"
)


@dataclass(frozen=True, slots=True)
class Gemini:
    """Gemini CLI as `program`."""

    program: NodeProgram

    name = "gemini"
    # After either it ends at once, with exit code 0 and without a word; the turn at work is not in its session then.
    stop = (StopStep(signal.SIGINT, 5.0), StopStep(signal.SIGTERM, 5.0))

    @property
    def version(self) -> str:
        return self.program.version

    def command(self, run: AgentRun) -> CommandLine:
        """One headless run; the prompt goes over stdin, where neither its length nor its first character matters."""
        if run.billing == "subscription":
            raise RunRefused(
                "vendor.billing", "Gemini CLI is paid for with an API key here; a login speaks to another API"
            )
        plain_prompt(run.prompt)  # said here: a run that cannot be made is not begun
        # Not plan mode: it has no shell to look around with, and wants its plan written into a file.
        argv = [str(self.program.node), str(self.program.script), "--output-format", "stream-json"]
        argv += ["--approval-mode", "yolo", "--skip-trust", "--extensions", "none"]
        if run.model:
            argv += ["--model", run.model]  # else it asks another model which one to take, before each turn
        argv += ["--resume" if run.resume else "--session-id", run.session_id]
        socket = run.gate_socket
        return CommandLine(
            argv=tuple(argv),
            env=_environment(run),
            binds=self.program.binds,
            forwards=() if socket is None else (Forward(MODEL_PORT, socket),),
            files={SETTINGS_FILE: json.dumps(_settings(run)).encode()},
            network=socket is None,
        )

    def dialogue(self, run: AgentRun) -> Dialogue:
        """The prompt; nothing can be said later."""
        return Monologue(plain_prompt(run.prompt), GeminiReader(self.version).parse)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the run came to."""
        return verdict_of(run, seen, ending)

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """One file per session, in a folder named after the work's folder."""
        return bool(self.session_files(state_dir, session_id))

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        """That one file is all of it."""
        return find_files(state_dir, f".gemini/tmp/*/chats/session-*-{glob.escape(session_id[:8])}.jsonl")


def find_gemini(program: Path | None = None) -> Gemini:
    """Gemini CLI at `program`, or on PATH. Raises HostLacks with what to install."""
    return Gemini(find_node_program(WANTED, program))


def _settings(run: AgentRun) -> dict[str, object]:
    tools: dict[str, object] = {
        "shell": {"enableInteractiveShell": False, "inactivityTimeout": TOOL_SILENCE_SECONDS},
    }
    if run.reads_only:
        tools["exclude"] = _WRITING_TOOLS
    return {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        # When to come back is decided elsewhere: of itself it tries ten times, for four minutes, and says nothing meanwhile.
        "general": {
            "maxAttempts": MODEL_TRIES,
            "enableAutoUpdate": False,
            "enableAutoUpdateNotification": False,
            "sessionRetention": {"enabled": False},
            "plan": {
                "enabled": False
            },  # else the model may enter it in the middle of its work, and nobody can let it out
        },
        "model": {"maxSessionTurns": -1 if run.max_turns is None else run.max_turns},
        "tools": tools,
        "context": {"fileFiltering": {"enableRecursiveFileSearch": False}},
        "advanced": {"ignoreLocalEnv": True, "autoConfigureMemory": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "hooksConfig": {"enabled": False},
        "skills": {"enabled": False},
    }


def _environment(run: AgentRun) -> dict[str, str]:
    env = dict.fromkeys(_EMPTY.split(), "") | _SWITCHES
    env |= {
        "HOME": run.state_dir,
        "GEMINI_CLI_HOME": run.state_dir,
        "USER": "agent",
        "LOGNAME": "agent",
        "PATH": DEFAULT_PATH,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "GEMINI_MODEL": run.model,
    }
    if run.gate_socket is not None:
        return env | {"GEMINI_API_KEY": NO_KEY, "GOOGLE_GEMINI_BASE_URL": run.gate_url}
    return env | {"GEMINI_API_KEY": run.token.reveal(), "GOOGLE_GEMINI_BASE_URL": run.base_url or ""}
