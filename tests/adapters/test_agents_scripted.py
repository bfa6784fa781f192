"""Given a script of an operator's, the scripted agent does what stands in it, in the real sandbox, and claims no more."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from agent_bench import Bench, git

from penstock_agent_exec.agents.facts import Decision, FileChanged, Garbage, Started, Text, ToolResult, ToolUse, Usage
from penstock_agent_exec.agents.scripted import Scripted, read_script
from penstock_agent_exec.agents.vendor import RunRefused
from penstock_agent_exec.process import Watch
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}  # as the service runs


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    return folder


@pytest.fixture
def bench(scripts: Path, tmp_path: Path) -> Bench:
    return Bench(Scripted(scripts), tmp_path, tmp_path)


def write_script(scripts: Path, *attempts: list[dict[str, object]], name: str = "fix") -> None:
    (scripts / f"{name}.json").write_text(json.dumps({"attempts": attempts}))


async def test_it_edits_runs_and_commits_and_says_that_no_model_was_called(bench: Bench, scripts: Path) -> None:
    write_script(
        scripts,
        [
            {"do": "say", "text": "I will repair it."},
            {"do": "write", "path": "src/new.py", "content": "x = 1\n"},
            {"do": "replace", "path": "README.md", "old": "sample", "new": "repaired sample"},
            {"do": "run", "argv": ["cat", "src/new.py"]},
            {"do": "run", "argv": ["false"]},
            {"do": "commit", "message": "Repair it"},
            {"do": "usage", "turns": 3, "input_tokens": 900, "output_tokens": 70},
        ],
    )
    outcome = await bench.attempt(None, model="fix")
    assert (outcome.verdict.ok, outcome.verdict.error_class) == (True, None)
    assert outcome.sandbox.startswith("bwrap, no network, ")
    assert outcome.verdict.usage.cost_usd == 0
    assert (outcome.verdict.usage.turns, outcome.verdict.usage.input_tokens) == (3, 900)
    assert git(bench.repo, "log", "--format=%s").splitlines() == ["Repair it", "first"]
    assert (bench.repo / "README.md").read_text() == "# repaired sample\n"
    assert isinstance(bench.facts[0], Started)
    assert bench.facts[1] == Text(text="scripted agent: no model is called")
    assert [fact.path for fact in bench.facts if isinstance(fact, FileChanged)] == ["src/new.py", "README.md"]
    assert [fact.ok for fact in bench.facts if isinstance(fact, ToolResult)] == [True, False, True]


async def test_done_twice_it_comes_to_the_same(bench: Bench, scripts: Path) -> None:
    write_script(
        scripts,
        [
            {"do": "replace", "path": "README.md", "old": "sample", "new": "sample, extended"},
            {"do": "write", "path": "a.txt", "content": "a"},
            {"do": "commit", "message": "Extend"},
        ],
    )
    first = await bench.attempt(None, model="fix")
    head = git(bench.repo, "rev-parse", "HEAD")
    second = await bench.attempt(None, model="fix", resume=True)
    assert (first.verdict.ok, second.verdict.ok) == (True, True)
    assert git(bench.repo, "rev-parse", "HEAD") == head
    assert (bench.repo / "README.md").read_text() == "# sample, extended\n"


async def test_each_attempt_has_its_own_steps_and_the_last_ones_repeat(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "say", "text": "bad"}], [{"do": "say", "text": "better"}])
    said = [(await bench.attempt(None, model="fix", attempt=number)).verdict.final_text for number in (1, 2, 3)]
    assert said == ["bad", "better", "better"]


async def test_it_fails_in_the_class_that_stands_in_the_script(bench: Bench, scripts: Path) -> None:
    fail = {
        "do": "fail",
        "class": "vendor.usage_window",
        "message": "full",
        "transient": True,
        "retry_after_seconds": 600,
    }
    write_script(scripts, [fail, {"do": "say", "text": "never"}])
    verdict = (await bench.attempt(None, model="fix")).verdict
    assert (verdict.ok, verdict.error_class, verdict.transient) == (False, "vendor.usage_window", True)
    assert verdict.message == "full"
    assert verdict.resets_at is not None
    assert 500 < (verdict.resets_at - datetime.now(UTC)).total_seconds() <= 600


async def test_a_limit_says_when_it_is_over_in_seconds_as_a_time_or_not_at_all(bench: Bench, scripts: Path) -> None:
    at = "2031-05-06T07:08:09Z"
    steps: list[dict[str, object]] = [
        {"do": "rate_limit", "retry_after_seconds": 60},
        {"do": "rate_limit", "resets_at": at, "window": True},
        {"do": "rate_limit"},
    ]
    write_script(scripts, *[[step] for step in steps])
    loop = asyncio.get_running_loop()
    began = loop.time()
    verdicts = [(await bench.attempt(None, model="fix", attempt=number)).verdict for number in (1, 2, 3)]
    classes = ["vendor.rate_limit", "vendor.usage_window", "vendor.rate_limit"]
    assert [verdict.error_class for verdict in verdicts] == classes
    assert all(verdict.transient for verdict in verdicts)
    first, second, third = (verdict.resets_at for verdict in verdicts)
    assert first is not None
    assert 55 - (loop.time() - began) < (first - datetime.now(UTC)).total_seconds() <= 60
    assert second == datetime.fromisoformat(at)
    assert third is None


@pytest.mark.parametrize(
    ("step", "error_class"),
    [("turn_limit", "vendor.max_turns"), ("context_full", "vendor.context_overflow")],
)
async def test_an_end_that_has_a_step_of_its_own_has_its_class(
    bench: Bench, scripts: Path, step: str, error_class: str
) -> None:
    write_script(scripts, [{"do": step}])
    verdict = (await bench.attempt(None, model="fix")).verdict
    assert (verdict.ok, verdict.error_class, verdict.transient) == (False, error_class, False)


async def test_it_may_fail_in_any_class(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "fail", "class": "deps.npm_lock_drift"}])
    assert (await bench.attempt(None, model="fix")).verdict.error_class == "deps.npm_lock_drift"


async def test_what_it_used_is_said_at_once_and_summed_up_at_the_end(bench: Bench, scripts: Path) -> None:
    used = {"do": "usage", "turns": 2, "input_tokens": 100, "cache_read_tokens": 5, "cost_usd": 0.5}
    write_script(scripts, [used, used, {"do": "hang"}], [used, used | {"cost_usd": None}])
    running = asyncio.create_task(bench.attempt(None, model="fix"))
    await bench.heard(Usage)
    bench.steering.cancel.set()
    interrupted = (await running).verdict.usage
    assert next(fact.cost_usd for fact in bench.facts if isinstance(fact, Usage)) == 0.5
    assert interrupted.cost_usd is not None
    assert interrupted.cost_usd >= 0.5
    bench.steering.cancel.clear()
    done = (await bench.attempt(None, model="fix", attempt=2)).verdict.usage
    assert (done.turns, done.input_tokens, done.cache_read_tokens, done.cost_usd) == (4, 200, 10, None)


async def test_it_waits_for_a_file_in_its_home_and_no_longer_than_it_may(bench: Bench, scripts: Path) -> None:
    waits = {"do": "wait", "file": "go", "seconds": 600}
    write_script(scripts, [{"do": "run", "argv": ["true"]}, waits], [waits | {"file": "never", "seconds": 0.1}])
    running = asyncio.create_task(bench.attempt(None, model="fix"))
    await bench.heard(ToolUse)
    assert not running.done()
    (bench.state / "go").touch()
    assert (await running).verdict.ok
    assert (await bench.attempt(None, model="fix", attempt=2)).verdict.ok


async def test_a_decision_is_a_fact_of_the_run(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "decision", "subject": "publish", "question": "Now?", "options": ["yes", "no"]}])
    assert (await bench.attempt(None, model="fix")).verdict.ok
    assert Decision(subject="publish", question="Now?", options=("yes", "no")) in bench.facts


async def test_the_first_case_that_fits_the_run_is_played_and_else_the_attempts(bench: Bench, scripts: Path) -> None:
    def case(text: str, **when: object) -> dict[str, object]:
        return {"when": when, "steps": [{"do": "say", "text": text}]}

    script = {
        "cases": [
            case("plan", run="plan"),
            case("gone on", resumed=True),
            case("answered", prompt_contains="blue"),
            case("third", attempt=3),
            case("other", vendor="scripted-backup"),
        ],
        "attempts": [[{"do": "say", "text": "otherwise"}]],
    }
    (scripts / "fix.json").write_text(json.dumps(script))

    async def said(prompt: str = "Do it.", **run: Any) -> str:
        return (await bench.attempt(None, prompt, model="fix", **run)).verdict.final_text

    assert await said() == "otherwise"
    assert await said(purpose="plan") == "plan"
    assert await said(resume=True) == "gone on"
    assert await said("Make it blue.") == "answered"
    assert await said(attempt=3) == "third"
    bench.vendor = Scripted(scripts, "scripted-backup")
    assert await said() == "other"
    with pytest.raises(RunRefused, match="nothing for this run"):
        await said(purpose="compact")


async def test_an_answer_is_handed_on_in_full(bench: Bench, scripts: Path) -> None:
    text = "x" * 30_000
    script = {"cases": [{"when": {"run": "compact"}, "steps": [{"do": "summary", "text": text}]}]}
    (scripts / "fix.json").write_text(json.dumps(script))
    verdict = (await bench.attempt(None, model="fix", purpose="compact")).verdict
    assert verdict.answer == text
    assert len(verdict.final_text) <= 4_000


async def test_one_that_is_interrupted_by_a_limit_says_which(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "hang"}])
    outcome = await bench.attempt(None, model="fix", watch=Watch(wall_seconds=0.5))
    assert outcome.verdict.error_class == "agent.timeout"


async def test_a_step_that_cannot_be_done_fails_the_run_with_its_reason(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "replace", "path": "README.md", "old": "not there", "new": "nor this"}])
    verdict = (await bench.attempt(None, model="fix")).verdict
    assert (verdict.ok, verdict.error_class) == (False, "agent.crashed")
    assert "neither the old text nor the new" in verdict.message


async def test_a_link_out_of_the_work_is_not_followed(bench: Bench, scripts: Path) -> None:
    write_script(
        scripts,
        [{"do": "run", "argv": ["ln", "-s", "/tmp", "out"]}, {"do": "write", "path": "out/x", "content": "x"}],
    )
    verdict = (await bench.attempt(None, model="fix")).verdict
    assert not verdict.ok
    assert "outside the work" in verdict.message


async def test_what_it_prints_in_bulk_is_read_in_full(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "emit", "count": 20_000, "line_bytes": 1_000}])
    outcome = await bench.attempt(None, model="fix")
    assert outcome.verdict.ok
    assert bench.output_bytes > 20_000_000


async def test_a_line_too_long_to_be_read_is_cut_and_does_not_end_the_run(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "emit", "count": 1, "line_bytes": 20_000_000}, {"do": "say", "text": "still here"}])
    outcome = await bench.attempt(None, model="fix")
    assert (outcome.verdict.ok, outcome.cut_lines) == (True, 1)
    assert any(isinstance(fact, Garbage) for fact in bench.facts)


async def test_one_that_hangs_is_interrupted_and_says_so(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "run", "argv": ["true"]}, {"do": "hang"}])
    running = asyncio.create_task(bench.attempt(None, model="fix"))
    await bench.heard(ToolUse)
    bench.steering.cancel.set()
    outcome = await running
    assert (outcome.verdict.ok, outcome.verdict.error_class) == (False, "agent.interrupted")
    assert outcome.ending.nothing_left


async def test_one_that_hangs_and_is_deaf_is_ended_by_the_silence_limit(bench: Bench, scripts: Path) -> None:
    write_script(scripts, [{"do": "hang", "deaf": True}])
    outcome = await bench.attempt(None, model="fix", watch=Watch(wall_seconds=600, silence_seconds=0.5))
    assert (outcome.verdict.error_class, outcome.ending.nothing_left) == ("agent.stalled", True)


@pytest.mark.parametrize("name", ["missing", "../fix", "/etc/passwd", "fix.json", "", "a/b", "fix\n"])
def test_a_task_can_name_a_script_and_nothing_else(scripts: Path, name: str) -> None:
    write_script(scripts, [])
    with pytest.raises(RunRefused, match="no script named") as refused:
        read_script(scripts, name)
    assert refused.value.error_class == "vendor.model_not_found"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json", "malformed"),
        ('{"attempts": []}', "length"),
        ('{"attempts": [[{"do": "fly"}]]}', "fly"),
        ('{"attempts": [[{"do": "write", "path": "../x", "content": ""}]]}', "path"),
        ('{"attempts": [[{"do": "write", "path": "/etc/x", "content": ""}]]}', "path"),
        ('{"attempts": [[{"do": "say", "text": "x", "loud": true}]]}', "loud"),
        ('{"attempts": [[{"do": "fail", "class": "own"}]]}', "class"),
    ],
)
def test_a_script_that_is_none_is_refused_with_the_place(scripts: Path, text: str, reason: str) -> None:
    (scripts / "fix.json").write_text(text)
    with pytest.raises(RunRefused, match=reason):
        read_script(scripts, "fix")
