"""Given a script of an operator's, the scripted agent does what stands in it, in the real sandbox, and claims no more."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from agent_bench import Bench, git

from penstock_agent_exec.agents.facts import FileChanged, Garbage, Started, Text, ToolResult, ToolUse
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
    assert (outcome.verdict.ok, outcome.verdict.error_class, outcome.sandbox) == (True, None, "bwrap")
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
    outcome = await bench.attempt(None, model="fix", watch=Watch(wall_seconds=60, silence_seconds=0.5))
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
