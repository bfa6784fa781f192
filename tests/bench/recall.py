"""recall: memories that are like a new task, found by the read model in PostgreSQL, against SQLite's FTS5 over the same texts.

Both rank by BM25 over the same 10,000 real texts, with identifiers taken apart, any word may match, and each answers the same
questions in the same round. The reference is in memory and in this process; ours is asked over a socket, as a task's is.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Final, NamedTuple

import asyncpg

from bench.figures import Goal, Table, Took, clock, percentile
from bench.ground import postgres
from bench.plan import Plan
from bench.recall_corpus import ARCHIVES, Entry, Question, corpus
from penstock_orchestrator.memory_rows import MEMORY_COLUMNS, MemoryRow
from penstock_orchestrator.migrate import migrate
from penstock_orchestrator.rows import values

FOLDER: Final = Path.home() / ".cache" / "penstock-bench"
MEMORIES: Final = 10_000
QUESTIONS_SHORT: Final = 150
QUESTIONS_LONG: Final = 600
HITS: Final = 5
BATCH: Final = 500
REPOS: Final = 10
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
SEARCH: Final = "select memory from penstock.memory_search($1, $2, $3, 0, 0, $4)"
OBVIOUS: Final = (
    "select memory from penstock.memory where repo = $1"
    " and to_tsvector('english', title || ' ' || happened) @@ plainto_tsquery('english', $2)"
    " order by ts_rank(to_tsvector('english', title || ' ' || happened), plainto_tsquery('english', $2)) desc limit $3"
)


class Answered(NamedTuple):
    """One side's round: milliseconds of each question, and how many had their answer among the first five."""

    ms: list[float]
    hits: int
    cpu_us: float

    @property
    def p50(self) -> float:
        return percentile(self.ms, 0.5)


async def run(plan: Plan) -> list[Table]:
    entries, questions = corpus(FOLDER, MEMORIES, plan.size(short=QUESTIONS_SHORT, long=QUESTIONS_LONG))
    reference, stemmed = Reference(entries, "unicode61"), Reference(entries, "porter unicode61")
    with postgres() as server:
        await migrate(server.dsn())
        connection = await asyncpg.connect(server.dsn())
        try:
            return [await _table(plan, connection, entries, questions, reference, stemmed)]
        finally:
            await connection.close()


async def _table(
    plan: Plan,
    connection: asyncpg.Connection,
    entries: Sequence[Entry],
    questions: Sequence[Question],
    reference: Reference,
    stemmed: Reference,
) -> Table:
    version = str(await connection.fetchval("show server_version")).split()[0]
    table = Table(
        f"recall: {len(questions)} questions to {len(entries):,} memories of one repo "
        f"(PostgreSQL {version}, SQLite {sqlite3.sqlite_version} FTS5)"
    )
    with clock() as taken:
        await remember(connection, entries, lambda _: "shop")
    hits = table.row(f"hit@{HITS} / FTS5 BM25", "share", Goal(">=", 0.95))
    beside = table.row(f"hit@{HITS} / FTS5 BM25 with its stemmer", "share", Goal(">=", 0.95))
    time = table.row("p50 / FTS5 BM25", "ms")
    ours, theirs = await ask(connection, "shop", questions), reference.ask(questions)
    best = [[100_000.0] * len(questions) for _ in range(2)]
    for _ in range(plan.rounds):
        ours, theirs, others = (
            await ask(connection, "shop", questions),
            reference.ask(questions),
            stemmed.ask(questions),
        )
        count = len(questions)
        hits.add(Took(ours.hits / count), Took(theirs.hits / count))
        beside.add(Took(ours.hits / count), Took(others.hits / count))
        time.add(Took(ours.p50, ours.cpu_us), Took(theirs.p50, theirs.cpu_us))
        best = [list(map(min, before, now.ms)) for before, now in zip(best, (ours, theirs), strict=True)]
    size = await connection.fetchval("select pg_size_pretty(pg_total_relation_size('penstock.memory_word'))")
    table.notes += [
        f"p50 of each question's best round, which neighbours disturb least: {percentile(best[0], 0.5):.1f} ms "
        f"(goal: at most 10 ms), FTS5 {percentile(best[1], 0.5):.1f} ms",
        f"the last round: p50 {ours.p50:.1f} ms, p99 {percentile(ours.ms, 0.99):.1f} ms; "
        f"FTS5 {theirs.p50:.1f} and {percentile(theirs.ms, 0.99):.1f} ms",
        f"{len(entries):,} memories were written in {taken.wall_seconds:.1f} s; their words take {size}",
        await _obvious(connection, questions),
        await _many_repos(connection, entries, questions),
        f"texts: changelog entries of {', '.join(ARCHIVES)}; a question is the last sentence of an entry, which the memory lacks",
    ]
    return table


async def remember(
    connection: asyncpg.Connection, entries: Sequence[Entry], repo_of: Callable[[int], str], first: int = 0
) -> None:
    """Write the entries as memories of tasks, in the batches of a rebuild. `first`: the number of the first one."""
    for begin in range(0, len(entries), BATCH):
        rows = [
            MemoryRow(
                memory=f"m{first + at:025d}",
                repo=repo_of(at),
                task=f"t{first + at:025d}",
                kind="success",
                title=entry.title,
                asked="",
                happened=entry.happened,
                files=[],
                born_at=NOW,
                number=first + at + 1,
            )
            for at, entry in enumerate(entries[begin : begin + BATCH], begin)
        ]
        async with connection.transaction():
            await connection.copy_records_to_table(
                "memory_of_task", schema_name="penstock", records=[values(row) for row in rows], columns=MEMORY_COLUMNS
            )
            await connection.execute("select penstock.memory_settle($1)", [row.memory for row in rows])


async def ask(connection: asyncpg.Connection, repo: str, questions: Sequence[Question], first: int = 0) -> Answered:
    ms: list[float] = []
    hits, cpu_us = 0, 0.0
    for question in questions:
        with clock() as taken:
            rows = await connection.fetch(SEARCH, repo, question.text, NOW, HITS)
        ms.append(taken.wall_seconds * 1e3)
        cpu_us += taken.cpu_seconds * 1e6
        hits += f"m{first + question.answer:025d}" in [row["memory"] for row in rows]
    return Answered(ms, hits, cpu_us / len(questions))


class Reference:
    """SQLite's FTS5, in memory."""

    def __init__(self, entries: Sequence[Entry], tokenizer: str) -> None:
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute(f"create virtual table memory using fts5 (title, happened, tokenize = '{tokenizer}')")
        self._connection.executemany(
            "insert into memory (rowid, title, happened) values (?, ?, ?)",
            [(at, apart(entry.title), apart(entry.happened)) for at, entry in enumerate(entries)],
        )
        self._connection.execute("insert into memory (memory) values ('optimize')")

    def ask(self, questions: Sequence[Question]) -> Answered:
        ms: list[float] = []
        hits, cpu_us = 0, 0.0
        for question in questions:
            with clock() as taken:
                words = dict.fromkeys(re.findall(r"\w+", apart(question.text).lower()))
                match = " OR ".join(f'"{word}"' for word in words)
                found = self._connection.execute(
                    "select rowid from memory where memory match ? order by bm25(memory) limit ?", (match, HITS)
                ).fetchall()
            ms.append(taken.wall_seconds * 1e3)
            cpu_us += taken.cpu_seconds * 1e6
            hits += (question.answer,) in found
        return Answered(ms, hits, cpu_us / len(questions))


def apart(text: str) -> str:
    """Identifiers in their parts."""
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return re.sub(r"([A-Z])([A-Z][a-z])", r"\1 \2", text).replace("_", " ")


async def _obvious(connection: asyncpg.Connection, questions: Sequence[Question]) -> str:
    hits = [
        f"m{one.answer:025d}" in [row["memory"] for row in await connection.fetch(OBVIOUS, "shop", one.text, HITS)]
        for one in questions[:QUESTIONS_SHORT]
    ]
    return f"the obvious query (`plainto_tsquery`, all words must match) has hit@{HITS} {mean(hits):.2f}"


async def _many_repos(connection: asyncpg.Connection, entries: Sequence[Entry], questions: Sequence[Question]) -> str:
    """The same texts once more, spread over several repos: each question goes to the repo that has its answer."""
    first = len(entries)
    await remember(connection, entries, lambda at: f"shop{at % REPOS}", first)
    found = [await ask(connection, f"shop{one.answer % REPOS}", [one], first) for one in questions]
    hits = mean(one.hits for one in found)
    p50 = percentile([one.ms[0] for one in found], 0.5)
    return f"spread over {REPOS} repos of {first // REPOS:,} memories: p50 {p50:.1f} ms, hit@{HITS} {hits:.2f}"
