"""The files that proposals are made from, at one commit, out of a repository that no agent can write.

Rule of this room: blobs are read and nothing is checked out; a link or a submodule is not there, and of what is too long no more
is known than its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from penstock_agent_exec.git.command import git_output
from penstock_agent_exec.git.names import check_commit
from penstock_agent_exec.verify.by_pipeline import WORKFLOWS, WORKFLOWS_MAX
from penstock_agent_exec.verify.propose import BY_NAME, FILE_BYTES_MAX, WANTED, Proposals, propose

_PLAIN: Final = (b"100644", b"100755")


async def propose_for(git_dir: Path, commit: str, *, bare_anywhere: bool = False) -> Proposals:
    """What to check changes of this repository with. `bare_anywhere`: it is no mirror of ours. Raises GitFailed, BadName."""
    return propose(await wanted_files(git_dir, commit, bare_anywhere=bare_anywhere))


async def wanted_files(git_dir: Path, commit: str, *, bare_anywhere: bool = False) -> dict[str, str]:
    """By path. Raises GitFailed, BadName."""
    settings = (("safe.bareRepository", "all"),) if bare_anywhere else ()
    paths = (*WANTED, WORKFLOWS)
    listed = await git_output(
        git_dir, "ls-tree", "-z", "-l", "--full-tree", check_commit(commit), "--", *paths, settings=settings
    )
    files: dict[str, str] = {}
    found: list[tuple[bytes, str]] = []
    for entry in listed.split(b"\0")[:-1]:
        about, _, path = entry.partition(b"\t")
        mode, _, oid, size = about.split()
        name = path.decode("utf-8", "replace")
        is_workflow = name.startswith(WORKFLOWS)
        if mode not in _PLAIN or (is_workflow and not name.endswith((".yml", ".yaml"))):
            continue
        if name in BY_NAME or int(size) > FILE_BYTES_MAX:
            files[name] = ""
        else:
            found.append((oid, name))
    workflows = [one for one in found if one[1].startswith(WORKFLOWS)]
    found = [one for one in found if one not in workflows[WORKFLOWS_MAX:]]
    asked = b"".join(oid + b"\n" for oid, _ in found)
    content = await git_output(git_dir, "cat-file", "--batch", stdin=asked, settings=settings) if found else b""
    for _, name in found:
        head, _, content = content.partition(b"\n")
        size_bytes = int(head.split()[2])
        files[name] = content[:size_bytes].decode("utf-8", "replace")
        content = content[size_bytes + 1 :]
    return files
