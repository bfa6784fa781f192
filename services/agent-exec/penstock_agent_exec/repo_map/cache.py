"""What is known of files already, by their content: one SQLite file for a repository, in the host's own folder.

Rule of this room: nothing here is needed. A file that is damaged, locked or of another version is as good as none; it costs time
and no answer is ever wrong for it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from penstock_agent_exec.repo_map.answer import DEFINITIONS_MAX, REFERENCES_MAX, Symbols
from penstock_agent_exec.repo_map.languages import TABLE_VERSION

T = TypeVar("T")

FORMAT: Final = 2
CACHE_BYTES_MAX: Final = 256 * 1024 * 1024
BUSY_SECONDS_MAX: Final = 2.0
DAY_SECONDS: Final = 86_400

_CHECK_BYTES: Final = 4
_decoder = msgspec.msgpack.Decoder(Symbols)


class Cache:
    """`path`: the file; None for a cache that holds nothing."""

    def __init__(self, path: Path | None, *, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max

    def load(self, keys: Iterable[str]) -> dict[str, Symbols]:
        """Those of the keys that are known."""
        asked = msgspec.json.encode(list(keys)).decode()
        return self._ask(lambda database: _load(database, asked)) or {}

    def store(self, entries: Mapping[str, bytes]) -> None:
        """Keep these answers of workers too. What was not asked for longest goes when there is too much."""
        if entries:
            self._ask(lambda database: _store(database, entries, self._bytes_max))

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """One transaction; None where there is no file to be had. A damaged file is removed."""
        path = self._path
        if path is None:
            return None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS_MAX, isolation_level="IMMEDIATE")) as database:
                _prepare(database)
                with database:
                    return work(database)
        except sqlite3.OperationalError:
            # Locked by another one, a full disk, no right to write: not this time.
            return None
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            return None
        except OSError:
            return None


def _prepare(database: sqlite3.Connection) -> None:
    # It can be made again: a power cut may have it.
    database.execute("pragma synchronous = off")
    if database.execute("pragma user_version").fetchone()[0] == _version():
        return
    with database:
        database.execute("drop table if exists known")
        database.execute("create table known (key text primary key, symbols blob, seen int)")
        database.execute(f"pragma user_version = {_version():d}")


def _load(database: sqlite3.Connection, asked: str) -> dict[str, Symbols]:
    found: dict[str, Symbols] = {}
    today, is_old = _today(), False
    query = (
        "select known.key, known.symbols, known.seen from json_each(?) as asked join known on known.key = asked.value"
    )
    for key, value, seen in database.execute(query, (asked,)):
        if (entry := _opened(value)) is not None:
            found[key] = entry
            is_old = is_old or seen < today
    if is_old:
        ours = "key in (select value from json_each(?))"
        database.execute(f"update known set seen = ? where seen < ? and {ours}", (today, today, asked))  # noqa: S608 - no text of others
    return found


def _store(database: sqlite3.Connection, entries: Mapping[str, bytes], bytes_max: int) -> None:
    today = _today()
    rows = ((key, _closed(entry), today) for key, entry in sorted(entries.items()))
    database.executemany("insert or replace into known (key, symbols, seen) values (?, ?, ?)", rows)
    (size,) = database.execute("select coalesce(sum(length(symbols) + length(key)), 0) from known").fetchone()
    if size > bytes_max:
        database.execute(
            "delete from known where key in (select key from (select key, sum(length(symbols) + length(key)) over"
            " (order by seen desc, key) as held from known) where held > ?)",
            (bytes_max * 3 // 4,),
        )


@cache
def _version() -> int:
    """Another grammar, table or format makes other symbols of the same file."""
    parts = (FORMAT, TABLE_VERSION, _grammars(), DEFINITIONS_MAX, REFERENCES_MAX)
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:3])


def _grammars() -> str:
    """The version of ast-grep-py, by its folder's name: to ask for it takes longer than all the rest of a warm map."""
    spec = find_spec("ast_grep_py")
    place = None if spec is None or spec.origin is None else Path(spec.origin).parents[1]
    return "" if place is None else " ".join(sorted(path.name for path in place.glob("ast_grep_py-*.dist-info")))


def _today() -> int:
    return int(time.time()) // DAY_SECONDS


def _closed(raw: bytes) -> bytes:
    return zlib.crc32(raw).to_bytes(_CHECK_BYTES) + raw


def _opened(value: object) -> Symbols | None:
    """None for what is not as it was written."""
    if not isinstance(value, bytes) or zlib.crc32(value[_CHECK_BYTES:]).to_bytes(_CHECK_BYTES) != value[:_CHECK_BYTES]:
        return None
    try:
        return _decoder.decode(value[_CHECK_BYTES:])
    except msgspec.MsgspecError:
        return None
