"""A real repository of some size with one function broken: Pygments' own source (some 340 files, about 4 MB), under git."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Final

from whole import Remote

RIGHT: Final = "    elif string.lower() in ('1', 'yes', 'true', 'on'):\n        return True\n"
WRONG: Final = "    elif string.lower() in ('1', 'yes', 'true', 'on'):\n        return False\n"
TEST: Final = """import unittest
from pygments.util import get_bool_opt


class T(unittest.TestCase):
    def test_yes_is_true(self):
        self.assertIs(get_bool_opt({"a": "yes"}, "a"), True)
"""
COMMAND: Final = "python3 -m unittest -q test_options"
FILE: Final = "pygments/util.py"


def repository(folder: Path) -> Remote:
    """The remote of it."""
    found = importlib.util.find_spec("pygments")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).parent
    shutil.copytree(source, folder / "tree" / "pygments", ignore=shutil.ignore_patterns("__pycache__"))
    util = folder / "tree" / "pygments" / "util.py"
    text = util.read_text()
    assert RIGHT in text
    util.write_text(text.replace(RIGHT, WRONG))
    (folder / "tree" / "test_options.py").write_text(TEST)
    (folder / "tree" / ".gitignore").write_text("__pycache__/\n")
    return Remote.of_tree(folder, folder / "tree")
