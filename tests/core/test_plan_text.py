"""A plan as an agent writes it, as a person reads it, and as a change is held to it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert, to_builtins

from penstock.jobs import PROMPT_LENGTH_MAX
from penstock.plan_text import FILES_MAX, RISKS_MAX, STEPS_MAX, read_plan
from penstock.scope import allows
from penstock.values import Plan
from penstock_orchestrator.core.plan_text import plan_prompt, render_plan
from penstock_orchestrator.core.quoted import quoted

WHOLE = {
    "summary": "Empty files parse to nothing.",
    "approach": "Return early.",
    "steps": ["Add a test", "Return early"],
    "files_to_touch": ["src/parse.py", "tests/"],
    "risks": ["Callers may count on the error"],
    "risk": "low",
    "acceptance_check": "pytest tests/test_parse.py",
}
PLAN = Plan(
    summary="Empty files parse to nothing.",
    approach="Return early.",
    steps=("Add a test", "Return early"),
    files_to_touch=("src/parse.py", "tests/"),
    risks=("Callers may count on the error",),
    risk="low",
    acceptance_check="pytest tests/test_parse.py",
)


def answer(**fields: object) -> str:
    return json.dumps({"summary": "S", **fields})


def read(**fields: object) -> Plan:
    plan = read_plan(answer(**fields))
    assert isinstance(plan, Plan), plan
    return plan


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(WHOLE),
        f"I have looked around.\n\n```json\n{json.dumps(WHOLE, indent=2)}\n```\nThat is all.",
        f"The config is {{name}} and {{'a': 1}}; the plan: {json.dumps(WHOLE)} {{",
        f'First {{"summary": "old"}}, then better: {json.dumps(WHOLE)}',
        f'{json.dumps(WHOLE)}\nNot this: {{"risk": "high"}} nor {{"summary": 3}}',
        json.dumps({"plan": WHOLE}),
        json.dumps([WHOLE]),
        json.dumps({**WHOLE, "confidence": 0.9, "notes": {"summary": "not me"}}),
        "x" * 300_000 + json.dumps(WHOLE),
    ],
)
def test_the_last_plan_is_found_wherever_it_stands_in_an_answer(text: str) -> None:
    assert read_plan(text) == PLAN


def test_what_is_left_out_or_null_is_empty_and_its_risk_unknown() -> None:
    assert read(approach=None, steps=None) == Plan(summary="S")
    assert read(risk=" High ").risk == "high"
    assert read(risk="negligible").risk == "unknown"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "the answer holds no JSON object with a plan"),
        ("I will just do it. {} {'summary': 1}", "the answer holds no JSON object with a plan"),
        ('{"name": "shop"}', "the answer holds no JSON object with a plan"),
        ('{"approach": "A"}', "`summary` is missing or empty; it must be a string"),
        ('{"summary": " "}', "`summary` is missing or empty; it must be a string"),
        (answer(approach=["a"]), "`approach` must be a string, not a list"),
        (answer(risk=1), "`risk` must be a string, not a number"),
        (answer(risk=True), "`risk` must be a string, not a boolean"),
        (answer(risks={}), "`risks` must be a list of strings, not an object"),
        (answer(steps="one"), "`steps` must be a list of strings, not a string"),
        (answer(steps=["a", None]), "`steps` must be a list of strings; one of its items is null"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_to_the_agent(text: str, wrong: str) -> None:
    assert read_plan(text) == wrong


def test_json_that_breaks_off_is_told_with_the_place() -> None:
    found = read_plan('{"summary": "S", "steps": ["a",]}')
    assert isinstance(found, str)
    assert found.startswith("the JSON cannot be read: ")
    assert "line 1 column" in found


def test_an_answer_that_is_nested_without_end_is_refused() -> None:
    assert read_plan('{"summary":' + "[" * 190_000) == "the JSON is nested too deeply"


def test_lists_that_are_too_long_are_cut_and_the_risks_say_so() -> None:
    names = [f"n{number}" for number in range(200)]
    plan = read(steps=names, files_to_touch=[*names, "x" * 600], risks=names)
    assert (len(plan.steps), len(plan.files_to_touch)) == (STEPS_MAX, FILES_MAX)
    assert plan.risks[RISKS_MAX:] == (
        f"{200 - STEPS_MAX} more of `steps` were proposed and left out here",
        f"{201 - FILES_MAX} more of `files_to_touch` were proposed and left out here",
        f"{200 - RISKS_MAX} more of `risks` were proposed and left out here",
    )


def test_texts_that_are_too_long_are_cut_but_half_a_path_is_another_path() -> None:
    plan = read(
        approach="a" * 9_000, steps=["s" * 900], files_to_touch=["d/" * 400, "`src/a.py`", "src/a.py", " ", "``"]
    )
    assert len(plan.approach) <= 4_000
    assert "characters left out" in plan.approach
    assert len(plan.steps[0]) <= 500
    assert plan.files_to_touch == ("src/a.py",)


def test_what_cannot_be_stored_as_text_is_taken_out() -> None:
    plan = read_plan('{"summary": "a\\ud800b\\u0000c", "steps": ["two\\nlines", "two lines", ""]}')
    assert plan == Plan(summary="abc", steps=("two lines",))


def test_a_plan_that_would_fill_its_event_is_refused() -> None:
    files = [f"{number}-" + "\U0001f600" * 490 for number in range(100)]
    huge = read_plan(json.dumps({"summary": "S", "files_to_touch": files}, ensure_ascii=False))
    assert isinstance(huge, str)
    assert huge.endswith("is the most; be brief")


def test_an_answer_made_to_be_slow_is_read_in_moderate_time() -> None:
    began = time.process_time()
    found = [read_plan('{"a":["' * 40_000), read_plan('{"a":[1,' * 30_000), read_plan('{"a":"' * 40_000)]
    assert not any(isinstance(one, Plan) for one in found)
    assert time.process_time() - began < 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)
PLANS = st.fixed_dictionaries(
    {"summary": st.text(min_size=1, max_size=5_000)},
    optional={
        "approach": st.text(max_size=200) | JSON,
        "steps": st.lists(st.text(max_size=600), max_size=60) | JSON,
        "files_to_touch": st.lists(st.text(max_size=600), max_size=120) | JSON,
        "risks": st.lists(st.text(max_size=600), max_size=30) | JSON,
        "risk": st.sampled_from(["low", "HIGH", "none"]) | JSON,
        "more": JSON,
    },
)


@settings(deadline=None, database=None)
@given(PLANS, st.text(max_size=50), st.text(max_size=50))
def test_whatever_an_agent_answers_a_plan_is_within_its_bounds(
    fields: dict[str, object], before: str, after: str
) -> None:
    found = read_plan(f"{before}{json.dumps(fields)}{after}")
    if isinstance(found, Plan):
        assert convert(to_builtins(found), Plan) == found
        assert b"\x00" not in render_plan(found).encode()
    else:
        assert 0 < len(found) <= 300


@settings(deadline=None, database=None)
@given(st.text(max_size=400))
def test_no_answer_makes_the_reader_fail(text: str) -> None:
    assert isinstance(read_plan(text), Plan | str)


def test_a_plan_is_shown_as_markdown() -> None:
    assert render_plan(PLAN) == (
        "Empty files parse to nothing.\n\n"
        "**Approach**\n\nReturn early.\n\n"
        "**Steps**\n\n1. Add a test\n2. Return early\n\n"
        "**Files to touch**\n\n- `src/parse.py`\n- `tests/`\n\n"
        "**Risks**\n\n- Callers may count on the error\n\n"
        "**Risk as a whole**: low\n\n"
        "**How to see that it is done**\n\npytest tests/test_parse.py"
    )
    assert render_plan(Plan(summary="S")) == "S\n\n**Risk as a whole**: unknown"


def test_the_prompt_for_a_plan_marks_off_what_others_wrote_and_ends_with_what_to_answer() -> None:
    prompt = plan_prompt("/plan", "a description", "an acceptance", ("not so", "but so"), PLAN)
    assert prompt.startswith("# Plan a change, and do not make it\n")
    marked = [
        quoted("what is asked for", "/plan"),
        quoted("the description, as written by the one who asks", "a description"),
        quoted("the acceptance criteria", "an acceptance"),
        quoted("the last plan", render_plan(PLAN)),
        quoted("a comment", "not so"),
        quoted("a comment", "but so"),
    ]
    assert [prompt.count(part) for part in marked] == [1] * 6
    assert [prompt.index(part) for part in marked] == sorted(prompt.index(part) for part in marked)
    assert all(f'- "{field}"' in prompt for field in WHOLE)
    assert "change no file" in prompt


def test_a_first_prompt_for_a_plan_speaks_of_no_earlier_one() -> None:
    prompt = plan_prompt("t", "", "", (), None)
    assert [word for word in ("begin of the description", "criteria", "last plan", "comment") if word in prompt] == []


def test_the_longest_prompt_for_a_plan_leaves_nothing_of_the_rules_out() -> None:
    long = "x" * 4_000
    last = Plan(summary=long, approach=long, steps=("s" * 500,) * 40, files_to_touch=("f" * 500,) * 100)
    prompt = plan_prompt("t" * 200, "d" * 20_000, "a" * 20_000, (long,) * 30, last)
    assert len(prompt) <= PROMPT_LENGTH_MAX
    assert prompt.count("begin of a comment") == 10
    assert "How to answer" in prompt


@pytest.mark.parametrize(
    ("entry", "path", "covered"),
    [
        ("src/a.py", "src/a.py", True),
        ("./src/a.py", "src/a.py", True),
        ("src/a.py", "./src/a.py", True),
        ("src/a.py", "src/a.pyc", False),
        ("src/a.py", "a.py", False),
        ("a.py", "src/a.py", False),
        ("src", "src/deep/a.py", True),
        ("src/", "src/deep/a.py", True),
        ("src/", "srcs/a.py", False),
        ("src", "source/a.py", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/deep/a.py", False),
        ("src/*", "src/deep/a.py", False),
        ("src/*/", "src/deep/a.py", True),
        ("src/*/", "src/deep/deeper/a.py", True),
        ("src/**", "src/deep/deeper/a.py", True),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/deep/deeper/a.py", True),
        ("src/**/*.py", "src/deep/a.txt", False),
        ("**/test_*.py", "test_a.py", True),
        ("**/test_*.py", "a/b/test_a.py", True),
        ("**/b/**/c", "a/b/x/b/y/c", True),
        ("**/b/**/c", "a/b/x/b/y/d", False),
        ("a?.py", "ab.py", True),
        ("a?.py", "a/.py", False),
        ("a*b*c", "aXbYbZc", True),
        ("a*b*c", "aXbYbZ", False),
        ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
        ("app/[id]/page.tsx", "app/i/page.tsx", False),
        ("app/[*]/page.tsx", "app/[id]/page.tsx", True),
        (".", "src/a.py", True),
        ("./", "src/a.py", True),
        ("", "src/a.py", False),
        ("/", "src/a.py", False),
        ("/src", "src/a.py", False),
        ("..", "src/a.py", False),
        ("src/../etc", "etc/a", False),
        ("**", "../a.py", False),
        ("src", "src/../etc/a", False),
        ("**", "/etc/passwd", False),
        (".", "", False),
    ],
)
def test_a_change_is_held_to_the_files_of_its_plan(entry: str, path: str, covered: bool) -> None:
    assert allows((entry,), path) is covered


def test_one_of_several_entries_is_enough_and_none_allows_nothing() -> None:
    assert allows(("docs", "src/a.py"), "src/a.py")
    assert not allows((), "src/a.py")


def test_a_glob_made_to_be_slow_is_matched_in_moderate_time() -> None:
    began = time.process_time()
    assert not allows(("*a" * 250,) * 100, "a" * 499 + "b")
    assert not allows(("**/a/" * 80 + "b",) * 100, "a/" * 200 + "c")
    assert time.process_time() - began < 20


NAMES = st.text("ab.*?[", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))


@settings(deadline=None, database=None)
@given(st.lists(NAMES, min_size=1, max_size=5), st.lists(NAMES, max_size=3))
def test_every_path_is_covered_by_itself_and_by_the_folders_above_it(names: list[str], more: list[str]) -> None:
    path = "/".join(names)
    assert allows((path,), path)
    assert allows((path,), "/".join([*names, *more]))
    assert allows(("/".join([*names[:-1], "*"]),), path)
    assert allows(("**/" + names[-1],), path)
    assert not allows((path,), f"{path}/../x")
