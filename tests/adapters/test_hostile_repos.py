"""Given a repo that tries to take over the program that works in it, the real program, started as we start it, does its work
and nothing of the repo's: with a network and a real key, so that it is the program's own ways that are tried and not the walls.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

import pytest
from agent_bench import KEY, WORK, Bench, git
from agent_programs import claude_or_skip, codex_or_skip, gemini_or_skip, qwen_or_skip
from fake_model import FakeModel, Say, bash, script
from hostile_repos import RAN, TOLD, Files, Lair, Program, everything, repos

from penstock.settings import Secret
from penstock_agent_exec.agents.run import Outcome
from penstock_agent_exec.agents.vendor import AgentRun, CommandLine, Vendor
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

ALL: Final = os.environ.get("PENSTOCK_TEST_ORDERS") == "all"
PROGRAMS: Final[tuple[Program, ...]] = get_args(Program)
FIND: Final[dict[Program, Callable[[], Vendor]]] = {
    "claude": claude_or_skip,
    "codex": codex_or_skip,
    "gemini": gemini_or_skip,
    "qwen": qwen_or_skip,
}
SPEAKS: Final[dict[Program, tuple[Dialect, str]]] = {
    "claude": (Dialect.ANTHROPIC, "claude-sonnet-5"),
    "codex": (Dialect.RESPONSES, "gpt-5.5"),
    "gemini": (Dialect.GEMINI, "gemini-2.5-pro"),
    "qwen": (Dialect.CHAT, "qwen3-coder-plus"),
}
NOWHERE: Final = Lair(work=WORK, fired=Path("/nonexistent"), trap_url="http://127.0.0.1:1")
ALONE: Final = [(program, name) for program in PROGRAMS for name in repos(program, NOWHERE)]


@dataclass
class Den:
    """A hostile repo with a program to work in it, and the traps around it."""

    bench: Bench
    lair: Lair
    model: FakeModel
    caught: list[str]

    async def work(self, files: Files) -> Outcome:
        for name, text in files.items():
            path = self.bench.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.bench.repo, "add", "-A", "-f")
        git(self.bench.repo, "commit", "-q", "-m", "hostile")
        base = self.model.base_url + self.bench.dialect.path_inside
        return await self.bench.attempt(None, base_url=base, token=Secret(KEY))

    @property
    def ran(self) -> set[str]:
        """What of the repo's has run, as far as it said so."""
        path = self.bench.repo / RAN
        inside = set(path.read_text().split("\n")) - {""} if path.exists() else set()
        return inside | {f"{path.name} outside" for path in self.lair.fired.iterdir()}


@asynccontextmanager
async def den(program: Program, folder: Path, vendor: Vendor) -> AsyncIterator[Den]:
    caught: list[str] = []

    async def trapped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caught.append((await reader.readline()).decode(errors="replace").strip())
        writer.close()

    dialect, name = SPEAKS[program]
    (folder / "fired").mkdir()
    trap = await asyncio.start_server(trapped, "127.0.0.1", 0)
    lair = Lair(work=WORK, fired=folder / "fired", trap_url=f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}")
    steps = script(bash("git status --short; echo worked > worked.txt"), Say("Done."))
    try:
        with tempfile.TemporaryDirectory(prefix="gate-") as sockets:
            async with FakeModel(steps) as model:
                bench = Bench(vendor, folder, Path(sockets), dialect=dialect, model=name)
                yield Den(bench, lair, model, caught)
    finally:
        trap.close()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_repo_with_everything_in_it_takes_nothing_over(tmp_path: Path, program: Program) -> None:
    async with den(program, tmp_path, FIND[program]()) as found:
        await _worked(found, everything(program, found.lair))


@pytest.mark.skipif(not ALL, reason="the long form: PENSTOCK_TEST_ORDERS=all")
@pytest.mark.parametrize(("program", "name"), ALONE, ids=lambda word: word)
async def test_no_single_way_takes_over(tmp_path: Path, program: Program, name: str) -> None:
    async with den(program, tmp_path, FIND[program]()) as found:
        await _worked(found, repos(program, found.lair)[name])


async def _worked(found: Den, files: Files) -> None:
    outcome = await found.work(files)
    assert (found.ran, found.caught) == (set(), [])
    assert outcome.verdict.ok, outcome.verdict
    assert (found.bench.repo / "worked.txt").exists()
    assert all(KEY in str(seen.headers) for seen in found.model.model_requests)
    assert not any("x-hostile" in seen.headers for seen in found.model.requests)
    assert not [seen for seen in found.model.model_requests if TOLD in seen.raw.decode()]


class Careless:
    """The same program, started by somebody who trusts the repo."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def __getattr__(self, name: str) -> object:
        return getattr(self._vendor, name)

    def command(self, run: AgentRun) -> CommandLine:
        line = self._vendor.command(run)
        match self._vendor.name:
            case "claude":
                argv = tuple(
                    word for word in line.argv if word not in ("--setting-sources", "user", "--strict-mcp-config")
                )
                return replace(line, argv=argv)
            case "codex":
                trusts = f'[projects."{WORK}"]\ntrust_level = "trusted"\n'.encode()
                return replace(line, files=dict.fromkeys(line.files, trusts))
            case "gemini":
                settings = {name: json.loads(text) for name, text in line.files.items()}
                kept = {name: {"security": value["security"]} for name, value in settings.items()}
                files = {name: json.dumps(value).encode() for name, value in kept.items()}
                return replace(line, env={**line.env, "GEMINI_CLI_TRUST_WORKSPACE": "true"}, files=files)
            case _:
                return replace(line, argv=tuple(word for word in line.argv if word != "--bare"))


# What qwen starts for such a repo does not end before its time is up.
@pytest.mark.parametrize(
    "program", [pytest.param(one, marks=pytest.mark.slow) if one == "qwen" else one for one in PROGRAMS]
)
async def test_started_by_somebody_who_trusts_it_the_same_repo_runs_its_own(tmp_path: Path, program: Program) -> None:
    careless = Careless(FIND[program]())
    async with den(program, tmp_path, careless) as found:  # type: ignore[arg-type]  # a Vendor by what it hands on
        await found.work(everything(program, found.lair))
        assert found.ran or found.caught
        assert not [name for name in found.ran if "outside" in name]


def test_there_are_twenty_ways_at_least() -> None:
    assert len(ALONE) >= 20
