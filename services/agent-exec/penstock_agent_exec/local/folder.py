"""Which folder may be a repo of this host: below one that the host's settings name, a repository, and the account's own.

Rule of this room: a path is what it says: no link on the way, no `..`, nothing of the executor's own data.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from penstock_agent_exec.git.command import Sandboxed, clone_environment
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.git.names import Remote

STATUS_SECONDS_MAX: Final = 60.0
NAMED_MAX: Final = 10


class FolderRefused(GitFailed):
    """The repo's folder may not be worked with on this host."""

    error_class = "local.refused"


class FolderDirty(GitFailed):
    """Something in the folder is changed and not committed, so that the agent would not see it."""

    error_class = "local.dirty"


def folder_of(address: str, *, allowed: tuple[Path, ...], data: Path) -> Path:
    """The folder that is the repo. Raises FolderRefused."""
    path = Path(address)
    if not address.isprintable() or not path.is_absolute() or os.path.normpath(address) != address.rstrip("/"):
        raise FolderRefused("its path is not a plain absolute one, such as /home/ann/shop.")
    if not allowed:
        raise FolderRefused("PENSTOCK_LOCAL_FOLDERS names none on this host.")
    try:
        real = path.resolve(strict=True)
        roots = [root.resolve(strict=True) for root in allowed]
    except OSError as error:
        raise FolderRefused(f"{error.strerror}: {error.filename}.") from error
    if real != path:
        raise FolderRefused(f"{address} is behind a link, and is {real}.")
    if not any(real == root or root in real.parents for root in roots):
        raise FolderRefused(f"{address} is not below a folder that PENSTOCK_LOCAL_FOLDERS names.")
    own = data.resolve()
    if real == own or own in real.parents or real in own.parents:
        raise FolderRefused(f"{address} holds this executor's own data, or lies in it.")
    for part in (real, real / ".git"):
        _check_owned(part)
    return real


def _check_owned(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError as error:
        raise FolderRefused(f"{path} is not there: only a repository with its own .git folder will do.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise FolderRefused(f"{path} is not a folder: a linked worktree or a submodule will not do.")
    if found.st_uid != os.geteuid():
        raise FolderRefused(f"{path} belongs to another account.")


def remote_of(folder: Path) -> Remote:
    """The folder as something to fetch from."""
    return Remote(url=str(folder), protocol="file", host="")


async def check_clean(folder: Path, sandbox: Sandboxed) -> None:
    """Raises FolderDirty where tracked files differ from what is committed. `sandbox`: one that can read the folder."""
    env = clone_environment() | {"GIT_OPTIONAL_LOCKS": "0"}
    argv = ["git", "-C", str(folder), "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all"]
    try:
        done = await sandbox(argv, cwd=str(folder), env=env, timeout_seconds=STATUS_SECONDS_MAX)
    except TimeoutError as error:
        raise FolderRefused(f"git had {STATUS_SECONDS_MAX:g} s to say whether it is clean.") from error
    if done.returncode != 0:
        raise FolderRefused(done.stderr.decode("utf-8", "replace"))
    changed = [entry[3:].decode("utf-8", "replace") for entry in done.stdout.split(b"\0") if len(entry) > 3]
    if changed:
        more = f" and {len(changed) - NAMED_MAX} more" if len(changed) > NAMED_MAX else ""
        raise FolderDirty(", ".join(changed[:NAMED_MAX]) + more + ".")
