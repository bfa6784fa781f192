"""`python -m penstock_agent_exec.selftest`: exit code 0 where every attempt was held, 1 where one was not, 2 where the sandbox
cannot be made at all."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from penstock.settings import BadSettings, environment
from penstock_agent_exec.cgroups import find_means
from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.keeping import Keeping
from penstock_agent_exec.known_secrets import secret_files
from penstock_agent_exec.mounts import read_mounts
from penstock_agent_exec.sandbox import Bind, Profile, python_binds
from penstock_agent_exec.selftest.bombs import NAMES as BOMB_NAMES
from penstock_agent_exec.selftest.bombs import bomb_all
from penstock_agent_exec.selftest.planted import Planted, account, planted
from penstock_agent_exec.selftest.probes import WORDS, Result, attempt_all
from penstock_agent_exec.selftest.table import as_json, as_table
from penstock_agent_exec.settings import bwrap_of, load
from penstock_agent_exec.steps.running import HOME_INSIDE, WORK_INSIDE

ESCAPED: Final = 1
UNUSABLE: Final = 2
REPO: Final = "selftest"


class _Arguments(argparse.Namespace):
    json: bool = False
    only: list[str]
    list: bool = False


def main() -> int:
    """Returns the exit code."""
    given = _parser().parse_args(namespace=_Arguments())
    names = [name for name in (*WORDS, *BOMB_NAMES) if not given.only or name in given.only]
    if given.list:
        print("\n".join(names))
        return 0
    # What is logged on the way is not a part of what is printed.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        with planted() as there:
            keeping = _keeping(there, environment())
            results = asyncio.run(_run(there, keeping, names))
    except (BadSettings, ChildNotStarted, OSError, TimeoutError) as error:
        print(f"the selftest cannot run: {error}", file=sys.stderr)
        return UNUSABLE
    host = {
        "account": account(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sandbox": keeping.label,
    }
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(as_json(results, host) if given.json else as_table(results, host, colours=colours))
    return 0 if all(result.held for result in results) else ESCAPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selftest", description="Try to escape from the sandbox that agents get on this host."
    )
    parser.add_argument("--json", action="store_true", help="one document instead of a table")
    parser.add_argument("--list", action="store_true", help="the names of all attempts, and no more")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=[], choices=[*WORDS, *BOMB_NAMES], help="only these"
    )
    return parser


def _keeping(there: Planted, environ: Mapping[str, str]) -> Keeping:
    """As the service's own here, with a data folder of its own. Raises BadSettings."""
    own = {"PENSTOCK_HOST": "selftest", "PENSTOCK_DATA_DIR": str(there.folder.path), "PENSTOCK_SANDBOX": "bwrap"}
    settings = load({**environ, **own})
    return Keeping(
        settings=settings,
        folder=there.folder,
        bwrap=bwrap_of(settings),
        means=find_means(there.folder.installation),
        mounts=read_mounts(settings, secret_files(settings).values()),
    )


async def _run(there: Planted, keeping: Keeping, names: list[str]) -> list[Result]:
    profile = agent_profile(there, keeping)
    tried = await attempt_all(there, profile, [name for name in names if name in WORDS])
    return tried + await bomb_all(profile, [name for name in names if name in BOMB_NAMES])


def agent_profile(there: Planted, keeping: Keeping) -> Profile:
    """What a run of an agent gets: the mirror's objects to read, its clone and its home to write, and this host's extras."""
    extras = keeping.extras(REPO)
    binds = (
        Bind(there.objects),
        Bind(there.clone, WORK_INSIDE, writable=True),
        Bind(there.home, HOME_INSIDE, writable=True),
        *extras.binds,
        *python_binds(),
    )
    return keeping.profile(Path(WORK_INSIDE), binds, {"HOME": HOME_INSIDE, **extras.env})


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
