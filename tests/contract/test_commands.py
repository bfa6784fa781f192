"""Commands and their answers on the wire: each one comes apart as it was put together, and nothing else comes in."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, get_args

import msgspec
import pytest
from msgspec import UNSET, Struct
from msgspec.structs import replace

from penstock import codec
from penstock import commands as c
from penstock import subjects as s
from penstock.bounds import NAME_PATTERN
from penstock.codec import Undecodable, encode
from penstock.events import TaskSubmitted
from penstock.values import Origin, PlanGate, Window
from penstock.wish import Wish

ID: Final = "01jqa0command0000000000000"
TASK: Final = "01jqa0task000000000000000a"
OTHER: Final = "01jqa0other00000000000000c"
LATER: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class From:
    """Who asks, as every command of a person or an agent says it."""

    id: str = ID
    task: str = TASK
    requested_by: str = "ana"
    via: str = "chat"
    as_agent_of: str = OTHER


def asked(kind: type[c.Asked], **more: object) -> c.Command:
    """The command with everything that all of them say, and what this one says more."""
    made: c.Command = msgspec.convert({"kind": kind.__struct_config__.tag, **vars(From()), **more}, c.Command)
    assert type(made) is kind
    return made


SUBMIT: Final = c.SubmitTask(
    id=ID,
    task=TASK,
    template="bugfix",
    submitted_by="ana",
    as_agent_of=OTHER,
    origin=Origin(kind="schedule", name="nightly", scheduled_for=LATER, missed=2),
    repo="shop",
    title="Round prices half to even",
    description="The cart rounds 2.5 up.",
    acceptance="`make test` passes",
    priority=2,
    labels=("bug", "cart"),
    mode="interactive",
    plan_gate=PlanGate(silence="deny", silence_seconds=3_600.0),
    depends_on=(OTHER,),
    vendor="codex",
    model="gpt-5",
    backup_vendor="claude",
    backup_model="opus",
    billing="subscription",
    account="team-a",
    flow="patch",
    max_attempts=5,
    max_turns=20,
    max_cost_usd=2.5,
    max_wall_seconds=1_800.0,
    skip_verify=True,
    window=Window(opens="22:00", closes="06:30", timezone="Europe/Berlin"),
    scope=("src/*.py",),
)

COMMANDS: Final[tuple[c.Command, ...]] = (
    SUBMIT,
    asked(c.RetryTask, of=OTHER),
    asked(c.ContinueTask, of=OTHER, title="Round taxes too", description="By the same rule."),
    asked(c.CancelTask, reason="not needed any more"),
    asked(c.UnblockTask, max_cost_usd=5.0, max_wall_seconds=7_200.0),
    asked(c.WakeTask),
    asked(c.PrioritizeTask, priority=1),
    asked(c.CompactTask),
    asked(c.ApprovePlan, number=2),
    asked(c.RejectPlan, number=2, reason="we drop the cart"),
    asked(c.CommentPlan, number=1, comment="Leave the receipts alone."),
    asked(c.SendMessage, text="Use decimal."),
    asked(c.RaiseDecision, subject="irreversible", question="Drop the column?", options=("drop it", "keep it")),
    asked(c.AnswerDecision, decision=OTHER, answer="keep it"),
    c.ClaimJob(id=ID, task=TASK, job=OTHER, host="h1", epoch=17, instance="4711-ab"),
    c.StirPullRequest(
        id=ID, repo="shop", number=7, branch="agent/fix-rounding", what="pull_request_review", by="ann", via="gitea"
    ),
    c.WhyTask(id=ID, task=TASK),
    c.ExplainTask(id=ID, task=TASK, after=7),
)

TRANSITION: Final = c.Transition(
    seq=12,
    at=LATER,
    event="task_parked",
    before="running",
    after="parked",
    kind="decision",
    rule="after_failure",
    facts=(("class", "vendor.rate_limit"),),
    says="the task waits",
    agrees=False,
    instead="task_blocked",
)
REPLIES: Final[tuple[c.Reply, ...]] = (
    c.Accepted(task=TASK, seq=12),
    c.RefusedReply(code="not_possible", message="it has ended", field="task"),
    c.NotReady(message="no leader yet"),
    c.Why(task=TASK, seq=12, phase="queued", why="3 before it", can_move="a slot", wake_at=LATER, position=4),
    c.Explained(task=TASK, transitions=(TRANSITION,), more=True),
    c.Stirred(tasks=(TASK, OTHER)),
)


def kind_of(value: Struct) -> str:
    return str(value.__struct_config__.tag)


def wire(value: Struct, **changed: object) -> bytes:
    """The value as JSON, with fields put in or changed."""
    return json.dumps(json.loads(encode(value)) | changed).encode()


def test_every_command_and_every_reply_is_tried_here() -> None:
    assert [type(command) for command in COMMANDS] == list(get_args(c.Command))
    assert [type(reply) for reply in REPLIES] == list(get_args(c.Reply))


def test_every_command_has_its_own_verb() -> None:
    assert set(c.VERBS) == set(get_args(c.Command))
    assert len(set(c.VERBS.values())) == len(c.VERBS)
    for command in COMMANDS:
        noun, verb = c.verb_of(command)
        assert (noun, verb) == c.VERBS[type(command)]
        assert re.search(NAME_PATTERN, noun) is not None
        assert re.search(NAME_PATTERN, verb) is not None
        assert s.command(noun, verb) == f"penstock.cmd.{noun}.{verb}"


def test_every_command_is_about_a_new_task_or_about_one_that_exists_or_a_question() -> None:
    new, existing = set(get_args(c.NewTask)), set(get_args(c.TaskCommand))
    assert new.isdisjoint(existing)
    # A hint of a forge is about whichever task it fits.
    assert set(get_args(c.Command)) == new | existing | {c.StirPullRequest} | set(get_args(c.Question))


@pytest.mark.parametrize("command", COMMANDS, ids=kind_of)
def test_a_command_comes_apart_as_it_was_put_together(command: c.Command) -> None:
    assert codec.commands.decode(encode(command)) == command
    assert all(getattr(command, field.name) != field.default for field in msgspec.structs.fields(command)), (
        "a field with its default shows nothing"
    )


@pytest.mark.parametrize("reply", REPLIES, ids=kind_of)
def test_a_reply_comes_apart_as_it_was_put_together(reply: c.Reply) -> None:
    assert codec.replies.decode(encode(reply)) == reply
    assert codec.replies.decode(wire(reply, of_tomorrow=1)) == reply


@pytest.mark.parametrize("command", COMMANDS, ids=kind_of)
def test_a_field_that_a_command_does_not_have_is_refused_by_its_name(command: c.Command) -> None:
    with pytest.raises(Undecodable, match="unknown field `max_atempts`"):
        codec.commands.decode(wire(command, max_atempts=3))


@pytest.mark.parametrize("command", COMMANDS, ids=kind_of)
def test_a_command_without_a_field_that_it_needs_is_refused_by_its_name(command: c.Command) -> None:
    whole = json.loads(encode(command))
    needed = {field.encode_name for field in msgspec.structs.fields(command) if field.required}
    assert {"id", "repo" if isinstance(command, c.StirPullRequest) else "task"} <= needed
    for name in whole:
        body = json.dumps({key: value for key, value in whole.items() if key != name}).encode()
        if name == "kind" or name in needed:
            with pytest.raises(Undecodable, match=f"missing required field `{name}`"):
                codec.commands.decode(body)
        else:
            assert isinstance(codec.commands.decode(body), type(command))


@pytest.mark.parametrize("command", COMMANDS, ids=kind_of)
def test_a_value_of_another_type_is_refused_by_its_place(command: c.Command) -> None:
    for name in json.loads(encode(command)):
        with pytest.raises(Undecodable, match=rf"\$(\.{name})?`"):
            codec.commands.decode(wire(command, **{name: {"no": ["such", "shape"]}}))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("plan_gate", {"silense": "deny"}, "unknown field `silense` - at `$.plan_gate`"),
        ("window", {"opens": "22:00", "closes": "06:00", "zone": "UTC"}, "unknown field `zone` - at `$.window`"),
        ("origin", {"kind": "intake", "names": "x"}, "unknown field `names` - at `$.origin`"),
    ],
)
def test_a_slip_of_the_pen_further_inside_is_refused_by_its_place(name: str, value: object, says: str) -> None:
    with pytest.raises(Undecodable, match=re.escape(says)):
        codec.commands.decode(wire(SUBMIT, **{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", 0),
        ("priority", 10),
        ("priority", None),
        ("title", ""),
        ("title", "two\nlines"),
        ("repo", "task.>"),
        ("repo", None),
        ("mode", "interactive\n"),
        ("mode", "fast"),
        ("billing", "cash"),
        ("depends_on", ["../x"]),
        ("max_attempts", 0),
        ("max_turns", 0),
        ("max_cost_usd", -0.01),
        ("max_wall_seconds", -1),
        ("plan_gate", {"silence": "approve"}),
        ("plan_gate", {"silence_seconds": -1}),
        ("window", {"opens": "24:00", "closes": "06:00"}),
        ("window", {"opens": "6:00", "closes": "07:00"}),
        ("window", {"opens": "22:00"}),
        ("origin", {"kind": "x" * 101}),
        ("origin", {"kind": "schedule", "scheduled_for": "2026-03-01T12:00:00"}),
        ("template", "A Template"),
        ("id", "short"),
        ("kind", "submit"),
    ],
)
def test_a_bad_value_in_a_wish_is_refused_by_its_place(name: str, value: object) -> None:
    with pytest.raises(Undecodable, match=rf"\$\.{name}"):
        codec.commands.decode(wire(SUBMIT, **{name: value}))


def test_what_a_wish_leaves_out_is_not_written_and_is_not_a_default() -> None:
    bare = c.SubmitTask(id=ID, task=TASK)
    assert json.loads(encode(bare)).keys() == {"kind", "id", "task", "submitted_by", "as_agent_of", "origin"}
    decoded = codec.commands.decode(encode(bare))
    assert decoded == bare
    assert all(getattr(decoded, field.name) is UNSET for field in msgspec.structs.fields(Wish))
    assert encode(Wish()) == b"{}"


def test_no_limit_is_something_else_than_no_word_about_it() -> None:
    none = replace(SUBMIT, max_turns=None, max_cost_usd=None, window=None)
    body = json.loads(encode(none))
    assert (body["max_turns"], body["max_cost_usd"], body["window"]) == (None, None, None)
    assert codec.commands.decode(encode(none)) == none
    may_be_none = {field.name for field in msgspec.structs.fields(Wish) if accepts_null(field.encode_name)}
    assert may_be_none == {"max_turns", "max_cost_usd", "window"}


def accepts_null(name: str) -> bool:
    try:
        codec.commands.decode(wire(SUBMIT, **{name: None}))
    except Undecodable:
        return False
    return True


def test_whatever_may_be_wished_is_copied_into_the_submission() -> None:
    """A field of the wish that the event does not have would be lost without a word."""
    recorded = {field.name for field in msgspec.structs.fields(TaskSubmitted)}
    assert {field.name for field in msgspec.structs.fields(Wish)} <= recorded


def test_no_mutant_of_a_command_gets_past_the_one_error() -> None:
    chance = random.Random(20260301)
    decoded = refused = 0
    for _ in range(4_000):
        body = bytearray(encode(chance.choice(COMMANDS)))
        for _ in range(chance.choice((1, 1, 3))):
            body[chance.randrange(len(body))] = chance.randrange(256)
        try:
            command = codec.commands.decode(bytes(body))
        except Undecodable as error:
            refused += bool(str(error))
        else:
            assert codec.commands.decode(encode(command)) == command
            assert c.verb_of(command) in c.VERBS.values()
            decoded += 1
    assert decoded + refused == 4_000, "a refusal without a reason"
    assert min(decoded, refused) > 200, f"the mutants are lopsided: {decoded} of them decoded"
