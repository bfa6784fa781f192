"""The supervisor, with small stand-ins for services: order, healing, and an end that leaves nothing."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX

DEADLINE_SECONDS = WAIT_SECONDS_MAX
TESTS = Path(__file__).parents[1]

STAND_IN = """
import http.server, os, pathlib, signal, sys
here, name = pathlib.Path(os.environ["HERE"]), os.environ["NAME"]

def note(what):
    with (here / "journal").open("a") as journal:
        journal.write(f"{name} {what}\\n")

def stop(number, frame):
    note("stopped")
    sys.exit(0)

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        held = here / f"{name}.waits"
        body = b'{"ready": false, "problems": ["' + held.read_bytes() + b'"]}' if held.exists() else b"{}"
        self.send_response(503 if held.exists() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass

if (here / f"{name}.broken").exists():
    sys.exit("broken by the test")
signal.signal(signal.SIGTERM, stop)
note(f"started {os.getpid()}")
if name == "chatty":
    print("x" * 11 * 1024 * 1024)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PENSTOCK_ADMIN_PORT"])), Answer).serve_forever()
"""

SUPERVISOR = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[4])
from ports import free_port
from penstock_launcher.service import Service
from penstock_launcher.supervisor import Stack, Supervisor
here = pathlib.Path(sys.argv[1])
def child(name):
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(here), "HERE": str(here), "NAME": name}
    return Service(name, "stand_in", environ=environ, admin_port=free_port(), log=here / "logs" / f"{name}.log")
def prepare():
    with (here / "journal").open("a") as journal:
        journal.write("prepared\\n")
def say(line):
    print(line, flush=True)
servers, services = (tuple(child(name) for name in names.split(",")) for names in sys.argv[2:4])
stack = Stack(servers, prepare, services)
sys.exit(Supervisor(stack, say=say, on_ready=lambda: say("all ready")).run())
"""


class Supervised:
    """A supervisor process, and what it says, line by line."""

    def __init__(self, here: Path, servers: str, services: str) -> None:
        self.here = here
        (here / "stand_in.py").write_text(STAND_IN)
        argv = [sys.executable, "-c", SUPERVISOR, str(here), servers, services, str(TESTS)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def says(self, part: str) -> str:
        """The next line that has `part` in it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            if part in line:
                return line

    def journal(self) -> list[str]:
        return (self.here / "journal").read_text().splitlines()

    def pid(self, name: str) -> int:
        started = [line for line in self.journal() if line.startswith(f"{name} started")]
        return int(started[-1].split()[2])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)


@contextlib.contextmanager
def supervised(here: Path, servers: str = "first,second", services: str = "a,b") -> Iterator[Supervised]:
    it = Supervised(here, servers, services)
    try:
        yield it
    finally:
        if it.process.poll() is None:
            it.process.kill()
        it.process.wait()


def names(journal: list[str]) -> list[str]:
    return [" ".join(line.split()[:2]) for line in journal]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_servers_start_one_after_the_other_then_the_preparation_then_the_services_and_end_the_other_way(
    tmp_path: Path,
) -> None:
    with supervised(tmp_path) as it:
        it.says("all ready")
        assert it.stop() == 0
        journal = names(it.journal())
    assert journal[:3] == ["first started", "second started", "prepared"]
    assert set(journal[3:5]) == {"a started", "b started"}
    assert set(journal[5:7]) == {"a stopped", "b stopped"}
    assert journal[7:] == ["second stopped", "first stopped"]


@pytest.mark.parametrize("name", ["first", "b"])
def test_a_child_that_is_killed_comes_back_and_the_supervisor_says_so(tmp_path: Path, name: str) -> None:
    with supervised(tmp_path) as it:
        it.says("all ready")
        before = it.pid(name)
        os.kill(before, signal.SIGKILL)
        assert "by SIGKILL" in it.says(f"{name} has ended")
        it.says("all ready")
        assert it.pid(name) != before
        assert it.stop() == 0


def test_a_child_that_cannot_live_is_started_again_at_growing_intervals(tmp_path: Path) -> None:
    (tmp_path / "b.broken").touch()
    with supervised(tmp_path) as it:
        pauses = [it.says("b has ended").split("starting it again ")[1].split(";")[0] for _ in range(3)]
        (tmp_path / "b.broken").unlink()
        it.says("all ready")
        assert it.stop() == 0
    assert pauses == ["now", "in 0.4 s", "in 1.6 s"]
    assert "broken by the test" in (tmp_path / "logs" / "b.log").read_text()


def test_why_a_child_cannot_live_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "b.broken").touch()
    with supervised(tmp_path) as it:
        lines = [it.says("b ")]
        while "1.6 s" not in lines[-1]:
            lines.append(it.says("b "))
        (tmp_path / "b.broken").unlink()
        it.says("all ready")
        assert it.stop() == 0
    assert [line for line in lines if "said" in line] == ["b said: broken by the test"]


def test_a_server_that_does_not_start_ends_everything_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "second.broken").touch()
    with supervised(tmp_path) as it:
        assert "broken by the test" in it.says("second ended while starting")
        assert it.process.wait(DEADLINE_SECONDS) == 1
        assert names(it.journal()) == ["first started", "first stopped"]


def test_all_is_ready_only_when_the_last_one_is(tmp_path: Path) -> None:
    (tmp_path / "a.waits").write_text("the tide")
    with supervised(tmp_path) as it:
        it.says("waiting for a: the tide")
        (tmp_path / "a.waits").unlink()
        it.says("all ready")
        assert it.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path) as it:
        it.says("all ready")
        pids = [it.pid(name) for name in ("first", "second", "a", "b")]
        it.process.kill()
        it.process.wait()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not all(is_gone(pid) for pid in pids):
            assert time.monotonic() < deadline, pids
            time.sleep(0.01)


def test_a_log_does_not_grow_beyond_its_bound(tmp_path: Path) -> None:
    with supervised(tmp_path, services="a,chatty") as it:
        it.says("all ready")
        kept, log = tmp_path / "logs" / "chatty.log.1", tmp_path / "logs" / "chatty.log"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (kept.exists() and log.stat().st_size == 0):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert kept.stat().st_size > 10 * 1024 * 1024
        assert it.stop() == 0
