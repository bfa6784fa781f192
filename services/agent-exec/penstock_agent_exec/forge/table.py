"""The file that says which forges this host speaks to, and with which credential: `[forges."<host>"]` tables, in TOML; and
`[git."<host>"]` for those that speak git and no more.

Rule of this room: a credential belongs to a host that an operator has named. A repo's settings choose among these hosts and can
add none: whoever may name a repo could else have a token sent anywhere.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, Struct

from penstock_agent_exec.git.names import Remote

Provider: TypeAlias = Literal["github", "gitea", "gitlab"]

FILE_BYTES_MAX: Final = 256 * 1024
PROVIDERS: Final[tuple[Provider, ...]] = ("github", "gitea", "gitlab")
WELL_KNOWN: Final[Mapping[str, Provider]] = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
}
"""Hosts that need no table where the host's one git token is meant for them."""

USERNAMES: Final[Mapping[Provider, str]] = {"github": "x-access-token", "gitea": "penstock", "gitlab": "oauth2"}
"""What git says as a user name beside a token. Gitea takes any."""

_API: Final[Mapping[Provider, str]] = {"github": "/api/v3", "gitea": "/api/v1", "gitlab": "/api/v4"}
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}")
_PARTS_MAX: Final = 20

NoPath: TypeAlias = Annotated[str, Meta(pattern=r"^(/[^\x00]*)?$", max_length=1_000)]
Number: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.]{0,40}(?!\n)$")]


class BadForges(ValueError):
    """The file of forges cannot be used."""


class ForgeTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One host's forge. `api_url`: where its API is, if that is not where it always is. `token_file`: a file whose first line is
    a token, read whenever it is needed. `scheme`: how GitLab is shown it. `app_id`, `private_key_file`: a GitHub App in its
    place; `installation_id` saves asking for it."""

    provider: Provider
    api_url: Annotated[str, Meta(max_length=1_000)] = ""
    token_file: NoPath = ""
    scheme: Literal["private-token", "bearer"] = "private-token"
    app_id: Number = ""
    installation_id: Number = ""
    private_key_file: NoPath = ""


class GitTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One host that speaks git over https and has no pull requests for us. `token_file`: as of a forge; `username`: what the
    host wants beside it."""

    token_file: Annotated[str, Meta(pattern=r"^/[^\x00]*$", max_length=1_000)]
    username: Annotated[str, Meta(pattern=r"^[!-~]{1,100}(?!\n)$")] = "x-access-token"


class Hosts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the file names, by host."""

    forges: dict[str, ForgeTable] = {}
    git: dict[str, GitTable] = {}

    def __bool__(self) -> bool:
        return bool(self.forges or self.git)

    @property
    def secret_files(self) -> dict[str, Path]:
        """Those that the tables name, by what they are."""
        found = [(f"token_file of {host}", table.token_file) for host, table in self.forges.items()]
        found += [(f"private_key_file of {host}", table.private_key_file) for host, table in self.forges.items()]
        found += [(f"token_file of {host}", git.token_file) for host, git in self.git.items()]
        return {name: Path(path) for name, path in found if path}


NO_HOSTS: Final = Hosts()


def read_hosts(path: Path) -> Hosts:
    """What the file names. Raises BadForges with what would be right."""
    try:
        content = path.read_bytes()
        if len(content) > FILE_BYTES_MAX:
            raise BadForges(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        found = msgspec.convert(tomllib.loads(content.decode()), Hosts)
    except OSError as error:
        raise BadForges(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadForges(f"{path}: {error}") from error
    for host, table in found.forges.items():
        _check_host("forges", host)
        _check(host, table)
    for host in found.git:
        _check_host("git", host)
        if host in found.forges:
            raise BadForges(
                f'[git."{host}"]: the host is among the forges already, which git is shown the credential of'
            )
    return found


def _check_host(kind: str, host: str) -> None:
    if not host or host != host.lower() or urlsplit(f"//{host}").netloc != host or "@" in host or "/" in host:
        raise BadForges(f'[{kind}."{host}"]: a host as it stands in clone_url, in lower case, is wanted here')


def _check(host: str, table: ForgeTable) -> None:
    parts = urlsplit(api_url(host, table))
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise BadForges(
            f'[forges."{host}"]: api_url must begin with https:// and hold no credential, query or fragment'
        )
    if bool(table.token_file) == bool(table.app_id):
        raise BadForges(f'[forges."{host}"]: either a token_file or an app_id with its private_key_file is wanted')
    if bool(table.app_id) != bool(table.private_key_file):
        raise BadForges(f'[forges."{host}"]: an app_id and its private_key_file belong together')
    if table.app_id and table.provider != "github":
        raise BadForges(f'[forges."{host}"]: only GitHub has apps; give a token_file')


def api_url(host: str, table: ForgeTable) -> str:
    """Where the API is, without a slash at its end."""
    if table.api_url:
        return table.api_url.rstrip("/")
    if table.provider == "github" and host == "github.com":
        return "https://api.github.com"
    return f"https://{host}{_API[table.provider]}"


def host_of(remote: Remote) -> str:
    """The host by which a remote's forge is looked up. The port of ssh is none of the API's."""
    host = remote.host.lower()
    return host.partition(":")[0] if remote.protocol == "ssh" and not host.startswith("[") else host


def project_of(remote: Remote, provider: Provider, api: str) -> str:
    """`owner/name` (GitLab: with all groups) as it stands in the remote's address. Raises ValueError with what would be right."""
    url = remote.url
    path = urlsplit(url).path if "://" in url else url.partition(":")[2]
    # A forge below a folder of its host has its API there too.
    below = urlsplit(api).path.removesuffix(_API[provider]).strip("/")
    path = unquote(path).strip("/").removesuffix(".git")
    if below and remote.protocol == "https":
        path = path.removeprefix(f"{below}/")
    parts = path.split("/")
    right = 2 <= len(parts) <= _PARTS_MAX if provider == "gitlab" else len(parts) == 2
    if not right or not all(_NAME.fullmatch(part) and part not in (".", "..") for part in parts):
        raise ValueError(f"the repo's clone_url ends in {path[:100]!r}, and a project is owner/name")
    return path
