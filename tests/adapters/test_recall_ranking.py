"""The ranking itself, in a real PostgreSQL: as good as SQLite's FTS5 on real texts, and what age does to it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from bench.recall import NOW, Reference, ask, remember
from bench.recall_corpus import Entry, Question

pytestmark = pytest.mark.anyio

QUESTIONS_MAX = 400
MODULES = (
    *(
        "argparse",
        "asyncio.tasks",
        "collections",
        "concurrent.futures",
        "configparser",
        "contextlib",
        "csv",
        "datetime",
    ),
    *("decimal", "difflib", "email.message", "enum", "fractions", "functools", "heapq", "http.client", "http.cookies"),
    *("imaplib", "inspect", "ipaddress", "json", "logging", "logging.handlers", "mailbox", "multiprocessing.pool"),
    *(
        "optparse",
        "os",
        "pathlib",
        "pickle",
        "pydoc",
        "random",
        "re",
        "shutil",
        "socket",
        "sqlite3",
        "ssl",
        "statistics",
    ),
    *("string", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "traceback"),
    *("unittest.case", "unittest.mock", "urllib.parse", "urllib.request", "wave", "weakref", "xml.dom.minidom"),
    *("xml.etree.ElementTree", "xmlrpc.client", "zipfile", "zoneinfo"),
)
"""Of the standard library: their documentation is real text about real identifiers, and everywhere at hand."""


@pytest.fixture
async def connection(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(postgres)
    yield opened
    await opened.close()


def documented() -> tuple[list[Entry], list[Question]]:
    """What the modules say of their classes and functions; the last sentence of a longer text is the question."""
    entries: list[Entry] = []
    questions: list[Question] = []
    seen: set[str] = set()
    for name in MODULES:
        module = importlib.import_module(name)
        for place, one in _members(module, name):
            text = " ".join((inspect.getdoc(one) or "").split())
            if len(text.split()) < 8 or text in seen:
                continue
            seen.add(text)
            sentences = text.split(". ")
            if len(questions) < QUESTIONS_MAX and len(sentences) > 1 and len(sentences[-1].split()) >= 6:
                questions.append(Question(sentences.pop(), len(entries)))
            entries.append(Entry(f"{place}: {sentences[0]}"[:200], ". ".join(sentences[1:])[:2_000]))
    return entries, questions


def _members(of: object, name: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for place, one in sorted(vars(of).items()):
        if getattr(one, "__module__", "") != name:
            continue
        if inspect.isfunction(one) or inspect.isclass(one):
            found.append((f"{name}.{place}", one))
        if inspect.isclass(one):
            found += [
                (f"{name}.{place}.{inner}", of) for inner, of in sorted(vars(one).items()) if inspect.isfunction(of)
            ]
    return found


async def test_it_finds_what_fts5_finds(connection: asyncpg.Connection) -> None:
    entries, questions = documented()
    assert len(entries) > 1_000
    assert len(questions) == QUESTIONS_MAX
    await remember(connection, entries, lambda _: "shop")
    ours, theirs = await ask(connection, "shop", questions), Reference(entries, "unicode61").ask(questions)
    print(f"{len(entries)} texts, {len(questions)} questions: {ours.hits} and {theirs.hits} among the first five")
    assert ours.hits >= 0.95 * theirs.hits
    assert theirs.hits > len(questions) / 5


async def test_of_two_that_are_alike_the_newer_comes_first_where_age_counts(connection: asyncpg.Connection) -> None:
    text = Entry("Round the price", "half to even")
    await remember(connection, [text, text, Entry("Paint the fence", "in green")], lambda _: "shop")
    await connection.execute(
        "update penstock.memory_of_task set born_at = born_at - interval '30 days' where memory like '%0'"
    )
    await connection.execute("select penstock.memory_settle(array(select memory from penstock.memory))")
    scores: dict[float, list[float]] = {}
    for half_life in (0.0, 30.0):
        rows = await connection.fetch(
            "select memory, score, similarity from penstock.memory_search('shop', 'round the price', $1, $2, 0, 5)",
            NOW,
            half_life,
        )
        scores[half_life] = [row["score"] for row in rows]
        assert [row["similarity"] for row in rows] == [1.0, 1.0]
        assert rows[-1]["memory"].endswith("1") == (not half_life)
    assert scores[0.0][0] == scores[0.0][1]
    assert scores[30.0][0] == pytest.approx(2 * scores[30.0][1])
    later = await connection.fetch(
        "select memory from penstock.memory_search('shop', 'round', $1, 0, 20, 5)", NOW + timedelta(days=10)
    )
    assert [row["memory"][-1] for row in later] == ["1"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("parseHTTPConfig", {"pars", "http", "config", "parsehttpconfig"}),
        ("parse_http_config", {"pars", "http", "config", "parsehttpconfig"}),
        ("shop/price_list.py", {"shop", "price", "list", "py", "pricelist"}),
        ("the and of", set()),
        ("Übergröße naïve 東京", {"übergröß", "naïv", "東京"}),
        ("", set()),
        ("a" * 50, set()),
    ],
)
async def test_words_are_what_they_are_made_of(connection: asyncpg.Connection, said: str, words: set[str]) -> None:
    rows = await connection.fetch("select word from penstock.memory_words($1)", said)
    assert {row["word"] for row in rows} == words
