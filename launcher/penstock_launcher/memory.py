"""`penstock memory`: look at what is remembered of earlier work, correct it, add to it, forget it.

Rule of this room: all of it by HTTP, as any stranger would; what comes from outside is printed without control characters.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, urlencode

from penstock_launcher.client import ApiSaidNo, Client, JsonObject
from penstock_launcher.folder import FIRST_TOKEN, DataFolder, data_path, default_path
from penstock_launcher.timeline import plain

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3
KINDS: Final = ("success", "failure", "review", "decision", "lesson")
SHOWN_MAX: Final = 20
REFUSAL_LENGTH_MAX: Final = 600


class _Arguments(argparse.Namespace):
    verb: str
    data: Path | None = None
    repo: str | None = None
    kind: str | None = None
    words: list[str]
    memory: str
    title: str | None = None
    text: str | None = None
    pinned: bool | None = None
    limit: int = SHOWN_MAX


def memory(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Returns the exit code: 0; 1 where the api says no; 3 where nothing runs."""
    parser = _parser()
    given = parser.parse_args(arguments, namespace=_Arguments())
    if given.verb == "correct" and (given.kind, given.title, given.text, given.pinned) == (None, None, None, None):
        parser.error("nothing to correct: give --kind, --title, --text, --pin or --unpin")
    folder = DataFolder(given.data or default_path(environ))
    running = folder.running()
    if running is None:
        print(f"not running (data: {folder.path}): start it with `penstock up`")
        return EXIT_NOT_RUNNING
    client = Client(running.http_url, folder.secret_file(FIRST_TOKEN).read_text().strip())
    try:
        _do(client, given)
    except ApiSaidNo as error:
        print(plain(error.in_words(), REFUSAL_LENGTH_MAX))
        return EXIT_FAILED
    except OSError as error:
        print(plain(str(error), REFUSAL_LENGTH_MAX))
        return EXIT_FAILED
    return EXIT_OK


def _do(client: Client, given: _Arguments) -> None:
    path = f"/v1/memories/{quote(given.memory, safe='')}" if "memory" in given else "/v1/memories"
    match given.verb:
        case "list" | "search":
            wanted = {"repo": given.repo, "kind": given.kind, "limit": str(given.limit)}
            if given.verb == "search":
                wanted["q"] = " ".join(given.words)
            asked = urlencode({name: value for name, value in wanted.items() if value})
            found = cast("list[JsonObject]", client.json("GET", f"/v1/memories?{asked}")["memories"])
            for one in found:
                print(_line(one))
            if not found:
                print(
                    "nothing like it is remembered" if given.verb == "search" else "nothing is remembered",
                    file=sys.stderr,
                )
        case "show":
            _show(client.json("GET", path))
        case "add":
            body: JsonObject = {"repo": given.repo, "kind": given.kind, "title": given.title, "text": given.text}
            print(plain(str(client.json("POST", path, body | {"pinned": bool(given.pinned)})["memory"])))
        case "correct":
            said = {"kind": given.kind, "title": given.title, "text": given.text, "pinned": given.pinned}
            _show(client.json("PATCH", path, {name: value for name, value in said.items() if value is not None}))
        case "forget":
            client.bytes("DELETE", path)
            print("forgotten")
        case other:
            raise AssertionError(other)


def _line(one: JsonObject) -> str:
    like = "" if one["similarity"] is None else f"{one['similarity']:.2f}  "
    marks = "".join(f", {name}" for name in ("pinned", "archived", "corrected") if one[name])
    return plain(f"{one['memory']}  {like}{one['kind']}{marks}  {one['repo']}: {one['title']}")


def _show(one: JsonObject) -> None:
    for name, value in one.items():
        if value in (None, "", [], False) or name in ("asked", "happened"):
            continue
        print(plain(f"{name + ':':<12} {', '.join(map(str, value)) if isinstance(value, list) else value}"))
    for name in ("asked", "happened"):
        if text := str(one[name]):
            print(f"\n{name}:")
            print("\n".join(f"  {plain(line)}" for line in text.splitlines()))


def _an_id(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the id of a memory, as `memory list` shows it")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock memory", description="What is remembered of earlier work.")
    parser.add_argument("--data", type=data_path, metavar="DIR", help="the data folder (~/.local/share/penstock)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="the newest")
    listing.add_argument("--repo")
    search = verbs.add_parser("search", help="what is most like some words, as an agent would be told")
    search.add_argument("repo")
    search.add_argument("words", nargs="+")
    for verb in (listing, search):
        verb.add_argument("--kind", choices=KINDS)
        verb.add_argument("--limit", type=int, default=SHOWN_MAX)
    add = verbs.add_parser("add", help="write down a decision or a lesson")
    add.add_argument("repo")
    add.add_argument("--kind", choices=("decision", "lesson"), required=True)
    add.add_argument("--title", required=True)
    add.add_argument("--text", required=True)
    correct = verbs.add_parser("correct", help="change a text or a kind; a pinned one neither ages nor is it archived")
    for name, text in (("show", "all of one"), ("forget", "take a text away for good")):
        verbs.add_parser(name, help=text).add_argument("memory", type=_an_id)
    correct.add_argument("memory", type=_an_id)
    correct.add_argument("--kind", choices=KINDS)
    correct.add_argument("--title")
    correct.add_argument("--text")
    for verb in (add, correct):
        verb.add_argument("--pin", dest="pinned", action="store_const", const=True)
    correct.add_argument("--unpin", dest="pinned", action="store_const", const=False)
    return parser
