"""What the doctor says of forges: the files of their credentials, and whether each takes the one that this host holds for it.

The rule of this room: a forge that is named is asked with its own credential, as the service would. A token of which it is not
said whose it is is shown to nobody.
"""

from __future__ import annotations

import asyncio
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, assert_never

from penstock_agent_exec.doctor_table import Check, State
from penstock_agent_exec.forge.configured import Forges
from penstock_agent_exec.forge.greeting import Greeting, greet
from penstock_agent_exec.forge.table import Hosts
from penstock_agent_exec.known_secrets import known_secrets
from penstock_agent_exec.settings import Settings, named_hosts

AT_ONCE: Final = 8
NAME_THEM: Final = (
    "name the hosts and their credentials in a file, and the file in PENSTOCK_FORGES_FILE (docs/how-to/forges.md)"
)
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeCheck(Check):
    """One host that credentials are for, or what is there in place of any. `answer`: what came of asking it, see `greeting.Said`,
    or `unasked`. `provider` is empty where it is not known to be a forge."""

    provider: str = ""
    answer: str = "unasked"


def look_at_forges(settings: Settings) -> tuple[ForgeCheck, ...]:
    """Everything that this host would show a forge or a remote. Blocks for some seconds while they are asked."""
    hosts = named_hosts(settings)
    rows = [*_asked(hosts, settings), *(_git(host, Path(git.token_file)) for host, git in hosts.git.items())]
    if settings.git_token_file:
        rows.append(
            _for_all(
                "git token", Path(settings.git_token_file), "git shows it to every https remote, and we to the API"
            )
        )
    if settings.git_read_token_file:
        rows.append(
            _for_all(
                "git read token", Path(settings.git_read_token_file), "git shows it to every https remote, to fetch"
            )
        )
    if settings.publishes and not rows:
        seen = "not configured: changes of repos that are on a forge cannot be handed over from here"
        rows.append(ForgeCheck(name="forges", state="note", seen=seen, mend=NAME_THEM))
    return tuple(rows)


def _asked(hosts: Hosts, settings: Settings) -> list[ForgeCheck]:
    forges = Forges(hosts, settings.data)
    redactor = known_secrets(settings).redactor()
    turns = asyncio.Semaphore(AT_ONCE)

    async def look(host: str) -> ForgeCheck:
        table = hosts.forges[host]
        path = Path(table.private_key_file or table.token_file)
        name = f"forge {host}"
        if lacks := _lacks(path):
            return replace(_without(name, path, lacks), provider=table.provider)
        async with turns:
            greeting = await greet(forges, host)
        # Whatever answers there may say again what it was shown.
        return _told(name, table.provider, path, replace(greeting, words=redactor.text(greeting.words)))

    async def look_at_all() -> list[ForgeCheck]:
        return list(await asyncio.gather(*map(look, hosts.forges)))

    return asyncio.run(look_at_all()) if hosts.forges else []


def _told(name: str, provider: str, path: Path, greeting: Greeting) -> ForgeCheck:
    words, mend = greeting.words, ""
    state: State = "missing"
    match greeting.said:
        case "ok":
            state, seen = (
                "ok",
                f"ok: it takes the credential in {path}" + (f", and knows us as {words}" if words else ""),
            )
            if _is_open(path):
                state, seen, mend = "note", f"{seen}; others on this host may read that file", f"chmod 600 {path}"
        case "limited":
            state, seen, mend = "note", f"it takes no more requests for now: {words}", "look again later"
        case "no_credential":
            seen, mend = f"no credential: {words}", _put(path)
        case "refused":
            seen, mend = f"refused credential: {words}", f"renew what is in {path}, or give it its rights there"
        case "unreachable":
            seen, mend = (
                f"not reachable: {words}",
                "see that this host reaches it (name, port, certificate, proxy), and look again",
            )
        case "strange":
            seen, mend = f"no such forge: {words}", "mend provider or api_url of this host in PENSTOCK_FORGES_FILE"
        case never:
            assert_never(never)
    return ForgeCheck(name=name, state=state, seen=seen, mend=mend, provider=provider, answer=greeting.said)


def _git(host: str, path: Path) -> ForgeCheck:
    seen = f"git shows it what is in {path}; nobody was asked, for want of a repository's name"
    return _of_file(f"git {host}", path, seen, state="ok", mend="")


def _for_all(name: str, path: Path, whom: str) -> ForgeCheck:
    seen = f"{whom}; whose token is in {path} is not said, so nobody was asked"
    return _of_file(name, path, seen, state="note", mend=NAME_THEM)


def _of_file(name: str, path: Path, seen: str, *, state: State, mend: str) -> ForgeCheck:
    if lacks := _lacks(path):
        return _without(name, path, lacks)
    if _is_open(path):
        parts = (mend, f"chmod 600 {path}")
        state, seen, mend = "note", f"{seen}; others on this host may read that file", "; ".join(filter(None, parts))
    return ForgeCheck(name=name, state=state, seen=seen, mend=mend)


def _without(name: str, path: Path, lacks: str) -> ForgeCheck:
    return ForgeCheck(name=name, state="missing", seen=lacks, mend=_put(path), answer="no_credential")


def _lacks(path: Path) -> str:
    """Why there is no credential to be read in the file; empty where there may be one."""
    try:
        with path.open("rb") as file:
            return "" if file.read(1) else f"no credential: {path} is empty"
    except OSError as error:
        return f"no credential: {path} cannot be read: {error.strerror}"


def _is_open(path: Path) -> bool:
    """Whether others than its owner may read the file or write to it."""
    return bool(path.stat().st_mode & OTHERS)


def _put(path: Path) -> str:
    return f"put the credential into {path}, for the account of the service alone to read (chmod 600)"
