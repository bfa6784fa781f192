"""Claude Code, headless: how it is started, and where its program is found. Its output is read in `claude_output.py`.

The rule of this room: a repo's own settings decide nothing. Started without `--setting-sources user` the program runs the
repo's hooks and servers and sends its key to whatever address the repo names; so that flag, and the environment below, are
part of the sandbox. Measured with 2.1.197 and 2.1.330.
"""

from __future__ import annotations

import glob
import json
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.claude_output import parse_line, verdict_of
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.state_files import find_files
from penstock_agent_exec.agents.vendor import NO_KEY, AgentRun, CommandLine, Dialogue, Heard, HostLacks, Verdict
from penstock_agent_exec.process import Ending, StopStep
from penstock_agent_exec.sandbox import DEFAULT_PATH, Bind

VERSION_MIN: Final = (2, 1, 197)
VERSION_SECONDS_MAX: Final = 30.0
MODEL_RETRIES: Final = 2
TOOL_SECONDS: Final = 600
TOOL_SECONDS_MAX: Final = 1800
"""How long one shell command of the agent may take. It is silent meanwhile: a silence limit must be longer."""

_SETTINGS: Final = {"attribution": {"commit": "", "pr": ""}}

# What is not named is not offered, and what would have to be asked for is denied. Not plan mode: that tells the model to write
# its plan into a file and to call a tool that a headless run has not.
_READING: Final = ["--tools", "Read,Grep,Glob,Bash", "--permission-mode", "dontAsk"]

_SWITCHES: Final = {
    "IS_SANDBOX": "1",  # lets it skip its own questions when it runs as root
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_MAX_RETRIES": str(
        MODEL_RETRIES
    ),  # of itself ten times, three minutes; when to come back is decided elsewhere
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # else it may live on for ten minutes after its result, and begin again
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",  # `@/some/path` in a task's text would put that file into the prompt
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
    "BASH_DEFAULT_TIMEOUT_MS": str(TOOL_SECONDS * 1000),
    "BASH_MAX_TIMEOUT_MS": str(TOOL_SECONDS_MAX * 1000),
}


@dataclass(frozen=True, slots=True)
class Claude:
    """Claude Code at `program`, a native executable of `version`."""

    program: Path
    version: str

    name = "claude"
    # SIGINT lets it save its session and print a result; after SIGTERM an older one may go on with the next request.
    stop = (StopStep(signal.SIGINT, 10.0), StopStep(signal.SIGTERM, 5.0))

    def command(self, run: AgentRun) -> CommandLine:
        """One headless run; the prompt goes over stdin, where neither its length nor its first character matters."""
        argv = [str(self.program), "-p", "--output-format", "stream-json", "--input-format", "stream-json", "--verbose"]
        argv += _READING if run.reads_only else ["--dangerously-skip-permissions"]
        argv += ["--setting-sources", "user", "--strict-mcp-config"]
        argv += ["--settings", json.dumps(_SETTINGS)]
        if run.model:
            argv += ["--model", run.model]
        if run.max_turns is not None:
            argv += ["--max-turns", str(run.max_turns)]
        if run.max_cost_usd is not None and run.billing == "api":
            argv += ["--max-budget-usd", f"{run.max_cost_usd:.4f}"]
        argv += ["--resume" if run.resume else "--session-id", run.session_id]
        binds = [Bind(self.program)]
        if run.gate_socket is not None:
            binds.append(Bind(run.gate_socket))
        return CommandLine(
            argv=tuple(argv),
            env=_environment(run),
            binds=tuple(binds),
            network=run.gate_socket is None,
        )

    def dialogue(self, run: AgentRun) -> Dialogue:
        """The prompt, and whatever is said later, as lines of its streaming input."""
        return _Conversation(run.prompt)

    def verdict(self, run: AgentRun, seen: Seen, ending: Ending) -> Verdict:
        """What the run came to."""
        return verdict_of(run, seen, ending)

    def has_session(self, state_dir: Path, session_id: str) -> bool:
        """One file per session, in a folder named after the work's path."""
        return bool(self.session_files(state_dir, session_id))

    def session_files(self, state_dir: Path, session_id: str) -> tuple[Path, ...]:
        """That one file is all of it."""
        return find_files(state_dir, f".claude/projects/*/{glob.escape(session_id)}.jsonl")


class _Conversation:
    """Its streaming input stays open; a message is taken up with the next request of the same turn."""

    listens = True

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt

    def begin(self) -> bytes:
        return _user_line(self._prompt)

    def hear(self, line: bytes) -> Heard:
        return Heard(parse_line(line))

    def say(self, text: str, message_id: str) -> bytes | None:
        return _user_line(text)


def find_claude(program: Path | None = None) -> Claude:
    """Claude Code at `program`, or on PATH. Blocks for some 0.1 s. Raises HostLacks with what to install."""
    wanted = str(program) if program is not None else "claude"
    found = shutil.which(wanted)
    install = "npm install -g @anthropic-ai/claude-code@2.1.197 (or newer)"
    if found is None:
        raise HostLacks(f"Claude Code was not found as {wanted!r}: {install}, or name its program in the settings")
    native = Path(found).resolve()
    try:
        with native.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise HostLacks(f"{native} cannot be read: {error.strerror}") from error
    if head != b"\x7fELF":
        raise HostLacks(f"{native} is not Claude Code's native program: {install}")
    printed = _version_line(native)
    match = re.match(r"(\d+)\.(\d+)\.(\d+) \(Claude Code\)", printed)
    if match is None:
        raise HostLacks(f"{native} --version says {printed[:100]!r}, which is not Claude Code: {install}")
    if tuple(map(int, match.groups())) < VERSION_MIN:
        raise HostLacks(
            f"{native} is {printed.strip()}; {'.'.join(map(str, VERSION_MIN))} or newer is needed: {install}"
        )
    return Claude(native, ".".join(match.groups()))


def _version_line(program: Path) -> str:
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": DEFAULT_PATH, **_SWITCHES}
        argv = [str(program), "--version"]
        try:
            ended = subprocess.run(
                argv, env=env, cwd=home, capture_output=True, timeout=VERSION_SECONDS_MAX, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostLacks(f"{program} --version: {error}") from error
    return ended.stdout.decode(errors="replace")


def _environment(run: AgentRun) -> dict[str, str]:
    env = {
        "HOME": run.state_dir,
        "USER": "agent",
        "LOGNAME": "agent",
        "PATH": DEFAULT_PATH,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }
    env |= _SWITCHES
    if run.gate_socket is not None:
        # The host name is never looked up: the socket is where its plain HTTP goes, and the gate knows the real address.
        env |= {"ANTHROPIC_UNIX_SOCKET": str(run.gate_socket), "ANTHROPIC_BASE_URL": "http://model.invalid"}
        # A key always wins over a login: only the one that is to pay is there, and the program asks in its form.
        return env | {"ANTHROPIC_API_KEY" if run.billing == "api" else "CLAUDE_CODE_OAUTH_TOKEN": NO_KEY}
    if run.base_url is not None:
        env["ANTHROPIC_BASE_URL"] = run.base_url
    if run.token:
        env["ANTHROPIC_API_KEY" if run.billing == "api" else "CLAUDE_CODE_OAUTH_TOKEN"] = run.token.reveal()
    return env


def _user_line(text: str) -> bytes:
    # A first line that begins with a slash is taken for a command of the program's own.
    content = f"Task:\n{text}" if text.lstrip().startswith("/") else text
    line = {"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": None}
    return json.dumps(line).encode() + b"\n"
