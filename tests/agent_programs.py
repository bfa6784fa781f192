"""Where the real agent programs are, for tests that drive them: PENSTOCK_TEST_<NAME>, PATH, or the project's node_modules.

`./penstock test` installs all four there. The rule of this room: a test that asks for one that is not there is skipped, with
what to do about it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from penstock_agent_exec.agents.claude import Claude, find_claude
from penstock_agent_exec.agents.codex import Codex, find_codex
from penstock_agent_exec.agents.gemini import Gemini, find_gemini
from penstock_agent_exec.agents.qwen import Qwen, find_qwen

PROJECT: Final = Path(__file__).parent.parent


def agent_path(name: str) -> str | None:
    """Where it is; None where there is none."""
    local = PROJECT / "node_modules" / ".bin" / name
    given = os.environ.get(f"PENSTOCK_TEST_{name.upper()}")
    return given or shutil.which(name) or (str(local) if local.exists() else None)


def claude_or_skip() -> Claude:
    return find_claude(_or_skip("claude"))


def codex_or_skip() -> Codex:
    return find_codex(_or_skip("codex"))


def gemini_or_skip() -> Gemini:
    return find_gemini(_or_skip("gemini"))


def qwen_or_skip() -> Qwen:
    return find_qwen(_or_skip("qwen"))


def _or_skip(name: str) -> Path:
    if (path := agent_path(name)) is None:
        pytest.skip(f"{name} is not installed: let ./penstock test install it, or set PENSTOCK_TEST_{name.upper()}")
    return Path(path)
