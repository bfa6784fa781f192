"""Spare work trees: what a task's clone leaves when it is over, cleaned and kept for the next task of the same repo.

Writing files is what a new clone takes its time for; a spare has most of them already. It was an attacker's, so the rule of
this room: nothing of it is believed. What is kept are plain files at paths that the base commit has, and each is there only
because its content was hashed by a git that knows nothing of the tree's own attributes. On any doubt there is no spare.

    <data>/spare/<repo>/<id>/tree     the work tree, without a `.git`
    <data>/spare/<repo>/<id>/index    git's index of it, made after it was cleaned
    <data>/spare/<repo>/<id>/commit   what it is a checkout of

A spare gets its place by one rename when it is whole, and a task takes it by another.
"""

from __future__ import annotations

import functools
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock import ids
from penstock_agent_exec.git.clone import Clone, begin_repository, in_clone, is_folder, to_disk
from penstock_agent_exec.git.command import LOW_PRIORITY, Sandboxed, git, git_output
from penstock_agent_exec.git.failures import CloneDamaged, GitFailed
from penstock_agent_exec.git.mirror import Mirror, has_commit, in_thread, remove_tree
from penstock_agent_exec.git.names import check_commit

SPARES_PER_REPO_MAX: Final = 2
SPARE_SECONDS_MAX: Final = 600.0
DEPTH_MAX: Final = 100

_ATTRIBUTES: Final = ":(glob)**/.gitattributes"
_CONVERTING: Final = "eol *= *crlf|ident|working-tree-encoding"
"""Attributes with which git writes other bytes than it has stored, with nothing configured on this host."""

_RAW: Final = "* -text -ident -filter -working-tree-encoding\n"
"""Before all other attributes: content is compared byte for byte, whatever the tree says of itself."""


class Doubtful(GitFailed):
    """The work tree is not one to be used again."""

    error_class = "git.doubtful"


@dataclass(frozen=True)
class Spare:
    """A spare on the disk."""

    path: Path

    @property
    def age_seconds(self) -> float:
        return time.time() - self.path.stat().st_mtime


def spares_of(data: Path, repo: str) -> list[Spare]:
    """The repo's spares, oldest first."""
    found = [Spare(path) for path in (data.resolve() / "spare" / repo).glob("*")]
    return sorted(found, key=lambda spare: spare.path.name)


async def make_spare(clone: Clone, mirror: Mirror, sandbox: Sandboxed, *, data: Path) -> Spare:
    """Make a spare of `data` out of a clone that nobody will come back to, in which no process is alive. What it had besides
    the base's files is deleted. Raises Doubtful, CloneDamaged, and the failures of git: then the clone is of no use any more.
    """
    commit = clone.base
    plan = await _plan(mirror, commit)
    trash = clone.path.parent / "trash"
    await remove_tree(trash)
    trash.mkdir()
    await in_thread(_sift, clone.path, plan, trash)
    await remove_tree(trash, before=LOW_PRIORITY)
    begin_repository(clone, at=commit)
    (clone.git_dir / "info").mkdir()
    (clone.git_dir / "info" / "attributes").write_text(_RAW)
    await _clean(clone, sandbox)
    making = clone.path.parent / "spare"
    await remove_tree(making)
    making.mkdir()
    (clone.git_dir / "index").rename(making / "index")
    (making / "commit").write_text(commit)
    await remove_tree(clone.git_dir, before=LOW_PRIORITY)
    clone.path.rename(making / "tree")
    await to_disk(making)
    place = data.resolve() / "spare" / mirror.repo / ids.fresh()
    place.parent.mkdir(parents=True, exist_ok=True)
    os.utime(making)
    making.rename(place)
    return Spare(place)


async def take_spare(clone: Clone, mirror: Mirror, sandbox: Sandboxed, *, at: str, timeout_seconds: float) -> bool:
    """Make the clone, of which nothing is there, out of a spare: all of `make_clone` up to a clean checkout of `at`. False
    where there is no spare that will do; what is there then has to go. Raises CloneDamaged, TimedOut."""
    for spare in reversed(spares_of(clone.data, mirror.repo)):
        taken = clone.path.parent / "spare"
        taken.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            spare.path.rename(taken)  # of two that want it, one gets it
            break
    else:
        return False
    commit = check_commit((taken / "commit").read_text())
    if not await _same_attributes(mirror, commit, at):
        return False
    (taken / "tree").rename(clone.path)
    begin_repository(clone, at=at)
    (taken / "index").rename(clone.git_dir / "index")
    await in_clone(clone, sandbox, "reset", "--quiet", "--hard", timeout_seconds=timeout_seconds)
    await remove_tree(taken)
    return True


@dataclass(frozen=True)
class _Plan:
    """What of a tree may stay, by path from its root."""

    files: frozenset[bytes]
    folders: frozenset[bytes] = field(default_factory=frozenset)


async def _plan(mirror: Mirror, commit: str) -> _Plan:
    if not await has_commit(mirror, commit):
        raise Doubtful(f"The mirror has no commit {commit}.")
    listed = await git_output(mirror.path, "ls-tree", "-r", "-z", check_commit(commit), before=LOW_PRIORITY)
    files: set[bytes] = set()
    folders: set[bytes] = set()
    for line in listed.split(b"\0")[:-1]:
        facts, _, path = line.partition(b"\t")
        if facts.startswith(b"160000"):
            raise Doubtful("It has submodules.")
        if facts.startswith(b"100"):
            files.add(path)
        folders.update(_above(path))
    if any(folder.count(b"/") >= DEPTH_MAX for folder in folders):
        raise Doubtful(f"It has more than {DEPTH_MAX} folders in each other.")
    if await _converts(mirror, commit):
        raise Doubtful("Its attributes make git write other bytes than it has stored.")
    return _Plan(frozenset(files), frozenset(folders))


def _above(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


async def _converts(mirror: Mirror, commit: str) -> bool:
    found = await git(
        mirror.path,
        *("grep", "--quiet", "--text", "--ignore-case", "--no-textconv", "--extended-regexp"),
        *("-e", _CONVERTING, commit, "--", _ATTRIBUTES),
        before=LOW_PRIORITY,
    )
    return found.returncode != 1  # 1: looked everywhere and found nothing


async def _same_attributes(mirror: Mirror, one: str, other: str) -> bool:
    if one == other:
        return True
    done = await git(mirror.path, "diff-tree", "-r", "--quiet", "--end-of-options", one, other, "--", _ATTRIBUTES)
    return done.returncode == 0


def _sift(tree: Path, plan: _Plan, trash: Path) -> None:
    """Leave nothing in the tree but plain files and folders where the plan has them, with ordinary permissions. Raises
    Doubtful. No link is followed, and nobody else is at work here."""
    if not is_folder(tree):
        raise Doubtful("It is not a folder any more.")
    sift = _Sift(plan, os.lstat(tree).st_dev, _umask(), trash)
    try:
        tree.chmod(0o700)
        root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            sift.folder(root, b"")
        finally:
            os.close(root)
        tree.chmod(0o777 & ~sift.umask)
    except OSError as error:
        raise Doubtful(str(error)) from error


@dataclass
class _Sift:
    plan: _Plan
    device: int
    umask: int
    trash: Path
    thrown: int = 0

    def folder(self, here: int, at: bytes) -> None:
        if _attributes(here, ""):
            raise Doubtful("A folder has an access list or other attributes.")
        for entry in list(os.scandir(here)):
            found = entry.stat(follow_symlinks=False)
            path = at + os.fsencode(entry.name)
            if found.st_dev != self.device or found.st_uid != os.geteuid():
                raise Doubtful("It has something of another file system or of another user.")
            if stat.S_ISDIR(found.st_mode) and path in self.plan.folders:
                self._descend(here, entry.name, path)
            elif stat.S_ISREG(found.st_mode) and self._may_stay(here, entry.name, path, found):
                usual = (0o777 if found.st_mode & stat.S_IXUSR else 0o666) & ~self.umask
                if stat.S_IMODE(found.st_mode) != usual:
                    os.chmod(entry.name, usual, dir_fd=here)
            elif stat.S_ISDIR(found.st_mode):
                self.thrown += 1
                os.chmod(entry.name, 0o700, dir_fd=here)  # a folder that may not be written cannot be moved
                os.rename(entry.name, self.trash / str(self.thrown), src_dir_fd=here)
            else:
                os.unlink(entry.name, dir_fd=here)

    def _descend(self, here: int, name: str, path: bytes) -> None:
        os.chmod(name, 0o700, dir_fd=here)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        try:
            self.folder(inner, path + b"/")
            os.fchmod(inner, 0o777 & ~self.umask)
        finally:
            os.close(inner)

    def _may_stay(self, here: int, name: str, path: bytes, found: os.stat_result) -> bool:
        """A file with a second name could be written from elsewhere."""
        return path in self.plan.files and found.st_nlink == 1 and not _attributes(here, name)


def _attributes(folder: int, name: str) -> bool:
    """Whether there is anything that permissions and content do not say. A label of the system's own is no such thing."""
    try:
        found = os.listxattr(f"/proc/self/fd/{folder}/{name}", follow_symlinks=not name)
    except OSError:
        return False  # the file system has none
    return any(one != "security.selinux" for one in found)


def _umask() -> int:
    """This process's, without setting it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))


async def _clean(clone: Clone, sandbox: Sandboxed) -> None:
    """Make the files what the commit says, by their content, in a repository that has nothing of the agent's."""
    git = functools.partial(in_clone, clone, sandbox, timeout_seconds=SPARE_SECONDS_MAX, before=LOW_PRIORITY)
    await git("read-tree", "HEAD")
    await git("update-index", "-q", "--refresh", allow=(0, 1))  # 1: something differs
    await git("reset", "--quiet", "--hard")
    await git("clean", "--quiet", "-ffdx")
    if not (clone.git_dir / "index").is_file():
        raise CloneDamaged("Git has left no index.")
