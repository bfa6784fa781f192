"""Tools by one name for all: a script says `bash`, and the program that asks gets the call under the name it offered.

The rule of this room: what a request offers decides; a call by a program's own name goes through as it is.
"""

from __future__ import annotations

import base64
import shlex
from typing import Final

from msgspec import Struct

from fake_model.script import Call, Object
from fake_model.wire import Asked

APPLY_PATCH: Final = "apply_patch"
_SHELLS: Final = {
    "Bash": "command",
    "exec_command": "cmd",
    "shell_command": "command",
    "run_shell_command": "command",
    "bash": "command",
}
_DESCRIBED: Final = ("Bash", "run_shell_command", "bash")
_READERS: Final = {"Read": "file_path", "read_file": "file_path", "read": "filePath"}
_WRITERS: Final = {"Write": "file_path", "write_file": "file_path", "write": "filePath"}


class _Editor(Struct, frozen=True):
    path: str
    old: str
    new: str


_EDITORS: Final = {
    "Edit": _Editor("file_path", "old_string", "new_string"),
    "replace": _Editor("file_path", "old_string", "new_string"),
    "edit": _Editor("file_path", "old_string", "new_string"),
}


def native(call: Call, asked: Asked) -> Call:
    """The call as the program knows it. A freeform call has its text under "input"."""
    offered = asked.offered
    match call.name, call.input:
        case "bash", {"command": str(command)}:
            return _shell(command, offered) or call
        case "read_file", {"path": str(name)}:
            path = _place(name, asked)
            found = next((reader for reader in _READERS if reader in offered), None)
            if found is not None:
                return Call(found, {_READERS[found]: path})
            return _shell(f"cat {shlex.quote(path)}", offered) or call
        case "write_file", {"path": str(name), "content": str(content)}:
            return _write(_place(name, asked), content, offered) or call
        case "edit_file", {"path": str(name), "old": str(old), "new": str(new)}:
            return _edit(_place(name, asked), old, new, offered) or call
        case _:
            return call


def _place(name: str, asked: Asked) -> str:
    return f"{asked.folder}/{name}" if asked.folder and not name.startswith("/") else name


def _shell(command: str, offered: frozenset[str]) -> Call | None:
    found = next((name for name in _SHELLS if name in offered), None)
    if found is None:
        return None
    given: Object = {_SHELLS[found]: command}
    if found in _DESCRIBED:
        given["description"] = "scripted"
    if found == "run_shell_command":
        given["is_background"] = False
    return Call(found, given)


def _write(path: str, content: str, offered: frozenset[str]) -> Call | None:
    if APPLY_PATCH in offered:
        lines = "".join(f"+{line}\n" for line in content.splitlines())
        return Call(APPLY_PATCH, {"input": f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch"})
    found = next((name for name in _WRITERS if name in offered), None)
    if found is not None:
        return Call(found, {_WRITERS[found]: path, "content": content})
    coded = base64.b64encode(content.encode()).decode()
    return _shell(f"printf %s {coded} | base64 -d > {shlex.quote(path)}", offered)


def _edit(path: str, old: str, new: str, offered: frozenset[str]) -> Call | None:
    if APPLY_PATCH in offered:
        lines = "".join(f"-{line}\n" for line in old.splitlines()) + "".join(f"+{line}\n" for line in new.splitlines())
        return Call(APPLY_PATCH, {"input": f"*** Begin Patch\n*** Update File: {path}\n@@\n{lines}*** End Patch"})
    found = next((name for name in _EDITORS if name in offered), None)
    if found is None:
        return None
    names = _EDITORS[found]
    given: Object = {names.path: path, names.old: old, names.new: new}
    if found == "replace":
        given["instruction"] = "scripted"
    return Call(found, given)
