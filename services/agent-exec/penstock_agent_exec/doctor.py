"""`python -m penstock_agent_exec.doctor`: what this host has of what agents and forges need, what is missing, and what mends
it.

The rule of this room: everything is tried as the service would, with its settings, and nothing is changed; no vendor's API is
asked for anything unless `--reach` says so. Exit code 0 where the sandbox works, at least one agent with a model can run, and
each forge that is named takes its credential.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx2
import structlog

from penstock.settings import BadSettings, environment
from penstock_agent_exec.agents.generic import find_generic
from penstock_agent_exec.agents.generic_file import Described
from penstock_agent_exec.agents.known import NAMES, VERSIONS_MIN, find_vendor, is_scripted
from penstock_agent_exec.agents.vendor import HostLacks
from penstock_agent_exec.cgroups import find_means
from penstock_agent_exec.doctor_forges import ForgeCheck, look_at_forges
from penstock_agent_exec.doctor_table import Check, as_json, as_table
from penstock_agent_exec.known_secrets import known_secrets, secret_files
from penstock_agent_exec.mounts import read_mounts
from penstock_agent_exec.output import readable
from penstock_agent_exec.sandbox_probe import probe
from penstock_agent_exec.settings import Settings, described_in, load
from penstock_agent_exec.vendors import Means, means_of, means_of_described

UNFIT: Final = 1
GIT_SECONDS_MAX: Final = 15.0
REACH_SECONDS_MAX: Final = 15.0
AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCheck(Check):
    """One agent. `reached` is what its API's address answered, None where it was not asked; `needs_model` is False for those
    that play a script."""

    program: str = ""
    version: str = ""
    version_min: str = ""
    key: bool = False
    login: bool = False
    base_url: str = ""
    reached: str | None = None
    needs_model: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was looked at. `runs`: agents are to work here. `fit`: they can; or nobody's code is to run here, and
    changes can be handed over."""

    host: tuple[Check, ...]
    forges: tuple[ForgeCheck, ...]
    agents: tuple[AgentCheck, ...]
    runs: bool = True

    @property
    def fit(self) -> bool:
        able = not self.runs or any(agent.state == "ok" and agent.needs_model for agent in self.agents)
        return able and all(check.state != "missing" for check in (*self.host, *self.forges))


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="doctor", description="What this host has of what agents and forges need, and what is missing."
    )
    parser.add_argument("--json", action="store_true", help="one document instead of a table")
    parser.add_argument("--reach", action="store_true", help="also ask the agents' APIs for an answer; no key is sent")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    findings = examine(environment(), reach=bool(given.reach))
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(as_json(findings) if given.json else as_table(findings, colours=colours))
    return 0 if findings.fit else UNFIT


def examine(environ: Mapping[str, str], *, reach: bool = False) -> Findings:
    """Look at everything. Blocks for some seconds, while programs are started to say their versions."""
    with tempfile.TemporaryDirectory(prefix="penstock-doctor-") as scratch:
        # Neither is looked at here, and without them there are no settings.
        own = {"PENSTOCK_HOST": "doctor", "PENSTOCK_DATA_DIR": scratch}
        lent = {name: value for name, value in own.items() if name not in environ and f"{name}_FILE" not in environ}
        described: dict[str, Described] = {}
        forges: tuple[ForgeCheck, ...] = ()
        try:
            settings = load({**lent, **environ})
            described = described_in(settings)
            # As the service reads them, one after the other, before it starts.
            read_mounts(settings, secret_files(settings).values())
            known_secrets(settings)
            first = _settings(lent, environ)
            forges = look_at_forges(settings)
        except BadSettings as error:
            settings = Settings(host="doctor", data_dir=scratch)
            first = Check(name="settings", state="missing", seen=str(error), mend="mend this setting and look again")
        if not settings.runs:
            return Findings(host=(first, _git()), forges=forges, agents=(), runs=False)
        checks = (first, _git(), _sandbox(settings), _limits())
        return Findings(host=checks, forges=forges, agents=_agents(settings, described, environ, reach=reach))


def _settings(lent: Mapping[str, str], environ: Mapping[str, str]) -> Check:
    if not lent or "PENSTOCK_CONFIG" in environ:
        return Check(name="settings", state="ok", seen="as the service takes them")
    seen = f"those that are set are right; the service also wants {' and '.join(lent)}"
    return Check(name="settings", state="note", seen=seen, mend=f"set {' and '.join(lent)}")


def _git() -> Check:
    mend = "apt-get install -y git"
    if (program := shutil.which("git")) is None:
        return Check(name="git", state="missing", seen="not installed", mend=mend)
    try:
        ended = subprocess.run([program, "--version"], capture_output=True, timeout=GIT_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name="git", state="missing", seen=str(error), mend=mend)
    said = readable(ended.stdout).strip()
    if ended.returncode != 0:
        return Check(name="git", state="missing", seen=f"{said}, {program}", mend=mend)
    return Check(name="git", state="ok", seen=f"{said}, {program}")


def _sandbox(settings: Settings) -> Check:
    found = probe()
    mend = "" if found.ok else _mend_of_the_sandbox(found.bwrap)
    if settings.sandbox == "none":
        seen = f"switched off by PENSTOCK_SANDBOX=none: agents have all the rights of the service. {found.message}"
        return Check(name="sandbox", state="note", seen=seen, mend="leave PENSTOCK_SANDBOX out" if found.ok else mend)
    return Check(name="sandbox", state="ok" if found.ok else "missing", seen=found.message, mend=mend)


def _mend_of_the_sandbox(bwrap: Path | None) -> str:
    """The message says what stands in the way of a sandbox that could not be made, and how to take that away."""
    return "apt-get install -y bubblewrap util-linux" if bwrap is None else "change what is said here, and look again"


def _limits() -> Check:
    means = find_means("doctor")
    means.sweep()
    match means.kind:
        case "cgroup2" | "cgroup1":
            return Check(name="limits", state="ok", seen=f"kept by the kernel, by control groups ({means.kind})")
        case "rlimits":
            seen = "kept for each process by itself; all of an agent's together are only watched, and its processor is not held"
            mend = "systemd-run --user --scope -p Delegate=yes <the service>, or Delegate=yes in its unit"
            return Check(name="limits", state="note", seen=seen, mend=mend)


# Agents


def _agents(
    settings: Settings, described: Mapping[str, Described], environ: Mapping[str, str], *, reach: bool
) -> tuple[AgentCheck, ...]:
    names = settings.vendor_names or (*NAMES, *described)

    def look(name: str) -> AgentCheck:
        if is_scripted(name):
            return _scripted(name, settings)
        if (agent := described.get(name)) is not None:
            return _described(agent, environ)
        return _known(name, settings)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = tuple(threads.map(look, names))
        return tuple(threads.map(_reached, found)) if reach else found


def _known(name: str, settings: Settings) -> AgentCheck:
    means = means_of(name, settings)
    lacks, version = _version_or_lack(lambda: find_vendor(name, program=Path(means.program or name)).version)
    if means.model is None and means.login is None:
        lacks.append(f"set {' or '.join(means.settings)} (or …_FILE)")
    least = ".".join(map(str, VERSIONS_MIN[name]))
    return _agent(name, means, version, least, lacks)


def _described(agent: Described, environ: Mapping[str, str]) -> AgentCheck:
    lacks, version = _version_or_lack(lambda: find_generic(agent, environ).version)
    means = Means(agent.table.program)
    try:
        means = means_of_described(agent)
    except HostLacks as lack:
        lacks.append(str(lack))
    least = agent.table.version.minimum if agent.table.version is not None else ""
    return _agent(agent.name, means, version, least, lacks)


def _version_or_lack(find: Callable[[], str]) -> tuple[list[str], str]:
    try:
        return [], find()
    except HostLacks as lack:
        return [str(lack)], ""


def _agent(name: str, means: Means, version: str, least: str, lacks: list[str]) -> AgentCheck:
    access = means.model or means.login
    program = shutil.which(means.program or name) or ""
    pays = [word for word, there in (("a key", means.model), ("a login", means.login)) if there is not None]
    parts = [
        (version or ("no version" if program else "not found")) + (f" ({least} or newer)" if least else ""),
        program,
    ]
    if means.settings or access is not None:
        parts += [" and ".join(pays) or "nothing that pays", access.upstream if access is not None else ""]
    return AgentCheck(
        name=name,
        state="missing" if lacks else "ok",
        seen=", ".join(part for part in parts if part),
        mend="; ".join(lacks),
        program=program,
        version=version,
        version_min=least,
        key=means.model is not None,
        login=means.login is not None,
        base_url=access.upstream if access is not None else "",
    )


def _scripted(name: str, settings: Settings) -> AgentCheck:
    lacks, _ = _version_or_lack(lambda: find_vendor(name, scripts=settings.scripts).version)
    seen = f"plays the scripts of {settings.scripts_dir}" if not lacks else "has no scripts to play"
    mend = "" if not lacks else "set PENSTOCK_SCRIPTS_DIR to a folder of scripts; only demonstrations need it"
    return AgentCheck(name=name, state="note" if lacks else "ok", seen=seen, mend=mend, needs_model=False)


def _reached(agent: AgentCheck) -> AgentCheck:
    """With what its API answers to a request that nobody has to pay for: any answer at all will do."""
    if not agent.base_url:
        return agent
    try:
        answer = httpx2.get(agent.base_url, timeout=REACH_SECONDS_MAX)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        why = f"{agent.base_url} cannot be reached: {type(error).__name__} {error}".strip()
        return replace(agent, reached=why, state="missing", mend="; ".join(filter(None, (agent.mend, why))))
    return replace(
        agent, reached=f"answers ({answer.status_code})", seen=f"{agent.seen} answers ({answer.status_code})"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
