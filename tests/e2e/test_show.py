"""Every scene of `show`, played as a user plays them: on a stack of its own, by HTTP, with the scripted agent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from penstock_launcher.show import SCENES


@pytest.mark.timeout(600)
def test_every_scene_comes_to_the_end_that_it_names() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock_launcher", "show", "all"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    for scene in SCENES:
        assert f"{scene}: as it should be" in done.stdout


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
