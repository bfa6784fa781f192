"""What a task has changed, read from the mirror: figures, diffs, patches, and the one commit for a squash.

The rule of this room: what is read was written by an attacker. No attribute, driver, or setting of the repository may run
or hide anything, and every answer has a size limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from penstock_agent_exec.git.command import git, git_output
from penstock_agent_exec.git.failures import Conflict, RefMissing, TooBig, failure_from
from penstock_agent_exec.git.mirror import Mirror, held
from penstock_agent_exec.git.names import Identity, check_commit, check_identity

COMMITS_MAX: Final = 2_000
FILES_MAX: Final = 50_000
PATCH_BYTES_MAX: Final = 64 * 1024 * 1024
SUBMODULE_MODE: Final = "160000"
_SQUASHER: Final = Identity("Penstock", "penstock@localhost")

# Plumbing reads no diff.* settings; these close what attributes and .gitmodules could still open.
LOOKED_AT_BYTES_MAX: Final = 64 * 1024 * 1024
"""A change that has more cannot be looked at, and so is not handed over."""

SQUASHED_MAX: Final = 20
"""So many commits that name a task are looked at, the newest: there is one, and perhaps what people have made of it."""

PLAIN: Final = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--ignore-submodules=none",
    "--submodule=short",
    "--full-index",
)

_WITH_CONTENT: Final = (b"100644", b"100755", b"120000")

# In a commit message these begin what `git am` would take for the next message, for the patch itself, or for who has made it.
_TAKEN_FOR_A_PATCH: Final = re.compile(rb"^(From |diff -|Index: |---|(?i:From|Date|Subject):)", re.MULTILINE)


@dataclass(frozen=True)
class FileChange:
    """One path. `status`: A(dded), M(odified), D(eleted), T(ype changed). Modes as in git, such as 100644, 120000 (a link),
    160000 (a submodule), 000000 (nothing). Line counts are None for binary content; `size_bytes` is the new content's.
    Bytes of the path that are not UTF-8 are shown as \\xNN."""

    path: str
    status: str
    old_mode: str
    new_mode: str
    size_bytes: int
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class Diffstat:
    """From `base` to `head`. `changed`: the trees differ; a commit without a change is none."""

    base: str
    head: str
    commits: int
    files: tuple[FileChange, ...]
    changed: bool

    @property
    def lines_added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def lines_removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)


@dataclass(frozen=True)
class Commit:
    """One commit of a task, as it names itself."""

    commit: str
    parents: int
    author_name: str
    author_email: str
    committer_name: str
    committer_email: str
    subject: str


@dataclass(frozen=True)
class DiffText:
    """A unified diff, cut at a line's end when `truncated`."""

    text: str
    truncated: bool


@dataclass(frozen=True)
class Patch:
    """One message of a mailbox. `subject` is the commit's."""

    commit: str
    subject: str
    content: bytes


async def has_change(mirror: Mirror, base: str, head: str) -> bool:
    """Whether the trees differ. Raises BadName, RefMissing."""
    return await _tree(mirror, base) != await _tree(mirror, head)


async def diffstat(mirror: Mirror, base: str, head: str) -> Diffstat:
    """Commits and files between two commits, a rename being a deletion and an addition. Raises BadName, RefMissing, TooBig."""
    between = (check_commit(base), check_commit(head))
    counted = await git_output(mirror.path, "rev-list", "--count", f"{base}..{head}")
    raw = await git_output(
        mirror.path,
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--numstat",
        "--no-renames",
        *PLAIN,
        "--end-of-options",
        *between,
    )
    files = await _files(mirror, raw)
    return Diffstat(base, head, int(counted), files, changed=await has_change(mirror, base, head))


async def commits_of(mirror: Mirror, base: str, head: str) -> tuple[Commit, ...]:
    """The commits from `base` to `head`, oldest first. Raises BadName, RefMissing, TooBig past COMMITS_MAX."""
    out = await git_output(
        mirror.path,
        *(
            "log",
            "--reverse",
            "--topo-order",
            "-z",
            f"--max-count={COMMITS_MAX + 1}",
            "--no-show-signature",
            "--no-mailmap",
        ),
        *("--encoding=UTF-8", "--format=%H%n%P%n%an%n%ae%n%cn%n%ce%n%s", f"{check_commit(base)}..{check_commit(head)}"),
    )
    records = [record for record in out.decode("utf-8", "replace").split("\0") if record]
    if len(records) > COMMITS_MAX:
        raise TooBig(f"It has more than {COMMITS_MAX} commits.")
    return tuple(_commit(*record.split("\n", 6)) for record in records)


async def all_lines(mirror: Mirror, *args: str) -> bytes:
    """What git prints of a change, all of it. Raises TooBig, and what git's error output tells of."""
    done = await git(mirror.path, *args, stdout_bytes_max=LOOKED_AT_BYTES_MAX)
    if done.truncated:
        raise TooBig(f"To be looked at, a change may have {LOOKED_AT_BYTES_MAX} bytes.")
    if done.returncode != 0:
        raise failure_from(done.stderr)
    return done.stdout


async def raw_commits(mirror: Mirror, commits: Sequence[str]) -> dict[str, bytes]:
    """Each commit as it would be pushed: every header of it, in whatever encoding. Raises BadName, RefMissing, TooBig."""
    return await raw_objects(mirror, commits, "commit")


async def raw_objects(mirror: Mirror, names: Sequence[str], kind: Literal["commit", "blob"]) -> dict[str, bytes]:
    """The content of each object by its name, read by one git for all of them. Raises as `raw_commits`."""
    asked = "".join(f"{check_commit(name)}\n" for name in names).encode()
    out = await git_output(mirror.path, "cat-file", "--batch", stdin=asked)
    found: dict[str, bytes] = {}
    at = 0
    for name in names:
        end = out.find(b"\n", at)
        said = out[at:end].split() if end >= 0 else []
        if (
            len(said) != 3
            or said[0].decode("ascii", "replace") != name
            or said[1] != kind.encode()
            or not said[2].isdigit()
        ):
            raise RefMissing(f"{name} cannot be read.")
        size = int(said[2])
        found[name] = out[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return found


async def diff_text(mirror: Mirror, base: str, head: str, limit_bytes: int) -> DiffText:
    """The change for people, renames shown as such, binary content only named. Raises BadName, RefMissing, TimedOut."""
    done = await git(
        mirror.path,
        *("diff-tree", "-r", "-p", "-M", *PLAIN, "--end-of-options", check_commit(base), check_commit(head)),
        stdout_bytes_max=limit_bytes,
    )
    if done.returncode != 0 and not done.truncated:
        raise failure_from(done.stderr)
    whole = done.stdout.rpartition(b"\n")[0] + b"\n" if done.truncated else done.stdout
    return DiffText(whole.decode("utf-8", "replace"), done.truncated)


async def format_patch(mirror: Mirror, base: str, head: str) -> bytes:
    """One mailbox that `git am` makes the same files of; the same bytes every time. Raises as `patches_of`."""
    return b"".join(patch.content for patch in await patches_of(mirror, base, head))


async def patches_of(mirror: Mirror, base: str, head: str) -> tuple[Patch, ...]:
    """One patch for each commit with a change. A history that `git am` would not replay faithfully (merges, or messages with
    lines that it takes for a patch or an author) becomes a single one. Raises BadName, RefMissing, TooBig past
    PATCH_BYTES_MAX."""
    commits = await commits_of(mirror, base, head)
    bodies = await git_output(mirror.path, "log", "--format=%B", "--no-show-signature", f"{base}..{head}")
    if any(commit.parents != 1 for commit in commits) or _TAKEN_FOR_A_PATCH.search(bodies):
        subject = f"Squash {len(commits)} commits"
        head = await _commit_tree(mirror, await _tree(mirror, head), base, f"{subject}\n", _SQUASHER, like=head)
        commits = await commits_of(mirror, base, head)
    done = await git(
        mirror.path,
        *(
            "format-patch",
            "--stdout",
            "--no-signature",
            "--no-renames",
            "--binary",
            "--no-base",
            "--no-thread",
            "--no-attach",
        ),
        *("--no-cover-letter", "--no-notes", "--no-to", "--no-cc", "--no-add-header", *PLAIN, f"{base}..{head}"),
        stdout_bytes_max=PATCH_BYTES_MAX,
    )
    if done.truncated:
        raise TooBig(f"The patch has more than {PATCH_BYTES_MAX} bytes.")
    if done.returncode != 0:
        raise failure_from(done.stderr)
    return _split(done.stdout, commits)


async def squash(mirror: Mirror, onto: str, head: str, *, message: str, identity: Identity) -> str:
    """One commit with the whole change, on top of `onto`, kept in the mirror. Asked again it is the same commit: its time is
    that of `head`. Raises Conflict if the change does not fit on `onto`, BadName, RefMissing."""
    check_identity(identity)
    merged = await git(
        mirror.path, "merge-tree", "--write-tree", "--name-only", "-z", check_commit(onto), check_commit(head)
    )
    tree, *conflicts = merged.stdout.decode("utf-8", "replace").split("\0")
    if merged.returncode == 1:
        raise Conflict("In " + ", ".join(conflicts[: conflicts.index("")]) + ".")
    if merged.returncode != 0:
        raise failure_from(merged.stderr)
    return await _commit_tree(mirror, tree, onto, message, identity, like=head)


async def squashed(mirror: Mirror, onto: str, head: str, *, tip: str, line: str) -> str | None:
    """The commit in the history of `tip` that stands right on `onto`, with all of `head` in it and this line in its message:
    whoever has made it, and under whatever name. Raises RefMissing."""
    span = f"{check_commit(onto)}..{check_commit(tip)}"
    out = await git_output(
        mirror.path,
        *("log", "--no-show-signature", "--fixed-strings", f"--grep={line}", f"--max-count={SQUASHED_MAX}"),
        *("--format=%H %T %P", "--end-of-options", span),
    )
    tree = await _tree(mirror, head)
    found = (one.split(" ") for one in out.decode().splitlines())
    return next((check_commit(commit) for commit, of, *parents in found if (of, parents) == (tree, [onto])), None)


async def _commit_tree(mirror: Mirror, tree: str, parent: str, message: str, identity: Identity, *, like: str) -> str:
    when = await git_output(mirror.path, "log", "-1", "--format=%cd", "--date=raw", "--no-show-signature", like)
    env = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", identity.name), ("EMAIL", identity.email), ("DATE", when.decode().strip()))
    }
    async with held(mirror) as lock:
        commit = await git_output(
            mirror.path, "commit-tree", tree, "-p", parent, env=env, stdin=message.encode(), keep_open=(lock,)
        )
    return check_commit(commit.decode().strip())


async def _tree(mirror: Mirror, commit: str) -> str:
    out = await git_output(mirror.path, "rev-parse", "--verify", "--end-of-options", f"{check_commit(commit)}^{{tree}}")
    return out.decode().strip()


async def _files(mirror: Mirror, raw: bytes) -> tuple[FileChange, ...]:
    """From git's two lists behind each other: `:modes and ids, status NUL path NUL` and `added TAB removed TAB path NUL`."""
    fields = raw.split(b"\0")[:-1]
    count = next((at for at in range(0, len(fields), 2) if not fields[at].startswith(b":")), len(fields)) // 2
    if count > FILES_MAX:
        raise TooBig(f"It changes {count} files; the limit is {FILES_MAX}.")
    heads = [fields[2 * at].removeprefix(b":").split(b" ") for at in range(count)]
    sizes = await _sizes(mirror, [new_id if new_mode in _WITH_CONTENT else b"-" for _, new_mode, _, new_id, _ in heads])
    files = []
    for (old_mode, new_mode, _, _, status), size, line in zip(heads, sizes, fields[2 * count :], strict=True):
        added, removed, path = line.split(b"\t", 2)
        files.append(
            FileChange(
                path=path.decode("utf-8", "backslashreplace"),
                status=status.decode(),
                old_mode=old_mode.decode(),
                new_mode=new_mode.decode(),
                size_bytes=size,
                added=None if added == b"-" else int(added),
                removed=None if removed == b"-" else int(removed),
            )
        )
    return tuple(files)


async def _sizes(mirror: Mirror, blobs: list[bytes]) -> list[int]:
    """In bytes; of what has no content here, 0."""
    out = await git_output(
        mirror.path, "cat-file", "--batch-check=%(objectsize)", stdin=b"".join(blob + b"\n" for blob in blobs)
    )
    return [0 if line.endswith(b"missing") else int(line) for line in out.splitlines()]


def _commit(commit: str, parents: str, *rest: str) -> Commit:
    return Commit(commit, len(parents.split()), *rest)


def _split(mailbox: bytes, commits: tuple[Commit, ...]) -> tuple[Patch, ...]:
    """Cut a mailbox where its commits begin. Their ids are in order, and no message can hold the id of a later commit."""
    starts = []
    at = 0
    for commit in commits:
        mark = f"From {commit.commit} Mon Sep 17 00:00:00 2001\n".encode()
        found = at if mailbox.startswith(mark, at) else mailbox.find(b"\n" + mark, at) + 1
        if mailbox.startswith(mark, found):  # a commit without a change has no patch
            starts.append((found, commit))
            at = found + 1
    ends = [start for start, _ in starts[1:]] + [len(mailbox)]
    return tuple(
        Patch(who.commit, who.subject, mailbox[start:end]) for (start, who), end in zip(starts, ends, strict=False)
    )
