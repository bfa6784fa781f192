"""The pages that people begin with: their links lead somewhere, and their commands name only what the pages say how to get."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
HOW_TO = (ROOT / "README.md", *sorted((ROOT / "docs/how-to").glob("*.md")))
SAID = {
    *("URL", "TOKEN", "TASK"),  # in the README
    *("DECISION", "MEMORY"),  # an id from the answer of the command before
    *("NATS_URL", "NATS_PASSWORD"),  # beside the command, as `up` prints it with both filled in
}
FENCED = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)


def names(pages: tuple[Path, ...]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def commands(page: Path) -> str:
    text = page.read_text()
    return "\n".join((*FENCED.findall(text), *INDENTED.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", names(PAGES))
def test_every_link_to_a_file_of_the_project_leads_to_what_is_there(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not link.startswith("http") and (not aim.exists() or (anchor and anchor not in anchors(aim))):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("name", names(HOW_TO))
def test_commands_name_no_variable_that_no_page_says_how_to_set(name: str) -> None:
    used = set(re.findall(r"\$\{?([A-Z_]+)", commands(ROOT / name)))
    assert used - SAID == set()


@pytest.mark.parametrize("name", names(HOW_TO))
def test_a_page_that_speaks_of_an_address_and_a_token_says_where_they_come_from(name: str) -> None:
    page = ROOT / name
    text, given = page.read_text(), commands(page)
    if re.search(r"\$(URL|TOKEN)", given) and page.name != "README.md":
        assert "README.md)" in text or "steer.md" in text
    if re.search(r"^ *api ", given, re.MULTILINE) and page.name != "steer.md":
        assert "`api`" in text


@pytest.mark.parametrize("name", names(HOW_TO))
def test_commands_in_a_clone_call_the_python_that_has_the_project(name: str) -> None:
    # A Debian as it comes has no `python`, and its `python3` does not have the project.
    called = re.findall(r"^ *(?:\$ )?(python3? .*|pytest .*)$", commands(ROOT / name), re.MULTILINE)
    elsewhere = ("python -m penstock_agent_exec.", "python3 -c ")
    assert [line for line in called if not line.startswith(elsewhere)] == []
