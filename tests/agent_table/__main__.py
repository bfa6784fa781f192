"""`python -m agent_table [--only codex,qwen] [--scenario 429] [--json]`: the four real programs, each in every scenario, in
the whole of Penstock: a broker, a database, four services, a sandbox, a git remote, and a model that follows a script.

Prints one table: what was expected and what was seen. Ends with 1 where something was not as expected.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, TypedDict

from agent_programs import agent_path
from fake_model import FakeModel, Say, script
from real_package import repository
from whole import whole

from agent_table.scenarios import SCENARIOS, Scenario
from agent_table.stand import Stand, add_repo

PROGRAMS: Final = ("claude", "codex", "gemini", "qwen")


class Row(TypedDict):
    """One scenario of one program."""

    program: str
    scenario: str
    expected: str
    good: bool
    wrong: list[str]
    seen: list[str]
    wall_seconds: float


async def play(vendor: str, program: str, scenarios: list[Scenario], folder: Path) -> list[Row]:
    rows: list[Row] = []
    for number, scenario in enumerate(scenarios):
        began = time.monotonic()
        place = folder / f"{vendor}{number}"
        async with (
            FakeModel(script(Say("nothing yet"))) as model,
            whole(place / "w", model_url=model.base_url, programs={vendor: program}) as house,
        ):
            stand = Stand(vendor, house, model, repository(place / "pygments"))
            await add_repo(stand)
            said = ""
            try:
                await scenario.play(stand)
            except (AssertionError, TimeoutError, ValueError, LookupError) as error:
                said = str(error) or type(error).__name__
            wrong = [what for what, good in stand.checks if not good] + [said] * bool(said)
            seen = stand.seen
        row = Row(
            program=vendor,
            scenario=scenario.name,
            expected=scenario.expected,
            good=not wrong,
            wrong=wrong,
            seen=seen,
            wall_seconds=round(time.monotonic() - began, 1),
        )
        rows.append(row)
        show(row)
    return rows


def show(row: Row) -> None:
    print(
        f"{'as expected' if row['good'] else 'NOT AS EXPECTED':16} {row['program']:7} {row['scenario']:13} {row['expected']}"
    )
    for line in (*row["seen"], *(f"not so: {one}" for one in row["wrong"])):
        print(f"{'':25}{line[:3_000]}")
    sys.stdout.flush()


def table(rows: list[Row]) -> str:
    """Program by scenario."""
    names = [scenario.name for scenario in SCENARIOS]
    found = {(row["program"], row["scenario"]): row for row in rows}
    lines = ["", f"{'':8}" + "".join(f"{name:>14}" for name in names)]
    for program in PROGRAMS:
        cells = (found.get((program, name)) for name in names)
        words = ("-" if cell is None else "as expected" if cell["good"] else "NOT" for cell in cells)
        lines.append(f"{program:8}" + "".join(f"{word:>14}" for word in words))
    good = sum(row["good"] for row in rows)
    return "\n".join([*lines, "", f"{good} of {len(rows)} as expected"])


async def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="agent_table")
    parser.add_argument("--only", default=",".join(PROGRAMS), help="programs, separated by commas")
    parser.add_argument("--scenario", default="", help="only scenarios whose name begins so")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON at the end")
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    missing = []
    with tempfile.TemporaryDirectory(prefix="penstock-table") as folder:
        for name in chosen.only.split(","):
            program = agent_path(name)
            if program is None:
                missing.append(name)
                print(f"{name} is not installed: ./penstock test installs it")
                continue
            scenarios = [one for one in SCENARIOS if one.name.startswith(chosen.scenario) and name not in one.without]
            rows += await play(name, program, scenarios, Path(folder))
    print(json.dumps(rows, indent=1) if chosen.json else table(rows))
    return 0 if rows and not missing and all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
