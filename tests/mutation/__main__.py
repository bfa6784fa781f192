"""`python -m mutation [--seconds N] [module ...]`: put faults into the core, one at a time, and run its tests on each.

Rule of this room: everything happens in forks of one pytest session that has collected its tests once; a fault is put in by
giving a function another code object, and is gone with its process. A fault is met by the tests that run its line, the
quickest first; the first that falls ends it.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Final

import coverage
import pytest
from _pytest.runner import runtestprotocol

from mutation.mutants import Mutant, mutants

PACKAGE: Final = "penstock_orchestrator.core"
TREE: Final = Path(__file__).parents[2]
CORE: Final = TREE / "services" / "orchestrator" / "penstock_orchestrator" / "core"
WORKERS: Final = 2
SECONDS_MIN: Final = 10.0
"""So long, and many times what its tests take without a fault, a fault may run before it counts as one that never ends."""

TESTS_SECONDS_MAX: Final = 8.0
"""A fault that the quickest tests of its line, together so long, have not met counts as one that survived."""

LINES_OF_A_STATEMENT_MAX: Final = 30
SLOWER_MAX: Final = 20.0
LEFT_OUT: Final = frozenset({"classify"})
"""Tables: they are tried by a corpus of their own."""

NOT_RUN: Final = "test_classify*.py"


@dataclass
class Session:
    """What is known once the tests have run without a fault: which tests run a line, and how long each takes."""

    sources: dict[str, str]
    seconds_max: float
    tests_of: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)
    all: dict[str, int] = field(default_factory=dict)
    skipped: int = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self._look(list(items.values()))
        tried = list(self._mutants())
        print(f"\n{len(items)} tests, {len(tried)} faults in {len(self.sources)} modules", flush=True)
        self._try(tried, items)
        self._report()
        return True

    def _look(self, items: list[pytest.Item]) -> None:
        """All tests without a fault, and the lines that each of them runs."""
        watch = coverage.Coverage(data_file=None, config_file=False, include=[f"{CORE}/*"])
        watch.start()
        for number, item in enumerate(items):
            watch.switch_context(item.nodeid)
            # The processor's time: a busy neighbour must not change which tests are the quickest.
            begun = time.process_time()
            reports = runtestprotocol(item, nextitem=_next(items, number), log=False)
            self.seconds[item.nodeid] = time.process_time() - begun
            if any(report.failed for report in reports):
                pytest.exit(f"{item.nodeid} fails without any fault", returncode=2)
        watch.stop()
        data = watch.get_data()
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                self.tests_of[Path(file).stem, line] = {one for one in contexts if one}

    def _mutants(self) -> Iterator[Mutant]:
        for module, source in self.sources.items():
            yield from mutants(module, source)

    def _try(self, tried: list[Mutant], items: dict[str, pytest.Item]) -> None:
        """Two forks at a time, each with one fault."""
        until = time.monotonic() + self.seconds_max
        running: dict[int, tuple[int, Mutant, float]] = {}
        pipes = selectors.DefaultSelector()
        waiting = iter(tried)
        left = True
        while left or running:
            while left and len(running) < WORKERS:
                mutant = next(waiting, None)
                if mutant is None:
                    left = False
                elif time.monotonic() > until:
                    self.skipped += 1
                else:
                    tests = self._tests(mutant, items)
                    allowed = SECONDS_MIN + SLOWER_MAX * sum(self.seconds[item.nodeid] for item in tests)
                    read, pid = _fork(mutant, tests)
                    pipes.register(read, selectors.EVENT_READ)
                    running[read] = (pid, mutant, time.monotonic() + allowed)
            self._reap(running, pipes)

    def _tests(self, mutant: Mutant, items: dict[str, pytest.Item]) -> list[pytest.Item]:
        # A line in the middle of a statement may never be met by itself.
        before = (self.tests_of.get((mutant.module, mutant.line - above)) for above in range(LINES_OF_A_STATEMENT_MAX))
        names: set[str] = next((found for found in before if found), set())
        chosen: list[pytest.Item] = []
        seconds = 0.0
        for item in sorted((items[name] for name in names), key=lambda item: self.seconds[item.nodeid]):
            seconds += self.seconds[item.nodeid]
            if chosen and seconds > TESTS_SECONDS_MAX:
                break
            chosen.append(item)
        return chosen

    def _reap(self, running: dict[int, tuple[int, Mutant, float]], pipes: selectors.BaseSelector) -> None:
        done = {int(key.fd) for key, _ in pipes.select(timeout=0.2)} if running else set()
        for read, (pid, mutant, deadline) in list(running.items()):
            endless = time.monotonic() > deadline
            if read not in done and not endless:
                continue
            answer = b"" if endless else os.read(read, 1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pipes.unregister(read)
            os.close(read)
            del running[read]
            self.all[mutant.module] = self.all.get(mutant.module, 0) + 1
            if answer == b"?":
                raise AssertionError(f"this fault cannot be put in: {mutant.function}: {mutant.what}")
            if answer == b"+":
                print(f"survived  {mutant.module}.py:{mutant.line} {mutant.function}: {mutant.what}", flush=True)
            else:
                self.killed[mutant.module] = self.killed.get(mutant.module, 0) + 1

    def _report(self) -> None:
        for module in sorted(self.all):
            killed, every = self.killed.get(module, 0), self.all[module]
            print(f"{module:12} {killed:5} of {every:5}  {killed / every:6.1%}")
        every, killed = sum(self.all.values()), sum(self.killed.values())
        print(f"{'all':12} {killed:5} of {every:5}  {killed / max(every, 1):6.1%}   not tried: {self.skipped}")


def _fork(mutant: Mutant, tests: list[pytest.Item]) -> tuple[int, int]:
    """A child that says "+" when all tests pass with the fault, "-" when one falls, "?" when the fault makes no program, and
    nothing when it dies."""
    sys.stdout.flush()
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return read, pid
    # Nothing but os._exit may leave this branch: the session belongs to the parent.
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.write(write, _answer(mutant, tests))
    finally:
        os._exit(0)


def _answer(mutant: Mutant, tests: list[pytest.Item]) -> bytes:
    try:
        _put_in(mutant)
    except (ValueError, SyntaxError, TypeError, LookupError):
        return b"?"
    for number, item in enumerate(tests):
        reports = runtestprotocol(item, nextitem=_next(tests, number), log=False)
        if any(report.failed for report in reports):
            return b"-"
    return b"+"


def _next(items: list[pytest.Item], number: int) -> pytest.Item | None:
    return items[number + 1] if number + 1 < len(items) else None


def _put_in(mutant: Mutant) -> None:
    module = import_module(f"{PACKAGE}.{mutant.module}")
    assert module.__file__ is not None
    code = compile(mutant.tree(), module.__file__, "exec")
    _function(module, mutant.function).__code__ = _code(code, mutant.function)


def _function(module: ModuleType, name: str) -> FunctionType:
    found: object = module
    for part in name.split("."):
        found = vars(found)[part]
    inner: object = getattr(found, "fget", None) or getattr(found, "__wrapped__", None) or found
    assert isinstance(inner, FunctionType), name
    return inner


def _code(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                return constant
            if name.startswith(f"{constant.co_qualname}."):
                return _code(constant, name)
    raise LookupError(name)


def main(arguments: list[str]) -> int:
    """0 when everything was tried; the score is for people to read."""
    known = sorted(path.stem for path in CORE.glob("*.py") if path.stem != "__init__" and path.stem not in LEFT_OUT)
    parser = argparse.ArgumentParser(prog="mutation")
    parser.add_argument("--seconds", type=float, default=7_200.0, help="stop trying further faults after this long")
    parser.add_argument("modules", nargs="*", metavar="module", help=f"all of them, or some of {', '.join(known)}")
    chosen = parser.parse_args(arguments)
    if strangers := sorted(set(chosen.modules) - set(known)):
        parser.error(f"no module of the core: {', '.join(strangers)}; there are {', '.join(known)}")
    # As they are imported: whoever edits meanwhile does not mix two versions.
    sources = {module: (CORE / f"{module}.py").read_text() for module in chosen.modules or known}
    session = Session(sources=sources, seconds_max=chosen.seconds)
    ignored = f"--ignore-glob={TREE / 'tests' / 'core' / NOT_RUN}"
    tests = [str(TREE / "tests" / "core"), "-p", "no:cacheprovider", "-q", ignored]
    run: Callable[..., int] = pytest.main
    return int(run([*tests, "-o", "addopts=--import-mode=importlib"], plugins=[session]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
