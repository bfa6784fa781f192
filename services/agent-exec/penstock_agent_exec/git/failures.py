"""What can go wrong with git, by name, and how git's own words are told apart.

The rule of this room: an exception's docstring is its message; `error_class` is stable, because decisions hang on it.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

DETAIL_CHARACTERS_MAX: Final = 2_000


class GitFailed(Exception):
    """Git could not do what it was asked."""

    error_class: ClassVar[str] = "git.failed"
    transient: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        sentence = (type(self).__doc__ or "").strip()
        self.detail = readable(detail)
        super().__init__(f"{sentence} {self.detail}".strip())


class BadName(GitFailed):
    """A name or an address is not fit to be handed to git."""

    error_class = "git.bad_name"


class Unreachable(GitFailed):
    """The remote could not be reached, or the connection broke."""

    error_class = "git.unreachable"
    transient = True


class TimedOut(GitFailed):
    """Git took longer than it may, and was killed."""

    error_class = "git.timeout"
    transient = True


class MirrorBusy(GitFailed):
    """Somebody else has held the mirror for longer than we may wait."""

    error_class = "git.busy"
    transient = True


class DiskFull(GitFailed):
    """There is no space left where git has to write."""

    error_class = "env.disk_full"
    transient = True


class AuthRefused(GitFailed):
    """The remote and we do not accept each other: a credential, a certificate or a host key."""

    error_class = "git.auth"


class RepositoryMissing(GitFailed):
    """The remote has no such repository under this address, or hides it from this credential."""

    error_class = "git.repository_missing"


class RefMissing(GitFailed):
    """There is no such branch or commit."""

    error_class = "git.ref_missing"


class BaseGone(GitFailed):
    """The commit at which the task began is not on the remote any more."""

    error_class = "git.base_gone"


class BaseMoved(GitFailed):
    """The default branch is not where the change was made any more."""

    error_class = "git.base_moved"


class NothingLeft(GitFailed):
    """The default branch holds all of the change by now."""

    error_class = "git.nothing_left"


class ParcelMissing(GitFailed):
    """The host with the change has left nothing for this one."""

    error_class = "parcel.missing"


class ParcelGone(GitFailed):
    """What another host has left is not there any more."""

    error_class = "parcel.gone"


class ParcelRefused(GitFailed):
    """What another host has left is not what it said, or not sound."""

    error_class = "parcel.refused"


class BranchGone(GitFailed):
    """The branch to go on with is not on the remote any more."""

    error_class = "git.branch_gone"


class BranchRewritten(GitFailed):
    """The branch to go on with does not hold the commit any more that was handed over on it."""

    error_class = "git.branch_rewritten"


class NonFastForward(GitFailed):
    """The branch on the remote is not where we left it; somebody else's commit is never overwritten."""

    error_class = "git.non_fast_forward"


class ProtectedBranch(GitFailed):
    """The remote protects this branch."""

    error_class = "git.protected_branch"


class HookRejected(GitFailed):
    """The remote took the connection and refused the push."""

    error_class = "git.hook_rejected"


class Conflict(GitFailed):
    """The change does not fit on what the branch has become."""

    error_class = "git.conflict"


class BaseLost(GitFailed):
    """The work does not descend from the commit at which the task began."""

    error_class = "git.base_lost"


class BundleRefused(GitFailed):
    """What came out of the clone is not a sound set of git objects."""

    error_class = "git.bundle_refused"


class TooBig(GitFailed):
    """The work is bigger than the limit."""

    error_class = "git.too_big"


class CloneDamaged(GitFailed):
    """Git cannot work in the task's clone as the agent left it."""

    error_class = "git.clone_damaged"


class MirrorDamaged(GitFailed):
    """The mirror on this host lacks objects it should have; a person must look, since clones borrow from it."""

    error_class = "git.mirror_damaged"


# The first row that matches wins: git ends many different stories with the same "could not read from remote repository".
_SIGNS: Final[tuple[tuple[type[GitFailed], re.Pattern[str]], ...]] = tuple(
    (failure, re.compile(signs, re.IGNORECASE))
    for failure, signs in (
        (DiskFull, r"no space left on device|disk quota exceeded"),
        (ProtectedBranch, r"protected branch|GH006|GH013"),
        (NonFastForward, r"\(stale info\)|\(fetch first\)|\(non-fast-forward\)|\(needs force\)"),
        (HookRejected, r"hook declined|\[remote rejected\]"),
        (
            AuthRefused,
            r"authentication failed|could not read (username|password)|terminal prompts disabled|permission denied"
            r"|access denied|returned error: 40[13]\b|write access to repository not granted|permission to \S+ denied"
            r"|host key verification failed|certificate (verification|problem|verify)|too many authentication failures",
        ),
        (
            RepositoryMissing,
            r"repository not found|repository '[^']*' not found|does not appear to be a git repository"
            r"|returned error: (30[1278]|404|410)\b|unable to update url base from redirection",
        ),
        (RefMissing, r"couldn't find remote ref|not a valid object name|needed a single revision|unknown revision"),
        (
            MirrorDamaged,
            r"object file \S+ is empty|loose object \S+ .*is corrupt|packfile \S+ (is|cannot)|unable to read tree"
            r"|missing (blob|tree|commit)|bad object refs/",
        ),
        (
            Unreachable,
            r"could not resolve|couldn't resolve|failed to connect|couldn't connect|connection (refused|timed out|reset|closed)"
            r"|network is unreachable|no route to host|operation timed out|operation too slow|early eof|hung up unexpectedly"
            r"|unexpected disconnect|rpc failed|returned error: (429|5\d\d)\b|unable to access|could not read from remote"
            r"|(ssl|tls|gnutls)\S* ",
        ),
    )
)


def failure_from(stderr: bytes) -> GitFailed:
    """The failure that git's error output tells of. Expects output in the C locale."""
    text = stderr.decode("utf-8", "replace")
    for failure, signs in _SIGNS:
        if signs.search(text):
            return failure(text)
    return GitFailed(text)


def readable(text: str) -> str:
    """`text` without control characters, and its end only, where it is long: git says the reason last. Cut at a gap: half a
    secret is none that anybody would find and hide."""
    printable = "".join(c if c.isprintable() or c == "\n" else "�" for c in text.replace("\r", "\n")).strip()
    if len(printable) <= DETAIL_CHARACTERS_MAX:
        return printable
    tail = printable[-DETAIL_CHARACTERS_MAX:]
    gap = re.search(r"\s", tail)
    return "…" + (tail if gap is None else tail[gap.end() :])
