"""Reports in JSON that are known by their shape, written as the lines that the same tool prints for people.

The rule of this room: a report is known by its keys, never by the command; a shape that is not certain is left to the reader
of plain documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock_orchestrator.core.classify.documents import Json

FINDINGS_MAX: Final = 200
_FILE_KEYS: Final = ("file", "filename", "path", "filePath", "file_path")
_LINE_KEYS: Final = ("line", "line_number", "lineNumber", "row", "startLine", "start_line")
_SAID_KEYS: Final = ("message", "issue_text", "description", "text", "title")


def lines_of(value: Json) -> list[str] | None:
    """The lines of a report, None where it is none that is known."""
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
            return _mocha_event(value[0], value[1])
        rows = [row for row in value if isinstance(row, dict)]
        return _list_report(rows) if rows else None
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("runs"), list):
        return _sarif(value)
    if "numFailedTests" in value or "numFailedTestSuites" in value:
        return _jest(value)
    if isinstance(value.get("generalDiagnostics"), list):
        return _pyright(value)
    if isinstance(value.get("stats"), dict) and isinstance(value.get("failures"), list):
        return _mocha(value)
    if isinstance(value.get("summary"), dict) and isinstance(value.get("examples"), list):
        return _rspec(value)
    if isinstance(value.get("diagnostics"), list) and isinstance(_inside(value, "source", "name"), str):
        return _reviewdog(value)
    if isinstance(value.get("Issues"), list):
        return _golangci(value)
    if isinstance(value.get("files"), list) and isinstance(value.get("summary"), dict):
        return _rubocop(value)
    found = _findings(value)
    if found is not None:
        return found
    results, messages = value.get("results"), value.get("messages")
    if isinstance(results, list) and results and isinstance(results[0], dict) and "filePath" in results[0]:
        return _eslint([row for row in results if isinstance(row, dict)])
    if isinstance(messages, list) and "statistics" in value:
        return _list_report([row for row in messages if isinstance(row, dict)]) if messages else None
    if value.get("severity") == "error" and {"file", "line", "message"} <= value.keys():
        return [f"{value['file']}:{value['line']}:1: error: {value['message']}"]
    if isinstance(value.get("Action"), str) or isinstance(value.get("reason"), str):
        return lines_of_events([value])
    return None


def lines_of_events(events: list[dict[str, Json]]) -> list[str]:
    """Lines from Go's and Cargo's streams of events, in their order."""
    lines: list[str] = []
    pending = ""
    for event in events:
        output = event.get("Output")
        if isinstance(output, str):
            pending += output
            *done, pending = pending.split("\n")
            lines += done
        message = event.get("message")
        if isinstance(message, dict) and isinstance(message.get("rendered"), str):
            lines += str(message["rendered"]).split("\n")
        if event.get("reason") == "build-finished" and event.get("success") is False:
            lines.append("error: could not compile `the package`")
    return [*lines, pending] if pending else lines


def _list_report(rows: list[dict[str, Json]]) -> list[str] | None:
    first = rows[0]
    if "filePath" in first and "messages" in first:
        return _eslint(rows)
    if "source" in first and "warnings" in first and "parseErrors" in first:
        return _stylelint(rows)
    if {"code", "filename", "location"} <= first.keys():
        found = [
            _place(row.get("filename"), row.get("location"), f"{row.get('code')} {row.get('message')}") for row in rows
        ]
        return [*found[:FINDINGS_MAX], f"report of ruff: {len(rows)} errors"]
    if {"kind", "message", "locations"} <= first.keys():
        return [_gcc_line(row) for row in rows[:FINDINGS_MAX]]
    if {"check_name", "fingerprint", "location"} <= first.keys():
        return _code_quality(rows)
    if "module" in first and ("message-id" in first or "messageId" in first):
        codes = [row.get("message-id") or row.get("messageId") for row in rows]
        found = [
            f"{row.get('path')}:{row.get('line')}:0: {code}: {row.get('message')}"
            for row, code in zip(rows, codes, strict=True)
        ]
        return [*found[:FINDINGS_MAX], f"report of pylint: {len(rows)} errors"]
    if {"file", "line", "message", "code", "level"} <= first.keys():
        found = [
            f"{row.get('file')}:{row.get('line')}:1: {row.get('level')}: {row.get('message')} [SC{row.get('code')}]"
            for row in rows
        ]
        return [*found[:FINDINGS_MAX], f"report of shellcheck: {len(rows)} errors"]
    return None


def _findings(value: dict[str, Json]) -> list[str] | None:
    """A report of a checker that is not known by name: a list of findings, each with a file, a line and what is wrong."""
    for key in ("results", "issues", "findings", "violations", "problems"):
        rows = value.get(key)
        if isinstance(rows, list) and rows and all(isinstance(row, dict) and _finding(row) for row in rows):
            lines = [_finding(row) for row in rows[:FINDINGS_MAX] if isinstance(row, dict)]
            name = "bandit" if "test_id" in str(rows[0]) and "issue_cwe" in str(rows[0]) else "findings"
            return [*lines, f"report of {name}: {len(rows)} errors"]
    return None


def _finding(row: dict[str, Json]) -> str:
    """One finding as a compiler would print it; empty where the row is none."""
    file, line, said = (
        next((row[key] for key in keys if isinstance(row.get(key), str | int)), None)
        for keys in (_FILE_KEYS, _LINE_KEYS, _SAID_KEYS)
    )
    return f"{file}:{line}:1: {said}" if isinstance(file, str) and isinstance(line, int) and said else ""


def _gcc_line(row: dict[str, Json]) -> str:
    places = row.get("locations")
    caret = _inside(places[0], "caret") if isinstance(places, list) and places else None
    return f"{_inside(caret, 'file')}:{_inside(caret, 'line')}:1: {row.get('kind')}: {row.get('message')}"


def _code_quality(rows: list[dict[str, Json]]) -> list[str]:
    """The report that GitLab reads; it does not say which tool wrote it, but codes do."""
    lines = []
    for row in rows:
        begin = _inside(row, "location", "lines", "begin") or _inside(row, "location", "positions", "begin", "line")
        place = f"{_inside(row, 'location', 'path')}:{begin}:1"
        lines.append(f"{place}: {row.get('check_name')} {row.get('description')}")
    python = all(str(_inside(row, "location", "path")).endswith((".py", ".pyi")) for row in rows)
    return [*lines[:FINDINGS_MAX], f"report of {'ruff' if python else 'code quality'}: {len(lines)} errors"]


def _place(file: Json, location: Json, said: str) -> str:
    row = location.get("row", location.get("line", 0)) if isinstance(location, dict) else 0
    return f"{file}:{row}:1: {said}"


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _eslint(rows: list[dict[str, Json]]) -> list[str]:
    lines: list[str] = []
    errors = 0
    for row in rows:
        messages = row.get("messages")
        found = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
        hard = [one for one in found if one.get("severity") == 2]
        errors += len(hard)
        if hard:
            lines.append(str(row.get("filePath")))
            lines += [
                f"  {one.get('line')}:{one.get('column')}  error  {one.get('message')}  {one.get('ruleId')}"
                for one in hard
            ]
    return [*lines[:FINDINGS_MAX], f"report of eslint: {errors} errors"]


def _stylelint(rows: list[dict[str, Json]]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        warnings = row.get("warnings")
        for one in warnings if isinstance(warnings, list) else []:
            if isinstance(one, dict) and one.get("severity") == "error":
                lines.append(f"{row.get('source')}:{one.get('line')}:1: {one.get('text')}")
    return [*lines[:FINDINGS_MAX], f"report of stylelint: {len(lines)} errors"]


def _sarif(value: dict[str, Json]) -> list[str] | None:
    lines: list[str] = []
    runs = value["runs"]
    for run in runs if isinstance(runs, list) else []:
        if not isinstance(run, dict):
            return None
        driver = _inside(run, "tool", "driver")
        name = str(driver.get("name", "tool")).lower() if isinstance(driver, dict) else "tool"
        results = run.get("results")
        found = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
        hard = [one for one in found if one.get("level") not in ("note", "none")]
        lines += [_sarif_line(one) for one in hard[:FINDINGS_MAX]]
        lines.append(f"report of {name}: {len(hard)} errors")
    return lines


def _sarif_line(result: dict[str, Json]) -> str:
    locations = result.get("locations")
    place = locations[0] if isinstance(locations, list) and locations else None
    file = _inside(place, "physicalLocation", "artifactLocation", "uri")
    row = _inside(place, "physicalLocation", "region", "startLine")
    return f"{file}:{row}:1: {result.get('ruleId')} {_inside(result, 'message', 'text')}"


def _inside(value: Json, *path: str) -> Json:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _jest(value: dict[str, Json]) -> list[str]:
    lines: list[str] = []
    suites = value.get("testResults")
    for suite in suites if isinstance(suites, list) else []:
        if isinstance(suite, dict) and suite.get("status") == "failed":
            lines += [f"FAIL {suite.get('name')}", *str(suite.get("message")).split("\n")]
    failed, broken = _whole(value.get("numFailedTests")), _whole(value.get("numFailedTestSuites"))
    if broken:
        lines.append(f"Test Suites: {broken} failed")
    return [
        *lines,
        f"Tests: {failed} failed, {failed} total" if failed else f"Tests: {_whole(value.get('numPassedTests'))} passed",
    ]


def _pyright(value: dict[str, Json]) -> list[str]:
    found = value["generalDiagnostics"]
    lines = []
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict) and one.get("severity") == "error":
            row = _inside(one, "range", "start", "line")
            lines.append(f"  {one.get('file')}:{_whole(row) + 1}:1 - error: {one.get('message')}")
    return [*lines[:FINDINGS_MAX], f"{len(lines)} errors, 0 warnings, 0 informations"]


def _mocha(value: dict[str, Json]) -> list[str]:
    failures = value["failures"]
    lines = []
    for number, one in enumerate(failures if isinstance(failures, list) else [], start=1):
        if isinstance(one, dict):
            said = str(_inside(one, "err", "stack") or _inside(one, "err", "message"))
            lines += [f"  {number}) {one.get('fullTitle')}:", *(f"     {line}" for line in said.split("\n"))]
    count = len(failures) if isinstance(failures, list) else 0
    passes = _inside(value, "stats", "passes")
    return [f"  {_whole(passes)} passing", f"  {count} failing" if count else "", *lines]


def _mocha_event(kind: str, value: dict[str, Json]) -> list[str] | None:
    """Mocha's stream of events: a pair of a word and what it is about."""
    if kind == "fail":
        return [f"  1) {value.get('fullTitle')}:", f"     {value.get('err')}"]
    if kind == "end":
        return [f"  {_whole(value.get('failures'))} failing" if value.get("failures") else "  1 passing"]
    return None


def _reviewdog(value: dict[str, Json]) -> list[str]:
    """The format in which linters report to reviewdog."""
    found = value["diagnostics"]
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    lines = []
    for row in rows[:FINDINGS_MAX]:
        place = f"{_inside(row, 'location', 'path')}:{_inside(row, 'location', 'range', 'start', 'line')}:1"
        lines.append(f"{place}: {_inside(row, 'code', 'value')} {row.get('message')}")
    return [*lines, f"report of {str(_inside(value, 'source', 'name')).lower()}: {len(rows)} errors"]


def _rspec(value: dict[str, Json]) -> list[str]:
    examples = value["examples"]
    lines = []
    for one in examples if isinstance(examples, list) else []:
        if isinstance(one, dict) and one.get("status") == "failed":
            lines.append(f"rspec {one.get('file_path')}:{one.get('line_number')} # {one.get('full_description')}")
    return [*lines, str(value.get("summary_line"))]


def _golangci(value: dict[str, Json]) -> list[str] | None:
    issues = value["Issues"]
    lines = []
    for one in issues if isinstance(issues, list) else []:
        if not isinstance(one, dict):
            return None
        place = f"{_inside(one, 'Pos', 'Filename')}:{_inside(one, 'Pos', 'Line')}:1"
        lines.append(f"{place}: {one.get('Text')} ({one.get('FromLinter')})")
    return [*lines[:FINDINGS_MAX], f"report of golangci-lint: {len(lines)} errors"]


def _rubocop(value: dict[str, Json]) -> list[str] | None:
    count = _inside(value, "summary", "offense_count")
    if count is None:
        return None
    return [f"{_whole(_inside(value, 'summary', 'inspected_file_count'))} files inspected, {count} offenses detected"]
