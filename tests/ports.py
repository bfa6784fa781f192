"""Ports of 127.0.0.1 for servers that a test starts later, and again after it has killed them.

Rule of this room: a port that was given is nobody else's meanwhile. The ports of each process are a block of its own, below
those that the system gives away by itself: a port that is only free right now may be a client's, or a neighbour's, by the
time the server wants it.
"""

from __future__ import annotations

import socket
from typing import Final

BLOCKS: Final = range(20_000, 32_500, 250)
_held: list[socket.socket] = []
_given = 0


def free_port() -> int:
    """A port that nobody listens on, and that no test of this machine is given before 200 others were."""
    global _given
    block = _block()
    for _ in block:
        port = block[_given % len(block)]
        _given += 1
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of the ports from {block[0]} to {block[-1]} is free")


def _block() -> range:
    """The ports of this process. Its claim is a socket without a file: it ends with the process, however that ends."""
    if not _held:
        for first in BLOCKS:
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0penstock-test-ports-{first}")
            except OSError:
                claim.close()
                continue
            _held.append(claim)
            break
        else:
            raise AssertionError("every block of ports is taken: do so many test runs go on at once?")
    first = int(str(_held[0].getsockname(), "ascii").rpartition("-")[2])
    return range(first, first + BLOCKS.step)
