"""A child process of the launcher: launched, awaited, asked to stop, killed, launched again; its log has a bound.

Rule of this room: a process is known by its pid and nothing else. On Linux a child ends with the thread that launched it,
so launch from the main thread.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

READY_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.005
LOG_BYTES_MAX: Final = 10 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2_000


class ChildFailed(RuntimeError):
    """A child could not be started or did not become ready; the message ends with its last words."""


class ChildProcess(ABC):
    """One child. Both its output streams go to `log`, in the order in which they come."""

    name: str
    stop_signal: signal.Signals = signal.SIGTERM

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Arguments and the whole environment; may make what the process needs on disk first. Raises ChildFailed."""

    @abstractmethod
    def problems(self) -> list[str]:
        """Why it does not do its work right now, in words; empty when it is ready."""

    @property
    def pid(self) -> int | None:
        """The pid of the running process, None when there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def launch(self) -> None:
        """Start without waiting; nothing to do when it runs. Raises ChildFailed."""
        if self.pid is not None:
            return
        argv, environ = self.command()
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal goes to the whole group: the order of stopping is the launcher's.
                process_group=0,
            )

    def start(self) -> None:
        """Launch and wait until it is ready. Raises ChildFailed."""
        self.launch()
        deadline = time.monotonic() + READY_SECONDS_MAX
        # A stranger on the same port may answer in its place: ready counts only while our own process lives.
        while (problems := self.problems()) or self.pid is None:
            if self.pid is None:
                raise ChildFailed(f"{self.name} ended while starting ({self.ending()}): {self.last_words()}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} is not ready after {READY_SECONDS_MAX:g} s: {'; '.join(problems)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> bool:
        """End it in order; by force, and with the answer False, when that takes longer than STOP_SECONDS_MAX."""
        self.ask_to_stop()
        return self.await_end(STOP_SECONDS_MAX)

    def ask_to_stop(self) -> None:
        """Send the signal that ends it in order, without waiting."""
        if self._process is not None:
            self._process.send_signal(self.stop_signal)

    def await_end(self, seconds: float) -> bool:
        """Wait until it is gone; after `seconds` it is killed, and the answer is False."""
        if self._process is not None:
            try:
                self._process.wait(max(seconds, 0.0))
            except subprocess.TimeoutExpired:
                self.kill()
                return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Start again on the same data and port, after a stop or a kill."""
        self.stop()
        self.start()

    def ending(self) -> str:
        """How the last process ended, in words; empty while it runs."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return ""
        return f"exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"

    def reason(self) -> str:
        """The last line of its log where it ended by a failure of its own; else empty."""
        failed = self._process is not None and (self._process.poll() or 0) > 0
        return self.last_words().rpartition("\n")[2] if failed else ""

    def last_words(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            return "(no log)"

    def bound_log(self) -> None:
        """Move a log that is full into `<log>.1`, of which there is one. The process keeps its open file, so the lines
        of the moment between copy and truncation are lost; the size is what counts here."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
            with self.log.open("ab") as log:
                log.truncate(0)


def ends_with_launcher(argv: Sequence[str], number: signal.Signals) -> list[str]:
    """`argv`, made to get signal `number` when the thread that starts it ends. Where the system has no such thing: `argv`."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *argv]
