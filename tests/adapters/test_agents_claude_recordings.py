"""Given what Claude Code printed once, the same facts and the same verdict come out for ever."""

from __future__ import annotations

import msgspec
import pytest
from agent_recordings import agent_run, damaged, ending, lines
from hypothesis import given
from hypothesis import strategies as st

from penstock.bounds import COUNT_MAX, SECONDS_MAX, USD_MAX
from penstock_agent_exec.agents.claude_output import parse_line, verdict_of
from penstock_agent_exec.agents.facts import (
    AnyFact,
    Compacted,
    FileChanged,
    Finished,
    Garbage,
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

NEW, OLD = "2.1.330", "2.1.197"


def facts_of(version: str, name: str) -> list[AnyFact]:
    return [fact for line in lines("claude", version, name) for fact in parse_line(line)]


def verdict(version: str, name: str, ended: Ending, run: AgentRun | None = None) -> Verdict:
    seen = Seen()
    for fact in facts_of(version, name):
        seen.absorb(fact)
    return verdict_of(run or agent_run(), seen, ended)


@pytest.mark.parametrize(
    ("version", "name", "exit_code", "error_class", "transient"),
    [
        (NEW, "edit_commit", 0, None, False),
        (OLD, "edit_commit", 0, None, False),
        (NEW, "context_too_long_midrun", 0, None, False),
        (NEW, "subagent", 0, None, False),
        (OLD, "bg_task_then_end", 0, None, False),
        (NEW, "max_budget_resume", 0, None, False),
        (NEW, "max_turns", 1, "vendor.max_turns", False),
        (OLD, "max_turns", 1, "vendor.max_turns", False),
        (NEW, "max_budget", 1, "vendor.budget", False),
        (OLD, "json_schema_invalid", 1, "vendor.bad_answer", False),
        (NEW, "err_400", 1, "vendor.bad_request", False),
        (NEW, "err_401_max_retries_2", 1, "vendor.auth", False),
        (OLD, "err_401_max_retries_2", 1, "vendor.auth", False),
        (NEW, "no_creds", 1, "vendor.auth", False),
        (NEW, "err_404_model", 1, "vendor.model_not_found", False),
        (NEW, "err_413", 1, "vendor.context_overflow", False),
        (NEW, "context_too_long", 1, "vendor.context_overflow", False),
        (OLD, "context_too_long", 1, "vendor.context_overflow", False),
        (NEW, "err_429_max_retries_2", 1, "vendor.rate_limit", True),
        (OLD, "err_429_max_retries_2", 1, "vendor.rate_limit", True),
        (NEW, "subscription_limit_429", 1, "vendor.usage_window", True),
        (OLD, "subscription_limit_429", 1, "vendor.usage_window", True),
        (NEW, "err_529_max_retries_2", 1, "vendor.overloaded", True),
        (OLD, "err_529_max_retries_2", 1, "vendor.overloaded", True),
        (NEW, "conn_refused_max_retries_2", 1, "vendor.unavailable", True),
        (OLD, "conn_refused_max_retries_2", 1, "vendor.unavailable", True),
        (OLD, "hang_api_timeout", 1, "vendor.unavailable", True),
        (NEW, "err_credit", 1, "vendor.billing", False),
        (NEW, "malformed_empty", 1, "vendor.bad_answer", True),
        (OLD, "max_tokens_stop", 1, "vendor.bad_answer", False),
        (NEW, "refusal", 1, "vendor.refusal", False),
        (OLD, "refusal", 1, "vendor.refusal", False),
        (NEW, "resume_unknown", 1, "vendor.session_lost", False),
        (OLD, "resume_unknown", 1, "vendor.session_lost", False),
        (NEW, "sigint_in_tool", 0, "agent.interrupted", True),
        (OLD, "sigint_in_tool", 0, "agent.interrupted", True),
        (NEW, "sigterm_in_tool", 143, "agent.crashed", True),
    ],
)
def test_a_recorded_run_comes_to_its_verdict(
    version: str, name: str, exit_code: int, error_class: str | None, transient: bool
) -> None:
    found = verdict(version, name, ending(exit_code))
    assert (found.ok, found.error_class, found.transient) == (error_class is None, error_class, transient)
    assert bool(found.message) == (not found.ok)


def test_a_session_id_that_was_used_before_is_told_apart() -> None:
    stderr = b"Error: Session ID 5b0e3f0a-3f0c-4f6e-9c3e-0a4f2d7d9b11 is already in use.\n"
    assert verdict_of(agent_run(), Seen(), ending(1, stderr=stderr)).error_class == "vendor.session_in_use"


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
def test_without_a_result_the_verdict_is_why_we_stopped_it(why: Why, error_class: str) -> None:
    assert verdict_of(agent_run(), Seen(), ending(None, why)).error_class == error_class


@pytest.mark.parametrize("why", ["wall_limit", "silence_limit", "lingered"])
def test_a_good_result_counts_although_the_process_had_to_be_ended(why: Why) -> None:
    assert verdict(NEW, "edit_commit", ending(None, why)).ok


def test_a_good_result_does_not_undo_a_cancellation() -> None:
    found = verdict(NEW, "edit_commit", ending(0, "cancelled"))
    assert (found.ok, found.error_class) == (False, "agent.interrupted")


def test_exit_code_0_without_a_result_is_no_success() -> None:
    found = verdict_of(agent_run(), Seen(), ending(0))
    assert (found.ok, found.error_class) == (False, "agent.crashed")


def test_the_facts_of_an_edit_and_a_commit() -> None:
    facts = facts_of(OLD, "edit_commit")
    assert isinstance(facts[0], Started)
    assert (facts[0].model, facts[0].vendor_version) == ("claude-sonnet-5", OLD)
    assert [fact.text for fact in facts if isinstance(fact, Text)] == [
        "I will create the file.",
        "Now commit.",
        "Done: hello.txt was added and committed.",
    ]
    uses = [fact for fact in facts if isinstance(fact, ToolUse)]
    results = [fact for fact in facts if isinstance(fact, ToolResult)]
    assert [(use.name, use.summary.split(" ")[0]) for use in uses] == [("Write", "/repo/hello.txt"), ("Bash", "git")]
    assert [(result.id, result.ok) for result in results] == [(use.id, True) for use in uses]
    assert [fact.path for fact in facts if isinstance(fact, FileChanged)] == ["/repo/hello.txt"]
    assert isinstance(facts[-1], Finished)


def test_what_happens_on_the_way_is_told() -> None:
    assert any(isinstance(fact, Compacted) for fact in facts_of(NEW, "context_too_long_midrun"))
    retries = [fact for fact in facts_of(OLD, "err_529_max_retries_2") if isinstance(fact, Retrying)]
    assert [(fact.attempt, fact.status, fact.error) for fact in retries] == [
        (1, 529, "overloaded"),
        (2, 529, "overloaded"),
    ]
    todos = [fact.items for fact in facts_of(NEW, "todo_tools_env") if isinstance(fact, TodoChanged)]
    assert todos[:2] == [("[pending] Do A",), ("[in_progress] #1",)]


def test_a_usage_limit_says_when_it_ends() -> None:
    found = verdict(NEW, "subscription_limit_429", ending(1), agent_run(billing="subscription"))
    assert found.resets_at is not None
    assert found.resets_at.timestamp() == 1795392601


@pytest.mark.parametrize(
    ("version", "name", "resume", "cost_usd", "input_tokens", "turns"),
    [
        (NEW, "edit_commit", False, 0.0084, 3600, 3),
        (OLD, "edit_commit", False, 0.0126, 3600, 3),
        (NEW, "resume", True, 0.0028, 1200, 1),  # the session's total is 0.0056
        (OLD, "resume", True, 0.0042, 1200, 1),
        (NEW, "subagent", False, 0.014, 6000, 3),  # two results; the last one says 0.014 again
        (NEW, "max_budget", False, 0.9, 400_000, 2),
        (NEW, "max_budget_resume", True, 0.0028, 1200, 1),
        (NEW, "unknown_model_cost", False, None, 1_000_000, 1),
        (OLD, "unknown_model_cost", False, None, 1_000_000, 1),
    ],
)
def test_a_run_costs_what_it_added(
    version: str, name: str, resume: bool, cost_usd: float | None, input_tokens: int, turns: int
) -> None:
    usage = verdict(version, name, ending(0), agent_run(resume=resume)).usage
    assert usage.cost_usd == (None if cost_usd is None else pytest.approx(cost_usd))
    assert (usage.input_tokens, usage.turns, usage.wall_seconds) == (input_tokens, turns, 1.5)


def test_a_run_without_a_result_still_used_what_was_seen() -> None:
    usage = verdict(NEW, "sigterm_in_tool", ending(143)).usage
    assert usage.input_tokens == 1200
    assert usage.cost_usd is None


def test_a_subscription_is_charged_nothing_per_run() -> None:
    assert verdict(NEW, "max_budget", ending(1), agent_run(billing="subscription")).usage.cost_usd is None


def test_a_run_that_somebody_else_paid_for_is_not_accepted() -> None:
    found = verdict(NEW, "edit_commit", ending(0), agent_run(billing="subscription"))
    assert (found.ok, found.error_class) == (False, "vendor.billing")
    assert "ANTHROPIC_API_KEY" in found.message


@given(st.binary(max_size=300))
def test_any_line_at_all_is_facts(line: bytes) -> None:
    assert all(isinstance(fact, AnyFact) for fact in parse_line(line))


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"type":' * 50_000,
        b'{"type":"result","is_error":"no","num_turns":1e999}',
        b'{"type":"result","is_error":false,"total_cost_usd":-5,"modelUsage":{"claude-x":{"costUSD":-5}},"num_turns":-3}',
        b'{"type":"result","num_turns":' + b"9" * 5_000 + b"}",
        b'{"type":"assistant","message":{"content":[{"type":"text","text":"half \\ud83d pair"}]}}',
        b'{"type":"assistant","message":[1,2],"error":{"a":1}}',
        b'{"type":"assistant","message":{"content":[{"type":"text","text":"\xff\xfe"}]}}',
        b'\xef\xbb\xbf{"type":"user","message":{"content":"plain"}}',
        b'{"type":"rate_limit_event","rate_limit_info":{"resetsAt":NaN}}',
        b'{"type":["system"]}',
        b'{"type":"system","subtype":"api_retry","attempt":true,"retry_delay_ms":"soon"}',
        b"null",
        b'{"type":"result"} {"type":"result"}',
    ],
)
def test_a_line_made_to_hurt_is_facts_that_can_be_sent(line: bytes) -> None:
    facts = parse_line(line)
    assert facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=tuple[AnyFact, ...]) == facts
    seen = Seen()
    for fact in facts:
        seen.absorb(fact)
    usage = verdict_of(agent_run(), seen, ending(1)).usage
    assert usage.turns >= 0
    assert usage.cost_usd is None or usage.cost_usd >= 0


@pytest.mark.parametrize("cumulative", [False, True])
def test_totals_stop_at_the_most_that_a_report_can_say(cumulative: bool) -> None:
    seen = Seen()
    for number in range(3):
        seen.absorb(Usage(message_id=str(number), input_tokens=COUNT_MAX))
        seen.absorb(Finished(is_error=False, turns=COUNT_MAX, cost_usd=900_000.0, cumulative=cumulative))
        seen.absorb(Finished(is_error=False, turns=1, output_tokens=COUNT_MAX, cost_usd=1e300, cumulative=cumulative))
    usage = seen.usage(1e12, cost_known=True)
    assert (usage.turns, usage.input_tokens, usage.output_tokens) == (COUNT_MAX, COUNT_MAX, COUNT_MAX)
    assert (usage.cost_usd, usage.wall_seconds) == (USD_MAX, SECONDS_MAX)


def test_a_price_below_nothing_pays_for_nothing() -> None:
    seen = Seen()
    seen.absorb(Finished(is_error=False, cost_usd=5.0))
    seen.absorb(Finished(is_error=False, cost_usd=-4.0))
    assert seen.usage(1, cost_known=True).cost_usd is None


def test_recordings_with_any_damage_still_come_to_a_verdict() -> None:
    for round_number, printed in enumerate(damaged("claude", 1_000)):
        seen = Seen()
        for line in printed:
            for fact in parse_line(line):
                seen.absorb(fact)
        found = verdict_of(agent_run(), seen, ending(1))
        assert found.ok == (found.error_class is None), f"round {round_number}"
        assert found.usage.cost_usd is None or found.usage.cost_usd >= 0


def test_a_fact_is_bounded_and_says_where_it_was_cut() -> None:
    line = b'{"type":"assistant","message":{"content":[{"type":"text","text":"' + b"x" * 3_000_000 + b'"}]}}'
    text = next(fact for fact in parse_line(line) if isinstance(fact, Text)).text
    assert len(text) <= 4_000
    assert "characters left out" in text
    assert isinstance(parse_line(b"warning: \x1b[31mred")[0], Garbage)
    assert parse_line(b"warning: \x1b[31mred")[0] == Garbage(text="warning: red")
    assert parse_line(b"  \r") == ()
