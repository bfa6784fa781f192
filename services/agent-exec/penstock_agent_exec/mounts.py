"""What repos see of this host beyond the system: a JDK under /opt, a cache of packages. Configured by whoever owns the host.

    [[mount]]
    path = "/opt/jdk-21"              # shown read-only
    inside = "/opt/jdk"               # left out: at its own path
    repos = ["shop", "billing"]       # left out: for every repo

    [[cache]]
    name = "pip"                      # writable; a folder of each repo's own, kept in the data folder
    variables = ["PIP_CACHE_DIR"]     # told to programs by these; inside it is /cache/pip
    repos = ["shop"]

The rule of this room: nothing that is somebody's secret and nothing that answers can be named: no part of the data folder, no
keys or logins of a home, no sockets. What is wrong is said of the entry, before the service starts. A cache is one repo's: what
its tasks plant there, they plant for each other.
"""

from __future__ import annotations

import os
import pwd
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from penstock.bounds import Name
from penstock.settings import BadSettings
from penstock_agent_exec.sandbox import Bind

CACHE_INSIDE: Final = "/cache"
ENTRIES_LOOKED_AT_MAX: Final = 50_000
"""How many files below a mount are looked at for sockets, at the start of the service."""

# Of a home: keys, logins, and settings with either.
_PRIVATE: Final = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".gitconfig",
    ".config", ".local/share/keyrings", ".claude", ".claude.json", ".codex", ".gemini", ".qwen", ".password-store", ".mozilla",
    ".cargo/credentials", ".cargo/credentials.toml", ".m2/settings.xml", ".gradle/gradle.properties", ".bash_history",
)  # fmt: skip
_NEVER: Final = ("/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/boot")
_COVERED: Final = (
    "/proc",
    "/sys",
    "/dev",
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/workspace",
    CACHE_INSIDE,
)
"""What is inside already, and would be covered."""
_VARIABLE: Final = r"^[A-Z][A-Z0-9_]{0,63}(?!\n)$"
_RESERVED: Final = (
    "PATH",
    "HOME",
    "LD_",
    "PENSTOCK_",
    "PYTHON",
    "NODE_OPTIONS",
    "GIT_",
    "BASH_ENV",
    "ENV",
    "IFS",
    "SHELL",
)


class MountEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A path of the host, shown read-only."""

    path: str
    inside: str = ""
    repos: tuple[Name, ...] = ()


class CacheEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A writable folder of each repo's own."""

    name: Name
    variables: tuple[Annotated[str, Meta(pattern=_VARIABLE)], ...] = ()
    repos: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Extras:
    """What one repo's children get: later than their own binds, beneath their own environment."""

    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class Mounts(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    mount: tuple[MountEntry, ...] = ()
    cache: tuple[CacheEntry, ...] = ()

    def extras(self, repo: str, caches: Path) -> Extras:
        """For one repo, whose caches are below `caches`; makes their folders. Raises OSError."""
        binds = [Bind(Path(entry.path), entry.inside) for entry in self.mount if _is_for(entry.repos, repo)]
        env: dict[str, str] = {}
        for entry in self.cache:
            if _is_for(entry.repos, repo):
                folder, inside = caches / repo / entry.name, f"{CACHE_INSIDE}/{entry.name}"
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                binds.append(Bind(folder, inside, writable=True))
                env.update(dict.fromkeys(entry.variables, inside))
        return Extras(tuple(binds), env)


NO_MOUNTS: Final = Mounts()


class Places(Protocol):
    """Of the settings, what is read here."""

    @property
    def mounts_file(self) -> str: ...
    @property
    def data_dir(self) -> str: ...


def read_mounts(settings: Places, secret_files: Iterable[Path]) -> Mounts:
    """The file that the settings name, checked against this host; no mount shows one of `secret_files`. Raises BadSettings,
    naming the entry."""
    if not settings.mounts_file:
        return NO_MOUNTS
    where = f"PENSTOCK_MOUNTS_FILE {settings.mounts_file}"
    try:
        found = msgspec.convert(tomllib.loads(Path(settings.mounts_file).read_text()), Mounts)
    except OSError as error:
        raise BadSettings(f"{where}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadSettings(f"{where}: {error}") from error
    for wrong in _wrongs(found, [Path(settings.data_dir), Path(settings.mounts_file), *secret_files]):
        raise BadSettings(f"{where}: {wrong}")
    return found


def _wrongs(mounts: Mounts, kept: Iterable[Path]) -> Iterator[str]:
    private = [*(path.resolve() for path in kept), *_private_places()]
    taken: dict[str, str] = {}
    for number, entry in enumerate(mounts.mount, start=1):
        named = f"mount {number} ({entry.path!r})"
        if (wrong := _wrong_path(entry.path, private) or _wrong_inside(entry.inside or entry.path)) is not None:
            yield f"{named}: {wrong}"
        elif (other := taken.setdefault(entry.inside or entry.path, named)) != named:
            yield f"{named}: is seen where {other} is"
    names: set[str] = set()
    for number, cache in enumerate(mounts.cache, start=1):
        named = f"cache {number} ({cache.name!r})"
        if cache.name in names:
            yield f"{named}: another cache has this name"
        names.add(cache.name)
        for variable in cache.variables:
            if variable.startswith(_RESERVED):
                yield f"{named}: {variable} is not for caches to set"


def _wrong_path(text: str, private: Iterable[Path]) -> str | None:
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts:
        return "is no absolute path"
    try:
        real = path.resolve(strict=True)
        kind = real.stat().st_mode
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        return "is neither a folder nor a file: sockets and devices are not shown to agents"
    for place in private:
        if place.is_relative_to(real) or real.is_relative_to(place):
            return f"would show {place}, which agents must not see"
    for never in map(Path, _NEVER):
        if real == never or never.is_relative_to(real) or real.is_relative_to(never):
            return f"is, holds or lies in {never}: not shown to agents"
    return _socket_below(real)


def _socket_below(folder: Path) -> str | None:
    """Reading is enough to connect to a socket."""
    looked_at = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            looked_at += 1
            if looked_at > ENTRIES_LOOKED_AT_MAX:
                return None
            try:
                is_socket = stat.S_ISSOCK(os.lstat(os.path.join(parent, name)).st_mode)  # noqa: PTH118  a hot loop
            except OSError:
                continue
            if is_socket:
                return f"holds a socket, {Path(parent, name)}: whoever sees it can talk to what listens there"
    return None


def _wrong_inside(inside: str) -> str | None:
    path = PurePosixPath(inside)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        return f"cannot be seen at {inside!r}: no absolute path"
    if any(path.is_relative_to(one) for one in _COVERED):
        return f"cannot be seen at {inside!r}: something else is there"
    return None


def _private_places() -> Iterator[Path]:
    homes = {Path(user.pw_dir) for user in pwd.getpwall()} | {Path.home()}
    for home in sorted(homes):
        if len(home.parts) > 1 and (home.parts[1] in ("home", "root") or home == Path.home()):
            yield from (home / name for name in _PRIVATE)


def _is_for(repos: tuple[str, ...], repo: str) -> bool:
    return not repos or repo in repos
