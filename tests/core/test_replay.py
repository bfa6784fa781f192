"""Recorded logs under today's rules: the golden ones, random ones, and logs that were decided otherwise."""

from __future__ import annotations

import ast
import gc
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from core.test_the_four_laws import History
from golden_lives import DIGESTS, FOLDER, LIVES, digest
from msgspec.structs import replace
from patience import WAIT_SECONDS_MAX
from scenario import recorded

from penstock import events as e
from penstock.schema.documents import EVENT_TYPES
from penstock_orchestrator import core
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.explain import explain
from penstock_orchestrator.core.origin import origin
from penstock_orchestrator.core.replay import likeness, replay
from penstock_orchestrator.core.what_if import what_if
from penstock_orchestrator.replay import main, read_file

GOLDEN: Final = sorted(FOLDER.glob("*.jsonl"))
CORE: Final = Path(str(core.__file__)).parent
CLOCKS: Final = frozenset(
    {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime"}
)
PAST: Final[dict[str, list[e.Recorded]]] = {path.stem: read_file(path) for path in GOLDEN}


def without(log: list[e.Recorded], kind: type[e.Event], number: int = 0) -> list[e.Recorded]:
    """The log without the so-manieth event of this type."""
    at = [index for index, one in enumerate(log) if isinstance(one.data, kind)][number]
    return [*log[:at], *log[at + 1 :]]


def changed(log: list[e.Recorded], kind: type[e.Event], **fields: object) -> list[e.Recorded]:
    """The log with other values in the first event of this type."""
    at = next(index for index, one in enumerate(log) if isinstance(one.data, kind))
    other = replace(log[at].data, **fields)
    return [*log[:at], replace(log[at], data=other), *log[at + 1 :]]


# The golden logs


def test_there_are_golden_logs_of_every_kind_of_run() -> None:
    assert {path.stem for path in GOLDEN} >= set(LIVES)
    assert len(GOLDEN) >= 24


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_todays_rules_agree_with_every_decision_of_a_golden_log(path: Path) -> None:
    assert replay(read_file(path)) == []


def test_a_golden_log_is_never_edited() -> None:
    """It says what was decided then. A log that is to go is taken out of both, with the reason in the commit."""
    written = {name: said for said, name in (line.split("  ") for line in DIGESTS.read_text().splitlines())}
    assert written == {path.name: digest(path.read_text()) for path in GOLDEN}


def test_the_golden_logs_hold_every_decision_there_is() -> None:
    found = {type(one.data) for log in PAST.values() for one in log}
    assert set(EVENT_TYPES) - found == {e.CompactFailed, e.MessageTold, e.NetworkDenied}, "said by a host alone"


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/St_Johns"])
def test_a_replay_is_the_same_in_every_time_zone(zone: str) -> None:
    """In a process of its own, with nothing of this one's environment but the zone."""
    command = [sys.executable, "-m", "penstock_orchestrator.replay", str(FOLDER / "night_window.jsonl"), "--explain"]
    environment = {"TZ": zone, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WAIT_SECONDS_MAX, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2026-03-29 20:00:00 UTC" in done.stdout
    assert "today's rules decide the same" in done.stdout


def test_a_replay_asks_no_clock() -> None:
    """Whatever day it is: every call into C is looked at while all golden logs are replayed and told what if."""
    seen: list[str] = []

    def look(frame: object, event: str, argument: object) -> None:
        name = getattr(argument, "__name__", "")
        # `time()` of a moment that was given is no clock.
        if event == "c_call" and name in CLOCKS and isinstance(getattr(argument, "__self__", None), ModuleType | type):
            seen.append(name)

    before = sys.getprofile()
    # A collector's callback, such as a test tool's, may time itself in the middle of anything.
    gc.disable()
    sys.setprofile(look)
    try:
        for log in PAST.values():
            replay(log)
            what_if(log, {"max_attempts": "1"})
    finally:
        sys.setprofile(before)
        gc.enable()
    assert seen == []


def test_no_source_of_the_core_names_a_clock() -> None:
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
                # `datetime.time()` of a moment that was given is no clock.
                assert node.func.attr == "time", f"{path}:{node.lineno}"
                assert not isinstance(node.func.value, ast.Name), f"{path}:{node.lineno}"


# Differences


def test_another_decision_is_found_with_its_rule_and_both_sides() -> None:
    log = changed(PAST["fails_after_attempts"], e.TaskFailed, error_class="agent.no_change")
    [found] = replay(log)
    assert (found.kind, found.rule, found.seq, found.decides) == ("decision", "attempts_spent", log[-1].seq, True)
    assert isinstance(found.recorded, e.TaskFailed)
    assert isinstance(found.today, e.TaskFailed)
    assert found.today.error_class == "test.failed"


def test_other_words_alone_are_a_softer_difference() -> None:
    found = replay(changed(PAST["mended_at_second_attempt"], e.FailureClassified, hint="look again"))
    assert [(one.kind, one.rule) for one in found] == [("words", "classify"), ("words", "next_step")]
    assert not any(one.decides for one in found)


def test_the_message_that_was_delivered_is_no_word() -> None:
    one, other = (e.MessageDelivered(message=name * 26, job="j" * 26) for name in "ab")
    assert likeness(one, other) == "other"
    assert likeness(e.TaskWoken(woken_by="a"), e.TaskWoken(woken_by="b")) == "other"
    assert likeness(None, one) == "other"


def test_a_decision_that_today_would_wait_is_a_difference() -> None:
    log = PAST["plain_success"]
    blocked = replace(log[3], data=e.TaskBlocked(reason="made.up", message="m", can_do="c"))
    found = replay([*log[:3], blocked])
    assert [(one.kind, one.rule, one.today) for one in found] == [("decision", "at_work", None)]


def test_a_decision_that_was_due_for_long_and_never_made_is_missing() -> None:
    log = without(PAST["budget_in_mid_run"], e.BudgetWarned)
    assert replay(log)[0].kind != "missing", "the next word came within moments"
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.JobStopRequested))
    late = [replace(one, at=one.at + timedelta(minutes=5)) if index >= at - 1 else one for index, one in enumerate(log)]
    found = [one for one in replay(late) if one.kind == "missing"]
    assert [type(one.today) for one in found] == [e.BudgetWarned]
    assert found[0].decides
    assert found[0].at == log[at - 2].at


def test_a_decision_that_comes_late_is_not_missing() -> None:
    """The orchestrator was away for an hour, and a command came before it went on."""
    log = PAST["mended_at_second_attempt"]
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.FailureClassified))
    hour = timedelta(hours=1)
    came = replace(log[at], data=e.PriorityChanged(priority=1, changed_by="ana"), at=log[at].at + hour)
    late = [replace(one, at=one.at + hour) for one in log[at:]]
    assert [one for one in replay([*log[:at], came, *late]) if one.kind == "missing"] == []
    [missing] = replay([*log[:at], came])[:1]
    assert (missing.kind, missing.rule) == ("missing", "classify")


def test_a_step_that_was_not_asked_for_may_have_been_held_back() -> None:
    log = PAST["plain_success"]
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.VerifyRequested))
    came = replace(log[at], data=e.PriorityChanged(priority=1, changed_by="ana"), at=log[at].at + timedelta(hours=1))
    assert [one.kind for one in replay([*log[:at], came])] == ["pending"]


def test_a_timer_that_nobody_heard_is_missing_from_its_own_time_on() -> None:
    log = PAST["plan_silent_low_risk"]
    at = next(index for index, one in enumerate(log) if isinstance(one.data, e.PlanUnanswered))
    came = replace(log[at], data=e.PriorityChanged(priority=1, changed_by="ana"), at=log[at].at + timedelta(hours=2))
    found = replay([*log[:at], came])
    assert [one.kind for one in found] == ["missing", "pending"]
    assert found[0].at == log[at - 1].at + timedelta(hours=1)


def test_what_is_due_where_the_log_ends_is_pending_and_nothing_comes_of_nothing() -> None:
    [found] = replay(PAST["plain_success"][:2])
    assert (found.kind, found.decides, type(found.today)) == ("pending", False, e.PrepareRequested)
    assert replay([]) == []


class Lived(History):
    """A random life with its log, written as the loop does: a decision carries the moment it was made for."""

    def __init__(self, seed: int) -> None:
        self.log: list[e.Recorded] = []
        super().__init__(seed)

    def append(self, event: e.KnownEvent, cause: str = "") -> None:
        decided = origin(event) == "rule"
        if decided and self.task is not None and self.task.outcome is not None:
            # What the four laws throw at a task that has ended is no log of an orchestrator.
            return
        self.seq += 1
        self.now += timedelta(seconds=0.0 if decided else self.random.random())
        self.log.append(recorded(event, self.seq, at=self.now, cause=cause))
        self.task = evolve(self.task, self.log[-1])


OTHER_LIMITS: Final = (
    {"max_attempts": "1"},
    {"max_attempts": "6"},
    {"max_cost_usd": "0.4"},
    {"policy.failures_alike_max": "2"},
    {"policy.parks_max": "0"},
    {"policy.park_seconds_min": "50"},
    {"policy.budget_warning": "0.5"},
    {"skip_verify": "true"},
    {"window": '{"opens":"03:00","closes":"04:00"}'},
)


def test_random_lives_replay_without_a_difference_and_every_what_if_has_an_answer() -> None:
    differ = 0
    for seed in range(60):
        life = Lived(seed)
        life.settle()
        for _ in range(40):
            life.step()
        assert replay(life.log) == [], seed
        assert len(explain(life.log)) == len(life.log)
        limits = OTHER_LIMITS[seed % len(OTHER_LIMITS)]
        story = what_if(life.log, limits)
        assert (story.first is None) is (story.course == ()), seed
        assert story.unknown or story.task.outcome is not None or story.first is None, seed
        differ += story.first is not None
    assert differ >= 5, "hardly any of these limits led elsewhere"


# The command line


def test_the_command_line_says_that_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FOLDER / "plain_success.jsonl")]) == 0
    assert "16 events" in capsys.readouterr().out


def test_the_command_line_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (FOLDER / "fails_after_attempts.jsonl").read_text()
    path = tmp_path / "log.jsonl"
    was = '"type":"task_failed","error_class":"test.failed"'
    assert was in text
    path.write_text(text.replace(was, was.replace("test.failed", "other\\u001b[2J")))
    assert main([str(path)]) == 1
    printed = capsys.readouterr().out
    assert "1 decided differently" in printed
    assert "by today's rules task_failed: the task has failed as test.failed" in printed
    assert "\x1b" not in printed


def test_the_command_line_tells_what_if(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FOLDER / "fails_after_attempts.jsonl"), "--what-if", "max_attempts=1"]) == 1
    printed = capsys.readouterr().out
    assert "with max_attempts = 1 (recorded: 3)" in printed
    assert "then: failed, 1 attempt, 0.40 USD" in printed
    assert main([str(FOLDER / "plain_success.jsonl"), "--what-if", "max_attempts=9"]) == 0
    assert "no decision differs" in capsys.readouterr().out
    assert main([str(FOLDER / "plain_success.jsonl"), "--what-if", "max_turns=1"]) == 1
    assert "here the log ends to tell" in capsys.readouterr().out
    assert main([str(FOLDER / "wrong_reset.jsonl"), "--what-if", "policy.park_seconds_min=300"]) == 1
    assert "assumed: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{log}", "--what-if", "max_attempts"], "--what-if max_attempts: say FIELD=VALUE"),
        (["{log}", "--what-if", "policy.parks_max=x"], "--what-if policy.parks_max: "),
        (["/nowhere/x.jsonl"], "/nowhere/x.jsonl: No such file"),
        (["--task", "../x"], "--task '../x': not a task's id"),
        (["{empty}"], "holds no event"),
        (["{broken}"], "line 1: not an event"),
        (["{two}"], "several tasks"),
    ],
)
def test_a_question_that_cannot_be_answered_names_what_is_wrong(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = FOLDER / "plain_success.jsonl"
    files = {"log": log.read_text(), "empty": "\n", "broken": "{}\n"}
    files["two"] = files["log"] + (FOLDER / "no_change.jsonl").read_text()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    given = [one.format_map({name: str(tmp_path / name) for name in files}) for one in arguments]
    assert main(given) == 2
    assert says in capsys.readouterr().err


def test_events_alone_are_read_too(tmp_path: Path) -> None:
    lines = (FOLDER / "plain_success.jsonl").read_text().splitlines()
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(json.loads(line)["event"]) + "\n" for line in lines))
    log = read_file(path)
    assert [one.seq for one in log] == list(range(1, 17))
    assert replay(log) == []


def test_without_a_file_and_without_a_task_nothing_is_asked() -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
