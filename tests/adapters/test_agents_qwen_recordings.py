"""Given what Qwen Code printed once, the same facts and the same verdict come out for ever."""

from __future__ import annotations

import msgspec
import pytest
from agent_recordings import agent_run, damaged, ending, lines, names, recorded_ending
from hypothesis import given
from hypothesis import strategies as st

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
)
from penstock_agent_exec.agents.qwen_output import QwenReader, verdict_of
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import Billing, Verdict
from penstock_agent_exec.process import Ending, Why

NEW, OLD = "0.24.4", "0.15.10"

# What every recording comes to: the class of its failure, and whether it passes. Those in another format than the one that is
# asked for (*_json, *_text) have no result line, and so are no success; killed from outside with nobody of ours to ask for it,
# a run has crashed.
VERDICTS_NEW: dict[tuple[str | None, bool], str] = {
    (None, False): (
        "bad_tool_json bare_edit_commit bg_task_then_end context_too_long_midrun default edit_commit "
        "edit_commit_defaultsettings err_429_retry_after_2_then_ok hook_block hooks_supervisor json_schema_ok "
        "max_tokens_stop mcp_config partial_messages perm_allowed_tools perm_auto_edit perm_core_tools "
        "perm_default perm_exclude_shell perm_none perm_plan perm_stdio perm_yolo_exclude plan_mode_exitplan "
        "plan_mode_stdio_permission plan_mode_text resume resume_fork resume_other_host session_id_given "
        "shell_timeout_default sigkill_in_tool_then_resume sigterm_in_tool_then_resume slow_stream "
        "stream_input_controls stream_input_interrupt stream_input_midrun subagent text thinking todo "
        "unknown_tool"
    ),
    ("agent.crashed", True): (
        "edit_commit_json edit_commit_text err_429_retry_after_3600 err_429_unattended "
        "norelaunch_sigterm_in_stream norelaunch_sigterm_in_tool sigkill_group_in_tool sigkill_in_tool "
        "sigterm_group_in_tool sigterm_in_stream sigterm_in_tool stall_default"
    ),
    ("agent.interrupted", True): (
        "direct_sigint_in_stream direct_sigint_in_tool direct_sigterm_in_stream direct_sigterm_in_tool "
        "norelaunch_sigint_in_stream norelaunch_sigint_in_tool sigint_group_in_tool sigint_in_stream "
        "sigint_in_tool"
    ),
    ("agent.loop", False): "json_schema_invalid",
    ("agent.misused", False): "noprompt session_id_not_uuid",
    ("agent.timeout", False): "max_wall_time max_wall_time_in_tool",
    ("vendor.auth", False): "err_401 err_401_text err_403 no_auth",
    ("vendor.bad_answer", False): "json_schema_never",
    ("vendor.bad_answer", True): "malformed_badjson malformed_cut malformed_empty malformed_html",
    ("vendor.billing", False): "err_429_quota",
    ("vendor.budget", False): "max_tool_calls",
    ("vendor.context_overflow", False): "context_too_long",
    ("vendor.max_turns", False): "max_turns max_turns_json max_turns_resume",
    ("vendor.model_not_found", False): "err_404_model",
    ("vendor.overloaded", True): "fallback_model sse_error_mid",
    ("vendor.rate_limit", True): "err_429_maxRetries0 err_429_no_retry_after",
    ("vendor.session_in_use", True): "session_id_reuse",
    ("vendor.session_lost", False): "resume_other_cwd resume_other_host_other_cwd resume_unknown",
    ("vendor.unavailable", True): "conn_refused err_500 err_503",
}
VERDICTS_OLD: dict[tuple[str | None, bool], str] = {
    (None, False): (
        "bad_tool_json bare_edit_commit bg_task_then_end context_too_long_midrun default edit_commit "
        "edit_commit_defaultsettings err_429_retry_after_2_then_ok hook_block hooks_supervisor json_schema_ok "
        "max_tokens_stop mcp_config partial_messages perm_allowed_tools perm_auto_edit perm_core_tools "
        "perm_default perm_exclude_shell perm_none perm_plan perm_stdio perm_yolo_exclude plan_mode_exitplan "
        "plan_mode_stdio_permission plan_mode_text resume resume_other_host session_id_given "
        "shell_timeout_default sigkill_in_tool_then_resume sigterm_in_tool_then_resume slow_stream "
        "stream_input_controls stream_input_midrun subagent text thinking todo unknown_tool"
    ),
    ("agent.crashed", True): (
        "edit_commit_json edit_commit_text err_429_no_retry_after err_429_quota err_429_retry_after_3600 "
        "err_429_unattended err_503 sigkill_group_in_tool sigkill_in_tool sigterm_group_in_tool "
        "sigterm_in_stream sigterm_in_tool stall_default"
    ),
    ("agent.interrupted", True): (
        "norelaunch_sigint_in_stream norelaunch_sigint_in_tool norelaunch_sigterm_in_stream "
        "norelaunch_sigterm_in_tool sigint_group_in_tool sigint_in_stream sigint_in_tool "
        "stream_input_interrupt"
    ),
    ("agent.misused", False): "noprompt session_id_not_uuid",
    ("vendor.auth", False): "err_401 err_401_text err_403 no_auth",
    ("vendor.bad_answer", False): "json_schema_never",
    ("vendor.bad_answer", True): "malformed_badjson malformed_cut malformed_empty malformed_html",
    ("vendor.context_overflow", False): "context_too_long",
    ("vendor.max_turns", False): "json_schema_invalid max_turns max_turns_json",
    ("vendor.model_not_found", False): "err_404_model",
    ("vendor.overloaded", True): "sse_error_mid",
    ("vendor.rate_limit", True): "err_429_maxRetries0",
    ("vendor.session_in_use", True): "session_id_reuse",
    ("vendor.session_lost", False): "resume_other_cwd resume_other_host_other_cwd resume_unknown",
    ("vendor.unavailable", True): "conn_refused err_500",
}
VERDICTS = {NEW: VERDICTS_NEW, OLD: VERDICTS_OLD}


def facts_of(version: str, name: str, *, resumed: bool = False) -> list[AnyFact]:
    reader = QwenReader(resumed=resumed)
    return [fact for line in lines("qwen", version, name) for fact in reader.parse(line)]


def seen_of(facts: list[AnyFact]) -> Seen:
    seen = Seen()
    for fact in facts:
        seen.absorb(fact)
    return seen


def verdict(
    version: str, name: str, ended: Ending | None = None, *, resumed: bool = False, billing: Billing = "api"
) -> Verdict:
    seen = seen_of(facts_of(version, name, resumed=resumed))
    return verdict_of(agent_run(resume=resumed, billing=billing), seen, ended or recorded_ending("qwen", version, name))


@pytest.mark.parametrize("version", [NEW, OLD])
def test_every_recording_is_in_the_table_once(version: str) -> None:
    listed = [name for row in VERDICTS[version].values() for name in row.split()]
    assert sorted(listed) == sorted(names("qwen", version))


@pytest.mark.parametrize(
    ("version", "name", "error_class", "transient"),
    [
        (version, name, *said)
        for version, table in VERDICTS.items()
        for said, row in table.items()
        for name in row.split()
    ],
)
def test_a_recorded_run_comes_to_its_verdict(version: str, name: str, error_class: str | None, transient: bool) -> None:
    found = verdict(version, name)
    assert (found.ok, found.error_class, found.transient) == (error_class is None, error_class, transient)
    assert bool(found.message) == (not found.ok)


def test_the_facts_of_an_edit_and_a_commit() -> None:
    facts = facts_of(NEW, "edit_commit")
    assert isinstance(facts[0], Started)
    assert (facts[0].model, facts[0].vendor_version) == ("fake-coder", NEW)
    assert [fact.text for fact in facts if isinstance(fact, Text)] == [
        "I will create the file.",
        "Now commit.",
        "Done: hello.txt was added and committed.",
    ]
    uses = [fact for fact in facts if isinstance(fact, ToolUse)]
    results = [fact for fact in facts if isinstance(fact, ToolResult)]
    assert [(use.name, use.summary.split(" ")[0]) for use in uses] == [
        ("write_file", "/repo/hello.txt"),
        ("run_shell_command", "git"),
    ]
    assert [(result.id, result.ok) for result in results] == [(use.id, True) for use in uses]
    assert [fact.path for fact in facts if isinstance(fact, FileChanged)] == ["/repo/hello.txt"]
    assert isinstance(facts[-1], Finished)


def test_what_happens_on_the_way_is_told() -> None:
    retries = [fact for fact in facts_of(NEW, "err_429_no_retry_after") if isinstance(fact, Retrying)]
    assert [(fact.attempt, fact.delay_seconds) for fact in retries] == [(1, 60.0), (0, 0.0), (2, 120.0), (0, 0.0)]
    todos = [fact.items for fact in facts_of(OLD, "todo") if isinstance(fact, TodoChanged)]
    assert todos
    assert todos[0][0].startswith("[")


@pytest.mark.parametrize(
    ("version", "name", "resumed", "input_tokens", "turns"),
    [
        (NEW, "edit_commit", False, 3600, 3),
        (OLD, "edit_commit", False, 3600, 3),
        (NEW, "resume", True, 1200, 1),  # the session's total is 2400
        (OLD, "resume", True, 1200, 1),
        (NEW, "resume_other_host", True, 1200, 1),
        (NEW, "max_turns", False, 3600, 3),  # without a result: what was counted on the way
        (NEW, "direct_sigint_in_tool", False, 1200, 1),
        (NEW, "max_tokens_stop", False, 6000, 1),  # with tries that no line of their own tells of
    ],
)
def test_a_run_used_what_it_added(version: str, name: str, resumed: bool, input_tokens: int, turns: int) -> None:
    usage = verdict(version, name, resumed=resumed).usage
    assert (usage.input_tokens, usage.turns, usage.cost_usd) == (input_tokens, turns, None)


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
    assert verdict_of(agent_run(), Seen(), ending(0, why)).error_class == error_class


def test_a_good_result_counts_although_the_process_had_to_be_ended_unless_it_was_cancelled() -> None:
    assert verdict(NEW, "edit_commit", ending(None, "lingered")).ok
    found = verdict(NEW, "edit_commit", ending(0, "cancelled"))
    assert (found.ok, found.error_class) == (False, "agent.interrupted")


def test_a_run_that_was_silent_because_it_waited_for_a_limit_did_not_stall() -> None:
    seen = seen_of(facts_of(NEW, "err_429_retry_after_3600"))
    seen.absorb(RateLimited(kind="requests", refused=True, resets_at=1_795_392_601.0))
    found = verdict_of(agent_run(), seen, ending(None, "silence_limit"))
    assert (found.error_class, found.transient) == ("vendor.rate_limit", True)
    assert found.resets_at is not None


@pytest.mark.parametrize(
    ("said", "ok"),
    [
        ("[API Error: 500 The server had an error]", False),
        ("I began, and then [API Error: Overloaded]", False),
        ("Whoever reads the log finds [API Error: 500 oops] and nothing else.", True),
        ("[API Error: x] is handled now, see [app.py]", True),
        ("API Error: none", True),
    ],
)
def test_a_success_that_ends_with_an_error_of_the_api_is_none(said: str, ok: bool) -> None:
    line = {"type": "result", "subtype": "success", "is_error": False, "result": said}
    facts = QwenReader(resumed=False).parse(msgspec.json.encode(line))
    assert verdict_of(agent_run(), seen_of(list(facts)), ending(0)).ok == ok


@pytest.mark.parametrize(
    ("message", "error_class"),
    [
        ("[API Error: 429 You exceeded your current quota, please check your plan and billing details.]", "billing"),
        ("[API Error: Quota exhausted: quota exceeded, it will reset at 10:00]", "usage_window"),
        ("[API Error: 400 <400> InternalError.Algo.DataInspectionFailed: inappropriate content]", "refusal"),
        ("[API Error: 400 Access denied, please make sure your account is in good standing. (Arrearage)]", "billing"),
        ("[API Error: 400 Range of input length should be [1, 129024]]", "context_overflow"),
        ("[API Error: 502 penstock: the model's API cannot be reached]", "unavailable"),
        ("[API Error: 403 penstock: the run has cost 0.4000 USD, and may cost 0.3 USD]", "budget"),
        ("[API Error: Request timed out.]", "unavailable"),
    ],
)
def test_what_an_api_says_gets_its_class(message: str, error_class: str) -> None:
    line = {"type": "result", "subtype": "error_during_execution", "is_error": True, "error": {"message": message}}
    facts = QwenReader(resumed=False).parse(msgspec.json.encode(line))
    assert verdict_of(agent_run(), seen_of(list(facts)), ending(1)).error_class == f"vendor.{error_class}"


@given(st.binary(max_size=300))
def test_any_line_at_all_is_facts(line: bytes) -> None:
    assert all(isinstance(fact, AnyFact) for fact in QwenReader(resumed=False).parse(line))


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"type":' * 50_000,
        b'{"type":"result","is_error":"no","num_turns":1e999}',
        b'{"type":"result","is_error":false,"usage":{"input_tokens":-5,"cache_read_input_tokens":900}}',
        b'{"type":"result","is_error":false,"result":"' + b"[API Error: ]" * 5_000 + b'x"}',
        b'{"type":"result","error":"none","usage":[1]}',
        b'{"type":"assistant","message":{"content":[{"type":"text","text":"half \\ud83d pair"}]}}',
        b'{"type":"assistant","message":[1,2],"parent_tool_use_id":7}',
        b'{"type":"assistant","message":{"content":[{"type":"tool_use","name":"todo_write","input":{"todos":[1]}}]}}',
        b'{"type":"user","message":{"content":"plain"}}',
        b'{"type":"system","subtype":"retry","data":{"attempt":true,"delayMs":"soon"}}',
        b"null",
        b'{"type":["system"]}',
    ],
)
def test_a_line_made_to_hurt_is_facts_that_can_be_sent(line: bytes) -> None:
    facts = QwenReader(resumed=False).parse(line)
    assert facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=tuple[AnyFact, ...]) == facts


def test_recordings_with_any_damage_still_come_to_a_verdict() -> None:
    for number, printed in enumerate(damaged("qwen", rounds=1_000)):
        seen, reader = Seen(), QwenReader(resumed=False)
        for line in printed:
            for fact in reader.parse(line):
                seen.absorb(fact)
        found = verdict_of(agent_run(), seen, ending(1))
        assert found.ok == (found.error_class is None), f"round {number}"
    assert isinstance(QwenReader(resumed=False).parse(b"warning: \x1b[31mred")[0], Garbage)
    assert QwenReader(resumed=False).parse(b"  \r") == ()
