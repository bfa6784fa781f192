"""A file that describes agents: what is wrong in it is refused by its field and with what would be right; what is right is read
however odd the output that it is for."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_agent_exec.agents.facts import AnyFact, Finished, Garbage, Noise, RateLimited, Started, Text, Usage
from penstock_agent_exec.agents.generic_file import BadAgents, Described, read_agents
from penstock_agent_exec.agents.generic_listen import DOCUMENT_BYTES_MAX, Listening
from penstock_agent_exec.agents.generic_rules import BadRule, Condition, Pattern, Pointer
from penstock_agent_exec.agents.when import seconds_of

HEAD: Final = '[agents.a]\nprogram = "a"\n'
NOW: Final = 1_795_000_000.0


def read(folder: Path, text: str) -> dict[str, Described]:
    file = folder / "agents.toml"
    file.write_text(text)
    return read_agents(file, ("claude",))


def rule(line: str, output: str = "json-lines") -> str:
    return f'{HEAD}output = "{output}"\n[[agents.a.rules]]\n{line}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agents = 3", "tables named [agents.<name>] and nothing else"),
        ("[agent.a]\nprogram = 'a'", "tables named [agents.<name>] and nothing else"),
        ("[agents", "is not TOML"),
        ("[agents.A]\nprogram = 'a'", "agents.A: an agent's name has 1-63 of a-z"),
        ("[agents.claude]\nprogram = 'a'", "agents.claude: there is an agent of this name already"),
        ("[agents.scripted-b]\nprogram = 'a'", "agents.scripted-b: there is an agent of this name already"),
        ("[agents.a]\n", "agents.a: Object missing required field `program`"),
        (HEAD + "argv = 'x'", "agents.a.argv: Expected `array`, got `str`"),
        (
            HEAD + "argv = [3]",
            "agents.a.argv[0]: an argument is a text, or a list of texts that belong together, not 3",
        ),
        (HEAD + "argv = ['a', [['b']]]", "agents.a.argv[1]: an argument is a text"),
        (HEAD + "promt = 'stdin'", "agents.a: Object contains unknown field `promt`"),
        (HEAD + "prompt = 'args'", "agents.a.prompt: Invalid enum value 'args'"),
        (HEAD + "prompt = 'argument'", "agents.a.argv: has no {prompt}"),
        (
            HEAD + "prompt = 'argument'\nargv = ['-p']",
            "agents.a.argv: has no {prompt}, and the prompt is given by argument",
        ),
        (HEAD + "argv = ['{prompt}']", "agents.a.argv: has a {prompt}, and the prompt is given by stdin"),
        (HEAD + "argv = ['--model={model}']", "agents.a.argv: {model} must be the whole of it"),
        (
            HEAD + "argv = [['-m', '{modell}']]",
            "agents.a.argv: there is no placeholder {modell}; there are {prompt}, {model}",
        ),
        (HEAD + "env = { X = 'at {session_id}' }", "agents.a.env.X: {session_id} must be the whole of it"),
        (HEAD + "env = { X = '{prompt}' }", "agents.a.env.X: a prompt does not belong into the environment"),
        (HEAD + "env = { X = '{base_url}' }", "agents.a.env: {base_url} is the model's address"),
        (HEAD + "env = { 'A B' = 'x' }", "agents.a"),
        (
            HEAD + "pass_env = ['PENSTOCK_GIT_TOKEN_FILE']",
            "agents.a.pass_env: PENSTOCK_GIT_TOKEN_FILE is not for agents",
        ),
        (HEAD + "visible = ['lib']", "agents.a.visible[0]: must be an absolute path"),
        (HEAD + "exit_codes = { 3 = 'bad' }", "agents.a.exit_codes"),
        (HEAD + "stop = [{ signal = 'KILL' }]", "agents.a.stop[0].signal: Invalid enum value 'KILL'"),
        (HEAD + "version = { pattern = '(' }", "agents.a.version.pattern: is no RE2 pattern: missing ): ("),
        (HEAD + "version = { minimum = 'one' }", "agents.a.version.minimum"),
        (
            HEAD + "[agents.a.model]\ndialect = 'grpc'\nbase_url = 'https://x'",
            "agents.a.model.dialect: Invalid enum value",
        ),
        (
            HEAD + "[agents.a.model]\ndialect = 'chat'\nbase_url = 'x'",
            "agents.a.model.base_url: 'x' is no address of an API",
        ),
        (HEAD + "[agents.a.model]\ndialect = 'chat'\nbase_url = 'https://u:p@x'", "a name or password does not belong"),
        (HEAD + "[agents.a.model]\ndialect = 'chat'\nbase_url = 'https://x?api_key=1'", "is a secret in an address"),
        (
            HEAD + "[agents.a.model]\ndialect = 'chat'\nbase_url = 'https://x'\nkey_file = 'k'",
            "agents.a.model.key_file",
        ),
        (rule("says = 'joke'"), "agents.a.rules[0].says: Invalid enum value 'joke'"),
        (rule("says = 'text'"), "agents.a.rules[0]: JSON is read by `when` and `take`"),
        (rule("says = 'text'\nmatch = 'x'"), "agents.a.rules[0]: JSON is read by `when` and `take`"),
        (rule("says = 'text'\nmatch = '('", "text"), "agents.a.rules[0].match: is no RE2 pattern"),
        (rule("says = 'text'\nmatch = '(?=x)'", "text"), "agents.a.rules[0].match: is no RE2 pattern"),
        (rule("says = 'text'\nwhen = { '/a' = 1 }", "text"), "agents.a.rules[0]: text is read by `match`"),
        (rule("says = 'text'\nmatch = '(?P<txt>.)'", "text"), "what says `text` takes no `txt`; it may take text"),
        (
            rule("says = 'usage'\ntake = { tokens = '/a' }"),
            "what says `usage` takes no `tokens`; it may take id, input_tokens",
        ),
        (
            rule("says = 'text'\ntake = { text = 'a' }"),
            "rules[0].take.text: is no path into JSON: 'a' does not begin with",
        ),
        (rule("says = 'text'\ntake = { text = '/a ~ (' }"), "rules[0].take.text: is no RE2 pattern"),
        (rule("says = 'text'\nwhen = { '/a' = '~ (' }"), "rules[0].when.'/a': is no RE2 pattern"),
        (
            rule("says = 'text'\nclass = 'vendor.xy'\ntake = { text = '/a' }"),
            "rules[0].class: only what says `error` or `limit`",
        ),
        (
            rule("says = 'error'\nclass = 'oops'\ntake = { message = '/a' }"),
            "agents.a.rules[0].class: must be a class of failure, such as",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadAgents) as refused:
        read(tmp_path, text)
    assert words in str(refused.value)
    assert str(tmp_path / "agents.toml") in str(refused.value)


def test_a_file_that_is_not_there_or_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAgents, match="cannot be read: No such file"):
        read_agents(tmp_path / "none.toml", ())
    with pytest.raises(BadAgents, match="more than 1048576 bytes"):
        read(tmp_path, "#" * 1_100_000)


# Paths, conditions, patterns


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", {"a": {"b/c": [1, {"d~": "in 22 s"}]}, "yes": True}),
        ("/a/b~1c/0", 1),
        ("/a/b~1c/1/d~0", "in 22 s"),
        ("/a/b~1c/1/d~0 ~ in (\\d+) s", "22"),
        ("/a/b~1c/1/d~0 ~ out (\\d+) s", None),
        ("/a/b~1c/7", None),
        ("/a/b~1c/x", None),
        ("/yes/no", None),
    ],
)
def test_a_path_leads_to_what_is_there(path: str, found: object) -> None:
    document = {"a": {"b/c": [1, {"d~": "in 22 s"}]}, "yes": True}
    assert Pointer(path).find(document) == found


@pytest.mark.parametrize(
    ("wanted", "given_", "holds"),
    [
        ("x", "x", True),
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (True, 1, False),
        ("1", 1, False),
        ("~ ^4\\d\\d$", 429, True),
        ("~ .", None, False),
        ("~ .", {"a": 1}, False),
    ],
)
def test_a_condition_holds_for_the_value_itself(wanted: str | int | bool, given_: object, holds: bool) -> None:
    assert Condition("/a", wanted).holds({"a": given_}) is holds


def test_no_pattern_can_be_made_slow() -> None:
    evil = Pattern("(a+)+$")
    assert evil.find("a" * 60_000 + "b") is None
    with pytest.raises(BadRule):
        Pattern("(a){1000}{1000}{1000}")


# When a limit ends


@pytest.mark.parametrize(
    ("resets_at", "retry_after", "expected"),
    [
        (1_795_386_631, None, 1_795_386_631.0),
        (1_795_386_631_240, None, 1_795_386_631.24),
        ("1795386631", 5, 1_795_386_631.0),
        ("2026-11-22T22:30:31Z", None, 1_795_386_631.0),
        ("2026-11-22T22:30:31", None, 1_795_386_631.0),
        ("Sun, 22 Nov 2026 22:30:31 GMT", None, 1_795_386_631.0),
        (None, 2, NOW + 2),
        (None, "2.5s", NOW + 2.5),
        (None, "1m30s", NOW + 90),
        (None, "500 ms", NOW + 0.5),
        (None, "soon", 0.0),
        (None, "-3", 0.0),
        ("whenever", None, 0.0),
        (float("nan"), None, 0.0),
        (True, True, 0.0),
        (10**400, None, 0.0),
        (-5, None, 0.0),
        ({"at": 3}, ["x"], 0.0),
        (None, None, 0.0),
    ],
)
def test_a_moment_is_read_in_every_form_in_which_it_is_said(
    resets_at: object, retry_after: object, expected: float
) -> None:
    assert seconds_of(resets_at, retry_after, lambda: NOW) == pytest.approx(expected)


# Listening

LINES: Final = """
[agents.a]
program = "a"
output = "json-lines"
[[agents.a.rules]]
says = "session"
take = { session = "/s" }
when = { "/s" = "~ ." }
[[agents.a.rules]]
says = "text"
when = { "/t" = "text" }
take = { text = "/text" }
[[agents.a.rules]]
says = "usage"
when = { "/t" = "used" }
take = { input_tokens = "/in", cost_usd = "/cost" }
[[agents.a.rules]]
says = "limit"
class = "vendor.usage_window"
when = { "/t" = "limit" }
take = { resets_at = "/at" }
[[agents.a.rules]]
says = "finished"
when = { "/t" = "end" }
"""


def listening(folder: Path, text: str) -> Listening:
    found = read(folder, text)["a"]
    return Listening(b"", found.table.output, found.rules, lambda: NOW)


def heard(listening: Listening, *lines: bytes) -> list[AnyFact]:
    return [fact for line in lines for fact in listening.hear(line).facts]


def test_a_session_is_told_once_and_its_last_text_is_the_answer_in_full(tmp_path: Path) -> None:
    long = "x" * 50_000
    facts = heard(
        listening(tmp_path, LINES),
        b'{"s": "one", "t": "text", "text": "%s"}' % long.encode(),
        b'{"s": "one", "t": "used", "in": 7, "cost": 0.5}',
        b'{"s": "one", "t": "used", "in": 8}',
        b'{"s": "one", "t": "limit", "at": 1795386631}',
        b'{"s": "one", "t": "end"}',
        b"",
        b"no json",
        b'{"t": "else"}',
    )
    assert [type(fact) for fact in facts] == [Started, Text, Usage, Usage, RateLimited, Finished, Garbage, Noise]
    usages = [fact for fact in facts if isinstance(fact, Usage)]
    assert [(used.message_id, used.input_tokens, used.cost_usd) for used in usages] == [("#1", 7, 0.5), ("#2", 8, None)]
    (last,) = [fact for fact in facts if isinstance(fact, Finished)]
    assert last.answer == long
    assert len(last.text) <= 4_000
    (limit,) = [fact for fact in facts if isinstance(fact, RateLimited)]
    assert (limit.kind, limit.refused, limit.resets_at) == ("vendor.usage_window", True, 1_795_386_631.0)


@pytest.mark.parametrize(
    "lines",
    [
        [b'{"r": 1, "r": {"text": "yes"}}'],
        [b"Loading ...", b'{"r": {"text": "yes"}}'],
        [b"{", b' "r": {', b'  "text": "yes"', b" }", b"}"],
        [b'{"r":', b'  {"text": "yes"}', b"}", b"bye"],
    ],
)
def test_a_document_is_read_over_as_many_lines_as_it_has(tmp_path: Path, lines: list[bytes]) -> None:
    text = rule("says = 'finished'\ntake = { text = '/r/text' }\nwhen = { '/r/text' = '~ .' }", "json")
    facts = heard(listening(tmp_path, text), *lines)
    assert [fact.answer for fact in facts if isinstance(fact, Finished)] == ["yes"]


def test_a_document_without_an_end_takes_neither_memory_nor_time(tmp_path: Path) -> None:
    one = listening(tmp_path, rule("says = 'text'\ntake = { text = '/a' }", "json"))
    line = b"}" + b" " * 100_000
    facts = heard(one, b"{", *[line] * (3 * DOCUMENT_BYTES_MAX // len(line)))
    assert sum(isinstance(fact, Garbage) for fact in facts) >= 2
    assert len(one._document) <= DOCUMENT_BYTES_MAX


WORDS: Final = st.sampled_from(["s", "t", "text", "in", "cost", "at", "used", "limit", "end", "one"])
ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)


@given(document=st.dictionaries(WORDS, ANYTHING, max_size=6))
def test_no_document_raises(tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]) -> None:
    found = read(tmp_path_factory.getbasetemp(), LINES)["a"]
    one = Listening(b"", "json-lines", found.rules, lambda: NOW)
    for fact in one._of(document):
        assert fact.__struct_fields__ is not None


def test_no_line_raises(tmp_path: Path) -> None:
    chance = random.Random(20260301)
    lines = [
        b'{"s": "one", "t": "text", "text": "a"}',
        b'{"t": "used", "in": 7, "cost": 0.5}',
        b'{"t": "limit", "at": 17}',
    ]
    for output in ("text", "json", "json-lines"):
        text = LINES if output == "json-lines" else rule("says='text'\ntake={text='/t'}", "json")
        text = text if output != "text" else rule("says = 'text'\nmatch = '(?P<text>t.*)'", "text")
        one = listening(tmp_path, text)
        for _ in range(3_000):
            line = bytearray(chance.choice(lines))
            for _ in range(chance.randrange(4)):
                line[chance.randrange(len(line))] = chance.randrange(256)
            assert isinstance(one.hear(bytes(line)).facts, tuple)
