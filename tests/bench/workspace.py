"""workspace: a new clone of a task, from nothing and out of a spare, against `git worktree add` of the same tree.

In memory, where there is such a folder, so that the disk does not decide. Ours ends with the files synced and a record written;
the reference is git's own command in a bare repository, with the time of starting it. Both start their git with what a sandbox
costs: the reference has none.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.figures import Goal, Table, Took
from bench.plan import Plan
from penstock import ids
from penstock_agent_exec.git.clone import Clone, drop_clone
from penstock_agent_exec.git.command import Completed, Sandboxed
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.mirror import Mirror, maintain_mirror, mirror_of, resolve_base, update_mirror
from penstock_agent_exec.git.names import Identity, check_remote
from penstock_agent_exec.git.spare import make_spare, spares_of
from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile

FILES: Final = 5_000
FOLDERS: Final = 400
FILE_BYTES: Final = 5_600
"""28 MB in all: as many files and bytes as a large project of people has."""

MOVED_FILES: Final = 100
WHO: Final = Identity("Bench", "bench@localhost")
MEMORY: Final = Path("/dev/shm")


async def run(plan: Plan) -> list[Table]:
    where = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=where) as name:
        return [await _compared(plan, Path(name), "in memory" if where == MEMORY else "on disk")]


async def _compared(plan: Plan, root: Path, where: str) -> Table:
    older, newer = _origin(root)
    mirror = mirror_of(root / "data", "bench")
    await update_mirror(mirror, check_remote(str(root / "origin.git"), allow_local=True))
    await maintain_mirror(mirror)
    assert await resolve_base(mirror, "main") == newer
    table = Table(f"workspace: {FILES} files, {FILES * FILE_BYTES // 1_000_000} MB, {where}")
    cold = table.row("a clone from nothing / git worktree add", "ms", Goal("<=", 1.15))
    warm = table.row("a clone out of a spare / git worktree add", "ms", Goal("<=", 0.6))
    moved = table.row(f"out of a spare, {MOVED_FILES} files newer / git worktree add", "ms")
    spared = table.row("a spare made of a clone, in the background / git worktree add", "ms")
    size = 0
    for counted in plan.counted_rounds():
        reference = _worktree(root, mirror, newer)
        from_nothing, clone = await _made(root, mirror, newer)
        making, size = await _spare(root, mirror, clone)
        out_of_spare, clone = await _made(root, mirror, newer)
        assert not spares_of(root / "data", "bench")
        await drop_clone(clone.data, clone.task)
        _, clone = await _made(root, mirror, older)
        await _spare(root, mirror, clone)
        out_of_older, clone = await _made(root, mirror, newer)
        assert not spares_of(root / "data", "bench")
        await drop_clone(clone.data, clone.task)
        if counted:
            for row, took in ((cold, from_nothing), (warm, out_of_spare), (moved, out_of_older), (spared, making)):
                row.add(took, reference)
    table.notes.append(f"a spare takes {size / 1e6:.1f} MB of disk; a clone borrows its objects from the mirror")
    table.notes.append(_git("--version").strip())
    return table


async def _made(root: Path, mirror: Mirror, commit: str) -> tuple[Took, Clone]:
    task, data = ids.fresh(), root / "data"
    sandbox = _sandbox(mirror, data / "tasks" / task / "repo")
    started = time.perf_counter()
    clone = await make_clone(data, mirror, task, base=commit, identity=WHO, sandbox=sandbox)
    took = Took((time.perf_counter() - started) * 1e3)
    assert sum(1 for path in clone.path.iterdir() if path.name != ".git") == FOLDERS
    return took, clone


async def _spare(root: Path, mirror: Mirror, clone: Clone) -> tuple[Took, int]:
    """The clone's work tree as a spare, and what that takes on the disk, in bytes."""
    clone.record.unlink()
    started = time.perf_counter()
    spare = await make_spare(clone, mirror, _sandbox(mirror, clone.path), data=root / "data")
    took = Took((time.perf_counter() - started) * 1e3)
    size = sum(path.lstat().st_blocks * 512 for path in spare.path.rglob("*"))
    shutil.rmtree(clone.path.parent)
    return took, size


def _worktree(root: Path, mirror: Mirror, commit: str) -> Took:
    place = root / "worktree"
    started = time.perf_counter()
    _git("-C", str(mirror.path), "worktree", "add", "-q", "-b", "bench", str(place), commit)
    took = Took((time.perf_counter() - started) * 1e3)
    _git("-C", str(mirror.path), "worktree", "remove", "--force", str(place))
    _git("-C", str(mirror.path), "branch", "-q", "-D", "bench")
    return took


def _sandbox(mirror: Mirror, work_tree: Path) -> Sandboxed:
    """As an executor has it: the profile of every job's git."""

    async def sandboxed(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        binds = (Bind(mirror.objects), Bind(work_tree, writable=True))
        said = bytearray()

        async def hear(chunk: bytes) -> None:
            said.extend(chunk)

        ending = await run_child(
            argv,
            Profile(cwd=cwd, env={"HOME": "/nonexistent"} | dict(env), binds=binds),
            watch=Watch(wall_seconds=timeout_seconds, output_bytes_max=1 << 20, stop=()),
            on_stdout=hear,
            on_stderr=hear,
        )
        return Completed(-9 if ending.exit_code is None else ending.exit_code, bytes(said), bytes(said))

    return sandboxed


def _origin(root: Path) -> tuple[str, str]:
    """A repository with two commits on main: the same tree, and MOVED_FILES of its files changed."""
    work, bare = root / "work", root / "origin.git"
    work.mkdir()
    _git("-C", str(work), "init", "-q", "-b", "main", "--template=")
    chance = random.Random(7)
    for number in range(FILES):
        path = work / f"part{number % FOLDERS:03}" / f"module_{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"value_{n} = {chance.getrandbits(64)}\n" for n in range(FILE_BYTES // 30)))
    older = _commit(work, "All of it")
    for number in range(0, FILES, FILES // MOVED_FILES):
        (work / f"part{number % FOLDERS:03}" / f"module_{number}.py").write_text("changed = True\n")
    newer = _commit(work, "Some of it")
    _git("clone", "-q", "--bare", str(work), str(bare))
    shutil.rmtree(work)
    return older, newer


def _commit(work: Path, message: str) -> str:
    who = ("-c", f"user.name={WHO.name}", "-c", f"user.email={WHO.email}")
    _git("-C", str(work), "add", "-A")
    _git("-C", str(work), *who, "commit", "-q", "-m", message)
    return _git("-C", str(work), "rev-parse", "HEAD").strip()


def _git(*args: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *args], env=env, capture_output=True, check=True, text=True, timeout=120).stdout
