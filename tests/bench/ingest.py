"""ingest: the output of an agent, read as the executor reads it, against the barest loop that blocks.

Ours is a child in the sandbox under `run_child`, with its watchdogs, its turn for everybody else after every read, and lines of
any length. The reference is `os.read` in a loop, a split, and the same decoder; nothing else could happen meanwhile.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import Clock, Goal, Table, Took, clock
from bench.plan import Plan
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import CHUNK_BYTES, Watch, run_child
from penstock_agent_exec.sandbox import Profile

MIB: Final = 1024 * 1024
LINE: Final = '{"type":"assistant","session_id":"s","message":{"text":"' + "x" * 540 + '"}}'
WATCH: Final = Watch(wall_seconds=300, silence_seconds=60)


class Line(msgspec.Struct):
    type: str
    session_id: str
    message: msgspec.Raw


async def run(plan: Plan) -> list[Table]:
    total_bytes = plan.size(short=25, long=100) * MIB
    lines = total_bytes // (len(LINE) + 1)
    command = ["sh", "-c", f"yes '{LINE}' | head -c {lines * (len(LINE) + 1)}"]
    table = Table(f"ingest: {total_bytes // MIB} MiB of JSON lines from a child, read, split and decoded")
    row = table.row("run_child and LineSplitter / os.read and split, lines per second", "/s", Goal(">=", 0.8))
    before = peak_bytes()
    for counted in plan.counted_rounds():
        with clock() as ours:
            assert await _ours(command) == lines
        with clock() as reference:
            assert _reference(command) == lines
        if counted:
            row.add(_each(ours, lines), _each(reference, lines))
        else:
            before = peak_bytes()
    table.notes.append(f"memory grew by {(peak_bytes() - before) / MIB:.1f} MiB at most after the first round")
    return [table]


async def _ours(command: list[str]) -> int:
    splitter = LineSplitter()
    decode = msgspec.json.Decoder(Line).decode
    lines = 0

    async def take(chunk: bytes) -> None:
        nonlocal lines
        for line in splitter.feed(chunk):
            decode(line)
            lines += 1

    await run_child(command, Profile(cwd="/"), watch=WATCH, on_stdout=take, on_stderr=take)
    return lines


def _reference(command: list[str]) -> int:
    decode = msgspec.json.Decoder(Line).decode
    lines, rest = 0, b""
    # A session of its own as ours has: on a busy machine the scheduler shares by sessions, and one shared by reader and child
    # passes the processor to and fro three times as fast.
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        while chunk := os.read(child.stdout.fileno(), CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                decode(line)
            lines += len(whole)
    return lines


def _each(taken: Clock, lines: int) -> Took:
    return Took(lines / taken.wall_seconds, taken.each(lines))


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
