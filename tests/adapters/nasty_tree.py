"""A child as bad as children come: it ignores every signal it can and has descendants in other sessions and process groups,
one of them a daemon without a parent, one that starts the next when it is killed; all hold stdout open.

Run with a mark as its argument.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = sys.argv[1]
SLEEPER = "import time, signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: time.sleep(60)"


def deaf() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-c", SLEEPER, MARK], {})
        os._exit(0)
    os.wait()


def respawner() -> None:
    if os.fork() == 0:
        os.setpgid(0, 0)
        deaf()
        while True:
            subprocess.run([sys.executable, "-c", SLEEPER, MARK], check=False)


deaf()
subprocess.Popen([sys.executable, "-c", SLEEPER, MARK], start_new_session=True)
daemon()
respawner()
while len(list(Path("/proc").glob("[0-9]*"))) < 6:
    time.sleep(0.01)
print("READY", flush=True)
while True:
    time.sleep(60)
