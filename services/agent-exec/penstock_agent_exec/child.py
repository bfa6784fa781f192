"""What one child is made of: its processes, its pipes, how to signal it and how to end it.

The rule of this room: hold descriptors, not numbers. A pid may come to mean another process between looking and acting, a
pidfd never does.

Children are started with `subprocess.Popen`, which uses vfork: a fork would stall the event loop for as long as copying this
process's page tables takes. The parent-death signal belongs to the *thread* that started a child, so only the main thread may.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Final

import msgspec

from penstock_agent_exec.cgroups import Group, NotEnclosed
from penstock_agent_exec.sandbox import Launch, Profile

READ_BYTES: Final = 256 * 1024
PIPE_BYTES: Final = (
    256 * 1024
)  # fewer wake-ups than the default 64 KiB; refused to a user with many pipes, and then not needed


class ChildNotStarted(Exception):
    """The sandbox could not be set up, or its program could not be found on this host."""


class _Status(msgspec.Struct):
    """A line of bubblewrap's `--json-status-fd`."""

    child_pid: int | None = msgspec.field(name="child-pid", default=None)
    exit_code: int | None = msgspec.field(name="exit-code", default=None)


class Child:
    """The processes and descriptors of one child: bubblewrap outside, PID 1 of its namespace, and the command (PID 2)."""

    stdin: int
    stdout: int
    stderr: int

    def __init__(self, plan: Launch, profile: Profile) -> None:
        """Start it. Raises ChildNotStarted."""
        assert threading.current_thread() is threading.main_thread(), "a child dies with the thread that started it"
        ours: list[int] = []
        theirs: list[int] = []
        self.group: Group | None = None
        try:
            self.group = profile.means.enclose(profile.limits)
            self._status = b""
            stdin_read, self.stdin = _pipe(ours, theirs, we_read=False)
            self.stdout, stdout_write = _pipe(ours, theirs, we_read=True)
            self.stderr, stderr_write = _pipe(ours, theirs, we_read=True)
            self._status_fd, status_write = _pipe(ours, theirs, we_read=True)
            argv = list(plan.argv)
            passed: tuple[int, ...] = ()
            self._sandboxed = plan.options is not None
            if plan.options is not None:
                options = _memory_file(b"".join(option.encode() + b"\0" for option in plan.options))
                theirs.append(options)
                passed = (options, status_write)
                fds = ["--args", str(options), "--json-status-fd", str(status_write)]
                if plan.calls is not None:
                    calls = _memory_file(plan.calls)
                    theirs.append(calls)
                    passed = (*passed, calls)
                    fds += ["--seccomp", str(calls)]
                argv = [str(profile.bwrap), *fds, "--", *argv]
            if self.group is not None:
                argv = [*self.group.joining(), *argv]
            self._popen = subprocess.Popen(
                argv,
                stdin=stdin_read,
                stdout=stdout_write,
                stderr=stderr_write,
                env=dict(plan.env),
                cwd=plan.cwd,
                pass_fds=passed,
                start_new_session=True,  # a Ctrl-C at the executor's terminal is for the executor
            )
            self._pidfd = os.pidfd_open(self._popen.pid)
        except (OSError, NotEnclosed) as error:
            for fd in ours:
                os.close(fd)
            if self.group is not None:
                self.group.remove()
            raise ChildNotStarted(str(error)) from error
        finally:
            for fd in theirs:
                os.close(fd)
        self._init_pidfd: int | None = None
        self._init_pid: int | None = None
        self._ours = [*ours, self._pidfd]

    @property
    def returncode(self) -> int | None:
        return self._popen.returncode

    async def exit(self) -> None:
        """Return once the process we started has ended. Its descendants may not have."""
        if self._sandboxed:
            await self._read_status()
            self._adopt()
        await readable(self._pidfd)
        self.kill_leftovers()  # before it is reaped: until then its process group cannot come to mean another one
        self._popen.poll()

    def _adopt(self) -> None:
        """Take hold of PID 1 inside, by a descriptor that cannot come to mean another process."""
        pid = next((line.child_pid for line in self._status_lines() if line.child_pid is not None), None)
        if pid is None:
            return
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self._ours.append(fd)
        if _place(pid)[0] == self._popen.pid:
            self._init_pid, self._init_pidfd = pid, fd

    def signal_command(self, number: signal.Signals) -> bool:
        """Send `number` to the command itself; False where it is not there (yet, or any more)."""
        if not self._sandboxed:
            return self._send(self._pidfd, number)
        if self._init_pid is None:
            return False
        for pid in _children(self._init_pid):
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                if _place(pid) == (self._init_pid, 2):
                    return self._send(fd, number)
            finally:
                os.close(fd)
        return False

    def kill(self) -> None:
        """SIGKILL to PID 1 inside, which takes everything in its namespace with it, and to what we started."""
        self.kill_leftovers()
        self._send(self._pidfd, signal.SIGKILL)

    def kill_leftovers(self) -> None:
        """What may outlive the process we started: the rest of the namespace, or of its process group and its control group."""
        if self._init_pidfd is not None:
            self._send(self._init_pidfd, signal.SIGKILL)
        if not self._sandboxed:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            if self.group is not None:
                self.group.kill()

    @property
    def root(self) -> int:
        """The process on which all others hang, as long as they hang together."""
        return self._popen.pid if self._init_pid is None else self._init_pid

    async def gone(self, seconds: float) -> bool:
        """Whether the whole tree is dead, as the kernel says it, within `seconds`. PID 1's end comes after everybody else's."""
        if self._init_pidfd is None:
            return self._popen.poll() is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await readable(self._init_pidfd)
                return True
        return False

    def command_exit_code(self) -> int | None:
        if not self._sandboxed:
            code = self._popen.returncode
            return code if code is None or code >= 0 else 128 - code
        return next((line.exit_code for line in self._status_lines() if line.exit_code is not None), None)

    async def _read_status(self) -> None:
        """Wait for bubblewrap's first line, which it writes in several pieces, or for it to have nothing to say."""
        while b"\n" not in self._status:
            await readable(self._status_fd)
            part = os.read(self._status_fd, READ_BYTES)
            if not part:
                return
            self._status += part

    def _status_lines(self) -> list[_Status]:
        with contextlib.suppress(BlockingIOError):
            self._status += os.read(self._status_fd, READ_BYTES)
        return [msgspec.json.decode(line, type=_Status) for line in self._status.split(b"\n")[:-1]]

    def close_stdin(self) -> None:
        """End of the child's input. Once: the number may be somebody else's descriptor afterwards."""
        if self.stdin in self._ours:
            self._ours.remove(self.stdin)
            os.close(self.stdin)

    def close(self) -> None:
        self._popen.poll()
        while self._ours:
            os.close(self._ours.pop())
        if self.group is not None and not self.group.remove():
            self.group.kill()
            self.group.remove()

    @staticmethod
    def _send(pidfd: int, number: signal.Signals) -> bool:
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return False
        return True


async def readable(fd: int) -> None:
    """Return once `fd` can be read without waiting (data, end of file, or, for a pidfd, the end of its process)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def writable(fd: int) -> None:
    """Return once `fd` can be written without waiting, or nobody reads it any more."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _pipe(ours: list[int], theirs: list[int], *, we_read: bool) -> tuple[int, int]:
    """A new pipe as (read end, write end), each noted with its owner; our end does not block."""
    ends = os.pipe()
    mine, other = ends if we_read else ends[::-1]
    ours.append(mine)
    theirs.append(other)
    os.set_blocking(mine, False)
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(mine, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends


def _memory_file(content: bytes) -> int:
    fd = os.memfd_create("for-the-sandbox")
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _place(int(path.name))[0] == pid]


def _place(pid: int) -> tuple[int, int]:
    """(pid of the parent, own pid in its innermost namespace); zeros where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {line.split(":")[0]: line.split()[-1] for line in lines if line.startswith(("PPid:", "NSpid:"))}
    return int(values.get("PPid", "0")), int(values.get("NSpid", "0"))
