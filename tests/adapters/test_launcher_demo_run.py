"""The demo itself, from its first word to its last, and what is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX

DEADLINE_SECONDS = 2 * WAIT_SECONDS_MAX


def demo(place: Path) -> subprocess.Popen[str]:
    """The demo with its temporary files in `place`."""
    return subprocess.Popen(
        [sys.executable, "-m", "penstock_launcher", "demo"],
        env=os.environ | {"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_in(place: Path) -> list[str]:
    """Command lines that name `place`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(place) in line:
            found.append(line)
    return found


def nothing_is_left_in(place: Path) -> None:
    """Returns when no process names `place` any more."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while left := processes_in(place):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_it_ends_in_a_patch_that_was_tried(tmp_path: Path) -> None:
    process = demo(tmp_path)
    said, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, said
    order = [
        "attempt 1",
        "not good enough",
        "attempt 2",
        "hint: ",
        "verified",
        "succeeded",
        "Tried in a fresh clone",
        "Done",
    ]
    assert [part for part in order if part not in said] == []
    assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)
    assert "No model was called" in said
    assert "\x1b" not in said
    patch = re.search(r"^  the patch +(\S+)$", said, re.MULTILINE)
    assert patch is not None
    assert "+    return (sum(prices) * (100 - percent_off) + 50) // 100" in Path(patch[1]).read_text()
    nothing_is_left_in(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_demo_that_is_broken_off_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    process = demo(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "ready after" in line:
            break
    process.send_signal(number)
    process.communicate(timeout=DEADLINE_SECONDS)
    nothing_is_left_in(tmp_path)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
