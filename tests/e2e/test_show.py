"""Every scene of `show`, played as a user plays them: on a stack of its own, by HTTP, with the scripted agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from penstock_launcher.show import SCENES

ALL_SECONDS_MAX: Final = 1_500
"""Ten times what all of them take: for a machine much slower than any that we know."""


@pytest.mark.timeout(ALL_SECONDS_MAX + 60)
def test_every_scene_comes_to_the_end_that_it_names() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock_launcher", "show", "all"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ALL_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    for scene in SCENES:
        assert f"{scene}: as it should be" in done.stdout


@pytest.mark.timeout(360)
def test_a_scene_that_sees_what_it_did_not_expect_ends_with_an_error_and_keeps_what_there_was(tmp_path: Path) -> None:
    wrong = (
        "import os, sys\n"
        "from penstock_launcher.show import SCENES, show\n"
        "SCENES['wrong'] = lambda stage: stage.same('branches of the remote', 'main', 'main, other')\n"
        "sys.exit(show('wrong', os.environ))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", wrong],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-6000:] + done.stderr[-2000:]
    assert "branches of the remote: expected main, seen main, other" in done.stdout
    assert "Not as it should be: wrong." in done.stdout
    (kept,) = tmp_path.glob("penstock-show-*")
    assert (kept / "running" / "logs").is_dir()


def test_an_unknown_scene_is_refused_with_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock_launcher", "show", "everything"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert all(scene in done.stderr for scene in SCENES)
