"""Where the real Claude Code is, for tests that drive it: PENSTOCK_TEST_CLAUDE, PATH, or the project's node_modules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from penstock_agent_exec.agents.claude import Claude, find_claude

PROJECT = Path(__file__).parent.parent


def claude_path() -> str | None:
    """Where it is; None where there is none."""
    local = PROJECT / "node_modules" / ".bin" / "claude"
    return os.environ.get("PENSTOCK_TEST_CLAUDE") or shutil.which("claude") or (str(local) if local.exists() else None)


def claude_or_skip() -> Claude:
    """The real program; the test that asks is skipped, with what to do about it, where there is none."""
    path = claude_path()
    if path is None:
        pytest.skip(
            "Claude Code is not installed: npm install @anthropic-ai/claude-code@2.1.197, or set PENSTOCK_TEST_CLAUDE"
        )
    return find_claude(Path(path))
