"""The forges of this host: a repo's settings and the host's credentials come together here.

Rule of this room: what is missing is said when the forge is asked, and to somebody who can add it: a file may be there by then. A
token is read anew each time, so a rotated one is used without a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, assert_never

from msgspec import Struct

from penstock.values import RepoSnapshot
from penstock_agent_exec.forge import Forge, ForgeAuthRefused, ForgeFailed, ForgeRefused
from penstock_agent_exec.forge.app_token import app_jwt, read_key
from penstock_agent_exec.forge.gitea import Gitea
from penstock_agent_exec.forge.github import ACCEPT, VERSION, GitHub
from penstock_agent_exec.forge.gitlab import GitLab
from penstock_agent_exec.forge.http import Connection, Sign
from penstock_agent_exec.forge.table import (
    NO_HOSTS,
    PROVIDERS,
    USERNAMES,
    WELL_KNOWN,
    ForgeTable,
    Hosts,
    Provider,
    api_url,
    host_of,
    project_of,
    read_hosts,
)
from penstock_agent_exec.git.credential import TokenFile
from penstock_agent_exec.git.names import Remote

TOKEN_BYTES_MAX: Final = 16 * 1024
RENEW_BEFORE: Final = timedelta(minutes=5)
"""A token that lives for less is not used any more."""
LIFE_MAX: Final = timedelta(hours=1)
TOKENS_MAX: Final = 1_000


class _Installation(Struct):
    id: int


class _Minted(Struct):
    token: str
    expires_at: datetime


class Forges:
    """`hosts`: those that are named; `folder` is where short-lived tokens are put for git to read; `git_token_file` is good for
    the well-known forges where no host is named."""

    def __init__(self, hosts: Hosts, folder: Path, git_token_file: str = "") -> None:
        self._hosts = hosts
        self._tables = dict(hosts.forges)
        self._folder = folder
        self._well_known: dict[str, ForgeTable] = {}
        if git_token_file and not hosts:
            for host, provider in WELL_KNOWN.items():
                self._well_known[host] = ForgeTable(provider=provider, token_file=git_token_file)
        self._minted: dict[str, _Minted] = {}
        self._minting = asyncio.Lock()

    def of(self, repo: RepoSnapshot, remote: Remote) -> Forge | None:
        """The forge of a repo; None where its provider is none. Whatever is missing is raised by its calls, as ForgeFailed."""
        wanted = (
            "gitea" if repo.provider == "forgejo" else repo.provider
        )  # one API, and two names that people know it by
        provider = next((known for known in PROVIDERS if known == wanted), None)
        if provider is None:
            return None
        host = host_of(remote)
        table = self._tables.get(host) or self._well_known.get(host)
        wrong: ForgeFailed | None = None
        if table is None:
            wrong = ForgeAuthRefused(
                f'this host holds no credential for {host}: add [forges."{host}"] to the file that PENSTOCK_FORGES_FILE '
                "names on hosts that publish, and restart them"
            )
            table = ForgeTable(provider=provider)
        elif table.provider != provider:
            wrong = ForgeRefused(f"the repo's provider is {provider}, and {host} is a {table.provider} to this host")
        project = "-/-"
        try:
            project = project_of(remote, provider, api_url(host, table))
        except ValueError as error:
            wrong = wrong or ForgeRefused(str(error))
        sign = _refusing(wrong) if wrong is not None else self._signer(host, table, project)
        connection = _connection(host, table, sign, lambda: self._forget(host, project))
        return _forge(provider, connection, project, repo.default_branch)

    @property
    def are_named(self) -> bool:
        """Whether hosts are named at all: then a host that is not is shown no token."""
        return bool(self._hosts)

    def greeting(self, host: str, refused: Callable[[], None]) -> tuple[Connection, str]:
        """A way to the forge of a host that is named, and where it says who we are to it. `refused`: see Connection."""
        table = self._hosts.forges[host]
        sign = _app_signer(table) if table.app_id else self._signer(host, table, "")
        return _connection(host, table, sign, refused), "/app" if table.app_id else "/user"

    def git_credential(self, remote: Remote) -> TokenFile | None:
        """What git shows the remote, where it has a table; `fresh` has to have been awaited before. Raises ForgeFailed."""
        host = host_of(remote)
        if remote.protocol != "https":
            return None
        if (git := self._hosts.git.get(host)) is not None:
            return TokenFile(Path(git.token_file), git.username)
        table = self._tables.get(host)
        if table is None:
            return None
        path = Path(table.token_file) if table.token_file else self._token_path(host, _project(host, table, remote))
        return TokenFile(path, USERNAMES[table.provider])

    async def fresh(self, remote: Remote) -> None:
        """Have a token of an app where git looks for it, if that is what the host has. Raises ForgeFailed."""
        host = host_of(remote)
        table = self._tables.get(host)
        if table is not None and table.app_id and remote.protocol == "https":
            project = _project(host, table, remote)
            _write(self._token_path(host, project), await self._app_token(host, table, project))

    def _token_path(self, host: str, project: str) -> Path:
        # No two projects have the same: what is made readable by taking signs away is not told apart any more.
        return self._folder / hashlib.sha256(f"{host}/{project}".encode()).hexdigest()

    def _signer(self, host: str, table: ForgeTable, project: str) -> Sign:
        async def sign() -> Mapping[str, str]:
            if table.app_id:
                return _github(await self._app_token(host, table, project))
            token = _read(Path(table.token_file))
            match table.provider:
                case "github":
                    return _github(token)
                case "gitea":
                    return {"authorization": f"token {token}"}
                case "gitlab" if table.scheme == "bearer":
                    return {"authorization": f"Bearer {token}"}
                case "gitlab":
                    return {"private-token": token}
                case never:
                    assert_never(never)

        return sign

    async def _app_token(self, host: str, table: ForgeTable, project: str) -> str:
        """A token for this project, minted or still good. Raises ForgeFailed."""
        key = f"{host}/{project}"
        async with self._minting:
            found = self._minted.get(key)
            if found is None or found.expires_at - datetime.now(UTC) < RENEW_BEFORE:
                if len(self._minted) >= TOKENS_MAX:
                    self._minted.clear()
                found = self._minted[key] = await _mint(host, table, project)
            return found.token

    def _forget(self, host: str, project: str) -> None:
        """The token of this project was refused: the next one is a new one."""
        self._minted.pop(f"{host}/{project}", None)


NO_FORGES: Final = Forges(NO_HOSTS, Path("/nonexistent"))


def forges_of(forges_file: str, git_token_file: str, folder: Path) -> Forges:
    """As the settings have it. Raises BadForges."""
    return Forges(read_hosts(Path(forges_file)) if forges_file else NO_HOSTS, folder, git_token_file)


def _project(host: str, table: ForgeTable, remote: Remote) -> str:
    try:
        return project_of(remote, table.provider, api_url(host, table))
    except ValueError as error:
        raise ForgeRefused(str(error)) from error


def _forge(provider: Provider, connection: Connection, project: str, base: str) -> Forge:
    match provider:
        case "github":
            return GitHub(connection, project)
        case "gitea":
            return Gitea(connection, project, base)
        case "gitlab":
            return GitLab(connection, project)
        case never:
            assert_never(never)


def _nothing() -> None:
    pass


def _connection(host: str, table: ForgeTable, sign: Sign, refused: Callable[[], None] = _nothing) -> Connection:
    where = f"the app's key {table.private_key_file}" if table.app_id else f"the token in {table.token_file}"
    whose = (
        f"who keeps {where} on the publishing host renews it, or gives it the rights on {host}; then unblock the task"
    )
    accept = ACCEPT if table.provider == "github" else "application/json"
    return Connection(api_url(host, table), sign, whose=whose, accept=accept, refused=refused)


def _refusing(error: ForgeFailed) -> Sign:
    async def sign() -> Mapping[str, str]:
        raise error

    return sign


def _github(token: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}", "x-github-api-version": VERSION}


def _app_signer(table: ForgeTable) -> Sign:
    async def sign() -> Mapping[str, str]:
        # A signature takes some hundredths of a second.
        key = await asyncio.to_thread(read_key, Path(table.private_key_file))
        return _github(await asyncio.to_thread(app_jwt, table.app_id, key, time.time()))

    return sign


async def _mint(host: str, table: ForgeTable, project: str) -> _Minted:
    connection = _connection(host, table, _app_signer(table))
    async with connection.session():
        number = table.installation_id
        if not number:
            number = str((await connection.get(f"/repos/{project}/installation")).read(_Installation).id)
        body = {"repositories": [project.split("/")[1]]}
        answer = await connection.ask("POST", f"/app/installations/{number}/access_tokens", body=body)
    minted = answer.read(_Minted)
    _checked(minted.token, "what the forge gave as a token")
    latest = datetime.now(UTC) + LIFE_MAX
    return _Minted(minted.token, min(minted.expires_at, latest))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(TOKEN_BYTES_MAX)
    except OSError as error:
        raise ForgeAuthRefused(f"the token file {path} cannot be read: {error.strerror}") from error
    return _checked(line.decode("utf-8", "replace").strip(), f"the first line of the token file {path}")


def _checked(token: str, what: str) -> str:
    """A token as it may stand in a header."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ForgeAuthRefused(f"{what} is empty, or no token")
    return token


def _write(path: Path, token: str) -> None:
    """For git alone to read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = path.with_name(f"{path.name}.making")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    making.rename(path)
