"""broker: what the gate between an agent and its model adds to a request, against asking the model directly.

Both sides ask the same process, which answers a real request's bytes with a short streamed answer; ours goes through the gate's
unix socket, where the key is put in, the path is checked and the answer is metered. The reference is one TCP connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bench.answering import END
from bench.figures import Goal, Row, Table, Took, clock, percentile
from bench.plan import Plan
from penstock.settings import Secret
from penstock.values import Price
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.gate import ModelGate

BODY_BYTES: Final = 80_000
"""As long as the first request of an agent's program."""

THINKING_MS: Final = 300
"""Before the first word: real models take longer."""


class Asker:
    """One connection that is kept open, as the programs keep theirs."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], wait_ms: int) -> None:
        self._reader, self._writer = streams
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_BYTES}\r\n"
        head += "content-type: application/json\r\nauthorization: Bearer token\r\n"
        head += f"x-stainless-wait: {wait_ms}\r\n" if wait_ms else ""
        self._request = f"{head}\r\n".encode() + b"x" * BODY_BYTES

    async def ask(self) -> tuple[float, float]:
        """Milliseconds to the first byte of the answer, and to its last."""
        began = time.perf_counter()
        self._writer.write(self._request)
        heard = await self._reader.read(65_536)
        first = time.perf_counter()
        while not heard.endswith(END):
            heard = heard[-len(END) :] + await self._reader.read(65_536)
        return (first - began) * 1e3, (time.perf_counter() - began) * 1e3

    def close(self) -> None:
        self._writer.close()


async def run(plan: Plan) -> list[Table]:
    count = plan.size(short=200, long=1_000)
    table = Table(
        f"broker: {count} requests of {BODY_BYTES // 1000} kB one after the other, each with a streamed answer"
    )
    at_once = [table.row(f"answered at once, {what}", "ms") for what in ("first byte p50", "whole p50", "whole p99")]
    thinks = table.row(f"answered after {THINKING_MS} ms, whole p50", "ms", Goal("<=", 1.05))
    async with _both() as (gate, direct):
        for counted in plan.counted_rounds():
            ours, reference = await _round(gate, direct, count, 0)
            if counted:
                for row, mine, other in zip(at_once, ours, reference, strict=True):
                    row.add(mine, other)
            ours, reference = await _round(gate, direct, count // 20, THINKING_MS)
            if counted:
                thinks.add(ours[1], reference[1])
    table.notes.append(f"added to a request: {_added(at_once[1])} in the middle, {_added(at_once[2])} at p99")
    return [table]


def _added(row: Row) -> str:
    pairs = zip(row.ours, row.reference, strict=True)
    return f"{percentile([ours.figure - reference.figure for ours, reference in pairs], 0.5):.2f} ms"


async def _round(gate: Path, port: int, count: int, wait_ms: int) -> tuple[list[Took], list[Took]]:
    """(first byte p50, whole p50, whole p99) of ours and of the reference."""
    ours = Asker(await asyncio.open_unix_connection(str(gate)), wait_ms)
    reference = Asker(await asyncio.open_connection("127.0.0.1", port), wait_ms)
    try:
        return await _asked(ours, count), await _asked(reference, count)
    finally:
        ours.close()
        reference.close()


async def _asked(asker: Asker, count: int) -> list[Took]:
    with clock() as taken:
        times = [await asker.ask() for _ in range(count)]
    firsts, wholes = [first for first, _ in times], [whole for _, whole in times]
    cpu_us = taken.each(count)
    return [
        Took(percentile(firsts, 0.5), cpu_us),
        Took(percentile(wholes, 0.5), cpu_us),
        Took(percentile(wholes, 0.99), cpu_us),
    ]


@contextlib.asynccontextmanager
async def _both() -> AsyncIterator[tuple[Path, int]]:
    """The gate's socket, and the port of the API behind it."""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-m", "bench.answering"], stdout=subprocess.PIPE, env=environ) as api:
        try:
            assert api.stdout is not None
            port = int(api.stdout.readline())
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                budget = RunBudget(Price(input_usd=3.0, output_usd=15.0), max_cost_usd=1e6)
                gate = ModelGate(
                    Path(folder) / "model",
                    upstream=f"http://127.0.0.1:{port}/v1",
                    key=Secret("sk-real"),
                    dialect=Dialect.CHAT,
                    budget=budget,
                )
                async with gate:
                    yield gate.socket_path, port
                    await gate.quiet()
        finally:
            api.kill()
