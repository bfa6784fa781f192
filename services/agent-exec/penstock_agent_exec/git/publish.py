"""Pushing one branch, once, and never over somebody else's commit.

The rule of this room: look, act, and after anything but a plain yes look again. An answer that got lost is no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from penstock_agent_exec.git.command import git, git_output
from penstock_agent_exec.git.credential import Access, Credential, access_to
from penstock_agent_exec.git.failures import GitFailed, NonFastForward, RefMissing, failure_from
from penstock_agent_exec.git.mirror import Mirror, has_commit
from penstock_agent_exec.git.names import Remote, check_branch, check_commit

LOOK_SECONDS_MAX: Final = 60.0
PUSH_SECONDS_MAX: Final = 600.0


@dataclass(frozen=True)
class Published:
    """`commit` is what the remote's `branch` is at. `adopted`: it was found there; no push of this call was acknowledged."""

    commit: str
    branch: str
    adopted: bool


async def look(
    mirror: Mirror,
    remote: Remote,
    branch: str,
    *,
    credential: Credential | None = None,
    timeout_seconds: float = LOOK_SECONDS_MAX,
) -> str | None:
    """The commit that the remote's branch is at now; None if there is no such branch. Raises the failures of a fetch."""
    access = access_to(remote, credential)
    ref = f"refs/heads/{check_branch(branch)}"
    out = await git_output(
        mirror.path,
        *("ls-remote", "--refs", "--quiet", "--end-of-options", remote.url, ref),
        timeout_seconds=timeout_seconds,
        protocol=remote.protocol,
        settings=access.settings,
        env=access.env,
    )
    # The pattern matches the end of a name too: refs/x/refs/heads/main is another branch.
    found = [line.split("\t")[0] for line in out.decode("utf-8", "replace").splitlines() if line.endswith(f"\t{ref}")]
    return check_commit(found[0]) if found else None


async def publish_branch(
    mirror: Mirror,
    remote: Remote,
    branch: str,
    commit: str,
    *,
    expected: str | None,
    credential: Credential | None = None,
    fence: Callable[[], None] | None = None,
    timeout_seconds: float = PUSH_SECONDS_MAX,
) -> Published:
    """Make the remote's branch be at `commit`. `expected`: where it is now as far as we know; None: it is not there.

    Already there, it is adopted. Anywhere else than expected: NonFastForward, and the remote is untouched. A push whose end
    is unknown is looked up; if even that fails, the failure is transient and the same call may be made again. `fence` is
    called in the last moment before the push, and what it raises stops it: whoever was paused while looking may push no more.
    Raises also Unreachable, TimedOut, AuthRefused, RepositoryMissing, ProtectedBranch, HookRejected, RefMissing, BadName.
    """
    if not await has_commit(mirror, check_commit(commit)):
        raise RefMissing(f"The mirror has no commit {commit}.")
    check_commit(expected or commit, "expected")
    there = await look(mirror, remote, branch, credential=credential)
    if there == commit:
        return Published(commit, branch, adopted=True)
    if there != expected:
        raise NonFastForward(_elsewhere(branch, there, expected))
    if fence is not None:
        fence()
    failure = await _push(mirror, remote, branch, commit, expected, access_to(remote, credential), timeout_seconds)
    if failure is None:
        return Published(commit, branch, adopted=False)
    there = await look(mirror, remote, branch, credential=credential)
    if there == commit:
        return Published(commit, branch, adopted=True)
    if there != expected:
        raise NonFastForward(_elsewhere(branch, there, expected)) from failure
    raise failure


async def _push(
    mirror: Mirror,
    remote: Remote,
    branch: str,
    commit: str,
    expected: str | None,
    access: Access,
    timeout_seconds: float,
) -> GitFailed | None:
    """Push exactly one ref; None when the remote has acknowledged it."""
    ref = f"refs/heads/{check_branch(branch)}"
    try:
        done = await git(
            mirror.path,
            *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-recurse-submodules", "--no-signed"),
            *(f"--force-with-lease={ref}:{expected or ''}", "--end-of-options", remote.url, f"{commit}:{ref}"),
            timeout_seconds=timeout_seconds,
            protocol=remote.protocol,
            settings=access.settings,
            env=access.env,
        )
    except GitFailed as failure:
        return failure
    # What was refused stands on stdout in this format, what broke on stderr.
    return failure_from(done.stderr + b"\n" + done.stdout) if done.returncode != 0 else None


def _elsewhere(branch: str, there: str | None, expected: str | None) -> str:
    return f"{branch} is {f'at {there}' if there else 'not there'}, expected {f'at {expected}' if expected else 'not there'}."
