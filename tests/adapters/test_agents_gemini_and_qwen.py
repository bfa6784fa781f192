"""Given a scripted model behind the gate, the real Gemini CLI and the real Qwen Code work in the real sandbox, and their runs
come to true verdicts. What only one of them does is tried in a file of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from agent_bench import KEY, WORK, Bench, git
from agent_programs import gemini_or_skip, qwen_or_skip
from fake_model import (
    Call,
    Calls,
    Fail,
    FakeModel,
    Hang,
    Say,
    Tokens,
    Tries,
    bash,
    context_too_long,
    endless,
    refused,
    script,
    write_file,
)
from patience import WAIT_SECONDS_MAX
from process_watch import alive_with, seconds_until

from penstock.settings import Secret
from penstock.values import Price
from penstock_agent_exec.agents.facts import Started, ToolResult, ToolUse
from penstock_agent_exec.agents.run import Steering
from penstock_agent_exec.agents.vendor import MODEL_PORT, Vendor
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.process import Watch
from penstock_agent_exec.sandbox import python_program
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

PATIENT = Watch(wall_seconds=600)
DIALECTS = {"gemini": Dialect.GEMINI, "qwen": Dialect.CHAT}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}  # as the service runs


@pytest.fixture(params=["gemini", "qwen"])
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return gemini_or_skip() if request.param == "gemini" else qwen_or_skip()


@pytest.fixture
def bench(vendor: Vendor, tmp_path: Path) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="gate-") as socket_folder:
        yield Bench(vendor, tmp_path, Path(socket_folder), dialect=DIALECTS[vendor.name], model="a-model")


@pytest.mark.slow
async def test_an_answer_in_words_is_a_success_without_a_change(bench: Bench, vendor: Vendor) -> None:
    async with FakeModel(script(Say("There is nothing to do.", tokens=Tokens(input=1200, cached=200)))) as model:
        outcome = await bench.attempt(model)
    verdict = outcome.verdict
    assert (verdict.ok, verdict.error_class, verdict.final_text) == (True, None, "There is nothing to do.")
    assert (verdict.answer, verdict.vendor_version) == ("There is nothing to do.", vendor.version)
    usage = verdict.usage
    assert (usage.turns, usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (1, 1000, 200, 40)
    assert usage.cost_usd is None
    assert (outcome.sandbox, outcome.ending.exit_code) == ("bwrap, no network, rlimits", 0)
    assert outcome.refused_requests == ()
    assert isinstance(bench.facts[0], Started)
    assert verdict.session_id == bench.run.session_id
    assert vendor.has_session(bench.state, bench.run.session_id)
    assert not vendor.has_session(bench.state, str(uuid.uuid4()))


async def test_it_edits_and_commits_in_a_sandbox_without_a_network(bench: Bench) -> None:
    steps = (
        write_file(f"{WORK}/hello.txt", "hello\n"),
        bash("git add -A && git commit -q -m 'Add hello' && cat /proc/net/dev | wc -l"),
        Say("Done."),
    )
    async with FakeModel(script(*steps)) as model:
        outcome = await bench.attempt(model, "Add hello.txt")
    assert outcome.verdict.ok
    assert git(bench.repo, "log", "--format=%s %an").splitlines() == ["Add hello Agent", "first Agent"]
    assert git(bench.repo, "show", "HEAD:hello.txt") == "hello\n"
    assert git(bench.repo, "status", "--short") == ""
    results = [fact for fact in bench.facts if isinstance(fact, ToolResult)]
    assert [result.ok for result in results] == [True, True]
    assert results[1].summary.strip() == "3"  # two lines of heading, and loopback
    assert outcome.verdict.usage.turns == 3


@pytest.mark.slow
async def test_the_key_is_nowhere_inside(bench: Bench) -> None:
    look = "env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; grep -rl the-real-key /workspace /tmp | head"
    async with FakeModel(script(bash(look), Say("Done."))) as model:
        outcome = await bench.attempt(model)
        headers = [seen.headers for seen in model.model_requests]
        conversation = model.model_requests[-1].text
    assert outcome.verdict.ok
    assert "no-key-in-here" in conversation
    assert KEY not in conversation
    shown = {header.get("x-goog-api-key") or header.get("authorization") for header in headers}
    assert shown <= {KEY, f"Bearer {KEY}"}


@pytest.mark.slow
async def test_nothing_but_the_model_is_behind_the_port(bench: Bench) -> None:
    get = (
        f"import http.client; c = http.client.HTTPConnection('127.0.0.1', {MODEL_PORT}); "
        "c.request('GET', '/v1/files'); print('answer', c.getresponse().status)"
    )
    async with FakeModel(script(bash(f'{python_program()} -c "{get}"'), Say("Done."))) as model:
        outcome = await bench.attempt(model)
        assert "answer 403" in model.model_requests[-1].text
        assert all(seen.path != "/v1/files" for seen in model.requests)
    assert outcome.refused_requests == ("GET /v1/files",)


@pytest.mark.slow
async def test_a_prompt_of_any_length_that_looks_like_a_command_reaches_the_model_as_it_is(bench: Bench) -> None:
    (bench.repo / "secret.txt").write_text("what is in the file")
    prompt = "/clear -p the table\nsee @secret.txt and @./ or @/etc/passwd " + "x" * 300_000
    async with FakeModel(script(Say("Understood."))) as model:
        outcome = await bench.attempt(model, prompt)
        said = model.model_requests[0].text
    assert outcome.verdict.ok
    assert "/clear -p the table" in said
    assert "x" * 300_000 in said
    assert "what is in the file" not in said
    assert "root:x:0:0" not in said


@pytest.mark.slow
async def test_a_run_over_the_hosts_network_says_so(bench: Bench) -> None:
    async with FakeModel(script(Say("Hello."))) as model:
        url = model.base_url + bench.dialect.path_inside
        outcome = await bench.attempt(model, base_url=url, token=Secret("sk-throw-away"))
        assert "sk-throw-away" in str(model.model_requests[0].headers)
    assert (outcome.verdict.ok, outcome.sandbox) == (True, "bwrap, host's network, rlimits")


async def test_running_out_of_turns_is_told_and_a_resume_goes_on(bench: Bench) -> None:
    async with FakeModel(script(bash("echo 1"), bash("echo 2"), bash("echo 3"), Say("Done."))) as model:
        first = await bench.attempt(model, "Remember the word marmalade.", max_turns=2)
        second = await bench.attempt(model, "Go on.", resume=True)
        conversation = model.model_requests[-1].text
    assert (first.verdict.ok, first.verdict.error_class) == (False, "vendor.max_turns")
    assert first.verdict.usage.turns == 2
    assert (second.verdict.ok, second.verdict.session_id) == (True, bench.run.session_id)
    assert second.verdict.usage.input_tokens == 1200 * second.verdict.usage.turns  # of this run, not of the session
    assert "marmalade" in conversation


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "error_class", "transient"),
    [
        (refused("auth"), "vendor.auth", False),
        (refused("billing"), "vendor.billing", False),
        (refused("model_not_found"), "vendor.model_not_found", False),
        (context_too_long(), "vendor.context_overflow", False),
        (refused("overloaded"), "vendor.overloaded", True),
        (refused("server"), "vendor.unavailable", True),
    ],
    ids=["auth", "billing", "model", "too-long", "overloaded", "server"],
)
async def test_a_failure_of_the_model_gets_its_class(
    bench: Bench, step: Fail, error_class: str, transient: bool
) -> None:
    async with FakeModel(script(step)) as model:
        outcome = await bench.attempt(model)
        assert len(model.model_requests) <= 4
    verdict = outcome.verdict
    assert (verdict.ok, verdict.error_class, verdict.transient) == (False, error_class, transient)
    assert verdict.message
    assert outcome.ending.wall_seconds < bench.seconds(60)


@pytest.mark.slow
async def test_an_api_that_cannot_be_reached_is_unavailable(bench: Bench) -> None:
    async with FakeModel(script(Say("never heard"))) as model:
        pass
    verdict = (await bench.attempt(model)).verdict
    assert (verdict.error_class, verdict.transient) == ("vendor.unavailable", True)


async def test_a_refusal_for_a_limit_says_when_to_come_back_and_nobody_waits_for_it(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with FakeModel(script(refused("rate_limit", 1800))) as model:
        outcome = await bench.attempt(model, watch=Watch(wall_seconds=600))
    verdict = outcome.verdict
    assert verdict.error_class in ("vendor.rate_limit", "vendor.usage_window")
    assert (verdict.transient, outcome.ending.why) == (True, "exited")
    assert verdict.resets_at is not None
    wait_seconds = (verdict.resets_at - datetime.now(UTC)).total_seconds()
    took = loop.time() - began
    assert 1800 - took - 5 <= wait_seconds <= 1800


@pytest.mark.slow
async def test_a_limit_that_ends_soon_is_waited_for_and_forgotten(bench: Bench) -> None:
    async with FakeModel(script(Tries((refused("rate_limit", 2), Say("There."))))) as model:
        outcome = await bench.attempt(model)
    assert (outcome.verdict.ok, outcome.verdict.resets_at, outcome.verdict.final_text) == (True, None, "There.")


@pytest.mark.slow
async def test_a_model_that_hangs_is_ended_by_our_silence_limit_and_its_request_is_dropped(bench: Bench) -> None:
    async with FakeModel(script(Hang())) as model:
        outcome = await bench.stalled(model)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await model.model_requests[0].abandoned.wait()
    assert (outcome.verdict.error_class, outcome.ending.nothing_left) == ("agent.stalled", True)


@pytest.mark.slow
async def test_cancelled_in_the_middle_of_a_tool_it_is_resumed_with_its_session(bench: Bench) -> None:
    mark = f"9{uuid.uuid4().int % 10**7}"
    first = bash(f"test -e begun.txt || {{ echo begun > begun.txt; tail -f /dev/null --pid={mark} -s {mark}; }}")
    async with FakeModel(script(first, Say("I go on where I was."))) as model:
        running = asyncio.create_task(bench.attempt(model, "Remember the word marmalade.", watch=PATIENT))
        await bench.heard(ToolUse)
        await seconds_until((bench.repo / "begun.txt").exists)
        bench.steering.cancel.set()
        interrupted = await running
        assert alive_with(mark) == []
        bench.steering = Steering()
        resumed = await bench.attempt(model, "Go on.", resume=True)
        conversation = model.model_requests[-1].text
    assert (interrupted.verdict.ok, interrupted.verdict.error_class) == (False, "agent.interrupted")
    assert interrupted.verdict.usage.input_tokens == 1200
    assert (resumed.verdict.ok, resumed.verdict.session_id) == (True, bench.run.session_id)
    assert resumed.verdict.final_text == "I go on where I was."
    assert "marmalade" in conversation


async def test_killed_in_the_middle_of_its_work_it_is_resumed_and_what_it_wrote_is_there(bench: Bench) -> None:
    # A call that was at work when it was killed is not in its session: it is asked for again.
    tool = bash("test -e half.txt || { echo half > half.txt; tail -f /dev/null; }")
    async with FakeModel(script(write_file(f"{WORK}/one.txt", "one\n"), tool, Say("I go on where I was."))) as model:
        running = asyncio.create_task(bench.attempt(model, "Remember the word marmalade.", watch=PATIENT))
        await seconds_until((bench.repo / "half.txt").exists)
        for pid in alive_with(bench.run.session_id):
            with contextlib.suppress(ProcessLookupError):  # the first one may have taken it along
                os.kill(pid, signal.SIGKILL)
        killed = await running
        resumed = await bench.attempt(model, "Go on.", resume=True)
        conversation = model.model_requests[-1].text
    assert (killed.verdict.ok, killed.verdict.error_class) == (False, "agent.crashed")
    assert killed.ending.nothing_left
    assert (bench.repo / "one.txt").read_text() == "one\n"
    assert (resumed.verdict.ok, resumed.verdict.session_id) == (True, bench.run.session_id)
    assert "marmalade" in conversation


@pytest.mark.slow
async def test_a_session_that_is_gone_and_one_that_is_there_already_are_told_apart(bench: Bench) -> None:
    async with FakeModel(script(Say("Hello."))) as model:
        gone = await bench.attempt(model, resume=True)
        await bench.attempt(model)
        taken = await bench.attempt(model)
    assert gone.verdict.error_class == "vendor.session_lost"
    assert taken.verdict.error_class == "vendor.session_in_use"


@pytest.mark.slow
async def test_a_session_carried_to_another_home_goes_on_there(bench: Bench, vendor: Vendor, tmp_path: Path) -> None:
    async with FakeModel(script(bash("echo 1"), Say("Done."), Say("I go on."))) as model:
        first = await bench.attempt(model, "Remember the word marmalade.")
        elsewhere = tmp_path / "elsewhere"
        for file in vendor.session_files(bench.state, bench.run.session_id):
            place = elsewhere / file.relative_to(bench.state)
            place.parent.mkdir(parents=True)
            shutil.copy(file, place)
        bench.state = elsewhere
        second = await bench.attempt(model, "Go on.", resume=True)
        conversation = model.model_requests[-1].text
    assert (first.verdict.ok, second.verdict.ok) == (True, True)
    assert second.verdict.session_id == bench.run.session_id
    assert "marmalade" in conversation


async def test_a_run_that_only_reads_has_no_tool_to_write_with_and_could_not(bench: Bench) -> None:
    look = bash("cat README.md; git log --format=%s")
    write = bash("touch new.txt; echo more >> README.md; git commit --allow-empty -m x")
    async with FakeModel(script(look, write, Say("# The plan\n\nOne step."))) as model:
        outcome = await bench.attempt(model, purpose="plan")
        offered = str(model.model_requests[0].body["tools"])
        conversation = model.model_requests[-1].text
    assert (outcome.verdict.ok, outcome.verdict.answer) == (True, "# The plan\n\nOne step.")
    assert "run_shell_command" in offered
    assert not any(f"'{name}'" in offered for name in ("write_file", "replace", "edit", "notebook_edit"))
    assert "# sample" in conversation
    assert git(bench.repo, "log", "--format=%s").split() == ["first"]
    assert git(bench.repo, "status", "--short") == ""


@pytest.mark.slow
async def test_a_budget_ends_the_run_after_the_request_that_crossed_it(bench: Bench) -> None:
    budget = RunBudget(Price(input_usd=10.0, output_usd=10.0), max_cost_usd=0.3)
    costly = Calls((Call("bash", {"command": "true"}),), tokens=Tokens(input=20_000))
    async with FakeModel(script(costly)) as model:
        outcome = await bench.attempt(model, budget=budget)
        assert len(model.model_requests) == 2
    verdict = outcome.verdict
    assert (verdict.ok, verdict.error_class, verdict.transient) == (False, "vendor.budget", False)
    assert verdict.usage.cost_usd == pytest.approx(0.4008)


@pytest.mark.slow
async def test_an_agent_that_never_ends_is_held_to_its_turns(bench: Bench) -> None:
    async with FakeModel(script(endless())) as model:
        outcome = await bench.attempt(model, max_turns=3)
        assert len(model.model_requests) == 3
    assert outcome.verdict.error_class == "vendor.max_turns"
