"""Given secrets, known ones and such as look like one, when they are printed in any form, in any pieces, none comes through."""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_secrets import LETTERS, eight_ways, in_pieces, planted

from penstock_agent_exec.redact import HELD_BYTES_MAX, MARK, SHAPE_BYTES_MAX, Redactor
from penstock_agent_exec.secret_forms import forms_of
from penstock_agent_exec.secret_shapes import SHAPES

CHUNKINGS = int(os.environ.get("PENSTOCK_TEST_CHUNKINGS", "2000"))
"""The long form: PENSTOCK_TEST_CHUNKINGS=100000."""

KNOWN = 'p4ss/w"ord\\with+ everything<é>'


def in_base64(secret: bytes, shift: int) -> bytes:
    """What of the secret's base64 says it, with so many bytes before it."""
    encoded = base64.b64encode(b"\0" * shift + secret)
    return encoded[(shift * 8 + 5) // 6 : (shift + len(secret)) * 8 // 6]


def streamed(redactor: Redactor, parts: Iterator[bytes] | list[bytes]) -> bytes:
    stream = redactor.stream()
    return b"".join([*(stream.feed(part) for part in parts), stream.finish()])


@pytest.mark.parametrize("form", eight_ways(KNOWN))
def test_a_known_secret_is_hidden_in_every_form(form: bytes) -> None:
    redactor = Redactor({"key": KNOWN})
    text = b"before " + form + b" after\n"
    hidden = redactor.whole(text)
    assert form not in hidden
    assert hidden.startswith(b"before " + MARK)
    assert hidden.endswith(b" after\n")


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_form_that_is_quoted_in_json_once_more_is_hidden_too(ascii_only: bool) -> None:
    secrets = planted(50, seed=23)
    redactor = Redactor(secrets)
    for secret in secrets.values():
        for form in eight_ways(secret):
            text = form.decode(errors="replace")
            if "\ufffd" not in text:
                line = json.dumps({"text": f"one {text} and"}, ensure_ascii=ascii_only)
                assert text not in json.loads(redactor.text(line))["text"]
                assert text not in json.loads(json.loads(redactor.text(json.dumps(line))))["text"]


@pytest.mark.parametrize("shift", range(9))
def test_a_known_secret_inside_something_larger_in_base64_is_hidden(shift: int) -> None:
    redactor = Redactor({"key": KNOWN})
    blob = base64.b64encode(b"x" * shift + KNOWN.encode() + b"and more")
    assert in_base64(KNOWN.encode(), shift % 3) in blob
    assert in_base64(KNOWN.encode(), shift % 3) not in redactor.whole(blob)


@pytest.mark.timeout(900 + CHUNKINGS / 100)
def test_no_secret_comes_through_however_the_output_is_cut() -> None:
    secrets = planted(50)
    redactor = Redactor(secrets)
    forms = {name: eight_ways(secret) for name, secret in secrets.items()}
    dice = random.Random(7)
    leaks: list[bytes] = []
    for _ in range(CHUNKINGS):
        name = dice.choice(tuple(secrets))
        form = dice.choice(forms[name])
        around = [b"%d words and \xff bytes" % dice.randrange(10**6) for _ in range(dice.randint(1, 6))]
        around.insert(dice.randrange(len(around) + 1), dice.choice((b"", b"pre")) + form + dice.choice((b"", b"post")))
        text = dice.choice((b" ", b"\n", b"")).join(around)
        hidden = streamed(redactor, in_pieces(text, dice))
        leaks += [form] if form in hidden else []
        assert hidden == redactor.whole(text)
    assert leaks == []


@given(st.data())
def test_a_text_in_pieces_comes_to_the_same_as_the_whole(data: st.DataObject) -> None:
    redactor = Redactor({"key": KNOWN, "other": "correct-horse"})
    words = st.one_of(
        st.binary(max_size=20),
        st.sampled_from([*eight_ways(KNOWN), b"correct-horse", b"\n", b"\\", b"ghp_" + b"a1B2c3" * 6, b"-----BEGIN"]),
    )
    parts = data.draw(st.lists(words, max_size=12))
    assert streamed(redactor, parts) == redactor.whole(b"".join(parts))


@given(
    st.recursive(
        st.one_of(
            st.text(max_size=20), st.sampled_from([KNOWN, "nsecret12", "u00e9secret", "ends\\in\\a\\", "1234567890"])
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", KNOWN]), inner, max_size=2)
        ),
        max_leaves=10,
    ),
    st.booleans(),
    st.sampled_from(["\n", "\\", "\\\\", '"', "\t", "é", "", "x"]),
)
def test_a_line_of_json_stays_one(value: object, ascii_only: bool, before: str) -> None:
    secrets = (KNOWN, "nsecret12", "u00e9secret", "ends\\in\\a\\", "1234567890", "00e9abcdef")
    redactor = Redactor({secret: secret for secret in secrets})
    line = json.dumps([before + secret + before for secret in secrets] + [value], ensure_ascii=ascii_only)
    found = json.loads(redactor.text(line))
    assert len(found) == len(secrets) + 1
    for text in found[:-1]:
        assert not any(secret in text for secret in secrets)


def test_a_secret_of_digits_where_json_has_a_number_leaves_a_number() -> None:
    redactor = Redactor({"pin": "1234567890"})
    assert json.loads(redactor.text('{"a": 1234567890, "b": "1234567890", "c": 0.12345678905}')) == {
        "a": 1,
        "b": "1",
        "c": 0.15,
    }


SHAPED = {
    "GitHub": "ghp_" + "aB3dE6gH9j" * 3 + "kLm2o4",
    "GitHub (fine-grained)": "github_pat_" + "11ABCDEFG0" + "aB3dE6gH9jKlMnOpQrStUvWx" * 3,
    "GitLab": "glpat-aB3dE6gH9jKlMnOpQrSt",
    "AWS": "AKIAQYLPMN5HHHFPZAM2",
    "AWS secret": 'aws_secret_access_key = "aB3dE6gH9jaB3dE6gH9jaB3dE6gH9jaB3dE6gH/+"',
    "Google": "AIzaSyA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1v",
    "Slack": "xoxb-123456789012-123456789012-aB3dE6gH9jKlMnOpQrStUvWx",
    "Slack webhook": "https://hooks.slack.com/services/T0ABCDEFG/B0ABCDEFG/aB3dE6gH9jKlMnOpQrStUvWx",
    "Anthropic": "sk-ant-api03-" + "aB3dE6gH9j" * 9,
    "OpenAI": "sk-proj-" + "aB3dE6gH9j" * 6,
    "OpenAI (old)": "sk-" + "aB3dE6gH9jKlMnOpQrSt" + "T3BlbkFJ" + "aB3dE6gH9jKlMnOpQrSt",
    "npm": "npm_" + "aB3dE6gH9jKlMnOpQrStUvWx0123456789ab",
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + "aB3dE6gH9jKlMnOpQrStUvWx" * 4,
    "Stripe": "sk_live_aB3dE6gH9jKlMnOpQrStUvWx",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "bearer": "Authorization: Bearer aB3dE6gH9jKlMnOpQrSt",
    "key header": "x-api-key: aB3dE6gH9jKlMnOpQrSt",
    "connection string": "postgresql://app:aB3dE6gH9j@db.internal:5432/shop",
    "private key": "-----BEGIN PRIVATE KEY-----\n"
    + ("aB3dE6gH9jKlMnOp" * 4 + "\n") * 12
    + "aB3d==\n-----END PRIVATE KEY-----",
}
PLACEHOLDERS = (
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-ant-api03-YOUR-KEY-GOES-HERE-AND-IS-LONG",
    "sk-" + "a" * 48,
    "Authorization: Bearer <your token>",
    "postgresql://app:${DB_PASSWORD}@db/shop",
    "postgresql://app:password@db/shop",
    "the task-runner-for-everything-that-has-a-long-name",
    "-----BEGIN PRIVATE KEY----- is how such a file begins.",
    "9fceb02d0ae598e95dc970b74767f19372d61af8",
    "https://example.com:8443/a/path@sha256",
)


@pytest.mark.parametrize("kind", SHAPED)
def test_what_has_the_shape_of_a_token_is_hidden_in_text_and_in_json(kind: str) -> None:
    redactor, shaped = Redactor({}), SHAPED[kind]
    telling = [part for part in shaped.replace("\n", " ").split(" ") if sum(c in LETTERS for c in part) >= 16][-1]
    for text in (f"before\n{shaped}\nafter", json.dumps({"text": f"before\n{shaped}\nafter"}), shaped):
        hidden = redactor.text(text)
        assert MARK.decode() in hidden
        assert "aB3dE6gH9j" not in hidden
        assert telling not in hidden
        assert ("after" in hidden) == ("after" in text)
        assert streamed(redactor, [bytes([byte]) for byte in text.encode()]) == hidden.encode()
    assert json.loads(redactor.text(json.dumps({"text": f"before\n{shaped}\nafter"})))["text"].endswith("\nafter")


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_what_only_stands_for_a_secret_is_left(text: str) -> None:
    assert Redactor({}).text(text) == text


def test_a_private_key_is_hidden_although_its_lines_come_one_by_one() -> None:
    key = SHAPED["private key"]
    redactor = Redactor({})
    assert streamed(redactor, [line.encode() + b"\n" for line in ("cat key.pem", *key.splitlines(), "$ ls")]) == (
        b"cat key.pem\n" + MARK + b"\n$ ls\n"
    )
    without_end = key.split("\n-----END")[0].encode()
    assert streamed(redactor, [without_end]) == MARK


def test_a_key_without_an_end_is_held_back_to_a_bound_and_hidden_beyond_it() -> None:
    redactor = Redactor({})
    stream = redactor.stream()
    line = b"aB3dE6gH9jKlMnOp" * 4 + b"\n"
    said = stream.feed(b"-----BEGIN RSA PRIVATE KEY-----\n")
    for _ in range(1_000):
        said += stream.feed(line)
        assert stream._held_bytes <= SHAPE_BYTES_MAX + 2 * len(line)
    said += stream.finish()
    assert b"aB3dE6gH9j" not in said


def test_of_a_line_without_an_end_only_so_much_is_held_back() -> None:
    redactor = Redactor({"key": KNOWN})
    stream = redactor.stream()
    dice = random.Random(3)
    text = b"".join(b"word%d " % dice.randrange(99) + (KNOWN.encode() if n % 40 == 0 else b"") for n in range(100_000))
    said = b""
    for at in range(0, len(text), 32_768):
        said += stream.feed(text[at : at + 32_768])
        assert stream._held_bytes <= HELD_BYTES_MAX
    said += stream.finish()
    assert said == redactor.whole(text) == text.replace(KNOWN.encode(), MARK)
    assert stream.found == {"key": 2_500}


def test_a_long_line_of_json_is_hidden_in_and_stays_json() -> None:
    redactor = Redactor({"key": KNOWN})
    line = json.dumps({"text": ("\\" * 7 + KNOWN + '"\n') * 20_000}).encode()
    hidden = streamed(redactor, [line[at : at + 10_007] for at in range(0, len(line), 10_007)])
    assert json.loads(hidden)["text"].count(MARK.decode()) == 20_000
    assert not any(form in hidden for form in forms_of(KNOWN))


def test_a_key_in_pem_is_known_by_each_of_its_lines() -> None:
    redactor = Redactor({"key": SHAPED["private key"]})
    line = SHAPED["private key"].splitlines()[3]
    assert redactor.text(f"+{line}") == "+" + MARK.decode()
    assert [span.name for span in redactor.find_known(f"+{line} {line}".encode())] == ["key", "key"]


def test_what_is_too_short_to_be_looked_for_is_named() -> None:
    redactor = Redactor({"short": "hunter2", "none": "", "long": "hunter2-hunter2"})
    assert redactor.too_short == ("short",)
    assert redactor.text("hunter2") == "hunter2"


def test_one_secret_that_begins_another_hides_all_of_it() -> None:
    redactor = Redactor({"a": "abcdefgh", "b": "abcdefghijkl", "c": "ijklmnopqr"})
    assert redactor.text("abcdefghijkl|abcdefgh|ijklmnopqr") == "[secret]|[secret]|[secret]"


def test_every_shape_has_one_group() -> None:
    redactor = Redactor({})
    assert redactor._shapes.groups == len(SHAPES)
