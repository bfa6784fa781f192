"""Given what Codex's app-server says, this is what is answered, step by step, and when a run has had its last word."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from penstock_agent_exec.agents.codex_dialogue import AppServer
from penstock_agent_exec.agents.facts import AnyFact, Finished, Noise, Started, ToolUse, Usage, VendorError
from penstock_agent_exec.agents.vendor import AgentRun, Heard, Purpose

SESSION: Final = "5b0e3f0a-3f0c-4f6e-9c3e-0a4f2d7d9b11"
THREAD: Final = "01a20545-356e-7542-aedb-4e36a16283cb"
TURN: Final = "01a20545-359d-7792-80f9-65e9c4127043"


class Talk:
    """The server's side, as it was seen to speak. `sent` is what the dialogue has written."""

    def __init__(self, *, resume: bool = False, max_turns: int | None = None, purpose: Purpose = "agent") -> None:
        run = AgentRun(
            prompt="Fix it.",
            purpose=purpose,
            session_id=SESSION,
            resume=resume,
            model="gpt-5.5",
            max_turns=max_turns,
            state_dir="/state",
            work_dir="/repo",
        )
        self.dialogue = AppServer(run)
        self.sent: list[dict[str, Any]] = []
        self.facts: list[AnyFact] = []
        self._wrote(self.dialogue.begin())

    def hears(self, message: dict[str, Any]) -> Heard:
        heard = self.dialogue.hear(json.dumps(message).encode())
        self._wrote(heard.reply)
        self.facts += [fact for fact in heard.facts if not isinstance(fact, Noise)]
        return heard

    def answers(self, result: dict[str, Any]) -> None:
        """To what was asked last."""
        self.hears({"id": self.sent[-1]["id"], "result": result})

    def refuses(self, message: str) -> None:
        self.hears({"id": self.sent[-1]["id"], "error": {"code": -32600, "message": message}})

    def tells(self, method: str, **params: object) -> None:
        self.hears({"method": method, "params": {"threadId": THREAD, "turnId": TURN, **params}})

    def says(self, text: str) -> bool:
        part = self.dialogue.say(text, "m1")
        self._wrote(part or b"")
        return part is not None

    def begins_a_turn(self) -> None:
        self.answers({"userAgent": "penstock/0.169.0 (Debian 12.0.0; x86_64) unknown"})
        if self.sent[-1]["method"] == "thread/list":
            self.answers({"data": [{"id": THREAD}]})
        self.answers({"thread": {"id": THREAD}, "model": "gpt-5.5"})
        self.answers({"turn": {"id": TURN}})
        self.tells("turn/started", turn={"id": TURN})

    def ends_the_turn(self, status: str = "completed", turn: str = TURN, error: object = None) -> None:
        self.tells("turn/completed", turn={"id": turn, "status": status, "error": error})

    def uses(self, total_input: int, *, last: int = 0, turn: str = TURN) -> None:
        total = {"inputTokens": total_input, "cachedInputTokens": 0, "outputTokens": 0}
        usage = {"total": total, "last": {"inputTokens": last}}
        self.hears(
            {"method": "thread/tokenUsage/updated", "params": {"threadId": THREAD, "turnId": turn, "tokenUsage": usage}}
        )

    def runs_a_command(self, item: str) -> None:
        self.tells("item/started", item={"type": "commandExecution", "id": item, "command": "ls"})

    def ends_the_command(self, item: str) -> None:
        self.tells("item/completed", item={"type": "commandExecution", "id": item, "status": "completed"})

    @property
    def methods(self) -> list[str]:
        return [message.get("method", "") for message in self.sent]

    @property
    def finished(self) -> list[Finished]:
        return [fact for fact in self.facts if isinstance(fact, Finished)]

    def _wrote(self, part: bytes) -> None:
        self.sent += [json.loads(line) for line in part.splitlines()]


def test_a_new_run_starts_a_thread_and_a_turn_with_the_prompt() -> None:
    talk = Talk()
    talk.begins_a_turn()
    assert talk.methods == ["initialize", "initialized", "thread/start", "turn/start"]
    assert talk.sent[-1]["params"]["input"] == [{"type": "text", "text": "Fix it."}]
    assert talk.sent[-1]["params"]["threadId"] == THREAD
    assert talk.facts == [Started(session_id=SESSION, model="gpt-5.5", vendor_version="0.169.0")]


def test_a_thread_is_started_without_leave_to_write_so_that_no_folder_is_trusted() -> None:
    talk = Talk()
    talk.begins_a_turn()
    start, turn = talk.sent[2]["params"], talk.sent[3]["params"]
    assert (start["sandbox"], start["approvalPolicy"], "cwd" in start) == ("read-only", "never", False)
    assert turn["sandboxPolicy"] == {"type": "dangerFullAccess"}


def test_a_session_is_gone_on_with_in_its_newest_thread() -> None:
    talk = Talk(resume=True)
    talk.begins_a_turn()
    assert talk.methods == ["initialize", "initialized", "thread/list", "thread/resume", "turn/start"]
    assert talk.sent[3]["params"]["threadId"] == THREAD


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"result": {"data": []}}, "sessionLost"),
        ({"error": {"code": -32603, "message": "the index is broken"}}, "misused"),
    ],
)
def test_without_a_thread_there_is_nothing_to_go_on_with(answer: dict[str, Any], kind: str) -> None:
    talk = Talk(resume=True)
    talk.answers({"userAgent": "penstock/0.169.0"})
    talk.hears({"id": talk.sent[-1]["id"], **answer})
    assert [(word.is_error, word.kind) for word in talk.finished] == [(True, kind)]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("no rollout found for thread id 01a2", "sessionLost"),
        ("thread 01a2 already has an active writer", "sessionInUse"),
    ],
)
def test_a_thread_that_cannot_be_taken_up_says_why(message: str, kind: str) -> None:
    talk = Talk(resume=True)
    talk.answers({"userAgent": "penstock/0.169.0"})
    talk.answers({"data": [{"id": THREAD}]})
    talk.refuses(message)
    assert [(word.is_error, word.kind, word.text) for word in talk.finished] == [(True, kind, message)]


def test_another_thread_than_the_one_that_was_asked_for_is_not_gone_on_with() -> None:
    talk = Talk(resume=True)
    talk.answers({"userAgent": "penstock/0.169.0"})
    talk.answers({"data": [{"id": THREAD}]})
    talk.answers({"thread": {"id": "another"}})
    assert [word.kind for word in talk.finished] == ["sessionLost"]
    assert "turn/start" not in talk.methods


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_what_the_server_refuses_ends_the_run(steps: int) -> None:
    talk = Talk()
    for result in ({"userAgent": "penstock/0.169.0"}, {"thread": {"id": THREAD}})[:steps]:
        talk.answers(result)
    talk.refuses("unknown variant")
    assert [(word.is_error, word.kind, word.text) for word in talk.finished] == [(True, "misused", "unknown variant")]


def test_a_completed_turn_is_the_last_word_with_the_last_message_as_its_answer() -> None:
    talk = Talk()
    talk.begins_a_turn()
    talk.tells("item/completed", item={"type": "agentMessage", "id": "a", "text": "First."})
    talk.tells("item/completed", item={"type": "agentMessage", "id": "b", "text": "x" * 50_000})
    talk.ends_the_turn()
    assert [(word.is_error, word.answer) for word in talk.finished] == [(False, "x" * 50_000)]
    assert not talk.says("too late")


def test_a_failed_turn_says_by_name_and_status_why() -> None:
    talk = Talk()
    talk.begins_a_turn()
    error = {"message": "unexpected status 503", "codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": 503}}}
    talk.tells("error", error=error, willRetry=False)
    talk.ends_the_turn("failed", error=error)
    assert VendorError(kind="httpConnectionFailed", status=503, message="unexpected status 503") in talk.facts
    assert [(word.is_error, word.kind, word.status) for word in talk.finished] == [(True, "httpConnectionFailed", 503)]


def test_what_is_said_goes_into_the_turn_that_is_running() -> None:
    talk = Talk()
    assert not talk.says("before anything has begun")
    talk.begins_a_turn()
    assert talk.says("Use tabs.")
    assert talk.sent[-1]["method"] == "turn/steer"
    assert talk.sent[-1]["params"]["expectedTurnId"] == TURN
    talk.answers({"turnId": TURN})
    talk.ends_the_turn()
    assert [word.is_error for word in talk.finished] == [False]


def test_what_came_too_late_for_a_turn_begins_another() -> None:
    talk = Talk()
    talk.begins_a_turn()
    talk.uses(100)
    assert talk.says("Use tabs.")
    steer = talk.sent[-1]["id"]
    talk.ends_the_turn()
    assert talk.finished == []  # nobody knows yet whether it was heard
    talk.hears({"id": steer, "error": {"code": -32600, "message": "no active turn to steer"}})
    assert talk.finished == []
    assert talk.sent[-1]["method"] == "turn/start"
    assert talk.sent[-1]["params"]["input"][0]["text"] == "Use tabs."
    talk.answers({"turn": {"id": "second"}})
    talk.uses(250, turn="second")
    talk.ends_the_turn(turn="second")
    assert [(word.is_error, word.turns, word.input_tokens) for word in talk.finished] == [(False, 2, 250)]


def test_what_cannot_be_heard_now_is_said_with_the_next_turn() -> None:
    talk = Talk()
    talk.begins_a_turn()
    talk.says("Use tabs.")
    talk.refuses("cannot steer a compact turn")
    talk.ends_the_turn()
    assert talk.finished == []
    assert talk.sent[-1]["method"] == "turn/start"


def test_a_turn_that_failed_is_over_whatever_was_said_to_it() -> None:
    talk = Talk()
    talk.begins_a_turn()
    talk.says("Use tabs.")
    talk.refuses("no active turn to steer")
    talk.ends_the_turn("failed", error={"message": "budget reached", "codexErrorInfo": "sessionBudgetExceeded"})
    assert [word.kind for word in talk.finished] == ["sessionBudgetExceeded"]


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("item/commandExecution/requestApproval", {"decision": "decline"}),
        ("item/fileChange/requestApproval", {"decision": "decline"}),
        ("item/permissions/requestApproval", {"permissions": {}}),
        ("item/tool/requestUserInput", {"answers": {}}),
        ("mcpServer/elicitation/request", {"action": "decline"}),
        ("execCommandApproval", {"decision": "denied"}),
    ],
)
def test_what_the_server_asks_for_is_declined(method: str, result: dict[str, Any]) -> None:
    talk = Talk()
    talk.begins_a_turn()
    talk.hears({"id": "srv-7", "method": method, "params": {}})
    assert talk.sent[-1] == {"id": "srv-7", "result": result}


def test_what_is_asked_for_in_words_nobody_knows_is_answered_too() -> None:
    talk = Talk()
    talk.hears({"id": 1, "method": "account/chatgptAuthTokens/refresh", "params": {}})
    assert (talk.sent[-1]["id"], talk.sent[-1]["error"]["code"]) == (1, -32601)
    talk.begins_a_turn()
    assert talk.methods[-1] == "turn/start"


@pytest.mark.parametrize("method", ["thread/new/kind", "turn/diff/updated", "item/agentMessage/delta"])
def test_what_nobody_depends_on_is_noise(method: str) -> None:
    talk = Talk()
    talk.begins_a_turn()
    heard = talk.hears({"method": method, "params": {"threadId": THREAD}})
    assert heard == Heard((Noise(kind=method),), b"")


def test_a_turn_that_is_over_when_its_start_is_answered_does_not_begin_again() -> None:
    talk = Talk()
    talk.answers({"userAgent": "penstock/0.169.0"})
    talk.answers({"thread": {"id": THREAD}})
    talk.tells("turn/started", turn={"id": TURN})
    talk.ends_the_turn()
    talk.answers({"turn": {"id": TURN}})
    assert not talk.says("anybody there?")
    assert [word.is_error for word in talk.finished] == [False]


def test_another_threads_turns_are_not_this_runs() -> None:
    talk = Talk()
    talk.begins_a_turn()
    talk.hears(
        {"method": "turn/completed", "params": {"threadId": "other", "turn": {"id": TURN, "status": "completed"}}}
    )
    talk.ends_the_turn(turn="another turn")
    assert talk.finished == []


def test_a_session_counts_over_its_life_and_a_run_what_it_added() -> None:
    talk = Talk(resume=True)
    talk.begins_a_turn()
    talk.uses(5_000, last=700, turn="a turn of an earlier run")
    talk.uses(6_200, last=1_200)
    talk.uses(6_200, last=0)  # a request that came to nothing
    talk.uses(7_000, last=1)
    talk.ends_the_turn()
    used = [fact.input_tokens for fact in talk.facts if isinstance(fact, Usage)]
    assert used == [1_200, 800]
    assert [(word.turns, word.input_tokens) for word in talk.finished] == [(2, 2_000)]


def test_a_session_that_does_not_say_what_it_had_used_is_counted_by_its_requests() -> None:
    talk = Talk(resume=True)
    talk.begins_a_turn()
    talk.uses(6_200, last=1_200)
    talk.uses(7_000, last=1)
    assert [fact.input_tokens for fact in talk.facts if isinstance(fact, Usage)] == [1_200, 800]


def test_at_its_last_request_a_turn_is_interrupted_when_its_tools_are_done() -> None:
    talk = Talk(max_turns=1)
    talk.begins_a_turn()
    talk.runs_a_command("one")
    talk.runs_a_command("two")
    talk.ends_the_command("one")
    talk.uses(100)
    assert "turn/interrupt" not in talk.methods
    talk.ends_the_command("two")
    assert talk.methods[-1] == "turn/interrupt"
    assert talk.sent[-1]["params"] == {"threadId": THREAD, "turnId": TURN}
    assert not talk.says("one thing more")
    talk.answers({})
    talk.ends_the_turn("interrupted")
    assert [(word.is_error, word.kind, word.turns) for word in talk.finished] == [(True, "maxTurns", 1)]


def test_a_turn_that_has_had_its_last_answer_is_not_interrupted() -> None:
    talk = Talk(max_turns=1)
    talk.begins_a_turn()
    talk.tells("item/completed", item={"type": "agentMessage", "id": "a", "text": "Done."})
    talk.uses(100)
    talk.ends_the_turn()
    assert "turn/interrupt" not in talk.methods
    assert [(word.is_error, word.text) for word in talk.finished] == [(False, "Done.")]


def test_a_command_left_in_the_background_keeps_no_turn_beyond_its_limit() -> None:
    talk = Talk(max_turns=2)
    talk.begins_a_turn()
    talk.runs_a_command("server")
    talk.uses(100)
    talk.runs_a_command("two")
    talk.ends_the_command("two")
    talk.uses(200)
    assert talk.methods[-1] == "turn/interrupt"


def test_tools_that_are_not_told_of_do_not_get_a_turn_over_its_limit() -> None:
    talk = Talk(max_turns=1)
    talk.begins_a_turn()
    talk.uses(100)
    talk.uses(200)
    assert talk.methods[-1] == "turn/interrupt"


def test_a_turn_that_somebody_else_interrupted_is_not_at_its_limit() -> None:
    talk = Talk(max_turns=5)
    talk.begins_a_turn()
    talk.runs_a_command("one")
    talk.ends_the_turn("interrupted")
    assert [word.kind for word in talk.finished] == ["interrupted"]
    assert [fact.summary for fact in talk.facts if isinstance(fact, ToolUse)] == ["ls"]
