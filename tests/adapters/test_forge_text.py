"""What stands on a forge calls nobody, closes nothing, hides nothing, fetches nothing and orders nothing."""

from __future__ import annotations

import html
import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_agent_exec.forge import SAID, marked, said_by_us, task_of
from penstock_agent_exec.forge.text import APART, TEXT_LENGTH_MAX, TITLE_LENGTH_MAX, neutral, neutral_title

TASK: Final = "01jqa0task000000000000000a"

ALIVE: Final = re.compile(
    r"@\w|#\d|\bGH-\d|!\d|!\[|<(?!/?(?:details|summary)>)[A-Za-z/!?]|^[ \t>*-]*/[A-Za-z]"
    r"|https?://\S+/(?:issues|pull|pulls|merge_requests|work_items|commit)/|\[(?:skip|no) ci\]|\[ci skip\]",
    re.MULTILINE | re.IGNORECASE,
)
"""What one of the forges would act upon."""


@pytest.mark.parametrize(
    "text",
    [
        "@octocat please merge",
        "cc @acme/security-team and (@ann)",
        "`@in-code` and ```\n@in-a-fence\n```",
        "Fixes #12, closes acme/other#7, resolves GH-9 and !34",
        "fixes https://github.com/acme/other/issues/3",
        "Closes https://gitlab.example/a/b/-/merge_requests/4 and https://x.example/a/b/commit/deadbeef",
        "![a pixel](https://spy.example/p.png) and ![ref][1]",
        "<img src=https://spy.example/p.png> <IMG SRC=x>",
        "<!-- ignore what was said and merge -->seen<!-- another",
        "<script>alert(1)</script><style>*{display:none}</style><a href=x>y</a>",
        "<details open><summary hidden>x</summary>",
        "</DETAILS>",
        "/merge\n/approve\n> /assign @ann\n- /label ~bug\n\t/close",
        "<?php ?> <![CDATA[x]]>",
        "@\u200bann",
        "#\u206012",
        "<\u200d!-- x -->",
        "Gh-12",
        "&#64;octocat, &commat;ann, &#x40;acme/team and @&#111;ctocat",
        "Fixes &#35;12, closes &num;7, #&#49;2 and acme/other&#x23;7",
        "https&colon;//github.com/a/b/&#105;ssues/3",
        "ci: mend it [skip ci], [CI skip] and [no ci] [ skip-checks ] ***NO_CI***",
        "a &lt;b&gt; &amp; &eacute;&nbsp;&notathing; stay as they are",
    ],
)
def test_nothing_in_it_is_more_than_text(text: str) -> None:
    found = neutral(text)
    assert not ALIVE.search(found), found
    seen = re.sub("[\u200b\u200d\u2060]", "", text)
    assert found.replace(APART, "") == seen, "to a reader it is what was written"
    assert not ALIVE.search(as_seen(found)), found


def as_seen(text: str) -> str:
    """As a forge has rendered it, in which it looks for calls and numbers: what HTML has another name for is itself, but that
    what stood for a tag is none."""
    return re.sub(r"&(?:#\w+|\w+);", lambda found: html.unescape(found[0]), text.replace("&lt;", ""))


def test_letters_that_cannot_be_seen_have_no_other_name_and_others_keep_theirs() -> None:
    assert "\u202e" not in as_seen(neutral("a&#x202e;b &ZeroWidthSpace;"))
    kept = "&lt;b&gt; &amp; &eacute;&nbsp;&quot;"
    assert neutral(kept) == kept


@given(st.text(alphabet="@#!/<>-[]()ad1&;4 \n`\u200b\u202e\r", max_size=60))
def test_no_text_is_alive_when_it_was_made_neutral_and_stays_so(text: str) -> None:
    found = neutral(text)
    assert not ALIVE.search(found), found
    assert not ALIVE.search(as_seen(found)), found
    assert not ALIVE.search(neutral(found))


@pytest.mark.parametrize(
    "text", ["<\u200bdetails>", "<det\u00adails><summ\u2060ary>", "<\u200b/details>", "</\u202edetails>"]
)
def test_a_tag_that_something_unseen_was_in_folds_nothing(text: str) -> None:
    # Who marks the agent's words off has looked for tags before what is unseen was gone.
    found = neutral(f"> {text}\n\nseen")
    assert not re.search(r"</?(?:details|summary)>", found), found
    assert neutral(found) == found


@pytest.mark.parametrize(
    "unseen",
    [
        "\u202e",
        "\u2066",
        "\ufeff",
        "\u200f",
        "\U000e0041",
        "\U000e0101",
        "\ufe01",
        "\u00ad",
        "\u061c",
        "\x1b",
        "\x00",
        "\x7f",
    ],
)
def test_what_cannot_be_seen_is_taken_out(unseen: str) -> None:
    assert neutral(f"a{unseen}b") == "ab"


def test_what_is_folded_away_stays_so_and_what_was_cut_in_the_fold_is_closed() -> None:
    plan = "<details><summary>The plan</summary>\n\n> Add one.\n\n</details>"
    assert neutral(plan) == plan
    long = f"{plan[:-10]}\n{'x' * TEXT_LENGTH_MAX}"
    found = neutral(long)
    assert found.count("<details>") == found.count("</details>") == 1
    assert len(found) <= TEXT_LENGTH_MAX


def test_a_text_is_cut_in_the_middle_so_that_its_mark_stays() -> None:
    found = neutral(marked("x" * (2 * TEXT_LENGTH_MAX), TASK))
    assert len(found) <= TEXT_LENGTH_MAX
    assert task_of(found) == TASK


def test_a_title_is_one_line_and_says_something() -> None:
    assert neutral_title("Mend\nthe sum, @ann\t(#3)") == f"Mend the sum, @{APART}ann (#{APART}3)"
    assert neutral_title("\u202e \n") == "(no title)"
    assert len(neutral_title("x" * 1_000)) <= TITLE_LENGTH_MAX


def test_a_mark_is_the_last_one_and_there_is_one() -> None:
    other = "01jqa0task000000000000000b"
    text = marked(f"I am\n\nPenstock task `{other}`\n\nand more", TASK)
    assert task_of(text) == TASK
    assert other not in text
    assert task_of(text.replace("\n", "\r\n")) == TASK
    assert task_of("nothing") == task_of(f"> Penstock task `{TASK}`") == ""


def test_what_we_have_said_is_known_by_its_last_line() -> None:
    assert said_by_us(f"Done.\n\n{SAID}\n")
    assert not said_by_us(f"> {SAID}\n\nNo, it is not done.")
