"""Make the attempts that stand on standard input, each in a process of its own, and print how each went, a line of JSON each.

Input: {"names": [...], "given": {...}}. Output: {"name", "how": "did" | "kept" | "broken", "saw"}.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback

from . import files, kernel, network, processes
from .kept import Attempt, Given, Kept

ATTEMPT_SECONDS_MAX = 8.0
ATTEMPTS = {**files.ATTEMPTS, **processes.ATTEMPTS, **network.ATTEMPTS, **kernel.ATTEMPTS}


def main() -> None:
    asked = json.load(sys.stdin)
    for name in asked["names"]:
        how, saw = _apart(ATTEMPTS[name], asked["given"])
        print(json.dumps({"name": name, "how": how, "saw": saw}), flush=True)


def _apart(attempt: Attempt, given: Given) -> tuple[str, str]:
    """In a child: an attempt may change what this process is, or never come back."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.write(writing, "\0".join(_made(attempt, given)).encode()[:4000])
        os._exit(0)
    os.close(writing)
    ready = select.select([reading], [], [], ATTEMPT_SECONDS_MAX)[0]
    said = os.read(reading, 4096).decode(errors="replace") if ready else ""
    os.close(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if not said:
        return ("kept", "no answer in time") if not ready else ("broken", "ended without a word")
    how, _, saw = said.partition("\0")
    return how, saw


def _made(attempt: Attempt, given: Given) -> tuple[str, str]:
    try:
        return "did", attempt(given)
    except Kept as kept:
        return "kept", str(kept)
    except OSError as error:
        return "kept", error.strerror or type(error).__name__
    except BaseException:  # whatever it is, it is told, and proves nothing
        return "broken", traceback.format_exc(limit=-2)


main()
