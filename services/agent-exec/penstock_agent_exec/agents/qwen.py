"""Qwen Code, headless: how it is started, and where its program is found. Its output is read in `qwen_output.py`.

The rule of this room: a repo's own settings decide nothing. Without `--bare` the program runs the repo's hooks and servers, and
sends its key to whatever address the repo names, whatever else it is told. With it there are fewer tools and no settings file
at all; what is left is said by arguments and by the environment below. What only a settings file could say stays as it is: the
program signs commits as a co-author, and ends a shell command after two minutes, or up to ten where the model asks for them.
Measured with 0.24.4.
"""

from __future__ import annotations

import glob
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.node_program import NodeProgram, Wanted, find_node_program
from penstock_agent_exec.agents.plain_prompt import plain_prompt
from penstock_agent_exec.agents.qwen_output import QwenReader, verdict_of
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
    Verdict,
)
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import DEFAULT_PATH

WANTED: Final = Wanted(
    title="Qwen Code",
    command="qwen",
    package="@qwen-code/qwen-code",
    script="cli.js",  # not what npm links to: that one starts this one, and dies alone of a signal
    version_min=(0, 24, 4),
)

_WRITING_TOOLS: Final = ("edit", "write_file", "notebook_edit")

_SWITCHES: Final = {
    "QWEN_CODE_NO_RELAUNCH": "true",
    "QWEN_CODE_SUPPRESS_YOLO_WARNING": "1",
    "QWEN_USAGE_STATISTICS_ENABLED": "false",
    "QWEN_TELEMETRY_ENABLED": "false",
    "QWEN_SANDBOX": "false",  # ours is around it
    "QWEN_SYSTEM_MD": "false",
    "QWEN_WRITE_SYSTEM_MD": "false",
    "NO_UPDATE_NOTIFIER": "1",
    "NODE_TLS_REJECT_UNAUTHORIZED": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "NO_COLOR": "1",
}
_EMPTY: Final = (
    "HTTPS_PROXY HTTP_PROXY ALL_PROXY https_proxy http_proxy all_proxy NODE_OPTIONS NODE_EXTRA_CA_CERTS BASH_ENV ENV "
    "LD_PRELOAD SANDBOX DEBUG QWEN_CODE_UNATTENDED_RETRY QWEN_TLS_INSECURE QWEN_SYSTEM_IDENTITY_MD "
    "QWEN_CODE_SYSTEM_SETTINGS_PATH QWEN_CODE_SYSTEM_DEFAULTS_PATH QWEN_CODE_IDE_SERVER_PORT "
    "QWEN_CODE_IDE_SERVER_STDIO_COMMAND DASHSCOPE_PROXY_BASE_URL"
)


@dataclass(frozen=True, slots=True)
class Qwen:
    """Qwen Code as `program`."""

    program: NodeProgram

    name = "qwen"
    # Either lets it end its tools and save its session, with exit code 130 and without a result.
    stop = (StopStep(signal.SIGINT, 10.0), StopStep(signal.SIGTERM, 5.0))

    @property
    def version(self) -> str:
        return self.program.version

    def command(self, run: AgentRun) -> CommandLine:
        """One headless run; the prompt goes over stdin, where neither its length nor its first character matters."""
        plain_prompt(run.prompt)  # said here: a run that cannot be made is not begun
        argv = [str(self.program.node), "--expose-gc", str(self.program.script), "--bare"]
        argv += ["--output-format", "stream-json", "--approval-mode", "yolo", "--auth-type", "openai"]
        if run.model:
            argv += ["--model", run.model]
        if run.max_turns is not None:
            argv += ["--max-session-turns", str(run.max_turns)]
        if run.reads_only:
            for tool in _WRITING_TOOLS:
                argv += ["--exclude-tools", tool]
        argv += ["--resume" if run.resume else "--session-id", run.session_id]
        socket = run.gate_socket
        return CommandLine(
            argv=tuple(argv),
            env=_environment(run),
            binds=self.program.binds,
            forwards=() if socket is None else (Forward(MODEL_PORT, socket),),
            network=socket is None,
        )

    def dialogue(self, run: AgentRun) -> Dialogue:
        """The prompt; nothing can be said later."""
        return Monologue(plain_prompt(run.prompt), QwenReader(resumed=run.resume).parse)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the run came to."""
        return verdict_of(run, seen, ending)

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """One file per session, in a folder named after the work's path."""
        return bool(self.session_files(state_dir, session_id))

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        """That one file is all of it. It names the work's path, and is of use only where that is the same."""
        return find_files(state_dir, f".qwen/projects/*/chats/{glob.escape(session_id)}.jsonl")


def find_qwen(program: Path | None = None) -> Qwen:
    """Qwen Code at `program`, or on PATH. Raises HostLacks with what to install."""
    return Qwen(find_node_program(WANTED, program))


def _environment(run: AgentRun) -> dict[str, str]:
    env = dict.fromkeys(_EMPTY.split(), "") | _SWITCHES
    env |= {
        "HOME": run.state_dir,
        "QWEN_HOME": f"{run.state_dir}/.qwen",
        "QWEN_RUNTIME_DIR": f"{run.state_dir}/.qwen",
        "USER": "agent",
        "LOGNAME": "agent",
        "PATH": DEFAULT_PATH,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "OPENAI_MODEL": run.model,
    }
    if run.gate_socket is not None:
        return env | {"OPENAI_API_KEY": NO_KEY, "OPENAI_BASE_URL": f"{run.gate_url}/v1"}
    return env | {"OPENAI_API_KEY": run.token.reveal(), "OPENAI_BASE_URL": run.base_url or "https://api.openai.com/v1"}
