"""Agent programs that are npm packages: where node is, where the package is, and what of the host a sandbox must see for them.

The rule of this room: nothing of the package is run to find it. Its version is in its own package.json, and what npm put on
PATH is only a link to a script in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.json_lines import json_object, text
from penstock_agent_exec.agents.vendor import HostLacks
from penstock_agent_exec.sandbox import DEFAULT_PATH, Bind

NODE_MAJOR_MIN: Final = 20
NODE_SECONDS_MAX: Final = 30.0
PACKAGE_JSON_BYTES_MAX: Final = 1024 * 1024
FOLDERS_UP_MAX: Final = 6


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """`script` of a package at `package`, of `version`, and the `node` to run it with."""

    node: Path
    package: Path
    script: Path
    version: str

    @property
    def binds(self) -> tuple[Bind, ...]:
        """What a sandbox needs besides the system."""
        return tuple(Bind(path) for path in (self.node, self.package) if not path.is_relative_to("/usr"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An npm package, the command that it puts on PATH, and the oldest version that is known to work."""

    title: str
    command: str
    package: str
    script: str
    version_min: tuple[int, int, int]

    @property
    def install(self) -> str:
        return f"npm install -g {self.package}@{'.'.join(map(str, self.version_min))} (or newer)"


def find_node_program(wanted: Wanted, program: Path | None = None) -> NodeProgram:
    """The package behind `program`, or behind its command on PATH. Blocks for some 0.1 s. Raises HostLacks with what to do."""
    name = str(program) if program is not None else wanted.command
    found = shutil.which(name) or (name if program is not None and program.is_file() else None)
    if found is None:
        raise HostLacks(
            f"{wanted.title} was not found as {name!r}: {wanted.install}, or name its program in the settings"
        )
    package, version = _package(Path(os.path.realpath(found)), wanted)
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) < wanted.version_min:
        least = ".".join(map(str, wanted.version_min))
        raise HostLacks(f"{package} is {wanted.title} {version}; {least} or newer is needed: {wanted.install}")
    script = package / wanted.script
    if not script.is_file():
        raise HostLacks(f"{package} has no {wanted.script}: {wanted.install}")
    return NodeProgram(_node(wanted), package, script, version)


def _package(script: Path, wanted: Wanted) -> tuple[Path, str]:
    """The package that `script` belongs to, and its version."""
    for folder in script.parents[:FOLDERS_UP_MAX]:
        try:
            with (folder / "package.json").open("rb") as file:
                described = json_object(file.read(PACKAGE_JSON_BYTES_MAX)) or {}
        except OSError:
            continue
        if text(described, "name") == wanted.package:
            return folder, text(described, "version")
    raise HostLacks(f"{script} is not a script of the package {wanted.package}: {wanted.install}")


def _node(wanted: Wanted) -> Path:
    found = shutil.which("node")
    if found is None:
        raise HostLacks(f"{wanted.title} needs node {NODE_MAJOR_MIN} or newer, and there is none on PATH")
    node = Path(os.path.realpath(found))
    try:
        ended = subprocess.run(
            [str(node), "--version"],
            env={"PATH": DEFAULT_PATH},
            capture_output=True,
            timeout=NODE_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostLacks(f"{node} --version: {error}") from error
    printed = ended.stdout.decode(errors="replace")
    version = re.match(r"v(\d+)\.\d+\.\d+\s*$", printed)
    if version is None:
        raise HostLacks(f"{node} --version says {printed[:100]!r}, which is not node: name the real one on PATH")
    if int(version.group(1)) < NODE_MAJOR_MIN:
        raise HostLacks(f"{node} is node {printed.strip()}; {wanted.title} needs {NODE_MAJOR_MIN} or newer")
    return node
