"""Given several test processes at once, when each asks for ports, then none is given what another was."""

from __future__ import annotations

import socket
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from ports import BLOCKS, free_port

ASKS = "import ports; print(*(ports.free_port() for _ in range(300)), flush=True); input()"


def test_no_two_processes_are_given_the_same_port() -> None:
    argv, tests = [sys.executable, "-c", ASKS], Path(__file__).parents[1]
    running = [
        subprocess.Popen(argv, cwd=tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    # All of them live on until all have been given theirs.
    given = [{free_port()}, *(ports_said_by(process) for process in running)]
    for process in running:
        process.communicate("\n")
    assert not [pair for pair in combinations(given, 2) if pair[0] & pair[1]]
    assert all(200 < len(ports) <= BLOCKS.step for ports in given[1:])


def ports_said_by(process: subprocess.Popen[str]) -> set[int]:
    assert process.stdout is not None
    return set(map(int, process.stdout.readline().split()))


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in [free_port() for _ in range(2 * BLOCKS.step)]
