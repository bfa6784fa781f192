"""What every test may use. Servers are real; `adapters/` and `e2e/` add theirs."""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from penstock_agent_exec.cgroups import find_means

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background of a shell inherits an ignored SIGINT, and so would every child that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes, or is drawn for, says how busy the machine is.
hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ours")

HANG_SECONDS_MAX: Final = 120.0
"""pytest-timeout interrupts a test once. What hangs in the clean-up after that would hang for ever: when it has gone on for
this long beyond the test's own limit, the run ends, by name."""

LONG: Final = ("e2e", "simulation")

_STDERR: Final = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    # The real one: while a test runs, pytest keeps what is written there to itself.
    config.stash[_STDERR] = os.dup(2)


def pytest_unconfigure() -> None:
    # Executors that tests have killed leave their children's control groups, for the next executor to remove.
    find_means(f"tests{os.getpid()}").sweep()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files that take minutes come first, so that no process waits for one of them at the end. The long form of a suite is
    played by command: PENSTOCK_LONG=1."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)
    if os.environ.get("PENSTOCK_LONG") == "1":
        return
    left_out = [item for item in items if item.get_closest_marker("slow") is not None]
    items[:] = [item for item in items if item.get_closest_marker("slow") is None]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Hypothesis imports these when it first needs them, and pytest rewrites them then. CPython 3.11.7 fails at that ("AST
    constructor recursion depth mismatch") where an object that is collected meanwhile writes a traceback: now there is none."""
    for late in ("hypothesis.internal.conjecture.optimiser", "hypothesis.strategies._internal.regex"):
        importlib.import_module(late)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    marker = item.get_closest_marker("timeout")
    limit = float(item.config.getini("timeout") if marker is None else marker.args[0])
    guard = threading.Timer(limit + HANG_SECONDS_MAX, _end_run, args=(item.nodeid, item.config.stash[_STDERR]))
    guard.daemon = True
    guard.start()
    try:
        return (yield)
    finally:
        guard.cancel()


def _end_run(nodeid: str, stderr: int) -> None:
    """Say where everything stands, and take the servers along: a run that is ended must leave nothing behind."""
    os.write(stderr, f"\n{nodeid} hangs in its clean-up: the run ends here\n".encode())
    faulthandler.dump_traceback(file=stderr, all_threads=True)
    for pid in _descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os._exit(70)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, open_ = [], [root]
    while open_:
        for child in children.get(open_.pop(), []):
            found.append(child)
            open_.append(child)
    return found
