"""`python -m penstock_agent_exec.repo_map.worker`: reads files as `git cat-file --batch` gives them, answers what they define.

Rule of this room: whatever a file does to a grammar happens here. The process may die of any file and nothing is lost but that
file; it has little memory, little time for each file, and can open, start and reach nothing once it has begun (where the kernel
has no filters for that: it can open nothing).
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import BinaryIO, Final

import ast_grep_py  # before this process gives away what loading it needs
import msgspec

from penstock_agent_exec.repo_map.answer import FAILED, LENGTH, MISSING, READY, Symbols
from penstock_agent_exec.repo_map.confine import confine
from penstock_agent_exec.repo_map.languages import BY_GRAMMAR
from penstock_agent_exec.repo_map.symbols import symbols_of

FILE_CPU_SECONDS_MAX: Final = 3.0
"""A megabyte of people's code takes a tenth of a second."""
MEMORY_BYTES_MAX: Final = 1024 * 1024 * 1024
HEADER_BYTES_MAX: Final = 1_000


def main() -> None:
    _give_up_rights()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    encoder = msgspec.msgpack.Encoder()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while header := source.readline(HEADER_BYTES_MAX):
        answer = encoder.encode(_answer(header, source))
        sink.write(LENGTH.pack(len(answer)) + answer)
        sink.flush()


def _answer(header: bytes, source: BinaryIO) -> Symbols:
    words = header.decode("ascii", "replace").split()
    if len(words) != 3:
        return Symbols(left_out=MISSING)
    size_bytes = int(words[1])
    raw = source.read(size_bytes + 1)[:size_bytes]
    if len(raw) != size_bytes:
        # Git was ended in the middle.
        sys.exit(1)
    # Its default action ends the process, which is what nothing in a grammar can hold up.
    signal.setitimer(signal.ITIMER_PROF, FILE_CPU_SECONDS_MAX)
    try:
        return symbols_of(raw, BY_GRAMMAR[words[2]])
    except (RuntimeError, ValueError, IndexError, UnicodeError):
        return Symbols(left_out=FAILED)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _give_up_rights() -> None:
    """Little memory, no files and no children from here on."""
    assert ast_grep_py.SgRoot("x", "python").root().kind() == "module"
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    confine()


if __name__ == "__main__":
    main()
