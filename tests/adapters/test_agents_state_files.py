"""Given a home in which an agent may have left anything, our files come to lie in it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_agent_exec.agents import state_files
from penstock_agent_exec.agents.state_files import FOUND_MAX, find_files, put_files

NAME = ".agent/settings.json"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_files_are_written_with_the_folders_they_need_for_nobody_else_to_read(home: Path) -> None:
    put_files(home, {NAME: b"{}", "top.txt": b"top"})
    assert ((home / NAME).read_bytes(), (home / "top.txt").read_bytes()) == (b"{}", b"top")
    assert (home / NAME).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in home.rglob("*")) == [".agent", "settings.json", "top.txt"]


def test_what_was_there_is_replaced_and_its_neighbours_stay(home: Path) -> None:
    put_files(home, {NAME: b"old and longer"})
    (home / ".agent" / "session.jsonl").write_text("kept")
    put_files(home, {NAME: b"new"})
    assert (home / NAME).read_bytes() == b"new"
    assert (home / ".agent" / "session.jsonl").read_text() == "kept"


@pytest.mark.parametrize("what", ["a link as folder", "a link as file", "a file as folder", "a folder as file"])
def test_what_an_agent_left_in_the_way_is_not_followed_but_removed(home: Path, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "settings.json").write_text("somebody else's")
    match what:
        case "a link as folder":
            (home / ".agent").symlink_to(outside)
        case "a link as file":
            (home / ".agent").mkdir()
            (home / NAME).symlink_to(outside / "settings.json")
        case "a file as folder":
            (home / ".agent").write_text("in the way")
        case _:
            (home / NAME / "deep").mkdir(parents=True)
            (home / NAME / "deep" / "link").symlink_to(outside)
    put_files(home, {NAME: b"ours"})
    assert (home / NAME).read_bytes() == b"ours"
    assert not (home / NAME).is_symlink()
    assert not (home / ".agent").is_symlink()
    assert (outside / "settings.json").read_text() == "somebody else's"
    assert len(list(outside.iterdir())) == 1


def test_a_home_that_is_itself_a_link_is_refused(home: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home)
    with pytest.raises(OSError):
        put_files(link, {NAME: b"ours"})
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../out", "a/../../out", ""])
def test_a_name_that_leads_out_is_refused(home: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        put_files(home, {name: b""})


def test_files_are_found_by_a_pattern_and_nothing_else_is(home: Path) -> None:
    put_files(home, {".a/x/one.jsonl": b"", ".a/y/two.jsonl": b"", ".a/y/z/one.jsonl": b"", ".a/one.jsonl/deep": b""})
    assert set(find_files(home, ".a/*/one.jsonl")) == {home / ".a/x/one.jsonl"}
    assert set(find_files(home, ".a/*/*.jsonl")) == {home / ".a/x/one.jsonl", home / ".a/y/two.jsonl"}
    assert set(find_files(home, "**/one.jsonl")) == {home / ".a/x/one.jsonl", home / ".a/y/z/one.jsonl"}
    assert set(find_files(home, ".a/[[]*]/one.jsonl")) == set()
    for odd in (
        "",
        "/etc/passwd",
        "../*",
        ".a/../.a/x/one.jsonl",
        ".a//one.jsonl",
        "a\0b",
        "x**y/one.jsonl",
        "[a",
    ):
        assert find_files(home, odd) == ()


def test_no_link_is_followed_when_files_are_looked_for(home: Path, tmp_path: Path) -> None:
    put_files(tmp_path / "home", {".a/x/one.jsonl": b""})
    outside = tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    (outside / "x/one.jsonl").write_text("somebody else's")
    (home / ".b").symlink_to(outside)
    (home / ".a/y").symlink_to(outside / "x")
    (home / ".a/x/two.jsonl").symlink_to(outside / "x/one.jsonl")
    assert find_files(home, ".b/*/one.jsonl") == ()
    assert find_files(home, "**/*.jsonl") == find_files(home, ".a/*/*.jsonl") == (home / ".a/x/one.jsonl",)


def test_of_however_many_names_a_bounded_number_is_looked_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_files(home, {f"{number}/one.jsonl": b"" for number in range(FOUND_MAX + 10)})
    assert len(find_files(home, "*/one.jsonl")) == FOUND_MAX
    monkeypatch.setattr(state_files, "ENTRIES_MAX", 100)
    assert len(find_files(home, "*/one.jsonl")) < 100
    assert len(find_files(home, "**/one.jsonl")) < 100
