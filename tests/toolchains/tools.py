"""The real tools: found on PATH, or installed by npm and pip into a folder that is kept between runs.

Rule of this room: what cannot be had here is said and skipped, never pretended.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from toolchains import ROOT, Sample

SECONDS_MAX: Final = 300.0
GOLDEN: Final = Path(__file__).parents[1] / "golden" / "reports"
PRINTED: Final = "printed.txt"


def tools_folder() -> Path:
    """Where packages are installed: PENSTOCK_TEST_TOOLS, or a folder of this user's own."""
    named = os.environ.get("PENSTOCK_TEST_TOOLS")
    return Path(named) if named else Path(tempfile.gettempdir()) / f"penstock-toolchains-{os.getuid()}"


def missing(sample: Sample) -> str:
    """What of the sample's tools is not on this machine; empty where all are."""
    return ", ".join(
        program for program in (*sample.needs, *(("npm",) if sample.node else ())) if not shutil.which(program)
    )


def install(samples: Iterable[Sample]) -> None:
    """What npm and PyPI have of their tools, once. Raises CalledProcessError."""
    folder = tools_folder()
    node = sorted({package for sample in samples for package in sample.node})
    python = sorted({package for sample in samples for package in sample.python})
    wanted = "\n".join((*node, *python))
    done = folder / "installed"
    if done.is_file() and set(wanted.split()) <= set(done.read_text().split()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    if node:
        (folder / "package.json").write_text("{}")
        _run(["npm", "install", "--no-audit", "--no-fund", *node], folder)
    if python:
        _run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
        _run([str(folder / "venv/bin/pip"), "install", "-q", *python], folder)
    done.write_text(wanted)


def environment() -> dict[str, str]:
    """For the tools: those that were installed first."""
    folder = tools_folder()
    path = f"{folder / 'venv/bin'}:{os.environ['PATH']}"
    kept = {
        name: os.environ[name]
        for name in ("HOME", "LANG", "GOPATH", "GOCACHE", "CARGO_HOME", "RUSTUP_HOME")
        if name in os.environ
    }
    return kept | {"PATH": path, "CI": "true", "TERM": "dumb", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def lay_out(sample: Sample, folder: Path) -> None:
    """The sample's repository."""
    for name, text in sample.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if sample.node:
        (folder / "node_modules").symlink_to(tools_folder() / "node_modules")


def run(sample: Sample, folder: Path) -> tuple[int, bytes]:
    """How the sample's command ended there, and what it printed."""
    done = subprocess.run(
        ["sh", "-c", sample.command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS_MAX,
        check=False,
    )
    return done.returncode, done.stdout


def scrubbed(content: bytes, folder: Path) -> bytes:
    """Without what names this machine."""
    content = content.replace(str(folder).encode(), ROOT.encode())
    content = content.replace(str(tools_folder()).encode(), b"/tools")
    content = re.sub(rb'hostname="[^"]*"', b'hostname="host"', content)
    content = re.sub(rb"(?m)^npm warn .*\n", b"", content)
    content = re.sub(rb"/(?:root|home|tmp)/[^ ]*", b"/elsewhere", content)
    return re.sub(rb"(?s)<properties>.*?</properties>", b"", content)


def _run(argv: list[str], folder: Path) -> None:
    subprocess.run(argv, cwd=folder, check=True, timeout=SECONDS_MAX, stdin=subprocess.DEVNULL, capture_output=True)
