"""Given the worst children and many of them, the limits on their lives hold every time.

The short form tries each five times; `PENSTOCK_TEST_TREES=50` is the long one. Times are taken by a process that does nothing
else but look, so that nothing the executor does in between is missed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX
from process_watch import alive_with

from penstock_agent_exec.cgroups import RLIMITS, Means, find_means
from penstock_agent_exec.output import LineSplitter, readable
from penstock_agent_exec.process import StopStep, Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not probe().ok, reason=probe().message),
]

TREES = int(os.environ.get("PENSTOCK_TEST_TREES", "5"))
CANCELLED_SECONDS_MAX = 2.0
DEAD_SECONDS_MAX = 1.0
SLOW_FACTOR = 2.0
"""How long something may take is measured by this machine as it is right now: by how long the same took to come up."""
HERE = Path(__file__).parent
TREE = HERE / "nasty_tree.py"
MEMORY_BYTES_MAX = 64 * 1024 * 1024


class Monitor:
    """A process that looks for a mark all the time; `seconds_alive`: how long after `since` it was last seen."""

    LOOK = (
        "import sys, time\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from process_watch import alive_with\n"
        "mark, own = sys.argv[2], __import__('os').getpid()\n"
        "print('looking', flush=True)\n"
        "while True:\n"
        "    at = time.monotonic()\n"
        "    if set(alive_with(mark)) - {own}: print(at, flush=True)\n"
        "    else: print('none', at, flush=True)\n"
    )

    def __init__(self, mark: str) -> None:
        # The mark in its own argv would be found: its reader leaves it out.
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.LOOK, str(HERE.parent), mark], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        assert self._lines.readline() == "looking\n"

    def seconds_alive(self, since: float) -> float:
        """Raises AssertionError where something is alive long after any limit."""
        last = since
        for line in self._lines:
            words = line.split()
            if words[0] == "none":
                if float(words[1]) > since:
                    return last - since
            else:
                last = max(last, float(words[0]))
                assert last - since < WAIT_SECONDS_MAX, "something does not die"
        raise AssertionError("nobody looks any more")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._lines.close()


async def nobody(_chunk: bytes) -> None:
    """A sink that forgets."""


BEST = find_means("tests")


@pytest.mark.parametrize("means", [RLIMITS] if BEST is RLIMITS else [RLIMITS, BEST], ids=lambda means: f"{means.kind}")
async def test_a_nasty_tree_is_dead_within_two_seconds_of_its_cancellation_every_time(means: Means) -> None:
    slowest, late = 0.0, 0
    for _ in range(TREES):
        mark, cancel, ready_at = uuid.uuid4().hex, asyncio.Event(), 0.0
        monitor = await asyncio.to_thread(Monitor, mark)

        async def up(_chunk: bytes, mark: str = mark, cancel: asyncio.Event = cancel) -> None:
            nonlocal ready_at
            assert len(alive_with(mark)) >= 6  # the tree and who looks for it
            ready_at = time.monotonic()
            cancel.set()

        try:
            profile = Profile(cwd="/", binds=(*python_binds(), Bind(TREE)), means=means)
            watch = Watch(wall_seconds=600, stop=(StopStep(signal.SIGTERM, 0.5),))
            command = [str(python_program()), str(TREE), mark]
            began = time.monotonic()
            ending = await run_child(command, profile, watch=watch, on_stdout=up, on_stderr=nobody, cancel=cancel)
            assert (ending.why, ending.nothing_left) == ("cancelled", True)
            alive_seconds = await asyncio.to_thread(monitor.seconds_alive, ready_at)
            slowest = max(slowest, alive_seconds)
            late += alive_seconds > max(CANCELLED_SECONDS_MAX, SLOW_FACTOR * (ready_at - began))
        finally:
            monitor.end()
    print(f"{TREES} of {TREES} trees dead, the slowest {slowest:.2f} s after its cancellation ({means.kind})")
    assert late == 0


async def test_a_nasty_tree_is_dead_within_a_second_of_its_executor_every_time() -> None:
    slowest, late = 0.0, 0
    for _ in range(TREES):
        mark = uuid.uuid4().hex
        monitor = await asyncio.to_thread(Monitor, mark)
        began = time.monotonic()
        executor = subprocess.Popen([sys.executable, str(HERE / "lonely_executor.py"), mark], stdout=subprocess.PIPE)
        assert executor.stdout is not None
        try:
            assert await asyncio.to_thread(executor.stdout.readline) == b"READY\n"
            assert len(alive_with(mark)) >= 7
            killed_at = time.monotonic()
            executor.send_signal(signal.SIGKILL)
            executor.wait()
            alive_seconds = await asyncio.to_thread(monitor.seconds_alive, killed_at)
            slowest = max(slowest, alive_seconds)
            late += alive_seconds > max(DEAD_SECONDS_MAX, SLOW_FACTOR * (killed_at - began))
        finally:
            executor.kill()
            executor.stdout.close()
            monitor.end()
    print(f"{TREES} of {TREES} trees dead, the slowest {slowest:.2f} s after its executor")
    assert late == 0


async def test_a_program_that_hangs_after_its_last_word_is_ended_every_time() -> None:
    for _ in range(TREES):
        finished, began, heard_at = asyncio.Event(), time.monotonic(), 0.0

        async def heard(_chunk: bytes, finished: asyncio.Event = finished) -> None:
            nonlocal heard_at
            heard_at = time.monotonic()
            finished.set()

        ending = await run_child(
            ["sh", "-c", "trap '' TERM; echo result; (setsid sleep 60 &); while :; do sleep 60; done"],
            Profile(cwd="/"),
            watch=Watch(wall_seconds=600, linger_seconds=0.2, stop=(StopStep(signal.SIGTERM, 0.2),)),
            on_stdout=heard,
            on_stderr=nobody,
            finished=finished,
        )
        assert (ending.why, ending.nothing_left) == ("lingered", True)
        up_seconds = heard_at - began
        assert ending.wall_seconds < up_seconds + max(CANCELLED_SECONDS_MAX, SLOW_FACTOR * up_seconds)


def test_a_gigabyte_of_output_costs_no_memory_and_is_cut_at_its_limit() -> None:
    total = 1024 * 1024 * 1024 if "PENSTOCK_TEST_TREES" in os.environ else 256 * 1024 * 1024
    ran = subprocess.run(
        [sys.executable, str(HERE / "reads_flood.py"), str(total)], capture_output=True, text=True, check=True
    )
    why, read_bytes, grown_bytes = ran.stdout.split()
    print(f"{int(read_bytes) / 2**30:.2f} GiB read, memory grew by {int(grown_bytes) / 2**20:.1f} MiB")
    assert why == "output_limit"
    assert total <= int(read_bytes) < 2 * total, "what it prints while it is being ended is read too"
    assert int(grown_bytes) <= MEMORY_BYTES_MAX


async def test_every_odd_output_comes_through_every_reader() -> None:
    long = 10 * 1024 * 1024
    script = (
        f"head -c {long} /dev/zero | tr '\\0' x; echo; "  # a line of ten megabytes
        "printf '\\377\\376 not utf-8 \\303\\n'; "
        "printf '\\033[31mred\\033[0m\\r\\n'; printf 'no end'"
    )
    splitter, lines = LineSplitter(), list[bytes]()

    async def keep(chunk: bytes) -> None:
        lines.extend(splitter.feed(chunk))

    ending = await run_child(
        ["sh", "-c", script], Profile(cwd="/"), watch=Watch(wall_seconds=600), on_stdout=keep, on_stderr=nobody
    )
    lines.extend(splitter.finish())
    assert ending.exit_code == 0
    assert [len(lines[0]), *map(readable, lines[1:])] == [long, "\ufffd\ufffd not utf-8 \ufffd", "red\n", "no end"]
