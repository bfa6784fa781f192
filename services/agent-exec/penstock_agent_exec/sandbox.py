"""What a child may see and use: a bubblewrap command line, made from a frozen profile.

The rule of this room: nothing of the host is visible, reachable or writable unless a profile names it, and nothing here runs
anything. Going without a sandbox is a word the caller has to write: `Profile(unsandboxed=True)`.

Options reach bubblewrap through a descriptor (`--args`), not through its argv: they hold the child's environment, and an
argv can be read by everybody on the host. For the same reason bubblewrap itself is started with an empty environment.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock_agent_exec.cgroups import RLIMITS, Means
from penstock_agent_exec.limits import MIB, USUAL, ResourceLimits, prlimit_argv
from penstock_agent_exec.seccomp import filter_for

SCRATCH: Final = ("/dev/shm", "/tmp")  # noqa: S108  paths inside, where nobody else is
INSIDE_ID: Final = "1000"
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Everything an agent leaves behind is committed: without the second, a run of Python's tests leaves its caches in the change.
BASE_ENV: Final = {"PATH": DEFAULT_PATH, "PYTHONDONTWRITEBYTECODE": "1"}

# Directories that are links into /usr on a merged host and real ones elsewhere: a bind of either kind serves both.
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# The little of /etc that programs cannot do without: certificates, the linker's cache, the alternatives links. No passwords,
# no keys, no git or package manager settings. Users and groups come from `sandbox_etc/`: the host's are nobody's business.
_ETC: Final = (
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/crypto-policies",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/os-release",
    "/etc/mime.types",
    "/etc/services",
    "/etc/protocols",
)
SYSTEM_CALLS: Final = filter_for(platform.machine())
_OWN_ETC: Final = Path(__file__).parent / "sandbox_etc"

# When the executor runs as root, uid 1000 inside *is* root to the kernel's file checks on /proc, capabilities or not: without
# these read-only binds a child could write /proc/sys/kernel/core_pattern and so run a program on the host. Bubblewrap by
# itself covers only what looks writable as a directory.
_PROC_READ_ONLY: Final = (
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/mtrr",
    "/proc/pressure",
)


@dataclass(frozen=True, slots=True)
class Bind:
    """A path of the host, seen inside at `target` (by default at its own path). Later binds cover earlier ones."""

    source: Path
    target: str = ""
    writable: bool = False

    @property
    def inside(self) -> str:
        return self.target or str(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything one child gets. `cwd` is a path inside; `env` is its whole environment.

    `network=False` leaves it an empty network namespace (its own loopback, nothing else); True shares the host's.
    """

    cwd: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    binds: tuple[Bind, ...] = ()
    network: bool = False
    limits: ResourceLimits = USUAL
    means: Means = RLIMITS
    unsandboxed: bool = False
    bwrap: Path = Path("/usr/bin/bwrap")

    @property
    def label(self) -> str:
        """How this child is kept, in a few words for reports."""
        if self.unsandboxed:
            return f"no sandbox, {self.means.kind}"
        network = "host's network" if self.network else "no network"
        calls = "" if SYSTEM_CALLS is not None else ", all system calls"
        return f"bwrap, {network}, {self.means.kind}{calls}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start: `options` go to bubblewrap's `--args` descriptor and are None where there is no sandbox. `calls` is the
    filter of system calls, where there is one for this processor."""

    argv: tuple[str, ...]
    options: tuple[str, ...] | None = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    cwd: str
    calls: bytes | None = field(default=None, repr=False)


def launch(profile: Profile, command: Sequence[str]) -> Launch:
    """How to start `command` under `profile`. Raises ValueError for what a profile cannot ask for."""
    if not command:
        raise ValueError("a command has at least one word")
    limited = (*prlimit_argv(profile.limits), *command)
    env = BASE_ENV | dict(profile.env)
    if not profile.unsandboxed:
        return Launch(argv=limited, options=bwrap_options(profile), env={}, cwd="/", calls=SYSTEM_CALLS)
    if moved := [bind for bind in profile.binds if bind.inside != str(bind.source)]:
        raise ValueError(f"without a sandbox {moved[0].source} cannot be shown at {moved[0].inside}")
    # setpriv makes at least the child itself die with the executor. Its descendants may outlive both.
    return Launch(argv=("setpriv", "--pdeathsig", "KILL", "--", *limited), options=None, env=env, cwd=profile.cwd)


def bwrap_options(profile: Profile) -> tuple[str, ...]:
    """The options of bubblewrap for `profile`, in the order in which it applies them."""
    return tuple(_options(profile))


def _options(profile: Profile) -> Iterator[str]:
    for namespace in ("user", "pid", "ipc", "uts", "cgroup"):
        yield f"--unshare-{namespace}"
    if not profile.network:
        yield "--unshare-net"
    yield from ("--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv")
    yield from ("--uid", INSIDE_ID, "--gid", INSIDE_ID, "--hostname", "sandbox")
    yield from _system(profile)
    for bind in profile.binds:
        yield from ("--bind" if bind.writable else "--ro-bind", str(bind.source), bind.inside)
    yield from ("--remount-ro", "/")
    for name, value in (BASE_ENV | dict(profile.env)).items():
        yield from ("--setenv", name, value)
    yield from ("--chdir", profile.cwd)


def _system(profile: Profile) -> Iterator[str]:
    for path in (*_SYSTEM, *_ETC):
        yield from ("--ro-bind-try", path, path)
    if profile.network:
        yield from ("--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf")
    for name in ("passwd", "group", "nsswitch.conf", "hosts"):
        yield from ("--ro-bind", str(_OWN_ETC / name), f"/etc/{name}")
    yield from ("--proc", "/proc")
    for path in _PROC_READ_ONLY:
        yield from ("--ro-bind-try", path, path)
    scratch = str(profile.limits.scratch_bytes)
    yield from ("--dev", "/dev")
    for path in SCRATCH:
        yield from ("--perms", "1777", "--size", scratch, "--tmpfs", path)
    yield from ("--remount-ro", "/dev")
    for path in ("/run", "/home"):
        yield from ("--size", str(16 * MIB), "--tmpfs", path)


def python_binds() -> tuple[Bind, ...]:
    """What a sandbox needs besides /usr to run this very Python's interpreter, without its installed packages."""
    prefix = Path(sys.base_prefix).resolve()
    return () if prefix.is_relative_to("/usr") else (Bind(prefix),)


def python_program() -> Path:
    """The interpreter itself, not a virtual environment's link to it."""
    return Path(sys.executable).resolve()
