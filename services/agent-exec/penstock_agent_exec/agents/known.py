"""Which vendors there are, and finding one on this host. The rule of this room: a new vendor is one more line here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.claude import find_claude
from penstock_agent_exec.agents.scripted import NAME as SCRIPTED
from penstock_agent_exec.agents.scripted import Scripted
from penstock_agent_exec.agents.vendor import HostLacks, Vendor

NAMES: Final = ("claude", "codex", "gemini", "qwen", SCRIPTED)
"""The agents that are known without any configuration."""


def find_vendor(name: str, *, program: Path | None = None, scripts: Path | None = None) -> Vendor:
    """The vendor `name` as this host has it, ready to run; `program` where it is not on PATH, `scripts` for the scripted one.

    May block for as long as a program needs to say its version. Raises HostLacks with what to install or to set.
    """
    match name:
        case "claude":
            return find_claude(program)
        case "codex" | "gemini" | "qwen":
            return _find(name, program)
        case _ if is_scripted(name):
            if scripts is None or not scripts.is_dir():
                raise HostLacks(f"the scripted agent has no directory of scripts: {scripts} is none")
            return Scripted(scripts, name)
        case _:
            raise HostLacks(f"this host has no agent named {name[:100]!r}; there are: {', '.join(NAMES)}")


def _find(name: str, program: Path | None) -> Vendor:
    try:
        module = importlib.import_module(f"penstock_agent_exec.agents.{name}")
    except ModuleNotFoundError as error:
        raise HostLacks(f"this version of Penstock cannot run {name} yet") from error
    found: Vendor = getattr(module, f"find_{name}")(program)
    return found


def is_scripted(name: str) -> bool:
    """Whether the scripted agent goes by this name: its own, or one that begins with it, to play a second vendor."""
    return name == SCRIPTED or name.startswith(f"{SCRIPTED}-")
