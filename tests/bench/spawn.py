"""spawn: for how long starting a child stalls the event loop of a large process, against `subprocess.Popen`.

Ours is all that the executor does at once: pipes, options and filter in memory files, the control group where there is one, the
process, its pidfd. A fork copies the page tables of the process that forks; the last two rows say what that would cost.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from typing import Final

import uvloop

from bench.figures import Goal, Table, Took, percentile
from bench.plan import Plan
from penstock_agent_exec.cgroups import RLIMITS, find_means
from penstock_agent_exec.child import Child
from penstock_agent_exec.sandbox import Profile, launch

BALLAST_BYTES: Final = 500 * 1024 * 1024
PAGE_BYTES: Final = 4096
SPAWNS: Final = 20
COMMAND: Final = ["true"]


async def run(plan: Plan) -> list[Table]:
    ballast = bytearray(BALLAST_BYTES)
    for at in range(0, BALLAST_BYTES, PAGE_BYTES):
        ballast[at] = 1  # a page that was never written is not there
    table = Table(f"spawn: the loop's stall per child in a process of {BALLAST_BYTES // 1024 // 1024} MB")
    bare = table.row("a child without a sandbox / subprocess.Popen, p50", "us", Goal("<=", 2.0))
    kept = table.row("a child in the sandbox / subprocess.Popen, p50", "us", Goal("<=", 2.0))
    best = find_means("bench")
    grouped = (
        None if best is RLIMITS else table.row(f"the same in a group of {best.kind} / subprocess.Popen, p50", "us")
    )
    forked = table.row("subprocess.Popen that must fork / subprocess.Popen, p50", "us")
    uv = table.row("create_subprocess_exec of uvloop / subprocess.Popen, p50", "us")
    for counted in plan.counted_rounds():
        stalls: dict[str, list[float]] = {"bare": [], "kept": [], "grouped": [], "popen": [], "forked": [], "uv": []}
        for _ in range(SPAWNS):
            stalls["popen"].append(_popen(must_fork=False))
            stalls["bare"].append(await _ours(Profile(cwd="/", unsandboxed=True)))
            stalls["kept"].append(await _ours(Profile(cwd="/")))
            if grouped is not None:
                stalls["grouped"].append(await _ours(Profile(cwd="/", means=best)))
            stalls["forked"].append(_popen(must_fork=True))
            stalls["uv"].append(await _by_uvloop())
        if counted:
            reference = _middle(stalls["popen"])
            for row, name in ((bare, "bare"), (kept, "kept"), (grouped, "grouped"), (forked, "forked"), (uv, "uv")):
                if row is not None:
                    row.add(_middle(stalls[name]), reference)
    assert ballast[0] == 1
    return [table]


async def _ours(profile: Profile) -> float:
    started = time.perf_counter()
    child = Child(launch(profile, COMMAND), profile)
    stalled = time.perf_counter() - started
    await child.exit()
    assert await child.gone(5.0)
    child.close()
    return stalled


def _popen(*, must_fork: bool) -> float:
    started = time.perf_counter()
    child = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_nothing if must_fork else None,
    )
    stalled = time.perf_counter() - started
    child.communicate()
    return stalled


async def _by_uvloop() -> float:
    """The longest that somebody else had to wait for a turn."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    longest, over = 0.0, False

    async def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not over:
            await asyncio.sleep(0)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)  # it has begun
    child = await asyncio.create_subprocess_exec(*COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    over = True
    await ticking
    await child.communicate()
    return longest


def _nothing() -> None:
    """That there is anything to run in the child is what makes Popen fork."""


def _middle(stalls: list[float]) -> Took:
    return Took(percentile(stalls, 0.5) * 1e6)
