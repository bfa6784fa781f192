"""Many publishes over a bad way: answers that are lost after the effect, 5xx, lists that lag, executors that are killed, two that
do the same task at once, and people who close what they see.

The long form is 2,000 on each forge: PENSTOCK_PUBLISHES=2000 pytest tests/adapters/test_forge_publishes.py
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

import msgspec
import pytest
from forges.double import Pull, certificate_in
from forges.made import Place, place
from forges.publishing import Told, Where

from penstock_agent_exec.forge.table import Provider

PUBLISHES: Final = int(os.environ.get("PENSTOCK_PUBLISHES", "100"))
EXECUTORS: Final = 3
AT_ONCE: Final = 8
JUST_OPENED: Final = EXECUTORS * AT_ONCE
TRIES_MAX: Final = 40
SECONDS_MAX: Final = 600 + PUBLISHES
TESTS: Final = Path(__file__).parents[1]

pytestmark = pytest.mark.timeout(3 * SECONDS_MAX)


@dataclass
class Fleet:
    """Executors, who is asked for what, and what they have said. Every task is asked for until somebody says that it is done, a
    tenth of them of two at once, and a killed executor's tasks are asked for again."""

    there: Place
    tasks: list[str]
    chance: random.Random
    done: dict[str, list[Told]] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    killed: int = 0
    at_work: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        twice = self.chance.sample(self.tasks, len(self.tasks) // 10)
        self.left: deque[str] = deque(self.tasks)
        for task in twice:
            # Next to itself in the line: another executor takes it at the same moment.
            self.left.insert(self.left.index(task), task)

    def work(self) -> None:
        while self.left:
            self._one_life(self.chance.randint(5, 40))

    def _one_life(self, says_max: int) -> None:
        """An executor until it has said `says_max` things: then it is killed in the middle of whatever it does."""
        where = Where(
            self.there.double.host,
            self.there.provider,
            self.there.repo.clone_url,
            str(self.there.token_file),
            AT_ONCE,
        )
        env = os.environ | {"PYTHONPATH": str(TESTS)}
        command = [sys.executable, "-m", "forges.publishing"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=TESTS) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(where) + b"\n")
            asked: list[str] = []
            said = 0
            while said < says_max:
                while len(asked) < 2 * AT_ONCE and (task := self._next()):
                    asked.append(task)
                    process.stdin.write(task.encode() + b"\n")
                process.stdin.flush()
                if not asked or not (line := process.stdout.readline()):
                    break
                told = msgspec.json.decode(line, type=Told)
                asked.remove(told.task)
                said += 1
                self._heard(told)
            process.kill()
            with self.lock:
                self.killed += bool(asked)
                self.left.extendleft(asked)
                self.at_work.subtract(asked)

    def _next(self) -> str:
        with self.lock:
            task = self.left.popleft() if self.left else ""
            if task:
                self.tries[task] += 1
                self.at_work[task] += 1
                assert self.tries[task] <= TRIES_MAX, f"{task} does not come to an end: {self.failed[-3:]}"
            return task

    def _heard(self, told: Told) -> None:
        with self.lock:
            self.at_work[told.task] -= 1
            if told.number is None:
                self.failed.append(told.failed)
                assert told.failed.split()[1] == "True:", told.failed
                self.left.append(told.task)
            else:
                self.done.setdefault(told.task, []).append(told)

    def people(self, stop: threading.Event) -> None:
        """Somebody closes or merges what they see in the list, now and then. Nobody does so in the very moment in which it is
        opened, however long that moment is: a forge refuses a second one only as long as the first is open."""
        while not stop.wait(0.02):
            with self.there.double.lock, self.lock:
                seen = [pull for pull in self.there.project.pulls[:-JUST_OPENED] if pull.listed_after <= 0]
                opened = [pull for pull in seen[-20:] if pull.state == "open" and not self.at_work[_task_of(pull)]]
                if opened:
                    pull = self.chance.choice(opened)
                    pull.state, pull.merged = "closed", self.chance.random() < 0.5


def _task_of(pull: Pull) -> str:
    return pull.head.removeprefix("agent/")


@pytest.mark.parametrize("provider", get_args(Provider))
def test_no_pull_request_is_opened_twice_and_none_is_lost(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path)))
    seed = int(os.environ.get("PENSTOCK_SEED", "7"))
    tasks = [f"01jqa0task{number:016d}" for number in range(PUBLISHES)]
    with place(provider, tmp_path) as there:
        double = there.double
        double.lost, double.broken, double.lag, double.chance = 0.15, 0.08, 2, random.Random(seed)
        # Each shape is looked at a few times; two thousand times would be a test of the validator.
        double.validate = PUBLISHES <= 200
        fleet = Fleet(there, tasks, random.Random(seed))
        stop = threading.Event()
        closing = threading.Thread(target=fleet.people, args=(stop,))
        workers = [threading.Thread(target=fleet.work) for _ in range(EXECUTORS)]
        for thread in (closing, *workers):
            thread.start()
        for thread in workers:
            thread.join(SECONDS_MAX)
        stop.set()
        closing.join()
        made = Counter(_task_of(pull) for pull in there.project.pulls)
        closed = sum(pull.state == "closed" for pull in there.project.pulls)
        print(
            f"{provider}: seed {seed}, {len(tasks)} tasks, {len(double.asked)} requests, {double.faults['lost']} answers lost, "
            f"{double.faults['broken']} x 5xx, {fleet.killed} executors killed at work, {len(fleet.failed)} publishes put off, "
            f"{closed} closed by people; doubles {sum(made.values()) - len(made)}, lost {len(set(tasks) - set(fleet.done))}"
        )
        assert not fleet.left
        assert set(fleet.done) == set(tasks) == set(made)
        assert [task for task, count in made.items() if count > 1] == []
        by_number = {pull.number: pull for pull in there.project.pulls}
        for task, told in fleet.done.items():
            assert {by_number[number].head for one in told if (number := one.number)} == {f"agent/{task}"}
        assert double.wrong.said == []
        assert fleet.killed
        assert min(double.faults.values())
