"""map: what a repository defines, ranked, from nothing and out of the cache, against aider's RepoMap over the very same files.

Ours is timed as a whole process, with its start; aider without the seconds that importing it takes. Memory is that of all
processes together, shared pages shared out (PSS), looked at every 50 ms, for both sides alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Goal, Row, Table, Took
from bench.map_repos import AIDER, PROJECTS, Project, aider_python, repository
from bench.plan import Plan
from penstock_agent_exec.repo_map.tree import tree_of

TOKENS: Final = 2_000
LOOK_EVERY_SECONDS: Final = 0.05
RUN_SECONDS_MAX: Final = 3_600
SHOWN_LINES: Final = 12


@dataclass(frozen=True)
class Run:
    """`cpu_seconds` and `memory_bytes` of all its processes."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    said: bytes


async def run(plan: Plan) -> list[Table]:
    projects = PROJECTS[:1] if plan.short else PROJECTS
    return [table for project in projects for table in _project(plan, project)]


def _project(plan: Plan, project: Project) -> Iterator[Table]:
    try:
        python, folder = aider_python(), repository(project)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield Table(f"map: {project.name} is left out", notes=[str(error)])
        return
    commit = subprocess.check_output(["git", "-C", str(folder), "rev-parse", "HEAD"], text=True).strip()
    tree = tree_of(folder / ".git", commit)
    size = sum(blob.size_bytes for blob in tree.files)
    table = Table(
        f"map: {project.name}, {len(tree.files):,} files of {size / 1e6:.1f} MB, for {' '.join(project.words)}"
    )
    cold = _Rows(table, "from nothing", 0.3)
    warm = _Rows(table, "out of the cache", 0.1)
    files = b"".join(blob.path + b"\n" for blob in tree.files)
    for _ in range(plan.rounds):
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as kept:
            _forget(folder)
            for rows in (cold, warm):
                rows.add(_ours(folder, project, Path(kept) / "cache.sqlite"), _aider(python, folder, project, files))
    _forget(folder)
    table.notes += _seen(folder, project)
    table.notes.append(f"the reference is {AIDER}, CPU us/op: of a whole map, all processes")
    yield table


class _Rows:
    """Time and memory of one kind of run."""

    def __init__(self, table: Table, what: str, ratio: float) -> None:
        self._time: Row = table.row(f"{what}, whole process / RepoMap alone", "s", Goal("<=", ratio))
        self._memory: Row = table.row(f"{what}, MB at most, all processes", "MB", Goal("<=", 0.4))

    def add(self, ours: Run, reference: Run) -> None:
        self._time.add(Took(ours.seconds, ours.cpu_seconds * 1e6), Took(reference.seconds, reference.cpu_seconds * 1e6))
        self._memory.add(Took(ours.memory_bytes / 1e6), Took(reference.memory_bytes / 1e6))


def _ours(folder: Path, project: Project, cache: Path) -> Run:
    return _measured([*_command(folder, project), "--json", f"--cache={cache}"], b"")


def _command(folder: Path, project: Project) -> list[str]:
    program = [sys.executable, "-I", "-m", "penstock_agent_exec.repo_map", str(folder)]
    return [*program, f"--tokens={TOKENS}", "--words", *project.words]


def _aider(python: Path, folder: Path, project: Project, files: bytes) -> Run:
    program = str(Path(__file__).with_name("map_aider.py"))
    found = _measured([str(python), program, str(folder), *project.words], files)
    told = json.loads(found.said.strip().splitlines()[-1])
    return Run(told["seconds"], told["cpu_seconds"], found.memory_bytes, found.said)


def _measured(command: list[str], said: bytes) -> Run:
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out:
        given.write(said)
        given.seek(0)
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=subprocess.DEVNULL)
        with ThreadPoolExecutor(1) as beside:
            # Looked at from beside, so that its end is seen when it comes and not at the next look.
            looks = beside.submit(_memory_most, process.pid)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            seconds, cpu = time.perf_counter() - began, 0.0
            most = looks.result()
        assert process.wait() == 0, command
        out.seek(0)
        answer = out.read()
    if "--json" in command:
        cpu = json.loads(answer)["cpu_seconds"]
    return Run(seconds, cpu, most, answer)


def _memory_most(pid: int) -> int:
    """Until it has ended: it keeps its number until somebody waits for it."""
    most, until = 0, time.perf_counter() + RUN_SECONDS_MAX
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        assert time.perf_counter() < until
        most = max(most, sum(map(_pss, _tree(pid))))
        time.sleep(LOOK_EVERY_SECONDS)
    return most


def _tree(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield from _tree(child)


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _forget(folder: Path) -> None:
    """What aider keeps in the repository."""
    subprocess.run(["rm", "-rf", "--", *map(str, folder.glob(".aider*"))], check=True)


def _seen(folder: Path, project: Project) -> list[str]:
    """The top of our map, and what there is to it."""
    said = subprocess.check_output([*_command(folder, project), "--no-cache"], text=True).splitlines()
    at = said.index("")
    return ["`" + line + "`" for line in said[:SHOWN_LINES]] + [line for line in said[at + 1 :] if line]
