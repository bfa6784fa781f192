"""The agents of this machine, as far as a launcher must know them: their names, and what a user says of them in the environment.

The rule of this room: whether any of it is right is for the executor to say, and for its doctor; what cannot be read here is
passed on as it is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from penstock.bounds import NAME_PATTERN
from penstock_launcher.folder import default_path

KNOWN: Final = ("claude", "codex", "gemini", "qwen", "scripted")
SCRIPTED: Final = "scripted"
AGENTS_FILE: Final = "PENSTOCK_AGENTS_FILE"

_PAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "claude": ("PENSTOCK_ANTHROPIC_API_KEY", "PENSTOCK_CLAUDE_OAUTH_TOKEN"),
    "codex": ("PENSTOCK_OPENAI_API_KEY",),
    "gemini": ("PENSTOCK_GEMINI_API_KEY",),
    "qwen": ("PENSTOCK_QWEN_API_KEY",),
}
_APIS: Final = ("ANTHROPIC", "OPENAI", "GEMINI", "QWEN")
SETTINGS: Final = (
    *(f"PENSTOCK_{agent.upper()}_PATH" for agent in _PAYS),
    *(f"PENSTOCK_{api}_{what}" for api in _APIS for what in ("BASE_URL", "KEY_HEADER")),
    *(name for secrets in _PAYS.values() for secret in secrets for name in (secret, f"{secret}_FILE")),
    AGENTS_FILE,
)
"""What a user may set for the executor's agents."""

_PLAIN: Final = {
    "ANTHROPIC_API_KEY": "PENSTOCK_ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL": "PENSTOCK_ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN": "PENSTOCK_CLAUDE_OAUTH_TOKEN",
    "OPENAI_API_KEY": "PENSTOCK_OPENAI_API_KEY",
    "GEMINI_API_KEY": "PENSTOCK_GEMINI_API_KEY",
    "DASHSCOPE_API_KEY": "PENSTOCK_QWEN_API_KEY",
}
"""What the agents' own programs call it: taken where a user has it there and says nothing else."""


def every_vendor(environ: Mapping[str, str]) -> tuple[str, ...]:
    """All that tasks may ask for on this machine: the known ones, and those of the user's file."""
    return tuple(dict.fromkeys((*KNOWN, *_described(environ))))


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The executor's settings of its agents, that are not passed on as they stand."""
    chosen = [name for name in environ.get("PENSTOCK_VENDORS", "").split(",") if name]
    found = {"PENSTOCK_VENDORS": ",".join(dict.fromkeys((*chosen, SCRIPTED))) if chosen else ""}
    for plain, own in _PLAIN.items():
        if plain in environ and own not in environ and f"{own}_FILE" not in environ:
            found[own] = environ[plain]
    return found


def within_reach(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The known agents that seem to have their program and what pays for them."""
    given = {**environ, **settings(environ)}

    def has_both(agent: str) -> bool:
        program = given.get(f"PENSTOCK_{agent.upper()}_PATH") or shutil.which(agent, path=given.get("PATH"))
        return program is not None and any(given.get(name) or given.get(f"{name}_FILE") for name in _PAYS[agent])

    return (*(agent for agent in _PAYS if has_both(agent)), SCRIPTED)


def passed_on(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Variables of the user's that the file of agents passes on to them."""
    tables = _described(environ).values()
    lists = [table.get("pass_env") for table in tables if isinstance(table, dict)]
    return tuple(name for names in lists if isinstance(names, list) for name in names if isinstance(name, str))


def doctor(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Look at this machine as its executor would. Returns the exit code."""
    here = {"PENSTOCK_HOST": "local", "PENSTOCK_DATA_DIR": "/nonexistent"}  # neither is looked at
    if (scripts := default_path(environ) / "scripts").is_dir():
        here["PENSTOCK_SCRIPTS_DIR"] = str(scripts)
    command = [sys.executable, "-m", "penstock_agent_exec.doctor", *arguments]
    return subprocess.call(command, env={**here, **environ, **settings(environ)})


def _described(environ: Mapping[str, str]) -> dict[str, object]:
    path = environ.get(AGENTS_FILE, "")
    try:
        agents = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("agents") if path else None
    except (OSError, ValueError):
        return {}
    found = agents if isinstance(agents, dict) else {}
    return {name: table for name, table in found.items() if re.match(NAME_PATTERN, name)}
