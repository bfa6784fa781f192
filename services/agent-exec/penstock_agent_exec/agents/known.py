"""Which vendors there are, and finding one on this host. The rule of this room: a new vendor is one more line here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.claude import VERSION_MIN as CLAUDE_MIN
from penstock_agent_exec.agents.claude import find_claude
from penstock_agent_exec.agents.codex import find_codex
from penstock_agent_exec.agents.codex_program import VERSION_MIN as CODEX_MIN
from penstock_agent_exec.agents.gemini import WANTED as GEMINI
from penstock_agent_exec.agents.gemini import find_gemini
from penstock_agent_exec.agents.qwen import WANTED as QWEN
from penstock_agent_exec.agents.qwen import find_qwen
from penstock_agent_exec.agents.scripted import NAME as SCRIPTED
from penstock_agent_exec.agents.scripted import Scripted
from penstock_agent_exec.agents.vendor import HostLacks, Vendor

NAMES: Final = ("claude", "codex", "gemini", "qwen", SCRIPTED)
"""The agents that are known without any file that describes them."""

VERSIONS_MIN: Final = {
    "claude": CLAUDE_MIN,
    "codex": CODEX_MIN,
    "gemini": GEMINI.version_min,
    "qwen": QWEN.version_min,
}
"""Of the vendors' programs: what has been tried, and is known to do as it is told."""


def find_vendor(name: str, *, program: Path | None = None, scripts: Path | None = None) -> Vendor:
    """The vendor `name` as this host has it, ready to run; `program` where it is not on PATH, `scripts` for the scripted one.

    May block for as long as a program needs to say its version. Raises HostLacks with what to install or to set.
    """
    match name:
        case "claude":
            return find_claude(program)
        case "codex":
            return find_codex(program)
        case "gemini":
            return find_gemini(program)
        case "qwen":
            return find_qwen(program)
        case _ if is_scripted(name):
            if scripts is None or not scripts.is_dir():
                raise HostLacks(f"the scripted agent has no directory of scripts: {scripts} is none")
            return Scripted(scripts, name)
        case _:
            raise HostLacks(f"this host has no agent named {name[:100]!r}; there are: {', '.join(NAMES)}")


def is_scripted(name: str) -> bool:
    """Whether the scripted agent goes by this name: its own, or one that begins with it, to play a second vendor."""
    return name == SCRIPTED or name.startswith(f"{SCRIPTED}-")
