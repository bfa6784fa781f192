"""A child as bad as children come, for the selftest: deaf to every signal it can be deaf to, with descendants in sessions and
process groups of their own, a daemon without a parent among them, all of them holding stdout open. Run with a mark as its
argument, inside a sandbox: only the standard library.
"""

import os
import signal
import sys
import time

MARK = sys.argv[1]
SLEEPER = "import time, signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: time.sleep(60)"
DESCENDANTS = 5


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reading, writing = os.pipe()
    for count in range(DESCENDANTS):
        _descend(writing, twice=count % 2 == 0)
    for _ in range(DESCENDANTS):
        os.read(reading, 1)
    print("READY", flush=True)
    while True:
        time.sleep(60)


def _descend(writing: int, *, twice: bool) -> None:
    """A sleeper in a session of its own, which says that it is there; `twice`: one whose parent has gone."""
    if os.fork() != 0:
        if twice:
            os.wait()
        return
    os.setsid()
    if twice and os.fork() != 0:
        os._exit(0)
    os.write(writing, b"x")
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", SLEEPER, MARK], {})  # noqa: S606  that is what it is for


main()
