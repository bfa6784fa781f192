"""Given what Codex printed once, the same facts and the same verdict come out for ever."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.settings import Secret
from penstock_agent_exec.agents.codex import Codex, Mode
from penstock_agent_exec.agents.facts import (
    AnyFact,
    FileChanged,
    Finished,
    Garbage,
    RateLimited,
    Retrying,
    Started,
    Text,
    TodoChanged,
    ToolResult,
    ToolUse,
    Usage,
)
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, Verdict
from penstock_agent_exec.process import Ending, Why

RECORDINGS: Final = Path(__file__).parent.parent / "golden" / "cli" / "codex" / "0.169.0"
ENDINGS: Final = json.loads((RECORDINGS / "endings.json").read_text())

OK: Final = (None, False)
CRASHED: Final = ("agent.crashed", True)
RATE_LIMIT: Final = ("vendor.rate_limit", True)
WINDOW: Final = ("vendor.usage_window", True)
OVERLOADED: Final = ("vendor.overloaded", True)
UNAVAILABLE: Final = ("vendor.unavailable", True)
BAD_ANSWER: Final = ("vendor.bad_answer", True)
AUTH: Final = ("vendor.auth", False)
BILLING: Final = ("vendor.billing", False)
NO_MODEL: Final = ("vendor.model_not_found", False)
BAD_REQUEST: Final = ("vendor.bad_request", False)
FULL: Final = ("vendor.context_overflow", False)
BUDGET: Final = ("vendor.budget", False)
OUTPUT_LIMIT: Final = ("vendor.output_limit", False)
REFUSAL: Final = ("vendor.refusal", False)
LOST: Final = ("vendor.session_lost", False)
MISUSED: Final = ("agent.misused", False)

EXPECTED: Final[dict[str, tuple[str | None, bool]]] = {
    "appserver_error_budget": BUDGET,
    "appserver_error_ctx400": FULL,
    "appserver_error_e400": BAD_REQUEST,
    "appserver_error_e401": AUTH,
    "appserver_error_e404": NO_MODEL,
    "appserver_error_e429_9_1": RATE_LIMIT,
    "appserver_error_e500": UNAVAILABLE,
    "appserver_error_e503": OVERLOADED,
    "appserver_error_failed_rate_limit_exceeded": RATE_LIMIT,
    "appserver_error_incomplete": OUTPUT_LIMIT,
    "appserver_error_midcut": UNAVAILABLE,
    "appserver_error_quota": BILLING,
    "appserver_error_usagelimit": WINDOW,
    "appserver_steer_interrupt": ("agent.interrupted", True),
    "auto_compact": OK,
    "azure": OK,
    "bad_provider": MISUSED,
    "big": OK,
    "child_sigint_bypass": CRASHED,
    "child_sigint_ws": CRASHED,
    "child_sigkill_bypass": CRASHED,
    "child_sigkill_group_bypass": CRASHED,
    "child_sigkill_group_ws": CRASHED,
    "child_sigkill_ws": CRASHED,
    "child_sigterm_bypass": CRASHED,
    "child_sigterm_group_bypass": CRASHED,
    "child_sigterm_group_ws": CRASHED,
    "child_sigterm_ws": CRASHED,
    "commit": OK,
    "conn_refused": CRASHED,  # it waits for ever, and was killed
    "conn_refused_bounded": UNAVAILABLE,
    "ctx400": FULL,
    "e400": BAD_REQUEST,
    "e401": AUTH,
    "e403": AUTH,
    "e404": NO_MODEL,
    "e413": FULL,
    "e429": RATE_LIMIT,
    "e429_noretry": RATE_LIMIT,
    "e429_retry_after_30": OK,
    "e429_then_ok": OK,
    "e500": UNAVAILABLE,
    "e500_noretry": UNAVAILABLE,
    "e500_then_ok": OK,
    "e503": OVERLOADED,
    "empty": OK,  # it said nothing; whether it did anything, git knows
    "endless": CRASHED,  # killed
    "failed_ctx": FULL,
    "failed_quota": BILLING,
    "failed_rate": RATE_LIMIT,
    "failed_server_error": UNAVAILABLE,
    "hang_idle_timeout": UNAVAILABLE,
    "html503": UNAVAILABLE,
    "incomplete": OUTPUT_LIMIT,
    "incomplete_filter": REFUSAL,
    "malformed": BAD_ANSWER,
    "malformed_then_ok": OK,
    "mcp_call": OK,
    "mcp_call_sandboxed_approve": OK,
    "mcp_server_missing": OK,
    "mcp_server_missing_required": MISUSED,
    "midcut": UNAVAILABLE,
    "midcut_then_ok": OK,
    "missing_env_key": AUTH,
    "nogit": OK,
    "nogit_sandboxed": MISUSED,
    "notincluded": BILLING,
    "notsse": BAD_ANSWER,
    "output_schema": OK,
    "prompt_too_large": FULL,
    "quota": BILLING,
    "ratehdr": OK,
    "recommended_invocation": OK,
    "resume_first": OK,
    "resume_other_home": OK,
    "resume_sandboxed_worktree": OK,
    "resume_second": OK,
    "resume_unknown": LOST,
    "rollout_budget": BUDGET,
    "sandbox_denied_command": OK,
    "sandbox_plain_danger_full_access": OK,
    "sandbox_plain_dangerously_bypass_approvals_and_sandbox": OK,
    "sandbox_plain_read_only": OK,
    "sandbox_plain_workspace_write": OK,
    "sandbox_wt_adddir_both": OK,
    "sandbox_wt_adddir_git": OK,
    "sandbox_wt_danger_full_access": OK,
    "sandbox_wt_dangerously_bypass_approvals_and_sandbox": OK,
    "sandbox_wt_read_only": OK,
    "sandbox_wt_workspace_write": OK,
    "shell_env_core": OK,
    "slow_sighup": CRASHED,
    "slow_sigint": CRASHED,
    "slow_sigkill": CRASHED,
    "slow_sigkill_resume": OK,
    "slow_sigterm": CRASHED,
    "slow_sigterm_resume": OK,
    "strict_config_error": MISUSED,
    "text": OK,
    "usagelimit": WINDOW,
}  # fmt: skip


def agent_run(*, resume: bool = False, max_turns: int | None = None) -> AgentRun:
    return AgentRun(
        prompt="Fix add() in app.py",
        session_id="5b0e3f0a-3f0c-4f6e-9c3e-0a4f2d7d9b11",
        resume=resume,
        model="gpt-5.5",
        max_turns=max_turns,
        state_dir="/state",
        work_dir="/repo",
        token=Secret("t"),
    )


def codex_of(name: str) -> Codex:
    mode: Mode = "app-server" if name.startswith("appserver") else "exec"
    return Codex(Path("/bin/codex"), "0.169.0", mode)


def ending(exit_code: int | None, why: Why = "exited", stderr: bytes = b"") -> Ending:
    return Ending(
        why=why,
        exit_code=exit_code,
        wall_seconds=1.5,
        stdout_bytes=0,
        stderr_bytes=len(stderr),
        stderr_tail=stderr[-8192:],
        nothing_left=True,
    )


def facts_of(name: str, run: AgentRun | None = None) -> list[AnyFact]:
    """The dialogue asks in the order in which the recorded client asked, so the recorded answers fit its numbers."""
    dialogue = codex_of(name).dialogue(run or agent_run())
    dialogue.begin()
    facts: list[AnyFact] = []
    for line in (RECORDINGS / f"{name}.jsonl").read_bytes().splitlines():
        facts += dialogue.hear(line).facts
        if b'"turn 1\\n"' in line and name == "appserver_steer_interrupt":
            assert dialogue.say("OPERATOR: also update README", "m1") is not None
    return facts


def verdict(name: str, run: AgentRun | None = None, ended: Ending | None = None) -> Verdict:
    seen = Seen()
    for fact in facts_of(name, run):
        seen.absorb(fact)
    stderr = ENDINGS[name]["stderr"].encode()
    return codex_of(name).verdict(run or agent_run(), seen, ended or ending(ENDINGS[name]["exit_code"], stderr=stderr))


def test_every_recording_has_its_verdict_stated() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.jsonl")} == set(EXPECTED) == set(ENDINGS)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_run_comes_to_its_verdict(name: str) -> None:
    found = verdict(name)
    error_class, transient = EXPECTED[name]
    assert (found.ok, found.error_class, found.transient) == (error_class is None, error_class, transient)
    assert bool(found.message) == (not found.ok)
    assert (found.session_id, found.vendor_version) == (agent_run().session_id, "0.169.0")
    assert found.usage.cost_usd is None


@pytest.mark.parametrize(
    ("why", "error_class"),
    [
        ("wall_limit", "agent.timeout"),
        ("silence_limit", "agent.stalled"),
        ("lingered", "agent.stalled"),
        ("output_limit", "agent.output_limit"),
        ("cancelled", "agent.interrupted"),
        ("exited", "agent.crashed"),
    ],
)
def test_without_a_last_word_the_verdict_is_why_we_stopped_it(why: Why, error_class: str) -> None:
    assert verdict("child_sigterm_bypass", ended=ending(None, why)).error_class == error_class


def test_a_completed_turn_counts_although_the_process_had_to_be_ended_and_not_where_it_was_cancelled() -> None:
    assert verdict("commit", ended=ending(None, "lingered")).ok
    cancelled = verdict("commit", ended=ending(0, "cancelled"))
    assert (cancelled.ok, cancelled.error_class) == (False, "agent.interrupted")


def test_an_interruption_by_us_is_told_as_what_it_was() -> None:
    assert verdict("appserver_steer_interrupt", ended=ending(0, "wall_limit")).error_class == "agent.timeout"


def test_the_facts_of_an_edit_and_a_commit() -> None:
    facts = facts_of("commit")
    assert isinstance(facts[0], Started)
    uses = [fact for fact in facts if isinstance(fact, ToolUse)]
    results = [fact for fact in facts if isinstance(fact, ToolResult)]
    assert [(use.id, use.name) for use in uses] == [
        (result.id, use.name) for use, result in zip(uses, results, strict=True)
    ]
    assert {use.name for use in uses} == {"shell", "apply_patch"}
    assert not any("bash -lc" in use.summary for use in uses)
    assert [fact.path for fact in facts if isinstance(fact, FileChanged)] == ["/repo/app.py", "/repo/tests/test_app.py"]
    last = facts[-1]
    assert isinstance(last, Finished)
    assert last.text == [fact.text for fact in facts if isinstance(fact, Text)][-1]


def test_the_facts_of_a_turn_that_was_steered_and_interrupted() -> None:
    facts = facts_of("appserver_steer_interrupt")
    used = [fact for fact in facts if isinstance(fact, Usage)]
    # What came from the cache is not counted as new input, and every request is counted once.
    assert [(one.input_tokens, one.cache_read_tokens, one.output_tokens) for one in used] == [
        (200, 1800, 20),
        (300, 2700, 20),
        (400, 3600, 20),
        (500, 4500, 20),
    ]
    assert len({one.message_id for one in used}) == 4
    last = facts[-1]
    assert isinstance(last, Finished)
    assert (last.turns, last.input_tokens, last.cache_read_tokens, last.output_tokens) == (4, 1400, 12600, 80)
    assert [fact.summary for fact in facts if isinstance(fact, ToolUse)][:2] == ["echo turn 1", "echo turn 2"]


def test_what_happens_on_the_way_is_told() -> None:
    retries = [fact for fact in facts_of("e429") if isinstance(fact, Retrying)]
    assert [(fact.attempt, fact.status) for fact in retries] == [(1, 429), (2, 429), (3, 429), (4, 429), (5, 429)]
    by_name = [fact for fact in facts_of("appserver_error_e401") if isinstance(fact, Retrying)]
    assert [(fact.attempt, fact.status) for fact in by_name] == [(1, 401)]
    waiting = [fact for fact in facts_of("conn_refused") if isinstance(fact, Retrying)]
    assert waiting
    assert "waiting for network" in waiting[-1].error


def test_a_usage_limit_says_when_it_ends() -> None:
    limits = [fact for fact in facts_of("appserver_error_usagelimit") if isinstance(fact, RateLimited)]
    assert limits == [RateLimited(kind="primary, 300 min", refused=True, resets_at=1795390000)]
    found = verdict("appserver_error_usagelimit")
    assert found.resets_at is not None
    assert found.resets_at.timestamp() == 1795390000


@pytest.mark.parametrize(
    ("name", "resume", "input_tokens", "cached", "output_tokens"),
    [
        ("commit", False, 1400, 4600, 220),
        ("resume_first", False, 1400, 4600, 220),
        # Of its thread's whole life: what this run added, nobody has said.
        ("resume_second", True, 0, 0, 0),
        ("appserver_error_budget", False, 1000, 9000, 80),
        ("appserver_error_incomplete", False, 176, 1024, 80),  # its `last` says nothing, its total does
    ],
)
def test_a_run_used_what_it_added(name: str, resume: bool, input_tokens: int, cached: int, output_tokens: int) -> None:
    usage = verdict(name, agent_run(resume=resume) if resume else None).usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (input_tokens, cached, output_tokens)


@given(st.binary(max_size=300))
def test_any_line_at_all_is_facts(line: bytes) -> None:
    for name in ("appserver", "exec"):
        dialogue = codex_of(name).dialogue(agent_run())
        dialogue.begin()
        assert all(isinstance(fact, AnyFact) for fact in dialogue.hear(line).facts)


@pytest.mark.parametrize("name", ["appserver", "exec"])
@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"type":' * 50_000,
        b'{"type":"turn.completed","usage":{"input_tokens":-5,"output_tokens":1e999,"cached_input_tokens":"many"}}',
        b'{"type":"turn.failed","error":[{"message":3}]}',
        b'{"type":"error","message":"Reconnecting... 99999999999999999999999999/5"}',
        b'{"type":"item.completed","item":{"type":["x"],"changes":[1,{"path":2}]}}',
        b'{"type":"item.completed","item":{"type":"agent_message","text":"half \\ud83d pair"}}',
        b'{"type":"item.completed","item":{"type":"file_change","status":"completed","changes":[{"path":"\xff\xfe"}]}}',
        b'{"id":1,"result":{"userAgent":["x"]}}',
        b'{"id":1,"error":"no"}',
        b'{"id":1.5,"result":{}}',
        b'{"id":true,"result":{}}',
        b'{"id":[1],"method":"item/tool/call","params":null}',
        b'{"id":{"a":1},"method":"unheard/of"}',
        b'{"method":"thread/tokenUsage/updated","params":{"tokenUsage":{"total":{"inputTokens":-1},"last":[]}}}',
        b'{"method":"turn/completed","params":{"turn":{"id":"","status":7,"error":{"codexErrorInfo":[1]}}}}',
        b'{"method":"error","params":{"error":{"codexErrorInfo":{"x":{"httpStatusCode":-5}},"message":[]},"willRetry":1}}',
        b'{"method":"account/rateLimits/updated","params":{"rateLimits":{"primary":{"usedPercent":NaN,"resetsAt":1e30}}}}',
        b'{"method":"account/rateLimits/updated","params":{"rateLimits":{"primary":{"usedPercent":150,"resetsAt":1e30}}}}',
        b"null",
        b'\xef\xbb\xbf{"type":"turn.started"}',
        b'{"type":"turn.completed"} {"type":"turn.completed"}',
    ],
)  # fmt: skip
def test_a_line_made_to_hurt_is_facts_that_can_be_sent(name: str, line: bytes) -> None:
    dialogue = codex_of(name).dialogue(agent_run())
    dialogue.begin()
    facts = dialogue.hear(line).facts
    assert facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=tuple[AnyFact, ...]) == facts
    seen = Seen()
    for fact in facts:
        seen.absorb(fact)
    found = codex_of(name).verdict(agent_run(), seen, ending(1))
    assert found.ok == (found.error_class is None)
    assert found.usage.turns >= 0


def test_recordings_with_any_damage_still_come_to_a_verdict() -> None:
    chance = random.Random(21)
    names = sorted(name for name in EXPECTED if name != "big")
    recordings = {name: (RECORDINGS / f"{name}.jsonl").read_bytes() for name in names}
    for round_number in range(1_000):
        name = chance.choice(names)
        printed = bytearray(recordings[name])
        for _ in range(chance.randrange(1, 20) if printed else 0):
            at = chance.randrange(len(printed))
            printed[at : at + chance.randrange(0, 30)] = chance.randbytes(chance.randrange(0, 10))
            printed = printed or bytearray(b"\n")
        run = agent_run(resume=chance.random() < 0.5, max_turns=chance.choice([None, 1, 2]))
        dialogue, seen = codex_of(name).dialogue(run), Seen()
        dialogue.begin()
        for line in bytes(printed).splitlines():
            for fact in dialogue.hear(line).facts:
                seen.absorb(fact)
            if chance.random() < 0.1:
                dialogue.say("and another thing", "m")
        found = codex_of(name).verdict(run, seen, ending(chance.choice([0, 1, None])))
        assert found.ok == (found.error_class is None), f"round {round_number}"
        assert found.usage.input_tokens >= 0


def test_a_fact_is_bounded_and_says_where_it_was_cut() -> None:
    line = b'{"type":"item.completed","item":{"type":"agent_message","text":"' + b"x" * 3_000_000 + b'"}}'
    facts = codex_of("exec").dialogue(agent_run()).hear(line).facts
    assert [
        len(fact.text) <= 4_000 and "characters left out" in fact.text for fact in facts if isinstance(fact, Text)
    ] == [True]
    assert codex_of("exec").dialogue(agent_run()).hear(b"warning: \x1b[31mred").facts == (Garbage(text="warning: red"),)


def test_a_list_of_what_is_to_do_is_told_by_either_protocol() -> None:
    line = b'{"type":"item.completed","item":{"type":"todo_list","items":[{"text":"A","completed":true},{"text":"B"}]}}'
    facts = codex_of("exec").dialogue(agent_run()).hear(line).facts
    assert facts == (TodoChanged(items=("[completed] A", "[pending] B")),)
    plan = b'{"method":"turn/plan/updated","params":{"plan":[{"step":"A","status":"inProgress"}]}}'
    assert codex_of("appserver").dialogue(agent_run()).hear(plan).facts == (TodoChanged(items=("[inProgress] A",)),)
