"""Each of the four real programs mends a real package in the whole of Penstock, and looks round where it is while it does.

The other scenarios take minutes: `.ci/agents`, or PENSTOCK_LONG=1.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from agent_programs import agent_path
from agent_table.__main__ import PROGRAMS, play
from agent_table.scenarios import SCENARIOS, Scenario

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_800)]

PLAYED = SCENARIOS if os.environ.get("PENSTOCK_LONG") == "1" else SCENARIOS[:1]


@pytest.mark.parametrize("scenario", PLAYED, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_what_is_expected_of_a_program_is_seen(program: str, scenario: Scenario, tmp_path: Path) -> None:
    path = agent_path(program)
    if path is None:
        pytest.skip(f"{program} is not installed: let ./penstock test install it")
    (row,) = await play(program, path, [scenario], tmp_path)
    assert row["wrong"] == []
    assert row["seen"]
