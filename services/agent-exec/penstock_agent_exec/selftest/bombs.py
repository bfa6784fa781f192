"""Attempts to take the host down, or to outlive a task: bombs against small limits, and trees of processes that will not die.

The rule of this room: limits are made small here, so that a sandbox that does not hold them does no harm either; they are kept
by the same means as a task's.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from penstock_agent_exec.limits import MIB, ResourceLimits
from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_program
from penstock_agent_exec.selftest.mortal import TREE, TREE_INSIDE, tree_command
from penstock_agent_exec.selftest.probes import Result

CANCELLED_SECONDS_MAX: Final = 2.0
DEAD_SECONDS_MAX: Final = 1.0
SLOW_FACTOR: Final = 2.0
"""On a host that is slow or has much to do a tree may take so many times as long to die as it took to come up."""

PROCESSES: Final = 60
TREE_PROCESSES_MIN: Final = 6
READY_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.01
_NOT_OUTSIDE: Final = "without limits it would harm this host"

FORKS = """
import os, time
made = 0
for _ in range(400):
    try:
        pid = os.fork()
    except OSError:
        print("refused after", made, flush=True)
        break
    if pid == 0:
        time.sleep(5)
        os._exit(0)
    made += 1
else:
    print("made 400", flush=True)
time.sleep(2)
print("went on", flush=True)
"""
MEMORY = """
import time
print("begun", flush=True)
held = [bytearray(8 << 20) for _ in range(60)]
time.sleep(2)
print("went on", flush=True)
"""
MEMORY_OF_MANY = """
import os, time
print("begun", flush=True)
for _ in range(12):
    if os.fork() == 0:
        held = bytearray(40 << 20)
        time.sleep(3)
        os._exit(0)
lost = sum(os.wait()[1] != 0 for _ in range(12))
print("went on" if not lost else f"lost {lost}", flush=True)
"""
FILE = "print('begun', flush=True)\nopen('bomb', 'wb').write(bytes(8 << 20))\nprint('went on')"
SCRATCH = "print('begun', flush=True)\nopen('/tmp/bomb', 'wb').write(bytes(24 << 20))\nprint('went on')"
SHARED = "print('begun', flush=True)\nopen('/dev/shm/bomb', 'wb').write(bytes(24 << 20))\nprint('went on')"
HOME = "print('begun', flush=True)\nopen('/home/bomb', 'wb').write(bytes(64 << 20))\nprint('went on')"
DESCRIPTORS = "print('begun', flush=True)\nheld = [open('/dev/null') for _ in range(500)]\nprint('went on')"
OUTPUT = "print('begun', flush=True)\nfor _ in range(4000): print('x' * 1023)\nopen('went-on', 'w')"
DEAF = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(20)\nprint('went on')"

SMALL: Final = ResourceLimits(
    file_size_bytes=4 * MIB, open_files=100, processes=PROCESSES, memory_bytes=160 * MIB, scratch_bytes=8 * MIB
)
ROOMY: Final = replace(SMALL, file_size_bytes=100 * MIB)
"""For attempts that another limit than the one on files is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """`stops`: what must have happened for it to have been held, beside that it did not go on."""

    words: str
    script: str
    stops: Callable[[Ending, str], bool]
    limits: ResourceLimits = SMALL
    watch: Watch = Watch(wall_seconds=30)  # noqa: RUF009  frozen


def _begun(_ending: Ending, printed: str) -> bool:
    return "begun" in printed


BOMBS: Final[dict[str, Bomb]] = {
    "fork-bomb": Bomb(
        words=f"make more than {PROCESSES} processes",
        script=FORKS,
        stops=lambda ending, printed: ending.why == "process_limit" or "refused after" in printed,
    ),
    "memory-bomb": Bomb(
        words="take three times the memory it may", script=MEMORY, stops=lambda ending, _: ending.out_of_memory
    ),
    "memory-bomb-of-many": Bomb(
        words="take it with many processes",
        script=MEMORY_OF_MANY,
        stops=lambda ending, _: ending.out_of_memory,
        limits=replace(SMALL, memory_bytes=200 * MIB),
    ),
    "file-bomb": Bomb(words="write a file larger than it may", script=FILE, stops=_begun),
    "tmp-bomb": Bomb(words="fill the host's memory by /tmp", script=SCRATCH, stops=_begun, limits=ROOMY),
    "shm-bomb": Bomb(words="fill the host's memory by /dev/shm", script=SHARED, stops=_begun, limits=ROOMY),
    "home-bomb": Bomb(words="fill the host's memory by /home", script=HOME, stops=_begun, limits=ROOMY),
    "descriptor-bomb": Bomb(words="open more files than it may", script=DESCRIPTORS, stops=_begun),
    "output-bomb": Bomb(
        words="print without end",
        script=OUTPUT,
        stops=lambda ending, _: ending.why == "output_limit",
        watch=Watch(wall_seconds=30, output_bytes_max=MIB, stop=()),
    ),
    "deaf-to-the-end": Bomb(
        words="go on after its time",
        script=DEAF,
        stops=lambda ending, _: ending.why == "wall_limit",
        watch=Watch(wall_seconds=1.0, stop=()),
    ),
}

Kill: TypeAlias = Callable[[Profile], Awaitable[tuple[bool, str]]]


async def _bomb(name: str, bomb: Bomb, profile: Profile) -> Result:
    printed = bytearray()

    async def keep(chunk: bytes) -> None:
        del printed[4096:]
        printed.extend(chunk)

    ending = await run_child(
        [str(python_program()), "-I", "-S", "-c", bomb.script],
        replace(profile, limits=bomb.limits),
        watch=bomb.watch,
        on_stdout=keep,
        on_stderr=keep,
    )
    said = bytes(printed).decode(errors="replace")
    # A bomb of processes is contained by being refused more: the few that it has may go on.
    went_on = "went on" in said and name != "fork-bomb"
    held = bomb.stops(ending, said) and not went_on and ending.nothing_left
    last = said.strip().splitlines()[-1][-80:] if said.strip() and name != "output-bomb" else ""
    saw = f"{ending.why}, exit code {ending.exit_code}, {ending.wall_seconds:.1f} s {last}"
    return Result(
        name=name,
        words=bomb.words,
        inside="kept" if held else "did",
        inside_saw=saw,
        outside=None,
        outside_saw=_NOT_OUTSIDE,
    )


async def _cancelled(profile: Profile) -> tuple[bool, str]:
    mark, cancel, was_up = secrets.token_hex(12), asyncio.Event(), 0
    began, told_at = time.monotonic(), 0.0

    async def up(_chunk: bytes) -> None:
        nonlocal was_up, told_at
        was_up, told_at = len(_alive(mark)), time.monotonic()
        cancel.set()

    async def nobody(_chunk: bytes) -> None:
        """Not looked at."""

    ending = await run_child(
        tree_command(mark),
        replace(profile, binds=(*profile.binds, Bind(TREE, TREE_INSIDE))),
        watch=Watch(wall_seconds=READY_SECONDS_MAX, stop=()),
        on_stdout=up,
        on_stderr=nobody,
        cancel=cancel,
    )
    left, seconds = _alive(mark), time.monotonic() - told_at
    in_time = seconds <= max(CANCELLED_SECONDS_MAX, SLOW_FACTOR * (told_at - began))
    held = was_up >= TREE_PROCESSES_MIN and not left and ending.nothing_left and in_time
    return held, f"{was_up} processes, {len(left)} of them alive {seconds:.2f} s after"


async def _died(profile: Profile) -> tuple[bool, str]:
    mark = secrets.token_hex(12)
    command = [sys.executable, "-m", "penstock_agent_exec.selftest.mortal", mark, str(profile.bwrap)]
    began = time.monotonic()
    executor = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE)
    assert executor.stdout is not None
    try:
        ready = await asyncio.wait_for(asyncio.to_thread(executor.stdout.readline), READY_SECONDS_MAX)
        up_seconds = time.monotonic() - began
        was_up = len(_alive(mark)) if ready == b"READY\n" else 0
    finally:
        executor.kill()
        executor.wait()
        executor.stdout.close()
    killed_at = time.monotonic()
    seconds_max = max(DEAD_SECONDS_MAX, SLOW_FACTOR * up_seconds)
    left = await asyncio.to_thread(_left_alive, mark, killed_at + seconds_max)
    seconds = time.monotonic() - killed_at
    # One more than the tree: bubblewrap has the mark in its own argv too.
    return (
        was_up > TREE_PROCESSES_MIN and not left,
        f"{was_up} processes, {len(left)} of them alive {seconds:.2f} s after",
    )


KILLS: Final[dict[str, tuple[str, Kill]]] = {
    "cancelled-tree": ("leave a process behind when its run is cancelled", _cancelled),
    "executor-death": ("leave a process behind when the executor is killed", _died),
}
NAMES: Final = (*BOMBS, *KILLS)


async def bomb_all(profile: Profile, names: list[str]) -> list[Result]:
    """One after the other. Raises ChildNotStarted, OSError."""
    results = []
    for name in names:
        if name in BOMBS:
            results.append(await _bomb(name, BOMBS[name], profile))
        else:
            words, kill = KILLS[name]
            held, saw = await kill(profile)
            results.append(
                Result(
                    name=name,
                    words=words,
                    inside="kept" if held else "did",
                    inside_saw=saw,
                    outside=None,
                    outside_saw="descendants in sessions of their own would stay",
                )
            )
    return results


def _left_alive(mark: str, until: float) -> list[int]:
    """Returns as soon as none is."""
    while (left := _alive(mark)) and time.monotonic() <= until:
        time.sleep(LOOK_SECONDS)
    return left


def _alive(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found
