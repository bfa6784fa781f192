"""The repositories that maps are made of, and aider's environment: fetched once by the registries' own clients, pinned.

Rule of this room: everything is below one folder (PENSTOCK_BENCH_MAP, or the account's cache), which can be removed; what cannot
be fetched here is left out and said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

AIDER: Final = "aider-chat==0.86.2"
DJANGO: Final = "django==5.2.8"
THREE: Final = "three@0.170.0"
POSTGRESQL: Final = "postgresql-15"
DEBIAN: Final = "deb-src http://deb.debian.org/debian bookworm main\n"
FETCH_SECONDS_MAX: Final = 1_800


@dataclass(frozen=True)
class Project:
    """`words`: of tasks that somebody may have there."""

    name: str
    fetch: Callable[[Path], None]
    words: tuple[str, ...]


def place() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PENSTOCK_BENCH_MAP") or home / "penstock" / "bench-map")


def aider_python() -> Path:
    """The interpreter of an environment that has aider. Raises CalledProcessError."""
    python = place() / "aider" / "bin" / "python"
    if not (place() / "aider.whole").exists():
        shutil.rmtree(place() / "aider", ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(place() / "aider"))
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", AIDER)
        (place() / "aider.whole").touch()
    return python


def repository(project: Project) -> Path:
    """The project's source under git. Raises CalledProcessError, OSError, and whatever is wrong with an archive."""
    folder = place() / project.name
    if not (folder / ".git" / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        fetched = place() / f"{project.name}.fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir(parents=True)
        project.fetch(fetched)
        (archive,) = (path for path in fetched.iterdir() if ".tar." in path.name or path.suffix == ".tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(fetched / "in", filter="data")
        (inside,) = (fetched / "in").iterdir()
        inside.rename(folder)
        shutil.rmtree(fetched)
        who = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0")
        _run("git", "-C", str(folder), "init", "-q", "-b", "main", "--template=")
        _run("git", "-C", str(folder), "add", "-A", "-f")
        _run("git", "-C", str(folder), *who, "commit", "-q", "-m", "All of it")
        _run("git", "-C", str(folder), "gc", "-q")
        (folder / ".git" / "whole").touch()
    return folder


def _django(folder: Path) -> None:
    pip = [str(aider_python()), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "--no-deps", "--no-binary", ":all:", "--dest", str(folder), DJANGO)


def _three(folder: Path) -> None:
    _run("npm", "pack", "--silent", THREE, "--pack-destination", str(folder))


def _postgresql(folder: Path) -> None:
    apt = folder / "apt"
    for inside in ("lists/partial", "cache/archives/partial"):
        (apt / inside).mkdir(parents=True)
    (apt / "sources.list").write_text(DEBIAN)
    own = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": os.devnull,
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [part for name, value in own.items() for part in ("-o", f"{name}={value}")]
    _run("apt-get", *options, "-qq", "update")
    _run("apt-get", *options, "-qq", "--download-only", "source", POSTGRESQL, cwd=folder)
    for path in folder.glob("*.debian.tar.*"):
        path.unlink()


def _run(*command: str, cwd: Path | None = None) -> None:
    place().mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, timeout=FETCH_SECONDS_MAX)


PROJECTS: Final = (
    Project("django", _django, ("queryset", "annotate", "filter")),
    Project("three", _three, ("shadow", "map", "render", "target")),
    Project("postgresql", _postgresql, ("vacuum", "index", "cleanup")),
)
"""Python, JavaScript and C."""
