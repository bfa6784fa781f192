"""Whether a change holds a secret that this host knows: looked at before it is handed over.

Rule of this room: a change is never altered. Whatever the commits bring is looked at (messages, names, lines, content that is not
text); what they take away may well be a secret, and is no reason to keep it.
"""

from __future__ import annotations

import asyncio

from penstock_agent_exec.git.change import PLAIN, all_lines, commits_of, raw_commits
from penstock_agent_exec.git.command import git_output
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.names import check_commit
from penstock_agent_exec.redact import Redactor


async def secrets_in(mirror: Mirror, base: str, head: str, redactor: Redactor) -> tuple[str, ...]:
    """The names of the known secrets that the commits from `base` to `head` bring. Raises BadName, RefMissing, TooBig."""
    commits = f"{check_commit(base)}..{check_commit(head)}"
    words = ("--no-show-signature", "--no-mailmap", "--format=%an%n%ae%n%cn%n%ce%n%B")
    messages = await git_output(mirror.path, "log", *words, "--end-of-options", commits)
    # What is pushed is the whole object: a header that nobody shows goes with it, and so does a message in another encoding.
    walked = (one.commit for one in await commits_of(mirror, base, head))
    messages += b"\n".join((await raw_commits(mirror, tuple(walked))).values())
    brought = await all_lines(
        mirror,
        *("log", "--format=", "--patch", "--unified=0", "--no-renames", "--diff-merges=dense-combined", "--text"),
        *(*PLAIN, "--end-of-options", commits),
    )
    return await asyncio.to_thread(_names, redactor, messages, brought)


def _names(redactor: Redactor, messages: bytes, brought: bytes) -> tuple[str, ...]:
    found = [span.name for span in redactor.find_known(messages)]
    # As it is; and where there are zeros in it, as text that has some around each letter.
    for text in dict.fromkeys((brought, narrow(brought))):
        for span in redactor.find_known(text):
            line = text.rfind(b"\n", 0, span.start) + 1
            if not text.startswith(b"-", line):
                found.append(span.name)
    return tuple(dict.fromkeys(found))


def narrow(text: bytes) -> bytes:
    """What is written in UTF-16 or UTF-32, as far as it is ASCII: there each letter has its zeros, in whatever order."""
    return text.replace(b"\0", b"")
