"""What may reach git as a name: branches, remote addresses, tasks, repos, commits, identities.

The rule of this room: pure functions that return what they were given or raise BadName, with the field and what would
be right. Git's own check is no help: `check-ref-format` lets `a$(id)`, backticks and quotes through.
"""

from __future__ import annotations

import ipaddress
import os.path
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from penstock.bounds import ID_PATTERN, NAME_PATTERN, OID_PATTERN
from penstock_agent_exec.git.failures import BadName

Protocol: TypeAlias = Literal["https", "ssh", "file"]

ADDRESS_LENGTH_MAX: Final = 1_000
BRANCH_LENGTH_MAX: Final = 101

_REPO = re.compile(NAME_PATTERN)
_TASK = re.compile(ID_PATTERN)
_OID = re.compile(OID_PATTERN)
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,100}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~+@=,!-]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_EMAIL = re.compile(r"[A-Za-z0-9._%+\[\]-]{1,64}@[A-Za-z0-9.-]{1,190}")

_RIGHT_ADDRESS: Final = "right would be https://host/owner/repo.git or ssh://git@host/owner/repo.git"
_RIGHT_BRANCH: Final = (
    f"right would be 1-{BRANCH_LENGTH_MAX} of A-Z, a-z, 0-9, '.', '_', '-' and '/', such as fix/login"
)


@dataclass(frozen=True)
class Remote:
    """An address that has been checked. `host` has the port, where there is one, and is empty for a local path."""

    url: str
    protocol: Protocol
    host: str


@dataclass(frozen=True)
class Identity:
    """Who the agent's commits are by."""

    name: str
    email: str


def check_branch(branch: str, field: str = "branch") -> str:
    """A branch's short name. Raises BadName."""
    if not _BRANCH.fullmatch(branch):
        raise BadName(f"{field}: {_shown(branch)} has characters or a length that are not allowed; {_RIGHT_BRANCH}.")
    parts = branch.split("/")
    if ".." in branch or any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts):
        raise BadName(
            f"{field}: {_shown(branch)} has '..', '//', or a part that is empty, begins or ends with '.', "
            f"or ends with '.lock'; {_RIGHT_BRANCH}."
        )
    if branch == "HEAD" or parts[0] == "refs":
        raise BadName(
            f"{field}: {_shown(branch)} is not a branch's short name; right would be main, not refs/heads/main."
        )
    if _OID.match(branch):
        raise BadName(f"{field}: {_shown(branch)} reads like a commit id; {_RIGHT_BRANCH}.")
    return branch


def check_commit(commit: str, field: str = "commit") -> str:
    """A full commit id. Raises BadName."""
    if not _OID.match(commit):
        raise BadName(f"{field}: {_shown(commit)} is not a full commit id; right would be 40 of 0-9 and a-f.")
    return commit


def check_task(task: str, field: str = "task") -> str:
    """A task's id, which becomes part of paths and refs. Raises BadName."""
    if not _TASK.match(task):
        raise BadName(f"{field}: {_shown(task)} is not a task's id; right would be 16-40 of a-z and 0-9.")
    return task


def check_repo(repo: str, field: str = "repo") -> str:
    """A repo's name, which becomes part of a path. Raises BadName."""
    if not _REPO.match(repo):
        raise BadName(f"{field}: {_shown(repo)} is not a repo's name; right would be 1-63 of a-z, 0-9, '-' and '_'.")
    return repo


def check_identity(identity: Identity, field: str = "identity") -> Identity:
    """An author. Raises BadName for what git would drop or what would break out of a header."""
    name = identity.name
    if not 1 <= len(name) <= 100 or not name.isprintable() or name != name.strip() or set(name) & set('<>"\\'):
        raise BadName(
            f'{field}.name: {_shown(name)} will not do; right would be 1-100 printable characters, none of <>"\\.'
        )
    if not _EMAIL.fullmatch(identity.email):
        raise BadName(f"{field}.email: {_shown(identity.email)} will not do; right would be agent@example.com.")
    return identity


def check_remote(address: str, *, allow_local: bool, field: str = "clone_url") -> Remote:
    """An address to fetch from and push to: https, ssh (as a URL or as `git@host:path`), and where `allow_local` says so an
    absolute path or `file://`. Raises BadName; its text never repeats the address, which may hold a password."""
    if not 0 < len(address) <= ADDRESS_LENGTH_MAX:
        raise BadName(f"{field}: empty, or longer than {ADDRESS_LENGTH_MAX} characters; {_RIGHT_ADDRESS}.")
    if address.startswith("-"):
        raise BadName(f"{field}: begins with a dash, which git would read as an option; {_RIGHT_ADDRESS}.")
    if not address.isprintable():
        raise BadName(f"{field}: has control or invisible characters; {_RIGHT_ADDRESS}.")
    if _HELPER.match(address):
        raise BadName(f"{field}: '::' makes git run a helper program; {_RIGHT_ADDRESS}.")
    if address.startswith(("/", "file:")):
        return _local(address, allow_local, field)
    if not address.isascii() or any(c in address for c in " \\\"'`$;&|<>(){}*^?#"):
        raise BadName(
            f"{field}: has a character that does not belong in an address (a query, a fragment, a quote, a space, "
            f"or one outside ASCII); {_RIGHT_ADDRESS}."
        )
    if scheme := _SCHEME.fullmatch(address):
        return _network(address, scheme[1], scheme[2], field)
    return _scp_like(address, field)


def _network(address: str, scheme: str, rest: str, field: str) -> Remote:
    authority, _, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    match scheme:
        case "https":
            if at:
                raise BadName(f"{field}: a credential does not belong in an address; use a secret reference instead.")
            protocol: Protocol = "https"
        case "ssh":
            if ":" in user:
                raise BadName(f"{field}: a password does not belong in an address; use a secret reference instead.")
            if at and not _USER.fullmatch(user):
                raise BadName(f"{field}: the user before '@' is not a user's name; {_RIGHT_ADDRESS}.")
            protocol = "ssh"
        case _:
            raise BadName(f"{field}: only https and ssh are spoken here, in small letters; {_RIGHT_ADDRESS}.")
    _check_host(host, field)
    _check_path(path, field)
    return Remote(url=address, protocol=protocol, host=host)


def _scp_like(address: str, field: str) -> Remote:
    """`git@host:owner/repo.git`, the short way to write ssh."""
    authority, colon, path = address.partition(":")
    user, at, host = authority.rpartition("@")
    if not colon or "/" in authority or len(host) < 2:
        raise BadName(f"{field}: neither an address nor an absolute path; {_RIGHT_ADDRESS}.")
    if "@" in path:
        raise BadName(f"{field}: a password does not belong in an address; use a secret reference instead.")
    if at and not _USER.fullmatch(user):
        raise BadName(f"{field}: the user before '@' is not a user's name; {_RIGHT_ADDRESS}.")
    if not _HOST.fullmatch(host):
        raise BadName(f"{field}: the host is not a host's name; {_RIGHT_ADDRESS}.")
    _check_path(path.removeprefix("/"), field)
    return Remote(url=address, protocol="ssh", host=host)


def _local(address: str, allow_local: bool, field: str) -> Remote:
    if not allow_local:
        raise BadName(f"{field}: a path on this host is not allowed for this repo; {_RIGHT_ADDRESS}.")
    path = address.removeprefix("file://")
    plain = path.startswith("/") and not path.startswith("//") and os.path.normpath(path) == path.rstrip("/")
    if not plain or "%" in path or any(part.startswith("-") for part in path.split("/")):
        raise BadName(
            f"{field}: not a plain absolute path; right would be /srv/git/repo.git or file:///srv/git/repo.git."
        )
    return Remote(url=path.rstrip("/"), protocol="file", host="")


def _check_host(host: str, field: str) -> None:
    name, colon, port = host, "", ""
    if host.startswith("["):
        name, bracket, rest = host.removeprefix("[").partition("]")
        if not bracket or not _is_ipv6(name) or (rest and not rest.startswith(":")):
            raise BadName(f"{field}: the host is not an IPv6 address in brackets; {_RIGHT_ADDRESS}.")
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = host.partition(":")
        if not _HOST.fullmatch(name):
            raise BadName(f"{field}: the host is not a host's name; {_RIGHT_ADDRESS}.")
    if colon and not (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 65_536):
        raise BadName(f"{field}: the port is not a number from 1 to 65535; {_RIGHT_ADDRESS}.")


def _check_path(path: str, field: str) -> None:
    for segment in path.removesuffix("/").split("/"):
        meant = unquote(segment, errors="replace")
        unfit = meant in {"", ".", ".."} or not meant.isprintable() or meant.startswith("-") or set(meant) & set("/\\%")
        if unfit or not _SEGMENT.fullmatch(segment):
            raise BadName(f"{field}: the path has an empty, relative or strange part; {_RIGHT_ADDRESS}.")


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return "%" not in name


def _shown(value: str) -> str:
    return ascii(value if len(value) <= 60 else value[:60] + "...")
