"""What an agent's program once printed, and how it ended, as test data: `golden/cli/<vendor>/<version>/`."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from pathlib import Path

from penstock.settings import Secret
from penstock_agent_exec.agents.vendor import AgentRun, Billing
from penstock_agent_exec.process import Ending, Why

RECORDINGS = Path(__file__).parent / "golden" / "cli"


def agent_run(*, resume: bool = False, billing: Billing = "api") -> AgentRun:
    return AgentRun(
        prompt="p",
        session_id="5b0e3f0a-3f0c-4f6e-9c3e-0a4f2d7d9b11",
        resume=resume,
        model="m",
        state_dir="/state",
        work_dir="/repo",
        token=Secret("t"),
        billing=billing,
    )


def ending(exit_code: int | None, why: Why = "exited", stderr: bytes = b"") -> Ending:
    return Ending(
        why=why,
        exit_code=exit_code,
        wall_seconds=1.5,
        stdout_bytes=0,
        stderr_bytes=len(stderr),
        stderr_tail=stderr,
        nothing_left=True,
    )


def names(vendor: str, version: str) -> set[str]:
    """Every recording there is."""
    return {path.stem for path in (RECORDINGS / vendor / version).glob("*.jsonl")}


def lines(vendor: str, version: str, name: str) -> list[bytes]:
    return (RECORDINGS / vendor / version / f"{name}.jsonl").read_bytes().splitlines()


def recorded_ending(vendor: str, version: str, name: str) -> Ending:
    """How the recorded run ended: nobody of ours had stopped it."""
    found = _endings(vendor, version)[name]
    code, stderr = found["exit_code"], found["stderr"]
    assert isinstance(stderr, str)
    assert isinstance(code, int | None)
    return ending(code, stderr=stderr.encode())


@functools.cache
def _endings(vendor: str, version: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((RECORDINGS / vendor / version / "endings.json").read_bytes())
    return found


def damaged(vendor: str, rounds: int) -> Iterator[list[bytes]]:
    """Recordings with pieces lost, added and changed; the same ones every time."""
    chance = random.Random(20)
    recordings = [path.read_bytes() for path in sorted((RECORDINGS / vendor).glob("*/*.jsonl"))]
    recordings = [recording for recording in recordings if recording]
    for _ in range(rounds):
        printed = bytearray(chance.choice(recordings))
        for _ in range(chance.randrange(1, 20)):
            at = chance.randrange(len(printed) + 1)
            printed[at : at + chance.randrange(0, 30)] = chance.randbytes(chance.randrange(0, 10))
        yield bytes(printed).splitlines()
