"""The demo's sample: a real git repository with a failing test, and what the scripted agent does about it.

Rule of this room: everything is made from the text below, in a folder that the caller gives; the user's git settings are not
read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

REPO: Final = "shop"
SCRIPT: Final = "round-half-up"
TEST_COMMAND: Final = "python3 -m unittest -q"
TITLE: Final = "Round half a cent up"
DESCRIPTION: Final = (
    "`total()` cuts half a cent off instead of rounding it up: 25 cents at 50 % off must be 13 cents, and are 12. "
    "test_basket.py shows it."
)
ACCEPTANCE: Final = f"`{TEST_COMMAND}` passes, and the test is unchanged."
COMMAND_SECONDS_MAX: Final = 30.0

_BASKET: Final = '''"""Prices are in cents."""


def total(prices, percent_off=0):
    """What to pay: the sum less the discount, half a cent rounded up."""
    return {expression}
'''
_BUG: Final = "sum(prices) * (100 - percent_off) // 100"
_FIRST_TRY: Final = "round(sum(prices) * (100 - percent_off) / 100)"
_FIX: Final = "(sum(prices) * (100 - percent_off) + 50) // 100"

_FILES: Final = {
    "shop/__init__.py": "",
    "shop/basket.py": _BASKET.format(expression=_BUG),
    "test_basket.py": """import unittest

from shop.basket import total


class TotalTest(unittest.TestCase):
    def test_nothing_costs_nothing(self):
        self.assertEqual(total([]), 0)

    def test_without_a_discount_it_is_the_sum(self):
        self.assertEqual(total([100, 250]), 350)

    def test_half_a_cent_is_rounded_up(self):
        self.assertEqual(total([25], percent_off=50), 13)
        self.assertEqual(total([27], percent_off=50), 14)


if __name__ == "__main__":
    unittest.main()
""",
    ".gitignore": "__pycache__/\n",
}


class Checked(NamedTuple):
    """What a fresh clone says: the test fails without the patch, the patch applies, and the test passes with it. `diff` is
    all that the patch changes."""

    failed_before: bool
    applied: bool
    passed_after: bool
    diff: str
    said: str

    @property
    def good(self) -> bool:
        return self.failed_before and self.applied and self.passed_after


def make_sample(folder: Path) -> Path:
    """A bare repository whose main branch has the failing test. Raises subprocess.CalledProcessError."""
    work, remote = folder / "author", folder / f"{REPO}.git"
    work.mkdir(parents=True)
    for name, text in _FILES.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text)
    _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    _git(work, "init", "--quiet", "--initial-branch=main")
    _git(work, "add", "--all")
    _git(work, "commit", "--quiet", "--message=A basket that does its sums, nearly")
    _git(work, "push", "--quiet", str(remote), "main")
    shutil.rmtree(work)
    return remote


def write_script(scripts_dir: Path) -> None:
    """Put the scripted agent's part where the executor finds it: a first attempt that is not good enough, and a second."""
    script = {
        "about": "A sum is cut where it should be rounded; the first idea is not good enough.",
        "attempts": [
            [
                {"do": "say", "text": "total() uses //, which cuts. round() it is."},
                {"do": "replace", "path": "shop/basket.py", "old": _BUG, "new": _FIRST_TRY},
                {"do": "commit", "message": "Round the total instead of cutting it"},
            ],
            [
                {"do": "say", "text": "round() takes 12.5 to the even 12. With whole numbers: add 50, then cut."},
                {"do": "write", "path": "shop/basket.py", "content": _BASKET.format(expression=_FIX)},
                {"do": "run", "argv": TEST_COMMAND.split()},
                {"do": "commit", "message": "Round half a cent up"},
            ],
        ],
    }
    (scripts_dir / f"{SCRIPT}.json").write_text(json.dumps(script, indent=2))


def check_patch(remote: Path, base_commit: str, patch: Path, clone: Path) -> Checked:
    """Try the patch in a fresh clone of the remote, at the commit it was made for. The clone stays, patched."""
    _git(clone.parent, "clone", "--quiet", str(remote), str(clone))
    _git(clone, "checkout", "--quiet", "--detach", base_commit)
    before = _test(clone)
    applied = _try_git(clone, "apply", "--index", str(patch))
    after = _test(clone)
    return Checked(
        failed_before=before.returncode != 0,
        applied=applied.returncode == 0,
        passed_after=after.returncode == 0,
        diff=_try_git(clone, "diff", "--cached").stdout,
        said=(applied.stderr + after.stderr).strip(),
    )


def _test(folder: Path) -> subprocess.CompletedProcess[str]:
    # -B: no __pycache__, whose time stamps of one second could hide the change between the two runs.
    return subprocess.run(
        [sys.executable, "-B", "-m", "unittest", "-q"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )


def _git(folder: Path, *arguments: str) -> None:
    done = _try_git(folder, *arguments)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, ["git", *arguments], done.stdout, done.stderr)


def _try_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    author = {"NAME": "Sample Author", "EMAIL": "author@example.com"}
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in author.items()},
    }
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
