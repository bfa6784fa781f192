"""The parts of the demo that decide what it claims: the sample, the check of the patch, the words on the screen."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from contract.golden import EXPECTED

from penstock.events import TaskFailed, Unknown
from penstock.output import OutputBatch, OutputLine
from penstock.values import Usage
from penstock_launcher import sample
from penstock_launcher.demo import COLOURS
from penstock_launcher.timeline import line_of, lines_of


@pytest.fixture
def base(tmp_path: Path) -> tuple[Path, str]:
    """A sample's remote and its base commit."""
    remote = sample.make_sample(tmp_path)
    commit = git(remote, "rev-parse", "main").strip()
    return remote, commit


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def patch_of(remote: Path, tmp_path: Path, old: str, new: str, name: str = "shop/basket.py") -> Path:
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(remote), str(work))
    text = (work / name).read_text()
    assert old in text
    (work / name).write_text(text.replace(old, new))
    path = tmp_path / "made.patch"
    path.write_text(git(work, "diff"))
    return path


BUG, FIX = "sum(prices) * (100 - percent_off) // 100", "(sum(prices) * (100 - percent_off) + 50) // 100"


def test_the_right_patch_is_good(base: tuple[Path, str], tmp_path: Path) -> None:
    patch = patch_of(base[0], tmp_path, BUG, FIX)
    assert sample.check_patch(*base, patch, tmp_path / "clone").good


def test_the_first_attempt_of_the_script_is_not_good_enough(base: tuple[Path, str], tmp_path: Path) -> None:
    patch = patch_of(base[0], tmp_path, BUG, "round(sum(prices) * (100 - percent_off) / 100)")
    checked = sample.check_patch(*base, patch, tmp_path / "clone")
    assert (checked.failed_before, checked.applied, checked.passed_after) == (True, True, False)


def test_a_patch_that_does_not_apply_is_not_good(base: tuple[Path, str], tmp_path: Path) -> None:
    patch = patch_of(base[0], tmp_path, BUG, FIX)
    patch.write_text(patch.read_text().replace("def total", "def sum_up"))
    checked = sample.check_patch(*base, patch, tmp_path / "clone")
    assert not checked.applied
    assert not checked.good


def test_an_empty_patch_is_not_good(base: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "empty.patch").touch()
    assert not sample.check_patch(*base, tmp_path / "empty.patch", tmp_path / "clone").good


def test_a_terminal_is_not_sent_what_it_would_obey() -> None:
    failed = TaskFailed(error_class="x", message="\x1b[2Jgone\nsecond \u202eline", attempts=1, usage=Usage())
    line = line_of(failed)
    assert line.detail == "x: [2Jgone second line"
    batch = OutputBatch(
        task="t",
        repo="r",
        job="j",
        epoch=1,
        number=1,
        at=datetime.now(UTC),
        lines=(OutputLine(kind="text", text="a\x07b"),),
    )
    assert [line.text for line in lines_of(batch)] == ["text: a b"]


def test_an_event_of_a_later_version_is_shown_by_its_name() -> None:
    line = line_of(Unknown(type="task_admired"))
    assert line.text == "task_admired"


def test_every_event_is_one_readable_line() -> None:
    for recorded in EXPECTED.values():
        line = line_of(recorded.data)
        assert line.mood in COLOURS
        assert line.text
        assert (line.text + line.detail).isprintable()
