"""Ctrl-C while a verb is at work: it ends at once, without Python's own words about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX

STAND_IN = """#!/bin/sh
: > "$(dirname "$0")/begun"
exec sleep 600
"""


@pytest.mark.parametrize("verb", ["map", "propose", "doctor"])
def test_a_verb_that_is_interrupted_ends_quietly_and_takes_its_programs_with_it(tmp_path: Path, verb: str) -> None:
    begun = tmp_path / "begun"
    git = tmp_path / "git"
    git.write_text(STAND_IN)
    git.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_launcher", verb],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,  # as in a terminal, where Ctrl-C goes to all that are in it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run where it is ignored
    )
    try:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not begun.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        # Its end is the end of all: whoever was left would still hold the other end of the pipe.
        said, _ = process.communicate(timeout=WAIT_SECONDS_MAX)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert (process.returncode, said) == (130, "")
