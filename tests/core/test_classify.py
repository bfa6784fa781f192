"""The classifier of failures on single outputs: what decides, what is said, and what must not mislead it."""

from __future__ import annotations

import json

import pytest

from penstock_orchestrator.core.classify import CLASSES, classify

PYTEST = """\
=================================== FAILURES ===================================
___________________________________ test_add ___________________________________

    def test_add():
>       assert add(1, 2) == 3
E       assert -1 == 3

test_calc.py:5: AssertionError
=========================== short test summary info ============================
FAILED test_calc.py::test_add - assert -1 == 3
========================= 1 failed, 1 passed in 0.02s ==========================
"""
JEST = "FAIL ./add.test.js\n  ● sums › adds\n\n    TypeError: add is not a function\n\nTests:       1 failed, 1 total\n"
TSC = "src/cart.ts(4,7): error TS2322: Type 'string' is not assignable to type 'number'.\n"


def test_a_hint_names_the_first_failing_test_and_its_place() -> None:
    found = classify(PYTEST, stage="test", exit_code=1, source="verify")
    assert (found.error_class, found.severity) == ("test.failed", "recoverable")
    assert (found.tool, found.test, found.file, found.line, found.count) == (
        "pytest",
        "test_calc.py::test_add",
        "test_calc.py",
        5,
        1,
    )
    assert "test_calc.py::test_add" in found.hint
    assert "test_calc.py:5" in found.hint


def test_a_compilers_place_is_in_the_hint() -> None:
    found = classify(TSC, exit_code=2)
    assert (found.error_class, found.file, found.line) == ("build.tsc", "src/cart.ts", 4)
    assert "src/cart.ts:4" in found.hint


def test_colours_and_carriage_returns_change_nothing() -> None:
    painted = "".join(f"\x1b[31m{line}\x1b[0m\r\n" for line in TSC.splitlines())
    assert classify("progress 1%\rprogress 99%\r" + painted, exit_code=2) == classify(TSC, exit_code=2)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: json.dumps({"stdout": text, "code": 1}),
        lambda text: json.dumps([{"output": json.dumps({"log": text})}]),
        lambda text: "\n".join(json.dumps({"stream": "stdout", "text": line}) for line in text.splitlines()),
        lambda text: "log: " + json.dumps(text),
        lambda text: "".join(f"2024-05-01T10:00:00.1234567Z {line}\n" for line in text.splitlines()),
        lambda text: "".join(f"#12 3.456 {line}\n" for line in text.splitlines()),
        lambda text: "".join(f"web:test: {line}\n" for line in text.splitlines()),
    ],
    ids=["json", "json in json", "json lines", "a json string", "stamped", "an image's build", "a workspace's runner"],
)
def test_a_wrapped_output_is_the_same_failure(wrap: object) -> None:
    assert callable(wrap)
    for text, expected in ((PYTEST, "test.failed"), (JEST, "test.failed")):
        assert classify(wrap(text), exit_code=1, source="verify").error_class == expected


def test_a_javascript_type_error_is_not_pythons() -> None:
    found = classify(
        "/srv/a.js:2\nx.y();\n  ^\n\nTypeError: Cannot read properties of undefined (reading 'y')\n"
        "    at Object.<anonymous> (/srv/a.js:2:3)\n",
        exit_code=1,
    )
    assert (found.error_class, found.tool) == ("verify.exception", "node")


@pytest.mark.parametrize(
    "said", ["HTTP 429 Too Many Requests", "API Error: 529 Overloaded", "rate limit exceeded: try again"]
)
def test_a_rate_limit_in_a_tests_output_is_no_vendors(said: str) -> None:
    assert classify(f"{said}\n{PYTEST}", source="verify", exit_code=1).error_class == "test.failed"
    assert classify(f"{said}\n", source="verify", exit_code=1).error_class == "verify.failed"


def test_an_agents_transcript_is_not_its_end() -> None:
    events = [
        {
            "type": "assistant",
            "session_id": "s",
            "message": {"content": [{"type": "text", "text": "API Error: 429 rate limit"}]},
        },
        {"type": "result", "session_id": "s", "subtype": "error_max_turns", "is_error": True},
    ]
    text = "\n".join(json.dumps(event) for event in events)
    assert classify(text, source="agent", exit_code=1).error_class == "vendor.max_turns"


def test_what_stands_in_a_diff_or_a_listing_is_not_said() -> None:
    diff = (
        "diff --git a/n b/n\n--- a/n\n+++ b/n\n@@ -1 +1,2 @@\n-x\n"
        "+FAILED test_a.py::test_b - AssertionError\n+fatal: Authentication failed for 'x'\n"
    )
    listing = "     1\tnpm error code ERESOLVE\n  12 | src/a.ts(1,2): error TS2322: no\n"
    assert classify(diff + listing + "stopped\n", exit_code=3).error_class == "verify.failed"


def test_the_last_failing_command_gives_the_class() -> None:
    assert classify(f"a.py:1:1: F401 'os' imported but unused\n{PYTEST}", exit_code=1).error_class == "test.failed"
    assert classify(f"{PYTEST}{TSC}", exit_code=2).error_class == "build.tsc"
    assert classify(
        f"+ pytest\n{PYTEST}+ ./deploy\nTraceback (most recent call last):\nValueError: no\n", exit_code=1
    ).error_class == ("verify.exception")


def test_warnings_before_a_failure_do_not_matter() -> None:
    warned = "npm warn deprecated rimraf@3: error prone\n✖ 2 problems (0 errors, 2 warnings)\nwarning: 3 errors were ignored\n"
    assert classify(warned + JEST, exit_code=1).error_class == "test.failed"
    assert classify(warned, exit_code=0).error_class == "unclassified"


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [
        (1, "verify.failed"),
        (127, "env.command_missing"),
        (126, "env.permission"),
        (137, "env.out_of_memory"),
        (-9, "env.out_of_memory"),
        (139, "verify.crashed"),
        (-11, "verify.crashed"),
        (124, "verify.timeout"),
        (143, "verify.killed"),
        (0, "unclassified"),
        (None, "unclassified"),
    ],
)
def test_where_nothing_is_recognised_only_the_exit_code_speaks(exit_code: int | None, expected: str) -> None:
    assert classify("all sorts of words\n", exit_code=exit_code, source="verify").error_class == expected


def test_an_empty_output_is_no_reason_to_fail() -> None:
    assert classify("", exit_code=None).error_class == "unclassified"
    assert classify("", exit_code=1).evidence == ""


def test_a_summary_of_success_outweighs_errors_that_were_logged_before_it() -> None:
    logged = "Traceback (most recent call last):\nConnectionRefusedError: [Errno 111] Connection refused\n"
    assert classify(f"{logged}===== 3 passed in 0.10s =====\n", exit_code=None).error_class == "unclassified"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_says_what_to_do_in_a_few_words(name: str) -> None:
    row = CLASSES[name]
    assert row.name == name
    assert row.severity in ("recoverable", "hard", "park")
    assert 0 < len(row.hint) <= 400
    assert row.meaning.endswith(".")
