"""Whether a change holds a secret that this host knows: looked at before it is handed over.

Rule of this room: a change is never altered. Whatever the commits bring is looked at (messages, names, lines, content that is not
text); what they take away may well be a secret, and is no reason to keep it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from penstock_agent_exec.git.change import PLAIN, commits_of, raw_commits
from penstock_agent_exec.git.command import git, git_output
from penstock_agent_exec.git.failures import TooBig, failure_from
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.names import check_commit
from penstock_agent_exec.redact import Redactor

LOOKED_AT_BYTES_MAX: Final = 64 * 1024 * 1024
"""A change that has more cannot be looked through, and so is not handed over."""


async def secrets_in(mirror: Mirror, base: str, head: str, redactor: Redactor) -> tuple[str, ...]:
    """The names of the known secrets that the commits from `base` to `head` bring. Raises BadName, RefMissing, TooBig."""
    commits = f"{check_commit(base)}..{check_commit(head)}"
    words = ("--no-show-signature", "--no-mailmap", "--format=%an%n%ae%n%cn%n%ce%n%B")
    messages = await git_output(mirror.path, "log", *words, "--end-of-options", commits)
    # What is pushed is the whole object: a header that nobody shows goes with it, and so does a message in another encoding.
    walked = (one.commit for one in await commits_of(mirror, base, head))
    messages += b"\n".join((await raw_commits(mirror, tuple(walked))).values())
    brought = await _brought(mirror, commits)
    return await asyncio.to_thread(_names, redactor, messages, brought)


async def _brought(mirror: Mirror, commits: str) -> bytes:
    done = await git(
        mirror.path,
        *("log", "--format=", "--patch", "--unified=0", "--no-renames", "--diff-merges=dense-combined", "--text"),
        *(*PLAIN, "--end-of-options", commits),
        stdout_bytes_max=LOOKED_AT_BYTES_MAX,
    )
    if done.truncated:
        raise TooBig(f"To be looked through for secrets, a change may have {LOOKED_AT_BYTES_MAX} bytes.")
    if done.returncode != 0:
        raise failure_from(done.stderr)
    return done.stdout


def _names(redactor: Redactor, messages: bytes, brought: bytes) -> tuple[str, ...]:
    found = [span.name for span in redactor.find_known(messages)]
    for span in redactor.find_known(brought):
        line = brought.rfind(b"\n", 0, span.start) + 1
        if not brought.startswith(b"-", line):
            found.append(span.name)
    return tuple(dict.fromkeys(found))
