"""`python -m bench [NAME ...] [--rounds N] [--short]`: run these benches, or all, one after the other, and print their tables."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import uvloop

from bench import (
    append,
    broker,
    dispatch,
    fold,
    hydrate,
    ingest,
    read,
    rebuild,
    recall,
    redact,
    repo_map,
    spawn,
    workspace,
)
from bench.figures import Table, surroundings
from bench.plan import Plan

BENCHES: Final[Mapping[str, Callable[[Plan], Awaitable[list[Table]]]]] = {
    "append": append.run,
    "read": read.run,
    "fold": fold.run,
    "rebuild": rebuild.run,
    "dispatch": dispatch.run,
    "hydrate": hydrate.run,
    "ingest": ingest.run,
    "spawn": spawn.run,
    "broker": broker.run,
    "recall": recall.run,
    "redact": redact.run,
    "workspace": workspace.run,
}
FETCHED: Final[Mapping[str, Callable[[Plan], Awaitable[list[Table]]]]] = {"map": repo_map.run}
"""Those that fetch what they compare with from registries: only where they are named."""

ROUNDS: Final = 5
ROUNDS_SHORT: Final = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(BENCHES)}; all where none is given; and {', '.join(FETCHED)}",
    )
    parser.add_argument("--rounds", type=int, help=f"counted rounds; {ROUNDS}, or {ROUNDS_SHORT} in the short form")
    parser.add_argument(
        "--short", action="store_true", help="minutes instead of a quarter of an hour: for a first look"
    )
    parser.add_argument("--events", type=int, help="how many events `rebuild` rebuilds from; 1,000,000 or 50,000")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BENCHES and name not in FETCHED]:
        parser.error(f"no bench is called {', '.join(unknown)}; there are {', '.join([*BENCHES, *FETCHED])}")
    plan = Plan(
        rounds=given.rounds or (ROUNDS_SHORT if given.short else ROUNDS), short=given.short, events=given.events
    )
    print("\n".join(surroundings()), flush=True)
    print(
        f"{plan.rounds} rounds, {'short' if plan.short else 'long'} form; medians; ratio = ours / reference per round",
        flush=True,
    )
    for name in given.names or BENCHES:
        for table in uvloop.run(_tables(name, plan)):
            print(table.text(), flush=True)


async def _tables(name: str, plan: Plan) -> list[Table]:
    return await {**BENCHES, **FETCHED}[name](plan)


if __name__ == "__main__":
    main()
