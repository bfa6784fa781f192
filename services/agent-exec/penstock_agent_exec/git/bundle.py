"""The one way out of a clone: a bundle, made in the sandbox, checked outside, and only then taken into the mirror.

The rule of this room: a bundle is written by an attacker. It is copied before git reads it, unpacked in a quarantine
beside the mirror, and enters the mirror through git's own strict object check.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from penstock_agent_exec.git.clone import Clone, in_clone, sandboxed
from penstock_agent_exec.git.command import Sandboxed, git, git_output
from penstock_agent_exec.git.failures import (
    BaseLost,
    BundleRefused,
    DiskFull,
    GitFailed,
    RefMissing,
    TimedOut,
    TooBig,
)
from penstock_agent_exec.git.mirror import Mirror, has_commit, held, in_thread, kept_commit, remove_tree
from penstock_agent_exec.git.names import check_commit

BUNDLE_BYTES_MAX: Final = 512 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
BUNDLE_SECONDS_MAX: Final = 300.0
_FILE_NAME: Final = "penstock.bundle"
_COPY_BYTES: Final = 1024 * 1024
_INCOMING: Final = "refs/penstock/incoming"
_ONLY_REFS = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")


async def carry(
    clone: Clone,
    mirror: Mirror,
    sandbox: Sandboxed,
    *,
    ref: str,
    into: str,
    descends_from: str | None = None,
    bundle_bytes_max: int = BUNDLE_BYTES_MAX,
) -> str | None:
    """Bring what `ref` in the clone has beyond the base into the mirror, as the ref `into`. The commit as the trusted side
    found it, or None when there is nothing beyond the base. Raises as `take_bundle`, and CloneDamaged."""
    beyond = await in_clone(clone, sandbox, "rev-list", "--count", ref, f"^{clone.base}")
    if beyond.stdout.strip() == b"0":
        return None
    file = str(clone.git_dir / _FILE_NAME)
    await sandboxed(clone, sandbox, ["rm", "-rf", "--", file, f"{file}.lock"])
    await in_clone(
        clone,
        sandbox,
        *("bundle", "create", "--quiet", file, ref, f"^{clone.base}"),
        timeout_seconds=BUNDLE_SECONDS_MAX,
    )
    with _open_in_clone(clone) as bundle:
        return await _take(mirror, bundle, ref, into, clone.base, descends_from, bundle_bytes_max)


async def take_bundle(
    mirror: Mirror,
    bundle: Path,
    *,
    ref: str,
    into: str,
    base: str,
    descends_from: str | None = None,
    exactly: str | None = None,
    bundle_bytes_max: int = BUNDLE_BYTES_MAX,
) -> str:
    """Take `ref` out of a bundle file (one that came from another host, say) into the mirror, as the ref `into`.

    `base` is the commit that the bundle builds on. Raises BundleRefused for what is unsound or not the commit `exactly`,
    BaseLost if it does not descend from `descends_from`, RefMissing if the mirror lacks `base`, TooBig, DiskFull, TimedOut,
    MirrorBusy.
    """
    with bundle.open("rb") as file:
        return await _take(mirror, file, ref, into, base, descends_from, bundle_bytes_max, exactly)


async def pack(mirror: Mirror, bundle: Path, *, ref: str, base: str) -> None:
    """Write what a ref of the mirror has beyond `base` into a bundle file, for another host that has `base`. There must be
    something. Raises DiskFull, TimedOut."""
    await git_output(
        mirror.path,
        *("bundle", "create", "--quiet", str(bundle), ref, f"^{check_commit(base)}"),
        timeout_seconds=BUNDLE_SECONDS_MAX,
    )


async def _take(
    mirror: Mirror,
    bundle: BinaryIO,
    ref: str,
    into: str,
    base: str,
    descends_from: str | None,
    bytes_max: int,
    exactly: str | None = None,
) -> str:
    assert into.startswith("refs/penstock/"), "an agent's work never becomes a branch of the mirror"
    if not await has_commit(mirror, base):
        raise RefMissing(f"The mirror has no commit {base}.")
    async with held(mirror) as lock:
        await remove_tree(mirror.spool)
        mirror.spool.mkdir()
        copied = mirror.spool / "bundle"
        await in_thread(_copy, bundle, copied, bytes_max)
        quarantine = mirror.spool / "quarantine.git"
        await _unpack(mirror, quarantine, copied, ref, base)
        if exactly and (found := await kept_commit(Mirror(quarantine), _INCOMING)) != exactly:
            raise BundleRefused(f"It holds {found} and not {exactly}.")
        if descends_from and not await _descends(quarantine, _INCOMING, descends_from):
            raise BaseLost(f"{descends_from} is not among its ancestors.")
        await _weigh(quarantine, base)
        await _sound(
            mirror.path,
            *("fetch", *_ONLY_REFS, "--force", f"--negotiation-tip={base}", "--end-of-options", str(quarantine)),
            f"+{_INCOMING}:{into}",
            settings=(("fetch.fsckObjects", "true"),),
            keep_open=(lock,),
        )
        await remove_tree(mirror.spool)
    return await kept_commit(mirror, into)


async def _unpack(mirror: Mirror, quarantine: Path, bundle: Path, ref: str, base: str) -> None:
    """The bundle's objects in a repository of their own that sees the mirror's and is nobody's. Git checks here that the
    bundle's prerequisites are there and that its history is complete."""
    await git_output(quarantine, "init", "--quiet", "--bare", "--template=")
    (quarantine / "objects" / "info").mkdir(exist_ok=True)
    (quarantine / "objects" / "info" / "alternates").write_text(f"{mirror.objects}\n")
    await git_output(quarantine, "update-ref", "refs/penstock/base", check_commit(base))
    await _sound(quarantine, "fetch", *_ONLY_REFS, "--end-of-options", str(bundle), f"{ref}:{_INCOMING}")


async def _sound(
    git_dir: Path, *args: str, settings: tuple[tuple[str, str], ...] = (), keep_open: tuple[int, ...] = ()
) -> None:
    """A fetch between places on this host. What git then objects to is the bundle."""
    try:
        await git_output(
            git_dir,
            *args,
            timeout_seconds=BUNDLE_SECONDS_MAX,
            protocol="file",
            settings=settings,
            keep_open=keep_open,
        )
    except (DiskFull, TimedOut):
        raise
    except GitFailed as failure:
        raise BundleRefused(failure.detail) from failure


async def _descends(git_dir: Path, ref: str, ancestor: str) -> bool:
    done = await git(git_dir, "merge-base", "--is-ancestor", check_commit(ancestor), ref)
    return done.returncode == 0


async def _weigh(git_dir: Path, base: str) -> None:
    """What is new, at its full size: a bundle of some kilobytes can unpack to any amount of zeros."""
    new = await git_output(git_dir, "rev-list", "--objects", "--no-object-names", _INCOMING, f"^{base}")
    sizes = await git_output(git_dir, "cat-file", "--batch-check=%(objectsize)", stdin=new)
    if (size_bytes := sum(int(size) for size in sizes.split())) > UNPACKED_BYTES_MAX:
        raise TooBig(f"It unpacks to {size_bytes} bytes; the limit is {UNPACKED_BYTES_MAX}.")


def _open_in_clone(clone: Clone) -> BinaryIO:
    """The bundle in the clone, through no link that the agent may have put in its way. Its name goes at once."""
    folder = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(clone.path, folder))
        opened.append(os.open(".git", folder, dir_fd=opened[-1]))
        bundle = os.open(_FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=opened[-1])
        if not stat.S_ISREG(os.fstat(bundle).st_mode):
            os.close(bundle)
            raise BundleRefused("It is not a plain file.")
        os.unlink(_FILE_NAME, dir_fd=opened[-1])
    except OSError as error:
        raise BundleRefused(f"It is not where git has written it: {error.strerror}.") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return os.fdopen(bundle, "rb")


def _copy(bundle: BinaryIO, to: Path, bytes_max: int) -> None:
    """Copied before it is read: the agent may still be able to write what it handed us."""
    size_bytes = 0
    with to.open("wb") as file:
        while chunk := bundle.read(_COPY_BYTES):
            size_bytes += len(chunk)
            if size_bytes > bytes_max:
                raise TooBig(f"The bundle has more than {bytes_max} bytes.")
            file.write(chunk)
