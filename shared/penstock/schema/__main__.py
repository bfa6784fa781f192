"""`python -m penstock.schema write [dir]` publishes the contract into a folder; `check [dir]` says whether it is up to date.

Rule of this room: `write` refuses what would break somebody. There is no switch to do it anyway: a new meaning gets a new
type, and whoever must take something back deletes the published file by hand, where a reviewer sees it.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Final

from penstock.schema.changes import breaking_changes_of_all
from penstock.schema.documents import EVENT_TYPES, MESSAGES, Schema, asyncapi, event_schema, message_schema, tag_of
from penstock.schema.reference import reference

EVENTS: Final = "schemas/events"
DIFF_LINES_MAX: Final = 60
USAGE: Final = "usage: python -m penstock.schema write|check [dir]"


def published() -> dict[str, str]:
    """Every file by its path, as it should be."""
    documents: dict[str, Schema] = {"schemas/asyncapi.json": asyncapi()}
    documents |= {f"schemas/{name}.json": message_schema(name) for name in MESSAGES}
    documents |= {f"{EVENTS}/{tag_of(event)}.json": event_schema(event) for event in EVENT_TYPES}
    texts = {path: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for path, document in documents.items()}
    return texts | {"docs/reference/events.md": reference()}


def breaks(root: Path) -> tuple[str, ...]:
    """What the events of today break of the events published in `root`."""
    old = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / EVENTS).glob("*.json"))}
    return breaking_changes_of_all(old, {tag_of(event): event_schema(event) for event in EVENT_TYPES})


def check(root: Path) -> list[str]:
    """One text per file that is not as it should be: a diff."""
    found = [f"breaking: {change}" for change in breaks(root)]
    for path, wanted in published().items():
        there = (root / path).read_text(encoding="utf-8") if (root / path).is_file() else ""
        if there != wanted:
            diff = difflib.unified_diff(
                there.splitlines(), wanted.splitlines(), path, f"{path} as it should be", lineterm=""
            )
            found.append("\n".join(list(diff)[:DIFF_LINES_MAX]))
    return found


def write(root: Path) -> list[str]:
    """Write every file; returns why not, where something would break, and then writes nothing."""
    if found := [f"breaking: {change}" for change in breaks(root)]:
        return found
    for path, text in published().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return []


def main(arguments: list[str]) -> int:
    """0 where all is well, 1 with the differences on standard output, 2 for a wrong call."""
    if not 1 <= len(arguments) <= 2 or arguments[0] not in ("write", "check"):
        print(USAGE, file=sys.stderr)
        return 2
    verb, root = arguments[0], Path(arguments[1] if len(arguments) == 2 else ".")
    found = write(root) if verb == "write" else check(root)
    for text in found:
        print(text)
    if found:
        print("Give a new meaning a new type." if verb == "write" else "Run `python -m penstock.schema write`.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
