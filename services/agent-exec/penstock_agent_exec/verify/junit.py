"""JUnit XML, as a dozen tools write it.

Rule of this room: the document is a stranger's. No document type, so no entities; bounds on depth and on elements; and whatever
is odd about it is NotAReport, never an error. Of a document that breaks off, what stands before is read, and said not to be all.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

from penstock_agent_exec.verify.reading import NotAReport, Reading, State

DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 500_000
PIECE_BYTES: Final = 1024 * 1024

_ROOTS: Final = frozenset({"testsuites", "testsuite"})
_FAILED: Final = frozenset({"failure", "error"})
_NOT_RUN: Final = frozenset({"notrun", "disabled", "skipped", "ignored", "suppressed"})


def read_junit(document: bytes) -> Reading:
    """The test cases of a whole document. Raises NotAReport."""
    # Any encoding that a document claims would be looked up by name; all of these tools write UTF-8.
    told = document.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").encode()
    reader = _Reader()
    try:
        for at in range(0, len(told), PIECE_BYTES):
            reader.parser.Parse(told[at : at + PIECE_BYTES], False)
        reader.parser.Parse(b"", True)
    except expat.ExpatError as error:
        if not reader.found.total:
            raise NotAReport(str(error)) from error
        reader.found.is_whole = False
    if not reader.is_junit:
        raise NotAReport("nothing in it")
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found = Reading("junit")
        self.is_junit = False
        self._depth = 0
        self._elements = 0
        self._suites: list[str] = []
        self._case: dict[str, str] | None = None
        self._case_depth = 0
        self._state: State = "passed"
        self.parser = expat.ParserCreate("utf-8")
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _doctype(self, *_: object) -> None:
        raise NotAReport("it declares a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_MAX or self._elements > ELEMENTS_MAX:
            raise NotAReport("it is too deep, or too long")
        if self._depth == 1:
            if name not in _ROOTS:
                raise NotAReport(f"a {name[:40]}")
            self.is_junit = True
        if self._case is not None:
            if self._depth == self._case_depth + 1:
                self._mark(name)
        elif name == "testsuite":
            self._suites.append(attributes.get("name", ""))
        elif name == "testcase":
            self._case, self._case_depth = attributes, self._depth
            words = {attributes.get("status", "").lower(), attributes.get("result", "").lower()}
            self._state = "skipped" if words & _NOT_RUN else "failed" if "fail" in words else "passed"

    def _mark(self, name: str) -> None:
        if name in _FAILED:
            self._state = "failed"
        elif name == "skipped" and self._state != "failed":
            self._state = "skipped"

    def _end(self, name: str) -> None:
        if self._case is not None and self._depth == self._case_depth:
            self.found.add(self._name(self._case), self._state)
            self._case = None
        elif self._case is None and name == "testsuite":
            self._suites.pop()
        self._depth -= 1

    def _name(self, case: dict[str, str]) -> str:
        name = case.get("name", "")
        group = case.get("classname") or case.get("class") or (self._suites[-1] if self._suites else "")
        if not group or group == name or name.startswith(f"{group} "):
            return name
        return f"{group}::{name}" if name else group
