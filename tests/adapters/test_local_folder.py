"""Given a folder of a person, when a change is made in it, then all of it is there or nothing, and nothing of theirs is lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock_agent_exec.local import edits as edits_file
from penstock_agent_exec.local.edits import Edit, InTheWay, NotTaken, Side, make
from penstock_agent_exec.local.folder import FolderRefused, folder_of


def side(text: str, *, executable: bool = False) -> Side:
    return Side(text.encode(), executable)


EDITS = (
    Edit("a.txt", side("one\n"), side("two\n")),
    Edit("deep/er/new.sh", None, side("#!/bin/sh\n", executable=True)),
    Edit("gone/only.txt", side("x\n"), None),
    Edit("run.py", side("1\n"), side("1\n", executable=True)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    (place / "gone").mkdir(parents=True)
    for name, text in (("a.txt", "one\n"), ("gone/only.txt", "x\n"), ("run.py", "1\n"), ("mine.txt", "mine\n")):
        (place / name).write_text(text)
    return place


def seen(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_edit_is_made_and_nothing_else_is_touched(folder: Path) -> None:
    (folder / "a.txt").chmod(0o640)
    assert make(folder, EDITS) == 4
    assert seen(folder) == {"a.txt": "two\n", "deep/er/new.sh": "#!/bin/sh\n", "mine.txt": "mine\n", "run.py": "1\n"}
    assert not (folder / "gone").exists()
    assert stat.S_IMODE((folder / "a.txt").stat().st_mode) == 0o640
    assert os.access(folder / "deep/er/new.sh", os.X_OK)
    assert os.access(folder / "run.py", os.X_OK)


def test_done_again_it_does_nothing_and_half_done_it_does_the_rest(folder: Path) -> None:
    (folder / "a.txt").write_text("two\n")
    assert make(folder, EDITS) == 3
    assert make(folder, EDITS) == 0


@pytest.mark.parametrize("name", ["a.txt", "deep/er/new.sh", "gone/only.txt", "run.py"])
def test_a_file_that_somebody_has_edited_keeps_all_of_it_away(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("theirs\n")
    before = seen(folder)
    with pytest.raises(InTheWay, match=name):
        make(folder, EDITS)
    assert seen(folder) == before


def test_a_file_that_is_gone_a_link_a_folder_and_a_pipe_are_in_the_way_and_no_link_is_followed(
    folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("one\n")
    ways: tuple[Callable[[], None], ...] = (
        lambda: (folder / "a.txt").symlink_to(outside / "a.txt"),
        lambda: (folder / "a.txt").mkdir(),
        lambda: os.mkfifo(folder / "a.txt"),
        lambda: None,
    )
    for make_it in ways:
        (folder / "a.txt").unlink(missing_ok=True)
        make_it()
        with pytest.raises(InTheWay, match=r"a\.txt"):
            make(folder, EDITS)
        if (folder / "a.txt").is_dir() and not (folder / "a.txt").is_symlink():
            (folder / "a.txt").rmdir()
    assert (outside / "a.txt").read_text() == "one\n"


def test_a_folder_on_the_way_that_is_a_link_is_not_gone_through(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "deep").symlink_to(outside)
    with pytest.raises(InTheWay, match="deep"):
        make(folder, EDITS)
    assert list(outside.iterdir()) == []


def test_where_one_edit_fails_those_before_it_are_taken_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen(folder)
    put = edits_file._put

    def full(root: int, path: str, after: Side | None, *, is_new: bool = False) -> None:
        if path == "run.py":
            raise OSError(28, "No space left on device")
        put(root, path, after, is_new=is_new)

    monkeypatch.setattr(edits_file, "_put", full)
    with pytest.raises(NotTaken, match="No space left"):
        make(folder, EDITS)
    assert seen(folder) == before
    assert not (folder / "deep").exists()


def test_what_cannot_be_taken_back_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = edits_file._put

    def broken(root: int, path: str, after: Side | None, *, is_new: bool = False) -> None:
        if path == "run.py" or (path == "a.txt" and after == side("one\n")):
            raise OSError(5, "Input/output error")
        put(root, path, after, is_new=is_new)

    monkeypatch.setattr(edits_file, "_put", broken)
    with pytest.raises(NotTaken, match=r"could not be taken back: a\.txt"):
        make(folder, EDITS)


def test_what_its_owner_saves_in_between_is_theirs_and_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = edits_file._put

    def saves(root: int, path: str, after: Side | None, *, is_new: bool = False) -> None:
        put(root, path, after, is_new=is_new)
        (folder / "a.txt").write_text("ours and theirs\n")
        (folder / "new.txt").write_text("theirs\n")

    monkeypatch.setattr(edits_file, "_put", saves)
    edits = (Edit("a.txt", side("one\n"), side("two\n")), Edit("new.txt", None, side("ours\n")))
    with pytest.raises(NotTaken, match=r"could not be taken back: a\.txt"):
        make(folder, edits)
    assert (folder / "new.txt").read_text() == "theirs\n"


def test_a_file_that_is_made_in_the_last_moment_is_not_written_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def late(*given: object, **named: object) -> None:
        (folder / "new.txt").write_text("theirs\n")
        real(*given, **named)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(InTheWay, match=r"new\.txt"):
        make(folder, (Edit("new.txt", None, side("ours\n")),))
    assert (folder / "new.txt").read_text() == "theirs\n"
    assert not list(folder.glob(".*penstock-new"))


# Which folders


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    place = tmp_path / "home" / "shop"
    (place / ".git").mkdir(parents=True)
    return place


def test_a_repository_below_a_folder_that_is_allowed_may_be_worked_with(repo: Path, tmp_path: Path) -> None:
    assert folder_of(str(repo), allowed=(tmp_path / "home",), data=tmp_path / "data") == repo
    assert folder_of(str(repo), allowed=(repo,), data=tmp_path / "data") == repo


def test_other_folders_may_not(repo: Path, tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    (home / "link").symlink_to(repo)
    (home / "out").symlink_to(tmp_path)
    (home / "bare").mkdir()
    (home / "worktree").mkdir()
    (home / "worktree" / ".git").write_text("gitdir: elsewhere\n")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".git").mkdir(parents=True)
    for address, why in (
        ("shop", "plain absolute"),
        (f"{home}/../home/shop", "plain absolute"),
        (f"{home}/shop\n", "plain absolute"),
        (f"{home}/link", "behind a link"),
        (f"{home}/out/home/shop", "behind a link"),
        (f"{home}/nothing", "No such file"),
        (f"{home}/bare", "not there"),
        (f"{home}/worktree", "not a folder"),
        (str(elsewhere), "not below"),
    ):
        with pytest.raises(FolderRefused, match=why):
            folder_of(address, allowed=(home,), data=data)
    with pytest.raises(FolderRefused, match="names none"):
        folder_of(str(repo), allowed=(), data=data)
    for own in (repo, home, repo / "data"):
        with pytest.raises(FolderRefused, match="own data"):
            folder_of(str(repo), allowed=(home,), data=own)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_account_may_not(repo: Path, tmp_path: Path) -> None:
    os.chown(repo, 12_345, 12_345)
    with pytest.raises(FolderRefused, match="another account"):
        folder_of(str(repo), allowed=(tmp_path,), data=tmp_path / "data")
