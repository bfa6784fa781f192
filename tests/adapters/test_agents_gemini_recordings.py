"""Given what Gemini CLI printed once, the same facts and the same verdict come out for ever."""

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
    Started,
    Text,
    ToolResult,
    ToolUse,
)
from penstock_agent_exec.agents.gemini_output import GeminiReader, verdict_of
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import Verdict
from penstock_agent_exec.process import Ending, Why

VERSION = "0.61.0"

# What every recording comes to: the class of its failure, and whether it passes. Those in another format than the one that is
# asked for (*_json, *_text, acp_*, big) have no result line, and so are no success whatever they say; killed from outside with
# nobody of ours to ask for it, a run has crashed. A prompt that is blocked looks like an answer that was cut.
VERDICTS: dict[tuple[str | None, bool], str] = {
    (None, False): (
        "at_file auto_edit commit default_mode e429_then_ok e429min_then_ok e500_then_ok max_tokens mcp_call "
        "mcp_server_missing midcut_then_ok plan resume resume_carried safety session_file session_id_first "
        "stdin_prompt text trust_env"
    ),
    ("agent.crashed", True): (
        "acp_prompt_cancel child_sigkill child_sigkill_group endless relaunch_sigkill relaunch_sigterm slow_sigkill"
    ),
    ("agent.interrupted", True): (
        "acp_commit acp_e429day big child_sigint child_sigterm child_sigterm_group commit_json slow_sighup "
        "slow_sigint slow_sigterm text_json"
    ),
    ("agent.loop", False): "loop",
    ("agent.misused", False): "bad_flag empty_prompt no_trust no_trust_json sandbox_none",
    ("vendor.auth", False): "badkey badkey_json e401 e403 no_key no_key_json",
    ("vendor.bad_answer", True): "blocked empty inband malformed malformed_then_ok midcut nofinish notsse",
    ("vendor.bad_request", False): "e400",
    ("vendor.context_overflow", False): "ctx400",
    ("vendor.max_turns", False): "maxturns maxturns_json maxturns_text",
    ("vendor.model_not_found", False): "e404",
    ("vendor.overloaded", True): "e503_default e503_max2 e503_max2_json",
    ("vendor.rate_limit", True): "e429_default e429_max2",
    ("vendor.session_in_use", True): "session_id_reused",
    ("vendor.session_lost", False): "resume_other_cwd resume_unknown",
    ("vendor.unavailable", True): "e500_max2",
    ("vendor.usage_window", True): "e429day e429long",
}


def facts_of(name: str) -> list[AnyFact]:
    reader = GeminiReader(VERSION)
    return [fact for line in lines("gemini", VERSION, name) for fact in reader.parse(line)]


def seen_of(name: str) -> Seen:
    seen = Seen()
    for fact in facts_of(name):
        seen.absorb(fact)
    return seen


def verdict(name: str, ended: Ending | None = None) -> Verdict:
    return verdict_of(agent_run(), seen_of(name), ended or recorded_ending("gemini", VERSION, name))


def test_every_recording_is_in_the_table_once() -> None:
    listed = [name for row in VERDICTS.values() for name in row.split()]
    assert sorted(listed) == sorted(names("gemini", VERSION))


@pytest.mark.parametrize(
    ("name", "error_class", "transient"), [(name, *said) for said, row in VERDICTS.items() for name in row.split()]
)
def test_a_recorded_run_comes_to_its_verdict(name: str, error_class: str | None, transient: bool) -> None:
    found = verdict(name)
    assert (found.ok, found.error_class, found.transient) == (error_class is None, error_class, transient)
    assert bool(found.message) == (not found.ok)


def test_the_facts_of_an_edit_and_a_commit() -> None:
    facts = facts_of("commit")
    assert facts[0] == Started(
        session_id="a32d5f66-3a18-45e0-b38a-629c11a1b949", model="gemini-2.5-pro", vendor_version=VERSION
    )
    assert [fact.text for fact in facts if isinstance(fact, Text)] == [
        "I'll look at app.py first.",
        "Fixed `add()` in app.py, added tests/test_app.py and committed.",
    ]
    uses = [fact for fact in facts if isinstance(fact, ToolUse)]
    assert [use.name for use in uses] == [
        "read_file",
        "replace",
        "write_file",
        "run_shell_command",
        "run_shell_command",
    ]
    assert [use.summary for use in uses][:3] == ["app.py", "app.py", "tests/test_app.py"]
    results = [fact for fact in facts if isinstance(fact, ToolResult)]
    assert {result.id for result in results} == {use.id for use in uses}
    assert all(result.ok for result in results)
    assert [fact.path for fact in facts if isinstance(fact, FileChanged)] == ["app.py", "tests/test_app.py"]
    assert isinstance(facts[-1], Finished)
    assert facts[-1].answer == "Fixed `add()` in app.py, added tests/test_app.py and committed."


def test_what_was_used_is_counted_once_and_thoughts_are_output() -> None:
    usage = verdict("commit").usage  # 6000 in, 4600 of them cached; 220 out and 10 thought
    assert (usage.turns, usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (5, 1400, 4600, 230)
    assert usage.cost_usd is None


def test_two_calls_in_one_answer_are_one_turn() -> None:
    calls = [fact for fact in facts_of("commit") if isinstance(fact, ToolUse)]
    assert len(calls) == 5
    assert facts_of("commit")[-1] == msgspec.structs.replace(facts_of("commit")[-1], turns=5)


@pytest.mark.parametrize(
    ("why", "error_class"),
    [
        ("wall_limit", "agent.timeout"),
        ("silence_limit", "agent.stalled"),
        ("lingered", "agent.stalled"),
        ("output_limit", "agent.output_limit"),
        ("cancelled", "agent.interrupted"),
        ("exited", "agent.interrupted"),
    ],
)
def test_without_a_result_the_verdict_is_why_we_stopped_it(why: Why, error_class: str) -> None:
    assert verdict_of(agent_run(), Seen(), ending(0, why)).error_class == error_class


def test_a_good_result_counts_although_the_process_had_to_be_ended_unless_it_was_cancelled() -> None:
    assert verdict("commit", ending(None, "lingered")).ok
    found = verdict("commit", ending(0, "cancelled"))
    assert (found.ok, found.error_class) == (False, "agent.interrupted")


def test_a_run_that_was_silent_because_it_waited_for_a_limit_did_not_stall() -> None:
    seen = seen_of("endless")
    seen.absorb(RateLimited(kind="requests", refused=True, resets_at=1_795_392_601.0))
    found = verdict_of(agent_run(), seen, ending(None, "silence_limit"))
    assert (found.error_class, found.transient) == ("vendor.rate_limit", True)
    assert found.resets_at is not None


@pytest.mark.parametrize(
    ("message", "exit_code", "error_class"),
    [
        (
            '{"error":{"code":400,"message":"Please ensure that the number of function response parts is equal to the '
            'number of function call parts of the function call turn.","status":"INVALID_ARGUMENT"}}',
            144,
            "vendor.session_lost",
        ),
        ("Please ensure that the number of function response parts is equal to ...", 144, "vendor.session_lost"),
        ('{"error":{"code":400,"message":"API key expired. Please renew the API key."}}', 144, "vendor.auth"),
        ('{"error":{"code":402,"message":"pay"}}', 146, "vendor.billing"),
        ("a gateway in between says no", 246, "vendor.unavailable"),
        ("exception TypeError: fetch failed sending request", 1, "vendor.unavailable"),
        ("penstock: the run has cost 0.4000 USD, and may cost 0.3 USD", 147, "vendor.budget"),
        ("penstock: not open to agents: GET /v1/files", 147, "vendor.bad_request"),
        ("Cannot read properties of undefined (reading 'status')", 1, "agent.crashed"),
    ],
)
def test_what_an_api_says_gets_its_class(message: str, exit_code: int, error_class: str) -> None:
    line = {"type": "result", "status": "error", "error": {"type": "unknown", "message": f"[API Error: {message}]"}}
    seen = Seen()
    for fact in GeminiReader(VERSION).parse(msgspec.json.encode(line)):
        seen.absorb(fact)
    assert verdict_of(agent_run(), seen, ending(exit_code)).error_class == error_class


@pytest.mark.parametrize(
    ("message", "error_class"),
    [
        ("The model response was blocked due to safety filters.", "vendor.refusal"),
        ("The response was blocked because of recitation.", "vendor.refusal"),
        ("The response hit the maximum tokens limit.", "vendor.output_limit"),
        ("The model returned an empty response with no text or thoughts.", "vendor.bad_answer"),
        ("Invalid stream: malformed function call", "vendor.bad_answer"),
        ("Maximum session turns exceeded", "vendor.max_turns"),
    ],
)
def test_what_ended_an_answer_gets_its_class(message: str, error_class: str) -> None:
    seen = Seen()
    reader = GeminiReader(VERSION)
    for line in ({"type": "error", "severity": "error", "message": message}, {"type": "result", "status": "error"}):
        for fact in reader.parse(msgspec.json.encode(line)):
            seen.absorb(fact)
    assert verdict_of(agent_run(), seen, ending(0)).error_class == error_class


@given(st.binary(max_size=300))
def test_any_line_at_all_is_facts(line: bytes) -> None:
    assert all(isinstance(fact, AnyFact) for fact in GeminiReader(VERSION).parse(line))


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"type":' * 50_000,
        b'{"type":"result","status":true,"stats":{"total_tokens":1e999}}',
        b'{"type":"result","status":"success","stats":{"total_tokens":-5,"input_tokens":7,"cached":900}}',
        b'{"type":"result","stats":[1,2],"error":"none"}',
        b'{"type":"tool_use","tool_name":7,"tool_id":{},"parameters":"x"}',
        b'{"type":"tool_use","tool_name":"write_todos","parameters":{"todos":[1,{"status":[],"description":5}]}}',
        b'{"type":"tool_result","tool_id":"a","status":"success","output":"half \\ud83d pair"}',
        b'{"type":"error","severity":"error","message":"\xff\xfe"}',
        b"null",
        b'{"type":["init"]}',
    ],
)
def test_a_line_made_to_hurt_is_facts_that_can_be_sent(line: bytes) -> None:
    facts = GeminiReader(VERSION).parse(line)
    assert facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=tuple[AnyFact, ...]) == facts


def test_recordings_with_any_damage_still_come_to_a_verdict() -> None:
    for number, printed in enumerate(damaged("gemini", rounds=1_000)):
        seen, reader = Seen(), GeminiReader(VERSION)
        for line in printed:
            for fact in reader.parse(line):
                seen.absorb(fact)
        found = verdict_of(agent_run(), seen, ending(0))
        assert found.ok == (found.error_class is None), f"round {number}"


def test_a_text_without_an_end_is_bounded() -> None:
    reader = GeminiReader(VERSION)
    piece = b'{"type":"message","role":"assistant","content":"' + b"x" * 10_000 + b'","delta":true}'
    assert all(reader.parse(piece) == () for _ in range(1_000))
    facts = reader.parse(b'{"type":"result","status":"success"}')
    assert isinstance(facts[0], Text)
    assert isinstance(facts[1], Finished)
    assert (len(facts[0].text) <= 4_000, len(facts[1].answer) <= 100_000) == (True, True)
    assert isinstance(reader.parse(b"(node:1) Warning: \x1b[31mred")[0], Garbage)
    assert reader.parse(b"  \r") == ()
