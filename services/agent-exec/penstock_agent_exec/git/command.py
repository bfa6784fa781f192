"""Running git: on the trusted side here and now, in a clone through a runner that somebody hands in.

The rule of this room: git sees no configuration, no variable and no protocol that is not named here; every run has a
time limit and every output a size limit, and past either the whole process group dies.

A git also dies with this process, and what it has started carries the installation's mark: what a killed executor was pushing
must not go on beside its successor. The parent-death signal is the starting *thread's*, so only the main one starts anything.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from penstock_agent_exec.git.environment import Settings as Settings
from penstock_agent_exec.git.environment import clone_environment as clone_environment
from penstock_agent_exec.git.environment import trusted_environment as trusted_environment
from penstock_agent_exec.git.failures import GitFailed, TimedOut, TooBig, failure_from

LOCAL_SECONDS_MAX: Final = 120.0
STDOUT_BYTES_MAX: Final = 64 * 1024 * 1024
STDERR_BYTES_KEPT: Final = 64 * 1024
LOW_PRIORITY: Final = ("nice", "-n", "19")
"""The words before a command that nobody waits for."""

_CHUNK_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Completed:
    """How a command ended. `truncated`: it said more than it may on stdout, and was killed for it."""

    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


class Sandboxed(Protocol):
    """Runs `argv` where an agent's code can do no harm.

    Inside, `cwd` is the same path as outside and writable, and the mirror's `objects` folder can be read at the same path
    as outside. `env` is the whole environment besides what the sandbox itself must set. After `timeout_seconds` everything
    in it is dead and `TimeoutError` is raised.
    """

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float
    ) -> Completed: ...


async def git(
    git_dir: Path,
    *args: str,
    timeout_seconds: float = LOCAL_SECONDS_MAX,
    protocol: str = "",
    settings: Settings = (),
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stdout_bytes_max: int = STDOUT_BYTES_MAX,
    keep_open: Sequence[int] = (),
    before: Sequence[str] = (),
) -> Completed:
    """Git on the trusted side, in a directory no agent can write, speaking `protocol` only (none, if empty).

    The descriptors in `keep_open` are inherited, so a lock on them is held until the last git is gone. `before`: words before
    the command, such as LOW_PRIORITY. Returns however git ended; raises TimedOut, and GitFailed where there is no git.
    """
    return await run(
        [*before, "git", f"--git-dir={git_dir}", *args],
        env=trusted_environment(protocol=protocol, settings=settings) | dict(env or {}),
        timeout_seconds=timeout_seconds,
        stdin=stdin,
        stdout_bytes_max=stdout_bytes_max,
        keep_open=keep_open,
    )


async def git_output(
    git_dir: Path,
    *args: str,
    timeout_seconds: float = LOCAL_SECONDS_MAX,
    protocol: str = "",
    settings: Settings = (),
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    keep_open: Sequence[int] = (),
    before: Sequence[str] = (),
) -> bytes:
    """What git wrote, as `git` runs it. Raises what git's error output tells of, and TooBig past STDOUT_BYTES_MAX."""
    done = await git(
        git_dir,
        *args,
        timeout_seconds=timeout_seconds,
        protocol=protocol,
        settings=settings,
        env=env,
        stdin=stdin,
        keep_open=keep_open,
        before=before,
    )
    if done.truncated:
        raise TooBig(f"git {args[0]} wrote more than {STDOUT_BYTES_MAX} bytes.")
    if done.returncode != 0:
        raise failure_from(done.stderr)
    return done.stdout


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_seconds: float,
    stdin: bytes = b"",
    stdout_bytes_max: int = STDOUT_BYTES_MAX,
    keep_open: Sequence[int] = (),
) -> Completed:
    """Run `argv` in a process group of its own and read it to the end. Raises TimedOut, GitFailed if it cannot start."""
    with _Pipe() as out, _Pipe() as err, tempfile.TemporaryFile() as stdin_file:
        stdin_file.write(stdin)
        stdin_file.seek(0)
        if shutil.which(argv[0], path=env.get("PATH")) is None:
            raise GitFailed(f"{argv[0]} could not be started: it is not on this host")
        try:
            process = await asyncio.create_subprocess_exec(
                *_dying_with_us(),
                *argv,
                stdin=stdin_file,
                stdout=out.write_end,
                stderr=err.write_end,
                env=dict(env),
                start_new_session=True,
                pass_fds=tuple(keep_open),
            )
        except OSError as error:
            raise GitFailed(f"{argv[0]} could not be started: {error}") from error
        try:
            async with asyncio.timeout(timeout_seconds):
                (stdout, truncated), stderr = await asyncio.gather(
                    _read_head(out.handed_over(), stdout_bytes_max, lambda: _kill(process)),
                    _read_tail(err.handed_over()),
                )
                returncode = await process.wait()
        except TimeoutError as error:
            raise TimedOut(f"{argv[0]} had {timeout_seconds:g} s.") from error
        finally:
            _kill(process)
            await process.wait()
    return Completed(returncode, stdout, stderr, truncated)


@functools.cache
def _dying_with_us() -> tuple[str, ...]:
    """The words before a command that make it die with this process; none where the host cannot."""
    setpriv = shutil.which("setpriv")
    words = () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")
    # There are smaller ones that do not know the option.
    can = words and subprocess.run([*words, "true"], capture_output=True, timeout=LOCAL_SECONDS_MAX).returncode == 0
    return words if can else ()


class _Pipe:
    """A pipe of our own instead of asyncio's, whose `wait` hangs for as long as any grandchild holds the other end."""

    def __enter__(self) -> _Pipe:
        read_end, self.write_end = os.pipe()
        self._file = os.fdopen(read_end, "rb", 0)
        return self

    def handed_over(self) -> object:
        """The end to read from, once a child has the other one: only then does the child's end close it for good."""
        os.close(self.write_end)
        self.write_end = -1
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self.write_end >= 0:
            os.close(self.write_end)


async def _read_head(file: object, bytes_max: int, stop: Callable[[], None]) -> tuple[bytes, bool]:
    """The first `bytes_max` bytes, and whether there were more; then `stop` is called."""
    reader, transport = await _reader(file)
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= bytes_max and (chunk := await reader.read(_CHUNK_BYTES)):
            chunks.append(chunk)
            size += len(chunk)
    finally:
        transport.close()
    if size > bytes_max:
        stop()
    return b"".join(chunks)[:bytes_max], size > bytes_max


async def _read_tail(file: object) -> bytes:
    reader, transport = await _reader(file)
    tail = b""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            tail = (tail + chunk)[-STDERR_BYTES_KEPT:]
    finally:
        transport.close()
    return tail


async def _reader(file: object) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader, transport


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the group while its leader is not yet reaped: only so long is the number surely ours."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
