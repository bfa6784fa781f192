"""The import contracts hold because a machine checks them; here it is shown that the machine would notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

PLANTED: Final = {
    "services do not import each other": (
        "services/notifier/penstock_notifier/planted.py",
        "import penstock_orchestrator.settings\n",
    ),
    "the contract imports no service": ("shared/penstock/planted.py", "import asyncpg\n"),
    "the core cannot wait, draw, look at the clock or reach the world": (
        "services/orchestrator/penstock_orchestrator/core/planted.py",
        "from time import monotonic\n",
    ),
    "services do not know who starts them": (
        "services/api/penstock_api/planted.py",
        "from penstock_launcher import child\n",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own code and configuration, to be spoiled."""
    copied = tmp_path_factory.mktemp("boundaries")
    shutil.copy(ROOT / "pyproject.toml", copied)
    for folder in ("shared", "services", "launcher"):
        shutil.copytree(ROOT / folder, copied / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return copied


def contracts(folder: Path) -> dict[str, bool]:
    """Each contract of the project, and whether it is kept."""
    sources = [folder / "shared", *sorted((folder / "services").glob("*/")), folder / "launcher"]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
    found = {name: verdict == "KEPT" for name, _, verdict in lines if verdict in ("KEPT", "BROKEN")}
    assert done.returncode == (0 if found and all(found.values()) else 1), done.stdout + done.stderr
    return found


def test_every_contract_is_kept_and_each_has_a_violation_planted_below(copy: Path) -> None:
    names = [
        contract["name"]
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    ]
    assert contracts(copy) == dict.fromkeys(names, True)
    assert set(PLANTED) == set(names)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_breaks_its_contract(copy: Path, name: str) -> None:
    path, text = PLANTED[name]
    (copy / path).write_text(text)
    try:
        assert contracts(copy) == {contract: contract != name for contract in PLANTED}
    finally:
        (copy / path).unlink()
