"""What a clone does not bring, though its repo seems to have it: the content of submodules and of large files kept elsewhere.

Neither is fetched. Both are addresses that a repository names for itself, and whoever follows them asks a host that nobody has
allowed. The rule of this room: nothing is left out in silence.
"""

from __future__ import annotations

from typing import Final

from penstock_agent_exec.git.command import git, git_output
from penstock_agent_exec.git.failures import readable
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.names import check_commit

NAMES_SHOWN_MAX: Final = 5
NAME_LENGTH_MAX: Final = 100
_POINTER: Final = "version https://git-lfs.github.com/spec/v1"


async def left_out(mirror: Mirror, commit: str) -> tuple[str, ...]:
    """What a checkout of the commit lacks, one sentence for each kind. Raises RefMissing, BadName, TooBig, TimedOut."""
    listed = await git_output(mirror.path, "ls-tree", "-r", "-z", check_commit(commit))
    lines = [line.partition(b"\t") for line in listed.split(b"\0")[:-1]]
    submodules = [path for facts, _, path in lines if facts.startswith(b"160000")]
    pointers = await _pointers(mirror, commit)
    found: list[str] = []
    if submodules:
        found.append(f"the folders of its submodules are empty: {_shown(submodules)}")
    if pointers:
        found.append(f"files of Git LFS are pointers to their content, which is not here: {_shown(pointers)}")
    return tuple(found)


async def _pointers(mirror: Mirror, commit: str) -> list[bytes]:
    """Looked for only where attributes speak of LFS: it reads every file."""
    grep = ("grep", "--quiet", "--text", "--fixed-strings", "--no-textconv", "-e")
    if (await git(mirror.path, *grep, "filter=lfs", commit, "--", ":(glob)**/.gitattributes")).returncode != 0:
        return []
    found = await git(
        mirror.path,
        *("grep", "--files-with-matches", "-z", "--fixed-strings", "--no-textconv", "-I", "-e", _POINTER, commit),
    )
    return [path.partition(b":")[2] for path in found.stdout.split(b"\0")[:-1]]


def _shown(paths: list[bytes]) -> str:
    names = [readable(path.decode("utf-8", "replace"))[:NAME_LENGTH_MAX] for path in paths[:NAMES_SHOWN_MAX]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f", and {more} more" if more else "")
