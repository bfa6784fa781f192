"""Reports are written by whoever wrote the tests: whatever stands in them, reading ends, within bounds, and raises nothing else
than that it is no report."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.verify.compare import Past, Run, beside, broken, past, rerun
from penstock_agent_exec.verify.documents import read_document, read_go_lines
from penstock_agent_exec.verify.files import DEPTH_MAX, FILE_BYTES_MAX, Places, read_new
from penstock_agent_exec.verify.junit import ELEMENTS_MAX, read_junit
from penstock_agent_exec.verify.printed import PRINTED_BYTES_MAX, Printed, read_sums
from penstock_agent_exec.verify.reading import CASES_MAX, NAME_LENGTH_MAX, NotAReport, Reading, cleaned, first_of

NOTHING_SECRET: Final = Redactor({})
SECONDS_MAX: Final = 20.0
"""Far more than any of these takes on a machine with nothing else to do."""

LAUGHS: Final = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("b"), ord("m")))
    + b']><testsuite><testcase name="&l;"/></testsuite>'
)


@pytest.mark.parametrize(
    "document",
    [
        LAUGHS,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite><testcase name="a"/></testsuite>',
        b"<testsuite>" + b"<a>" * 100_000,
        b"<testsuite>" + b"<a/>" * (ELEMENTS_MAX + 1) + b"</testsuite>",
        b"<html/>",
        b"",
        b"\xff\xfe<\0t\0",
        b"<testsuite>",
        b'<?xml version="1.0" encoding="no-such-thing"?>',
    ],
    ids=["laughs", "outside", "deep", "long", "html", "empty", "utf-16", "begun", "encoding"],
)
def test_what_is_no_harmless_junit_is_no_report(document: bytes) -> None:
    started = time.process_time()
    with pytest.raises(NotAReport):
        read_junit(document)
    assert time.process_time() - started < SECONDS_MAX


def test_a_junit_that_breaks_off_says_what_it_has_and_is_not_compared() -> None:
    found = read_junit(b'<testsuite><testcase name="a"><failure/></testcase><testcase name="b"><fail')
    assert (found.failed, found.is_whole) == (frozenset({"a"}), False)


def test_names_come_from_what_tools_put_there() -> None:
    found = read_junit(
        b'\xef\xbb\xbf<testsuites><testsuite name="s"><testcase name="a"/><testcase classname="c" name="c d"/>'
        b'<testcase classname="c"/><testcase name="x" status="notrun"/><testcase name="y" result="suppressed"/>'
        b'<testcase name="z" status="fail"/><testcase name="w"><error/><skipped/></testcase>'
        b'<testcase name="v"><properties><skipped/></properties><flakyFailure/></testcase></testsuite></testsuites>'
    )
    assert found.cases == {
        "s::a": "passed",
        "c d": "passed",
        "c": "passed",
        "s::x": "skipped",
        "s::y": "skipped",
        "s::z": "failed",
        "s::w": "failed",
        "s::v": "passed",
    }


@pytest.mark.parametrize(
    "document", [b"[" * 1_000_000, b"{" * 10, b'{"testResults": 1}', b"\xff", b"[1, 2]", b'{"a":' * 100_000]
)
def test_what_is_no_known_json_is_no_report(document: bytes) -> None:
    with pytest.raises(NotAReport):
        read_document(document)
    with pytest.raises(NotAReport):
        read_go_lines([document])


@given(st.binary(max_size=500))
def test_any_bytes_are_a_report_or_none(document: bytes) -> None:
    for read in (read_junit, read_document):
        try:
            found = read(b"<testsuite>" + document if read is read_junit else document)
        except NotAReport:
            continue
        assert found.total >= len(found.cases)


@given(st.lists(st.text(max_size=60), max_size=20), st.booleans())
def test_whatever_was_printed_memory_and_names_are_bounded(lines: list[str], ends: bool) -> None:
    more = ["==== 3 failed, 1 passed in 0.1s ====", "FAILED " + "x" * 5_000, "1..2", "not ok 1 - \x1b[31mred"]
    found = read_sums([line.encode("utf-8", "replace") for line in (*lines, *(more if ends else ()))])
    if found is not None:
        assert all(len(name) <= NAME_LENGTH_MAX and name.isprintable() for name in found.cases)
        assert min(found.counts.values()) >= 0


def test_of_a_flood_the_last_sums_are_read() -> None:
    printed = Printed()
    for _ in range(2 * PRINTED_BYTES_MAX // 100_000):
        printed.take(b"noise " * 16_666 + b"\n")
    printed.take(b"==== 1 failed, 2 passed in 0.1s ====\n")
    found = printed.read("/nowhere")
    assert found is not None
    assert (found.counts["failed"], found.counts["passed"], found.is_whole) == (1, 2, False)


def test_more_tests_than_are_named_are_counted_and_not_compared() -> None:
    found = Reading("junit")
    for number in range(CASES_MAX + 5):
        found.add(f"t{number}", "failed")
    assert (found.total, len(found.cases), found.is_whole) == (CASES_MAX + 5, CASES_MAX, False)
    assert len(found.tally().failed_names) == 20
    assert broken(Run(1, "exited", 1.0, found), None) is None


def test_a_name_is_one_short_clean_line_and_keeps_apart_what_is_apart() -> None:
    assert cleaned("a\n\x1b[31mb\x00 \u202e c") == "a b \u202e c".replace("\u202e", cleaned("\u202e")).strip()
    one, other = cleaned("x" * 1_000 + "1"), cleaned("x" * 1_000 + "2")
    assert one != other
    assert len(one) <= NAME_LENGTH_MAX
    assert sum(len(name.encode()) for name in first_of(f"{n:02}" + "é" * 190 for n in range(50))) <= 4_000


def test_only_plain_files_below_the_root_that_are_new_are_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "reports").mkdir(parents=True)
    outside.mkdir()
    junit = "<testsuite><testcase name='{}'/></testsuite>"
    (outside / "junit.xml").write_text(junit.format("secret"))
    (root / "reports/old.xml").write_text(junit.format("old"))
    places = Places(())
    before = places.marks(root)
    (root / "junit.xml").symlink_to(outside / "junit.xml")
    (root / "target").symlink_to(outside)
    os.mkfifo(root / "reports/pipe.xml")
    (root / "reports/new.xml").write_text(junit.format("new"))
    (root / "node_modules").mkdir()
    (root / "node_modules/junit.xml").write_text(junit.format("theirs"))
    os.utime(root / "reports/old.xml", (1, 1))
    found = read_new(root, before, places.marks(root), NOTHING_SECRET)
    assert found is not None
    # A time that was set is a change too: the change time says so, and it was written by nobody else.
    assert set(found.cases) == {"new", "old"}
    named = Places(("node_modules/*.xml",))
    found = read_new(root, {}, named.marks(root), NOTHING_SECRET)
    assert found is not None
    assert set(found.cases) == {"theirs"}


def test_a_report_that_is_too_long_is_not_read_and_the_rest_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text("<testsuite><testcase name='a'/></testsuite>")
    with (tmp_path / "junit-2.xml").open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    found = read_new(tmp_path, {}, Places(()).marks(tmp_path), NOTHING_SECRET)
    assert found is not None
    assert (set(found.cases), found.is_whole) == ({"a"}, False)


def test_a_chain_of_folders_is_walked_to_a_bound(tmp_path: Path) -> None:
    # A command makes fifty thousand of them in a second; walked to its end by the way from the root, that takes an hour.
    here = tmp_path
    for depth in range(1, DEPTH_MAX + 2):
        here = here / "a"
        here.mkdir()
        (here / f"junit-{depth}.xml").write_text("<testsuite><testcase name='a'/></testsuite>")
    found = {path.count("/") for path in Places(()).marks(tmp_path)}
    assert found == set(range(1, DEPTH_MAX + 1))


def _run(code: int, source: str = "junit", **cases: str) -> Run:
    reading = Reading(source)
    for name, state in cases.items():
        reading.add(name, state)  # type: ignore[arg-type]  # a test's own keywords
    return Run(code, "exited", 1.0, reading)


def test_what_fails_in_both_runs_is_broken_and_what_fails_in_one_is_flaky() -> None:
    first, again = _run(1, a="failed", b="failed", c="passed"), _run(1, a="failed", b="passed", c="failed")
    assert broken(first, again) == frozenset({"a"})
    assert rerun(first, again).flaky_names == ("b",)
    # Each time another one: then all of it counts, since something fails for sure.
    assert broken(_run(1, a="failed", b="passed"), _run(1, a="passed", b="failed")) == frozenset(("a", "b"))
    assert rerun(_run(1), _run(0)).flaky is None
    assert rerun(first, _run(1, "text", a="failed")).flaky is None


def test_flaky_at_the_beginning_is_not_broken_there() -> None:
    was = past("test", _run(1, a="failed", b="passed"), _run(0, a="passed", b="passed"))
    assert (was.exit_code, was.failed) == (0, ())
    now = beside("c" * 40, was, _run(1, a="failed", b="passed"), None, wall_seconds=0.0)
    assert (now.new_failures, now.failed_before, now.new_names) == (1, 0, ("a",))


def test_tests_that_are_gone_may_be_the_ones_that_would_fail_so_nothing_is_said_of_the_rest() -> None:
    was = past("test", _run(1, a="failed", b="passed", c="passed"), None)
    gone = beside("c" * 40, was, _run(1, a="failed"), None, wall_seconds=0.0)
    assert (gone.new_failures, gone.failed_before) == (None, None)
    lint = past("lint", _run(1, "ruff", a="failed", b="failed"), None)
    fewer = beside("c" * 40, lint, _run(1, "ruff", a="failed"), None, wall_seconds=0.0)
    assert (fewer.new_failures, fewer.failed_before) == (0, 1)


def test_two_kinds_of_report_are_not_compared_and_printed_sums_say_nothing_of_what_was_mended() -> None:
    was = past("test", _run(1, "text", a="failed", b="failed"), None)
    other = beside("c" * 40, was, _run(1, a="failed"), None, wall_seconds=0.0)
    assert (other.new_failures, other.fixed) == (None, None)
    same = beside("c" * 40, was, _run(1, "text", a="failed", b="passed"), None, wall_seconds=0.0)
    assert (same.new_failures, same.failed_before, same.fixed) == (0, 1, None)
    nothing = beside(
        "c" * 40, Past(stage="test", exit_code=1, ended="exited", wall_seconds=1.0), _run(1), None, wall_seconds=0
    )
    assert nothing.new_failures is None
