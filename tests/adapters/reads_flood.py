"""A process that reads a child's endless output up to a limit, in lines, and prints why it ended, how much was read and by how
much its memory grew at most. Argument: the limit in bytes. A process of its own, so that no other test's memory is counted."""

import asyncio
import sys
from pathlib import Path

from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.sandbox import Profile


def peak_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


async def read(limit_bytes: int) -> Ending:
    splitter = LineSplitter()

    async def take(chunk: bytes) -> None:
        splitter.feed(chunk)

    # Half of it lines, half of it one line without an end.
    script = f"yes | head -c {limit_bytes // 2}; exec cat /dev/zero"
    watch = Watch(wall_seconds=3600, output_bytes_max=limit_bytes, stop=())
    return await run_child(["sh", "-c", script], Profile(cwd="/"), watch=watch, on_stdout=take, on_stderr=take)


async def main() -> None:
    await read(1024 * 1024)
    before = peak_bytes()
    ending = await read(int(sys.argv[1]))
    print(ending.why, ending.stdout_bytes, peak_bytes() - before)


asyncio.run(main())
