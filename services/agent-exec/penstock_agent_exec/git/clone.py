"""A task's own clone: `<data>/tasks/<task>/repo`, on the branch `agent/<task>`, borrowing its objects from the mirror.

The rule of this room: once the agent has been let in, nothing in the clone is believed and no git runs in it outside the
sandbox. What must be known of it stands beside the task's folder, where no sandbox reaches. A linked worktree would share
its configuration with every other task of the repo; that is why this is a clone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.git.command import (
    LOCAL_SECONDS_MAX,
    Completed,
    Sandboxed,
    Settings,
    clone_environment,
    run,
    trusted_environment,
)
from penstock_agent_exec.git.failures import CloneDamaged, TimedOut, TooBig, failure_from
from penstock_agent_exec.git.mirror import remove_tree
from penstock_agent_exec.git.names import Identity, check_task

SNAPSHOT_TRAILER: Final = "Penstock-Snapshot: "


@dataclass(frozen=True)
class Clone:
    """A task's clone. Made by `make.make_clone`, found again by `find_clone`; `base` is the commit at which the task began."""

    data: Path
    task: str
    base: str
    objects: Path
    identity: Identity

    @property
    def path(self) -> Path:
        """The work tree; `.git` is a plain folder in it. This is what a sandbox has to let the agent write."""
        return self.data / "tasks" / self.task / "repo"

    @property
    def git_dir(self) -> Path:
        return self.path / ".git"

    @property
    def branch(self) -> str:
        return f"agent/{self.task}"

    @property
    def record(self) -> Path:
        """Says that the clone is whole, and what it is. Beside the task's folder, so that no agent can write it."""
        return self.data / "tasks" / f"{self.task}.clone"


def find_clone(data: Path, task: str) -> Clone | None:
    """The task's clone if there is a whole one on this host. Raises BadName."""
    record = data.resolve() / "tasks" / f"{check_task(task)}.clone"
    if not record.is_file():
        return None
    said = json.loads(record.read_text())
    clone = Clone(data.resolve(), task, said["base"], Path(said["objects"]), Identity(**said["identity"]))
    return clone if is_folder(clone.path) else None


async def drop_clone(data: Path, task: str) -> None:
    """Delete the task's clone, whatever is left of it, and the whole folder of the task. Done again, it does nothing."""
    folder = data.resolve() / "tasks"
    (folder / f"{check_task(task)}.clone").unlink(missing_ok=True)
    await remove_tree(folder / task)


def begin_repository(clone: Clone, *, at: str) -> None:
    """Write the least that is a repository into a work tree that has none: the branch at a commit, the borrowed objects.

    By hand, because no git may run here outside the sandbox and the sandbox need not know how to make one.
    Only where no agent is alive; `.git` must not exist. Raises CloneDamaged.
    """
    if not is_folder(clone.path):
        raise CloneDamaged("The work tree is not a folder any more.")
    git_dir = clone.git_dir
    files = {
        "HEAD": f"ref: refs/heads/{clone.branch}\n",
        f"refs/heads/{clone.branch}": f"{at}\n",
        "objects/info/alternates": f"{clone.objects}\n",
        "config": (
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
            f'[user]\n\tname = "{clone.identity.name}"\n\temail = "{clone.identity.email}"\n[gc]\n\tauto = 0\n'
        ),
    }
    try:
        git_dir.mkdir()
        for name, text in files.items():
            (git_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (git_dir / name).write_text(text)
    except OSError as error:
        raise CloneDamaged(str(error)) from error


async def in_clone(
    clone: Clone,
    sandbox: Sandboxed,
    *args: str,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    settings: Settings = (),
    allow: Collection[int] = (0,),
    timeout_seconds: float = LOCAL_SECONDS_MAX,
    before: Sequence[str] = (),
) -> Completed:
    """Git in the clone, inside the sandbox. `git_dir`: a repository of our own to go by instead of the agent's, with the
    agent's objects; `work_tree`: a folder to treat as the whole; `before`: words before the command.

    What comes back was made where an attacker may rule: it is a claim. Raises CloneDamaged for an exit status that is not
    in `allow`, TooBig, TimedOut.
    """
    who = clone.identity
    env = clone_environment(settings) | {
        "GIT_AUTHOR_NAME": who.name,
        "GIT_AUTHOR_EMAIL": who.email,
        "GIT_COMMITTER_NAME": who.name,
        "GIT_COMMITTER_EMAIL": who.email,
    }
    if git_dir:
        env["GIT_OBJECT_DIRECTORY"] = str(clone.git_dir / "objects")
    folder = work_tree or clone.path
    argv = [*before, "git", "-C", str(folder), f"--git-dir={git_dir or clone.git_dir}", f"--work-tree={folder}", *args]
    return await sandboxed(clone, sandbox, argv, env=env, allow=allow, timeout_seconds=timeout_seconds)


async def sandboxed(
    clone: Clone,
    sandbox: Sandboxed,
    argv: list[str],
    *,
    env: dict[str, str] | None = None,
    allow: Collection[int] = (0,),
    timeout_seconds: float = LOCAL_SECONDS_MAX,
) -> Completed:
    """Any command in the clone's sandbox. Raises CloneDamaged, TooBig, TimedOut."""
    try:
        done = await sandbox(argv, cwd=str(clone.path), env=env or {}, timeout_seconds=timeout_seconds)
    except TimeoutError as error:
        raise TimedOut(f"{argv[0]} in the clone had {timeout_seconds:g} s.") from error
    if done.truncated:
        raise TooBig(f"{argv[0]} in the clone wrote more than can be read.")
    if done.returncode not in allow:
        raise CloneDamaged(f"{argv[0]} ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace')}")
    return done


def is_folder(path: Path) -> bool:
    """A folder itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


async def to_disk(path: Path) -> None:
    """Have all of it on the disk. A power cut must not leave a clone that is said to be whole with its files empty."""
    done = await run(["sync", "-f", str(path)], env=trusted_environment(), timeout_seconds=LOCAL_SECONDS_MAX)
    if done.returncode != 0:
        raise failure_from(done.stderr)


def write_record(clone: Clone) -> None:
    """Say that the clone is whole."""
    making = clone.record.with_suffix(".making")
    with making.open("w") as file:
        json.dump({"base": clone.base, "objects": str(clone.objects), "identity": asdict(clone.identity)}, file)
        file.flush()
        os.fsync(file.fileno())
    making.rename(clone.record)
