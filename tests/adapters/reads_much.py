"""A process that reads 100 MB of lines from a child, split and decoded as an executor does, and prints by how many bytes its
resident memory grew at most. A process of its own, so that no other test's memory is counted."""

import asyncio
from pathlib import Path

import msgspec

from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Profile

TOTAL_BYTES = 100 * 1024 * 1024
LINE = '{"type":"assistant","session_id":"s","message":{"text":"' + "x" * 540 + '"}}'


class Line(msgspec.Struct):
    type: str
    session_id: str
    message: msgspec.Raw


def peak_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


async def read(total_bytes: int) -> int:
    splitter = LineSplitter()
    decode = msgspec.json.Decoder(Line).decode
    lines = 0

    async def take(chunk: bytes) -> None:
        nonlocal lines
        for line in splitter.feed(chunk):
            decode(line)
            lines += 1

    command = ["sh", "-c", f"yes '{LINE}' | head -c {total_bytes // (len(LINE) + 1) * (len(LINE) + 1)}"]
    await run_child(command, Profile(cwd="/"), watch=Watch(wall_seconds=3600), on_stdout=take, on_stderr=take)
    return lines


async def main() -> None:
    await read(1024 * 1024)
    before = peak_bytes()
    lines = await read(TOTAL_BYTES)
    print(lines, peak_bytes() - before)


asyncio.run(main())
