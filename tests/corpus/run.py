"""Runs a real tool on a small broken project and keeps what it printed.

    PYTHONPATH=tests python -m corpus.run --tools DIR first [name prefix ...]

`DIR/py/bin` and `DIR/np/node_modules` hold the Python and npm tools; compilers and git come from PATH, and the languages
of the user from the folder in LOCPATH (`localedef -i de_DE -f UTF-8 FOLDER/de_DE.UTF-8`, and so fr_FR and ja_JP).
The rule of this room: whatever names this machine is scrubbed before it is written.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from corpus.sample import Part, Sample, write

SECONDS_MAX: Final = 240
TEXT_BYTES_MAX: Final = 200_000
WORKSHOP: Final = Path("/tmp/penstock-corpus")
ENTER: Final = tuple(os.environ.get("CORPUS_ENTER", "").split())
"""The argv that enters the root in which the tools of `foreign` are installed, for instance `chroot DIR`."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command in a folder with these files. `before` runs first, unrecorded. `as_user`: not as root."""

    name: str
    tool: str
    command: str
    expected: str
    files: dict[str, str] = field(default_factory=dict)
    stage: str = "test"
    source: str = "verify"
    before: str = ""
    note: str = ""
    modules: bool = False


def run(case: Case, tools: Path, part: Part) -> Sample:
    """Runs the case once and writes its sample."""
    place = WORKSHOP / case.name
    shutil.rmtree(place, ignore_errors=True)
    repo = place / "repo"
    repo.mkdir(parents=True)
    (place / "home").mkdir()
    for name, text in case.files.items():
        file = repo / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if case.modules:
        (repo / "node_modules").symlink_to(tools / "np" / "node_modules")
    environment = _environment(place, tools)
    if case.before:
        _shell(case.before, repo, environment)
    exit_code, text = _shell(case.command, repo, environment)
    sample = Sample(
        name=case.name,
        tool=case.tool,
        version=_version(case.tool, str(tools)),
        how="ran",
        command=_scrub(case.command, place, tools),
        exit_code=exit_code,
        stage=case.stage,
        source=case.source,
        expected=case.expected,
        note=case.note,
        text=_scrub(text, place, tools),
    )
    write(sample, part)
    shutil.rmtree(place, ignore_errors=True)
    return sample


def _shell(command: str, repo: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    try:
        done = subprocess.run(
            [*ENTER, "bash", "-c", command] if not ENTER else [*ENTER, "bash", "-c", f"cd {repo} && {command}"],
            cwd=repo,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as stopped:
        return None, (stopped.stdout or b"").decode("utf-8", "replace")
    return done.returncode, done.stdout[-TEXT_BYTES_MAX:].decode("utf-8", "replace")


def _environment(place: Path, tools: Path) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if "CERT" in key or key.endswith("_CA_BUNDLE") or key == "LOCPATH"
    }
    home = str(place / "home")
    return kept | {
        "PATH": f"{tools}/py/bin:{tools}/np/node_modules/.bin:{os.environ['PATH']}",
        "HOME": home,
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
        "GOPATH": f"{tools}/go",
        "GOCACHE": f"{tools}/go-cache",
        "GOFLAGS": "-modcacherw",
        "LANG": "C.UTF-8",
        "TOOLS": str(tools),
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_TERMINAL_PROMPT": "0",
    }


_COLOUR: Final = r"(?:\x1b\[[0-9;]*m)*"
"""May stand around every slash of a path that is printed in colours."""
_VERSION_COMMANDS: Final = {
    "go": "go version",
    "git": "git --version",
    "javac": "javac -version",
    "java": "java -version",
    "unittest": "python --version",
    "python": "python --version",
    "clippy": "cargo clippy --version",
    "dash": "dpkg-query -W -f '${Version}' dash",
    "sh": "dpkg-query -W -f '${Version}' dash",
    "pytest-cov": "pip list 2>/dev/null | grep -i '^pytest-cov'",
}


@cache
def _version(tool: str, tools: str) -> str:
    command = _VERSION_COMMANDS.get(tool, f"{tool} --version")
    _code, text = _shell(command, Path("/"), _environment(WORKSHOP / "version", Path(tools)))
    first = next((line for line in text.splitlines() if re.search(r"\d+\.\d+", line)), "")
    return re.sub(r"\x1b\[[0-9;]*m| from /.*", "", first).strip()[:80]


def _scrub(text: str, place: Path, tools: Path) -> str:
    for secret, public in (
        (str(place / "repo"), "/repo"),
        (str(place / "home"), "/home/agent"),
        (str(place), "/work"),
        (str(tools), "/opt/tools"),
        (f"../../..{str(tools).removeprefix('/tmp')}", "../opt/tools"),
        (str(Path.home() / ".pyenv"), "/opt/pyenv"),
        (str(Path.home()), "/home/agent"),
    ):
        split = _COLOUR.join(map(re.escape, re.split("(/)", secret)))
        text = re.sub(split, public, text)
    return re.sub(r'hostname="[^"]*"', 'hostname="host"', text)


def main() -> None:
    from corpus import cases_of
    from corpus.sample import PARTS

    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("prefix", nargs="*")
    arguments = parser.parse_args()
    for case in cases_of(arguments.part, foreign=bool(ENTER)):
        if arguments.prefix and not case.name.startswith(tuple(arguments.prefix)):
            continue
        sample = run(case, arguments.tools, arguments.part)
        print(
            f"{sample.name}: exit {sample.exit_code}, {len(sample.text)} characters, expected {sample.expected}",
            flush=True,
        )


if __name__ == "__main__":
    main()
