"""Whether this host can make the sandbox, and in words what to change where it cannot.

The rule of this room: try the real thing. A version number or a kernel setting never proves that a namespace can be made;
they only explain, afterwards, why it could not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.limits import prlimit_argv
from penstock_agent_exec.sandbox import Profile, bwrap_options

PROBE_SECONDS_MAX: Final = 15.0
BWRAP_VERSION_MIN: Final = (0, 8, 0)  # the first with --disable-userns

_SETTINGS: Final = (
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.unprivileged_userns_clone",
    "user.max_user_namespaces",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """`message` says what was seen, or what to change. `bwrap` is where the program lies, None where there is none."""

    ok: bool
    message: str
    bwrap: Path | None = None


def probe(program: str = "bwrap") -> Probe:
    """Make a sandbox as tight as any task's and run one command in it. Blocks for some 20 ms: for the start of a service."""
    found = shutil.which(program)
    if found is None:
        return Probe(
            ok=False,
            message="bubblewrap is not installed: install the package `bubblewrap` (0.8 or newer) on this host",
        )
    bwrap = Path(found)
    if missing := [name for name in ("prlimit", "setpriv") if shutil.which(name) is None]:
        return Probe(ok=False, message=f"{missing[0]} is not installed: install the package `util-linux`", bwrap=bwrap)
    printed = _run([found, "--version"])[1].strip()
    version = tuple(int(part) for part in re.findall(r"\d+", printed)[:3])
    if version < BWRAP_VERSION_MIN:
        wanted = ".".join(map(str, BWRAP_VERSION_MIN))
        return Probe(ok=False, message=f"{found} says {printed!r}; {wanted} or newer is needed", bwrap=bwrap)
    profile = Profile(cwd="/")
    code, output = _run([found, *bwrap_options(profile), "--", *prlimit_argv(profile.limits), "true"])
    if code == 0:
        return Probe(ok=True, message=f"{printed}: a sandbox with its own users, processes and network", bwrap=bwrap)
    return Probe(ok=False, message=explain(output, _settings()), bwrap=bwrap)


def explain(output: str, settings: Mapping[str, str]) -> str:
    """Why bubblewrap could not, from what it printed and the kernel settings that were readable: a paragraph for an operator."""
    said = f" (bubblewrap said: {output.strip()[:300]})"
    if settings.get("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps ordinary programs from making user namespaces: give bwrap a profile with `userns,`, or set "
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0" + said
        )
    if settings.get("kernel.unprivileged_userns_clone") == "0":
        return "user namespaces are off for ordinary users: set sysctl kernel.unprivileged_userns_clone=1" + said
    if settings.get("user.max_user_namespaces") == "0":
        return "this host allows no user namespaces: set sysctl user.max_user_namespaces to 10000 or more" + said
    if "mount proc" in output:
        return (
            "a container around this service hides parts of /proc, so none can be mounted inside: start the container with "
            "`--security-opt systempaths=unconfined`" + said
        )
    if "namespace" in output or "Operation not permitted" in output:
        return (
            "the kernel or a container around this service forbids new namespaces: start the container with "
            "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or run the executor on the host"
            + said
        )
    return "bubblewrap could not make a sandbox" + said


def _run(argv: list[str]) -> tuple[int, str]:
    try:
        ended = subprocess.run(
            argv,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {PROBE_SECONDS_MAX:.0f} s"
    except OSError as error:
        return 1, str(error)
    return ended.returncode, ended.stdout.decode(errors="replace")


def _settings() -> dict[str, str]:
    paths = {name: Path("/proc/sys") / name.replace(".", "/") for name in _SETTINGS}
    return {name: path.read_text().strip() for name, path in paths.items() if path.is_file()}
