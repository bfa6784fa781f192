"""A repository whose test command reads its cases from a file, and reports each of them as JUnit XML. A case passes, fails, is
skipped, or is flaky: then it fails on the first try in a checkout, and passes afterwards."""

from __future__ import annotations

import json
from typing import Final

SUITE: Final = """\
import json, pathlib, sys
tries = pathlib.Path(".tries")
number = len(tries.read_text()) + 1 if tries.exists() else 1
tries.write_text("x" * number)
said, bad = [], 0
for name, state in json.loads(pathlib.Path("cases.json").read_text()).items():
    fails = state == "fails" or (state == "flaky" and number == 1)
    bad += fails
    inner = '<failure message="no"/>' if fails else "<skipped/>" if state == "skips" else ""
    said.append(f'<testcase classname="t" name="{name}">{inner}</testcase>')
pathlib.Path("junit.xml").write_text(f"<testsuites><testsuite name='t'>{''.join(said)}</testsuite></testsuites>")
print(f"try {number}: {bad} failed")
sys.exit(1 if bad else 0)
"""
TEST: Final = "python3 suite.py"
BEFORE: Final = {
    "good": "passes",
    "old": "fails",
    "mended": "fails",
    "will": "passes",
    "flick": "passes",
    "off": "skips",
}
REPOSITORY: Final = {"suite.py": SUITE, "cases.json": json.dumps(BEFORE), ".gitignore": ".tries\njunit.xml\n"}


def cases(**changed: str) -> str:
    """The file of the cases, with these as they are now."""
    return json.dumps(BEFORE | changed)
