"""Reports in JSON, other languages of the user, and what stands before the lines: read as the same tool's plain lines."""

# ruff: noqa: E501  (a report is one line, as a tool prints it)
from __future__ import annotations

import json

import pytest

from penstock_orchestrator.core.classify import classify, reports
from penstock_orchestrator.core.classify.tongues import PHRASES, english

REPORTS = {
    "stylelint": ([{"source": "a.css", "warnings": [{"severity": "error", "line": 2, "text": "no"}, {"severity": "warning"}, 1], "parseErrors": []}, {"source": "b.css", "warnings": None}], "lint.stylelint"),
    "shellcheck": ([{"file": "a.sh", "line": 3, "message": "quote", "code": 2086, "level": "info"}], "lint.shellcheck"),
    "ruff": ([{"code": "F401", "filename": "a.py", "location": None, "message": "unused"}], "lint.ruff"),
    "pylint": ([{"module": "a", "path": "a.py", "line": 1, "messageId": "E0602", "message": "undefined"}], "lint.pylint"),
    "gcc": ([{"kind": "error", "message": "expected ;", "locations": [{"caret": {"file": "a.c", "line": 3}}]}], "build.c"),
    "code quality": ([{"check_name": "x", "fingerprint": "f", "location": {"path": "a.go", "positions": {"begin": {"line": 2}}}}], "lint.other"),
    "sarif": ({"runs": [{"tool": {"driver": {"name": "Semgrep"}}, "results": [{"level": "error", "ruleId": "r", "message": {"text": "bad"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 4}}}]}, {"level": "note"}, 3]}]}, "lint.security"),
    "sarif without a name": ({"runs": [{"results": [{"ruleId": "r", "locations": []}]}, {"tool": 1, "results": 2}]}, "lint.other"),
    "jest": ({"numFailedTests": 1, "numFailedTestSuites": 1, "testResults": [{"status": "failed", "name": "a.js", "message": "● a › b"}, {"status": "passed"}]}, "test.failed"),
    "jest, suites alone": ({"numFailedTests": 0, "numFailedTestSuites": 0, "numPassedTests": 3, "testResults": None}, "verify.failed"),
    "pyright": ({"generalDiagnostics": [{"severity": "error", "file": "a.py", "message": "no", "range": {"start": {"line": 1}}}, {"severity": "warning"}]}, "lint.pyright"),
    "mocha": ({"stats": {"passes": 1}, "failures": [{"fullTitle": "a b", "err": {"message": "no"}}, 1]}, "test.failed"),
    "mocha, all well": ({"stats": {"passes": 1}, "failures": []}, "verify.failed"),
    "mocha's failing event": (["fail", {"fullTitle": "a b", "err": "1 !== 2"}], "verify.failed"),
    "mocha's end": (["end", {"failures": 2}], "test.failed"),
    "mocha's good end": (["end", {"failures": 0}], "verify.failed"),
    "rspec": ({"summary": {}, "summary_line": "2 examples, 1 failure", "examples": [{"status": "failed", "file_path": "./a_spec.rb", "line_number": 3, "full_description": "x"}, {"status": "passed"}]}, "test.failed"),
    "golangci": ({"Issues": [{"FromLinter": "errcheck", "Text": "not checked", "Pos": {"Filename": "a.go", "Line": 3}}]}, "lint.golangci"),
    "rubocop": ({"files": [], "summary": {"offense_count": 2, "inspected_file_count": 1}}, "lint.rubocop"),
    "reviewdog": ({"source": {"name": "Hadolint"}, "diagnostics": [{"message": "pin", "code": {"value": "DL3008"}, "location": {"path": "Dockerfile", "range": {"start": {"line": 2}}}}]}, "lint.hadolint"),
    "eslint in an envelope": ({"results": [{"filePath": "a.js", "messages": [{"severity": 2, "line": 1, "column": 1, "message": "no", "ruleId": "x"}]}]}, "lint.eslint"),
    "pylint in an envelope": ({"messages": [{"module": "a", "path": "a.py", "line": 1, "message-id": "E0602", "message": "undefined"}], "statistics": {}}, "lint.pylint"),
    "a checker without a name": ({"issues": [{"path": "a.x", "line": 3, "message": "odd"}]}, "lint.other"),
    "a build of cargo": ({"reason": "build-finished", "success": False}, "build.rustc"),
}  # fmt: skip
NOT_REPORTS: tuple[object, ...] = (
    {"runs": [1]}, {"Issues": [1]}, {"files": [], "summary": {}}, ["start", {"total": 1}], [{"other": 1}], 3, None, {"issues": [{"line": 3}]},
    {"messages": [], "statistics": {}},
)  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_in_json_has_the_class_of_the_same_findings_in_lines(name: str) -> None:
    report, expected = REPORTS[name]
    assert classify(json.dumps(report), stage="test", source="verify", exit_code=1).error_class == expected


@pytest.mark.parametrize("value", NOT_REPORTS, ids=str)
def test_a_shape_that_is_not_certain_is_no_report(value: object) -> None:
    assert reports.lines_of(value) is None  # type: ignore[arg-type]


def test_a_string_with_a_document_in_it_is_read_again() -> None:
    inner = json.dumps({"error": {"type": "overloaded_error", "message": "Overloaded"}})
    wrapped = json.dumps({"outer": {"status": "it broke off", "body": f"{inner} "}})
    assert classify(wrapped, source="vendor", exit_code=1).error_class == "vendor.overloaded"
    spaced = json.dumps({"status": "Overloaded just now"})
    assert classify(spaced, source="vendor", exit_code=1).error_class == "vendor.overloaded"


def test_what_python_shows_of_an_answer_is_read_like_json() -> None:
    said = "Error code: 400 - {'error': {'message': \"It was filtered\", 'code': 'content_filter', 'status': 400}}"
    assert classify(said, source="vendor", exit_code=1).error_class == "vendor.refusal"


PHRASE_PAIRS = [(phrase, other) for phrase, others in PHRASES.items() for other in others]


@pytest.mark.parametrize("pair", PHRASE_PAIRS, ids=lambda pair: pair[1])
def test_a_phrase_of_another_language_is_read_as_the_english_one(pair: tuple[str, str]) -> None:
    assert pair[0].strip() in english(f"x {pair[1]} y")


@pytest.mark.parametrize(
    "line",
    [
        "bash: Zeile 3: foo: Kommando nicht gefunden.",
        "bash: ligne 3 : foo\xa0: commande introuvable",
        "bash: línea 3: foo: orden no encontrada",
        "bash: 行 3: foo: コマンドが見つかりません",
        "bash: 第 3 行：foo：未找到命令",
    ],
)
def test_a_shell_says_in_any_language_which_command_is_missing(line: str) -> None:
    found = classify(line, stage="test", source="verify", exit_code=127)
    assert (found.error_class, found.evidence) == ("env.command_missing", "bash: line 3: foo: command not found")


def test_english_text_is_left_alone() -> None:
    said = "Found 3 errors : a.c\n✖ 1 problem (1 error, 0 warnings)\n"
    assert english(said) == said


@pytest.mark.parametrize(
    "stamp",
    ["2026-02-01 08:15:00 | ", "[08:15:00] ", "2026-02-01T08:15:00.123+01:00 ", "2026/02/01 08:15:00 ", "Feb  1 08:15:00 "],
)  # fmt: skip
def test_a_time_before_every_line_is_taken_away(stamp: str) -> None:
    said = (
        "collected 2 items\n\ntest_a.py F.\nFAILED test_a.py::test_a - assert 0\n==== 1 failed, 1 passed in 0.2s ====\n"
    )
    stamped = "".join(f"{stamp}{line}\n" for line in said.splitlines())
    assert classify(stamped, stage="test", source="verify", exit_code=1).test == "test_a.py::test_a"


def test_a_time_before_some_lines_is_the_programs_own() -> None:
    said = "2026-02-01 08:15:00 ERROR: no match\nready\nserving\ndone\n"
    assert classify(said, stage="test", source="verify", exit_code=1).error_class == "verify.failed"


def test_one_command_of_a_workspace_says_what_stands_before_its_lines() -> None:
    said = "core build$ tsc -p .\ncore build: src/a.ts(9,3): error TS2741: Property 'net' is missing.\n"
    assert classify(said, stage="build", source="verify", exit_code=2).error_class == "build.tsc"


@pytest.mark.parametrize(
    ("said", "command", "stage", "expected"),
    [
        ("# example.com/a\na.go:3:2: odd call\n", "go vet ./...", "lint", "build.go_vet"),
        ("--- a/go.mod\n+++ b/go.mod\n@@ -1 +1 @@\n-a\n+b\n", "go mod tidy -diff", "lint", "deps.go_mod"),
        ("--- a.py\n+++ a.py\n@@ -1 +1 @@\n-a\n+b\n", "black --check --diff -q a.py", "lint", "lint.format"),
        ("--- a.py\n+++ a.py\n@@ -1 +1 @@\n-a\n+b\n", "./generate", "build", "verify.tree_changed"),
        ("a.go\n", "gofmt -l .", "lint", "lint.format"),
        (
            "a.rs:1:5: error: needless return\nerror: could not compile `a`\n",
            "cargo clippy --message-format short",
            "lint",
            "lint.clippy",
        ),
        ("a.x:3:5: odd name\n2 remarks\n", "oddcheck", "lint", "lint.other"),
        ("a.x:3:5: odd name\n2 remarks\n", "oddcheck", "test", "verify.failed"),
        ("nothing to see\n", "oddcheck", "lint", "verify.failed"),
    ],
)
def test_the_command_and_the_step_decide_where_the_output_alone_does_not(
    said: str, command: str, stage: str, expected: str
) -> None:
    assert classify(said, stage=stage, command=command, source="verify", exit_code=1).error_class == expected
