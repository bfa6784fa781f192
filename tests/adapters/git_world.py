"""A small world for git tests: a remote, a data directory, an agent in bubblewrap. All of it real, all under one folder."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from patience import WAIT_SECONDS_MAX

from penstock_agent_exec.git.clone import Clone
from penstock_agent_exec.git.command import Completed
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.git.mirror import Mirror, mirror_of, resolve_base, update_mirror
from penstock_agent_exec.git.names import Identity, Remote, check_remote

TASK = "01hzzzzzzzzzzzzzzzzzzzzzz1"
OTHER_TASK = "01hzzzzzzzzzzzzzzzzzzzzzz2"
AGENT = Identity("Penstock Agent", "agent@example.com")
_HOST_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def host_git(folder: Path, *args: str, stdin: bytes = b"") -> str:
    """Plain git as a person would run it, trusting whatever lies in `folder`."""
    done = subprocess.run(
        ["git", "-C", str(folder), *args], env=_HOST_ENV, input=stdin, capture_output=True, timeout=WAIT_SECONDS_MAX
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@dataclass
class Bubblewrap:
    """A `Sandboxed`: the folder it is called in can be written, the system and the mirrors' objects be read, no more."""

    mirrors: Path
    calls: list[tuple[str, ...]] = field(default_factory=list)

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float
    ) -> Completed:
        self.calls.append(tuple(argv))
        process = await asyncio.create_subprocess_exec(
            *self.command(cwd, env),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Completed(process.returncode, stdout, stderr)

    def command(self, cwd: str, env: Mapping[str, str]) -> list[str]:
        system = [part for path in ("/usr", "/bin", "/lib", "/lib64") for part in ("--ro-bind-try", path, path)]
        lent = [part for path in self.mirrors.glob("*.git/objects") for part in ("--ro-bind", str(path), str(path))]
        inside = {"PATH": "/usr/bin:/bin", "HOME": "/tmp"} | dict(env)
        return [
            *("/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
            *system,
            *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
            *lent,
            *("--bind", cwd, cwd, "--chdir", cwd),
            *(part for name, value in inside.items() for part in ("--setenv", name, value)),
            "--",
        ]


@dataclass
class World:
    """`origin` is a bare repository with two commits on main; `work` is somebody's clone of it."""

    root: Path
    data: Path
    origin: Path
    work: Path
    mirror: Mirror
    remote: Remote
    sandbox: Bubblewrap

    async def base(self) -> str:
        await update_mirror(self.mirror, self.remote)
        return await resolve_base(self.mirror, "main")

    async def clone(self, task: str = TASK, start: str | None = None) -> Clone:
        return await make_clone(
            self.data, self.mirror, task, base=await self.base(), identity=AGENT, sandbox=self.sandbox, start=start
        )

    async def agent(self, clone: Clone, script: str) -> str:
        """What the agent does in its sandbox, as a shell script; it may do anything, and has to end with 0."""
        done = await self.sandbox(["sh", "-euc", script], cwd=str(clone.path), env={}, timeout_seconds=WAIT_SECONDS_MAX)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def somebody_pushes(self, branch: str, name: str, content: str) -> str:
        """Another person's commit on a branch of the remote, on top of main."""
        host_git(self.work, "fetch", "-q", "origin")
        host_git(self.work, "checkout", "-q", "-B", branch, "origin/main")
        (self.work / name).write_text(content)
        host_git(self.work, "add", "-A")
        host_git(self.work, "commit", "-q", "-m", f"Write {name}")
        host_git(self.work, "push", "-q", "-f", "origin", branch)
        return host_git(self.work, "rev-parse", "HEAD")

    def on_remote(self, branch: str) -> str | None:
        line = host_git(self.origin, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return line or None

    def hook(self, name: str, script: str) -> None:
        """A hook of the remote: the remote's own business, run by its side of a push."""
        hook = self.origin / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)


def make_world(root: Path) -> World:
    origin, work, data = root / "origin.git", root / "work", root / "data"
    for folder in (origin, work, data):
        folder.mkdir()
    host_git(origin, "init", "-q", "--bare", "-b", "main", "--template=")
    host_git(work, "init", "-q", "-b", "main", "--template=")
    host_git(work, "remote", "add", "origin", str(origin))
    (work / "src").mkdir()
    for number, (name, content) in enumerate([("README", "hello\n"), ("src/app.py", "print('one')\nprint('two')\n")]):
        (work / name).write_text(content)
        (work / ".gitignore").write_text("*.pyc\nbuild/\n")
        host_git(work, "add", "-A")
        host_git(work, "commit", "-q", "-m", f"Commit {number}")
    host_git(work, "push", "-q", "origin", "main")
    mirror = mirror_of(data, "sample")
    return World(
        root, data, origin, work, mirror, check_remote(str(origin), allow_local=True), Bubblewrap(mirror.path.parent)
    )


async def until(happened: Path, seconds_max: float = WAIT_SECONDS_MAX) -> None:
    """Wait for a file that another process makes. The limit is for a test that would hang."""
    async with asyncio.timeout(seconds_max):
        while not happened.exists():
            await asyncio.sleep(0.01)


async def gone(pid: int, seconds_max: float = WAIT_SECONDS_MAX) -> bool:
    """Whether a process that has been killed is gone; a zombie of the system's is."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        async with asyncio.timeout(seconds_max):
            while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
                await asyncio.sleep(0.01)
    except (TimeoutError, FileNotFoundError, ProcessLookupError):
        return not stat.exists()
    return True
