"""Whether a forge answers and takes this host's credential: the least that it can be asked for with one.

Rule of this room: asked once, not waited for long, and nothing is changed there. What the credential may do to a repository is
not known after it: only that it is one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.forge import (
    NAME_LENGTH_MAX,
    ForgeAuthRefused,
    ForgeFailed,
    ForgeLimited,
    ForgeUnreachable,
)
from penstock_agent_exec.forge.configured import Forges

SECONDS_MAX: Final = 10.0

Said: TypeAlias = Literal["ok", "no_credential", "refused", "limited", "unreachable", "strange"]
"""`no_credential`: there is none to show, and nobody was asked. `strange`: what answers there is no such forge."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What came of it; `words`: who we are to the forge, empty where it does not say, or what is wrong."""

    said: Said
    words: str


class _Somebody(Struct):
    """An account (GitHub and Gitea have a `login`, GitLab a `username`), or an app (`slug`)."""

    login: str = ""
    username: str = ""
    slug: str = ""


async def greet(forges: Forges, host: str) -> Greeting:
    """Ask the forge of a host that is named who we are to it."""
    invalid: list[bool] = []
    connection, path = forges.greeting(host, lambda: invalid.append(True))
    try:
        await connection.read_credential()
    except ForgeFailed as failed:
        return Greeting("no_credential", str(failed))
    try:
        async with asyncio.timeout(SECONDS_MAX):
            found = (await connection.ask("GET", path)).read(_Somebody)
    except TimeoutError:
        return Greeting("unreachable", f"{connection.base} did not answer within {SECONDS_MAX:g} s")
    except ForgeAuthRefused as failed:
        # A token of Gitea's that may write to repositories need not be one that may ask who it is of.
        known = not invalid and "required scope" in str(failed)
        return Greeting("ok", "") if known else Greeting("refused", str(failed))
    except ForgeFailed as failed:
        return Greeting(_said_by(failed), str(failed))
    return Greeting("ok", shown(found.login or found.username or found.slug, NAME_LENGTH_MAX))


def _said_by(failed: ForgeFailed) -> Said:
    if isinstance(failed, ForgeLimited):
        return "limited"
    return "unreachable" if isinstance(failed, ForgeUnreachable) else "strange"
