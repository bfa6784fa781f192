"""Given a repository, then its map names what the task is about, is the same again, costs only what has changed, and survives
whatever is in the files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from adapters.git_world import host_git
from patience import WAIT_SECONDS_MAX
from repo_map_samples import SAMPLES

from penstock_agent_exec.repo_map import cache as caches
from penstock_agent_exec.repo_map import parse as parsing
from penstock_agent_exec.repo_map import rank as ranking
from penstock_agent_exec.repo_map import tree as trees
from penstock_agent_exec.repo_map.answer import (
    BINARY,
    DIED,
    GENERATED,
    LENGTH,
    MINIFIED,
    READY,
    SLOW,
    Definition,
    Symbols,
)
from penstock_agent_exec.repo_map.cache import Cache
from penstock_agent_exec.repo_map.languages import LANGUAGES
from penstock_agent_exec.repo_map.make import RepoMap, make_map
from penstock_agent_exec.repo_map.parse import DEATHS_MAX, GIVEN_UP, NO_TIME, ParserMissing, parse
from penstock_agent_exec.repo_map.render import BYTES_PER_TOKEN, OF_A_FILE_MAX, tokens_of
from penstock_agent_exec.repo_map.tree import HUGE, NOT_CODE, SUBMODULE, SYMLINK, VENDORED, TreeFailed, tree_of

SHOP = {
    "shop/cart.py": "from shop.money import Money\n\nclass Cart:\n    def add_item(self, item): ...\n"
    "    def total_price(self) -> Money:\n        return Money(0)\n",
    "shop/money.py": "class Money:\n    def __init__(self, cents): ...\n    def rounded(self): ...\n",
    "shop/users.py": "from shop.money import Money\n\nclass UserProfile:\n    def load(self): return Money(1)\n",
    "shop/web.js": "import { thing } from './x';\nexport function showCart(cart) { return renderTotal(cart); }\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\ndef test_total_price():\n    assert Cart().total_price()\n",
    "README.md": "# Shop\n",
}


class Repo:
    """A repository that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        folder.mkdir()
        host_git(folder, "init", "-q", "-b", "main", "--template=")

    @property
    def git_dir(self) -> Path:
        return self.path / ".git"

    def write(self, files: dict[str, str] | dict[str, bytes]) -> Repo:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def commit(self) -> str:
        host_git(self.path, "add", "-A", "-f")
        host_git(self.path, "commit", "-q", "--allow-empty", "-m", "Once more")
        return host_git(self.path, "rev-parse", "HEAD")

    def map(
        self, *words: str, cache: Cache | None = None, tokens_max: int = 1_000, workers: int | None = None
    ) -> RepoMap:
        return make_map(self.git_dir, self.commit(), words, cache=cache, tokens_max=tokens_max, workers=workers)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def shop(repo: Repo) -> Repo:
    return repo.write(SHOP)


def in_the_end() -> float:
    """Later than anything takes."""
    return time.monotonic() + WAIT_SECONDS_MAX


def names(found: RepoMap) -> list[str]:
    return [one.name for one in found.shown]


def many(count: int, begin: int = 0) -> dict[str, str]:
    return {f"pkg/part{n:04}.py": f"def made_{n}(): return made_{n - 1}()\n" for n in range(begin, begin + count)}


# -- what is in it, and in which order -----------------------------------------------------------------------------------


def test_what_the_words_name_comes_first_and_then_what_others_lean_on(shop: Repo) -> None:
    assert names(shop.map("total", "price"))[0] == "total_price"
    assert names(shop.map("user", "profile"))[0] == "UserProfile"
    assert names(shop.map("userprofile"))[0] == "UserProfile"
    assert names(shop.map())[0] == "Money"


def test_every_entry_says_why_it_is_there(shop: Repo) -> None:
    by_name = {one.name: one for one in shop.map("cart", "carts").shown}
    assert by_name["Cart"].why.endswith(
        "its name knows cart, carts; its path knows cart, carts; 1 other file refers to this name, 2 times"
    )
    assert "2 other files refer to this name, 5 times" in by_name["Money"].why
    assert "nothing better was left" in by_name["rounded"].why


def test_words_are_known_by_names_and_by_paths(shop: Repo) -> None:
    found = shop.map("profile", "users", "elephant", "shop/web")
    assert found.known == ("profile", "users")
    assert found.known_by_paths == ("users", "shop/web")


def test_tests_stand_behind_the_code_that_they_try(shop: Repo) -> None:
    told = names(shop.map("total", "price"))
    assert told.index("total_price") < told.index("test_total_price")


def test_languages_do_not_refer_to_each_other(repo: Repo) -> None:
    repo.write(
        {"a.py": "def render(): pass\n", "b.js": "render();\n", "c.ts": "render();\n", "d.js": "function render() {}\n"}
    )
    refers = {one.path: one.why for one in repo.map().shown}
    assert "nothing better" in refers["a.py"]
    assert "2 other files refer" in refers["d.js"]


def test_the_text_names_files_and_lines(shop: Repo) -> None:
    text = shop.map("total", "price").text
    assert "shop/cart.py\n     3: class Cart:\n" in text
    assert "     5: [Cart] def total_price(self) -> Money:\n" in text


# -- the same again ------------------------------------------------------------------------------------------------------


def test_the_same_commit_and_words_give_the_same_bytes_whoever_reads_and_remembers(shop: Repo, tmp_path: Path) -> None:
    shop.write(many(120))
    commit = shop.commit()
    cache = Cache(tmp_path / "cache.sqlite")
    told = [
        make_map(shop.git_dir, commit, ["made", "cart"], workers=workers, cache=kept).text
        for workers, kept in ((1, None), (3, None), (2, cache), (2, cache))
    ]
    assert len(set(told)) == 1
    script = "import sys; from penstock_agent_exec.repo_map.__main__ import main; main()"
    argv = [sys.executable, "-c", script, str(shop.path), "--json", "--no-cache", "--words", "made", "cart"]
    for seed in ("1", "2"):
        said = subprocess.run(
            argv, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=WAIT_SECONDS_MAX
        )
        assert json.loads(said.stdout)["text"] == told[0]


# -- what is remembered --------------------------------------------------------------------------------------------------


def test_only_what_has_changed_is_read_again(shop: Repo, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "cache.sqlite")
    first = shop.map(cache=cache)
    assert (first.read, first.remembered) == (5, 0)
    again = shop.map(cache=cache)
    assert (again.read, again.remembered) == (0, 5)
    shop.write({"shop/money.py": "class Money: ...\nclass Coin: ...\n", "shop/copy.py": SHOP["shop/cart.py"]})
    later = shop.map(cache=cache)
    # A file with a content that is known is known under any name.
    assert (later.read, later.remembered, later.files) == (1, 4, 6)
    assert "Coin" in names(later)


def test_a_file_that_ended_its_worker_is_remembered_as_such(shop: Repo, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.sqlite")
    cache.store(
        {
            blob.key: msgspec.msgpack.encode(Symbols(left_out=DIED))
            for blob in tree_of(shop.git_dir, shop.commit()).files
        }
    )
    found = shop.map(cache=cache)
    assert (found.read, found.files, found.left_out[DIED]) == (0, 0, 5)


@pytest.mark.parametrize("damage", ["no database", "cut", "overwritten", "a folder"])
def test_a_damaged_cache_is_no_worse_than_none(shop: Repo, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache.sqlite"
    text = shop.map(cache=Cache(path)).text
    match damage:
        case "no database":
            path.write_bytes(b"this is no database, and it is long enough to be looked at" * 100)
        case "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "overwritten":
            raw = bytearray(path.read_bytes())
            raw[4096:] = b"\xa5" * (len(raw) - 4096)
            path.write_bytes(raw)
        case _:
            path.unlink()
            path.mkdir()
    assert shop.map(cache=Cache(path)).text == text
    assert shop.map(cache=Cache(path)).text == text
    if damage != "a folder":
        assert shop.map(cache=Cache(path)).remembered == 5


def test_an_entry_that_is_not_as_it_was_written_is_read_again(shop: Repo, tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    text = shop.map(cache=Cache(path)).text
    with sqlite3.connect(path) as database:
        (key, raw) = database.execute("select key, symbols from known order by key limit 1").fetchone()
        database.execute("update known set symbols = ? where key = ?", (raw[:-3] + b"xyz", key))
    database.close()
    found = shop.map(cache=Cache(path))
    assert (found.text, found.read, found.remembered) == (text, 1, 4)


def test_a_cache_of_another_version_is_made_anew(shop: Repo, tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    shop.map(cache=Cache(path))
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version = 7")
    database.close()
    assert shop.map(cache=Cache(path)).remembered == 0
    assert shop.map(cache=Cache(path)).remembered == 5


def test_a_cache_has_an_end_and_what_was_asked_for_last_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.sqlite", bytes_max=20_000)
    entry = msgspec.msgpack.encode(Symbols((Definition("n", "function", 1, "", "x" * 500),)))
    for number in range(100):
        cache.store({f"{number:04}": entry})
    kept = cache.load(f"{number:04}" for number in range(100))
    assert 20 <= len(kept) <= 40
    assert (tmp_path / "cache.sqlite").stat().st_size < 100_000


def test_many_processes_share_one_cache(shop: Repo, tmp_path: Path) -> None:
    shop.write(many(60))
    shop.commit()
    path = tmp_path / "cache.sqlite"
    argv = [
        sys.executable,
        "-m",
        "penstock_agent_exec.repo_map",
        str(shop.path),
        f"--cache={path}",
        "--json",
        "--workers=1",
    ]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(4)]
    told = {json.loads(process.communicate(timeout=WAIT_SECONDS_MAX)[0])["text"] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0, 0]
    assert len(told) == 1
    assert shop.map(cache=Cache(path)).read == 0


def test_a_cache_that_somebody_holds_is_waited_for_and_then_done_without(
    shop: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "BUSY_SECONDS_MAX", 0.2)
    path = tmp_path / "cache.sqlite"
    text = shop.map(cache=Cache(path)).text
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("begin exclusive")
        found = shop.map(cache=Cache(path))
    holder.close()
    assert (found.text, found.read) == (text, 5)


# -- what is not read ----------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_counted_by_reason(repo: Repo) -> None:
    repo.write(
        {
            "a.py": "def a(): pass\n",
            "node_modules/x/index.js": "function x() {}\n",
            "third_party/lib.c": "int x(void) { return 1; }\n",
            "vendor/y.go": "package y\n",
            "api_pb2.py": "def g(): pass\n",
            "site.min.js": "function m() {}\n",
            "notes.txt": "notes\n",
            "inside.py": "# @generated\ndef g(): pass\n",
            "packed.js": "a=1;" * 500,
            "big.py": "x = 1\n" * 200_000,
            "blob.py": "x\0",
        }
    )
    (repo.path / "link.py").symlink_to("/etc/passwd")
    (repo.path / "linked").symlink_to("..")
    host_git(repo.path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    host_git(repo.path, "add", "-A", "-f", "--", ":!sub")
    host_git(repo.path, "commit", "-q", "-m", "All of it")
    found = make_map(repo.git_dir, host_git(repo.path, "rev-parse", "HEAD"))
    assert found.left_out == {
        VENDORED: 3,
        GENERATED: 2,
        MINIFIED: 2,
        SYMLINK: 2,
        BINARY: 1,
        HUGE: 1,
        NOT_CODE: 1,
        SUBMODULE: 1,
    }
    assert (found.files, found.files_all, names(found)) == (1, 14, ["a"])


def test_a_header_is_of_the_language_that_most_files_beside_it_are_of(repo: Repo) -> None:
    repo.write({"a.h": "class A { };\n", "a.cpp": "", "b.cc": "", "c.c": ""})
    assert repo.map().languages == {"C++": 3, "C": 1}
    repo.write({"d.c": "", "e.c": "int x;\n"})
    assert repo.map().languages == {"C": 4, "C++": 2}


def test_a_commit_that_is_not_there_is_said(shop: Repo) -> None:
    shop.commit()
    with pytest.raises(TreeFailed, match="fatal: not a tree object"):
        make_map(shop.git_dir, "1" * 40)


def test_an_empty_repository_has_an_empty_map(repo: Repo) -> None:
    found = repo.map("anything")
    assert (found.text, found.definitions, found.files, found.known) == ("", 0, 0, ())


# -- what it is cut to ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 50, 200, 1_000, 20_000])
def test_the_text_takes_no_more_than_it_may_and_says_what_is_not_in_it(repo: Repo, tokens: int) -> None:
    repo.write(many(300))
    found = repo.map("made", tokens_max=tokens)
    assert tokens_of(found.text) <= tokens
    assert len(found.text.encode()) <= tokens * BYTES_PER_TOKEN
    if 50 < tokens < 20_000:
        assert f"{300 - len(found.shown):,} more definitions" in found.text.splitlines()[-1]


def test_one_file_does_not_take_all_the_room(repo: Repo) -> None:
    repo.write({"a.py": "".join(f"def cart_{n}(): pass\n" for n in range(100)), "b.py": "def other(): pass\n"})
    found = repo.map("cart")
    assert sum(one.path == "a.py" for one in found.shown) == OF_A_FILE_MAX
    assert "other" in names(found)


def test_more_files_than_there_may_be_are_counted(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "FILES_MAX", 3)
    repo.write({"top.py": "", "a/one.py": "x = 1\n", "a/b/c/deep.py": "y = 1\n", "z/last.py": "z = 1\n"})
    tree = tree_of(repo.git_dir, repo.commit())
    assert [blob.path for blob in tree.files] == [b"a/one.py", b"top.py", b"z/last.py"]
    assert tree.left_out[trees.TOO_MANY] == 1


def test_names_that_many_define_lead_nowhere_where_there_are_too_many_links(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write({f"d{n}.py": "def shared_name(): pass\ndef common(): pass\n" for n in range(5)})
    repo.write({"one.py": "def single_name(): pass\n", "user.py": "shared_name()\nsingle_name()\ncommon()\n"})
    assert repo.map().edges == 6
    monkeypatch.setattr(ranking, "LINKS_MAX", 5)
    assert repo.map().edges == 1


# -- hostile content -----------------------------------------------------------------------------------------------------


def test_names_that_no_terminal_should_see_and_texts_that_nothing_can_decode_are_borne(repo: Repo) -> None:
    odd = [
        b"sp ace.py",
        b"new\nline.py",
        b"\xff\xfe.py",
        b"-rf.py",
        b"a;b.py",
        b"\x1b[31mred.py",
        "übung.py".encode(),
        b"tab\t.py",
    ]
    for number, name in enumerate(odd):
        (repo.path / os.fsdecode(name)).write_bytes(b"# \xff\xfe\ndef odd_%d(): '\xc3\x28 \x1b[31m'\n" % number)
    found = repo.map("odd")
    assert sorted(names(found)) == [f"odd_{number}" for number in range(len(odd))]
    assert found.text.isprintable() or set(filter(lambda c: not c.isprintable(), found.text)) == {"\n"}
    assert "\n     2: def odd_0()" in found.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("line.py", b"x = '" + b"y" * 900_000 + b"'\n"),
        ("deep.js", b"(" * 300_000),
        ("deep.py", b"\n".join(b"[" * 200 for _ in range(2_000))),
        ("deep.cpp", b"\n".join(b"f<" * 100 for _ in range(2_000))),
        ("calls.js", b"\n".join(b".a()" * 40 for _ in range(2_000))),
        ("braces.rb", b"\n".join(b"{ |x| " * 30 for _ in range(2_000))),
    ],
)
def test_files_that_are_meant_to_break_a_parser_cost_no_more_than_themselves(
    shop: Repo, name: str, content: bytes
) -> None:
    shop.write({name: content})
    began = cpu_seconds()
    found = shop.map("total", "price")
    assert names(found)[0] == "total_price"
    assert cpu_seconds() - began < 30
    assert found.files + sum(found.left_out.values()) == found.files_all


def cpu_seconds() -> float:
    """Of this process and of its children that have ended: of what else the machine does it knows nothing."""
    return sum(os.times()[:4])


def worker(tmp_path: Path, body: str) -> tuple[str, ...]:
    """A worker of which a test says what it does with a file's `text`; None for an empty answer."""
    path = tmp_path / "worker.py"
    path.write_text(
        "import os, signal, sys, time\n"
        f"sys.stdout.buffer.write({READY!r}); sys.stdout.buffer.flush()\n"
        "def answer(text):\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
        + "while header := sys.stdin.buffer.readline():\n"
        "    text = sys.stdin.buffer.read(int(header.split()[1]) + 1)\n"
        "    said = answer(text) or b'\\x94\\x90\\x80\\xa0\\xc2'\n"
        f"    sys.stdout.buffer.write(len(said).to_bytes({LENGTH.size}, 'big') + said); sys.stdout.buffer.flush()\n"
    )
    return (sys.executable, str(path))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("if b'made_7' in text: os.kill(os.getpid(), signal.SIGSEGV)", DIED),
        ("if b'made_7' in text: os._exit(0)", DIED),
        ("if b'made_7' in text: os.kill(os.getpid(), signal.SIGPROF)", SLOW),
        (
            "if b'made_7' in text:\n    sys.stdout.buffer.write(b'\\xff' * 100); sys.stdout.buffer.flush(); time.sleep(60)",
            DIED,
        ),
        ("if b'made_7' in text: return b'no answer of ours'", DIED),
        # A reference that occurs no times, by which nothing can be divided.
        ("if b'made_7' in text: return b'\\x94\\x90\\x81\\xa1x\\x00\\xa0\\xc2'", DIED),
    ],
    ids=["crash", "quiet end", "too much CPU", "garbage", "another shape", "a number that is none"],
)
def test_a_worker_that_dies_costs_the_file_in_its_hand(repo: Repo, tmp_path: Path, body: str, why: str) -> None:
    repo.write(many(10) | many(30, begin=100))
    blobs = tree_of(repo.git_dir, repo.commit()).files
    found = parse(repo.git_dir, blobs, until=in_the_end(), workers=2, command=worker(tmp_path, body))
    lost = [blob.path.decode() for blob in blobs if found.found[blob.key].left_out]
    assert (lost, found.unread) == (["pkg/part0007.py"], 0) or (lost, found.unread) == (
        ["pkg/part0007.py", "pkg/part0008.py"],
        0,
    )
    assert all(found.found[blob.key].left_out in ("", why) for blob in blobs)


def test_a_worker_that_hangs_is_ended_and_the_file_named(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "SILENCE_SECONDS_MAX", 6.0)  # of a worker that is only starting, too
    repo.write(many(5))
    blobs = tree_of(repo.git_dir, repo.commit()).files
    hangs = worker(tmp_path, "if b'made_3()' in text and b'def made_3' in text: time.sleep(600)")
    found = parse(repo.git_dir, blobs, until=in_the_end(), workers=1, command=hangs)
    assert [blob.path for blob in blobs if found.found[blob.key].left_out == SLOW] == [b"pkg/part0003.py"]


def test_workers_that_die_of_everything_are_given_up(repo: Repo, tmp_path: Path) -> None:
    repo.write(many(DEATHS_MAX + 20))
    blobs = tree_of(repo.git_dir, repo.commit()).files
    found = parse(
        repo.git_dir,
        blobs,
        until=in_the_end(),
        workers=2,
        command=worker(tmp_path, "os._exit(1)"),
    )
    assert (len(found.found), found.unread, found.why) == (DEATHS_MAX + 1, 19, GIVEN_UP)


def test_a_worker_that_cannot_begin_is_no_fault_of_the_files(shop: Repo) -> None:
    blobs = tree_of(shop.git_dir, shop.commit()).files
    for command in (("false",), ("/nonexistent/worker",), ("yes",)):
        with pytest.raises(ParserMissing):
            parse(shop.git_dir, blobs, until=in_the_end(), command=command)


def test_what_cannot_be_read_in_time_is_said_and_what_was_read_is_kept(repo: Repo, tmp_path: Path) -> None:
    repo.write(many(50))
    blobs = tree_of(repo.git_dir, repo.commit()).files
    kept: dict[str, bytes] = {}
    slow = worker(tmp_path, "if b'def made_20' in text: time.sleep(600)")
    found = parse(repo.git_dir, blobs, until=time.monotonic() + 3, workers=1, command=slow, keep=kept.update)
    assert (found.why, found.unread + len(found.found)) == (NO_TIME, 50)
    assert kept.keys() == found.found.keys()
    none = make_map(repo.git_dir, repo.commit(), seconds_max=0.0)
    assert (none.files, none.left_out) == (0, {NO_TIME: 50})


def test_the_real_worker_can_open_nothing_start_nothing_and_reach_nobody(shop: Repo, tmp_path: Path) -> None:
    blob = tree_of(shop.git_dir, shop.commit()).files[0]
    tries = tmp_path / "tries.py"
    tries.write_text(
        "import os, resource, socket, sys\nfrom penstock_agent_exec.repo_map import worker\nworker._give_up_rights()\n"
        "def fails(what):\n    try: what()\n    except (OSError, ValueError): return True\n    return False\n"
        "assert fails(lambda: open('/etc/passwd'))\nassert fails(lambda: socket.socket())\nassert fails(os.pipe)\n"
        "assert fails(os.fork)\nassert fails(lambda: os.kill(os.getppid(), 0))\n"
        "assert fails(lambda: os.execv('/bin/true', ['true']))\n"
        "assert fails(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)))\nos._exit(7)\n"
    )
    done = subprocess.run([sys.executable, str(tries)], capture_output=True, timeout=WAIT_SECONDS_MAX)
    assert done.returncode == 7, done.stderr.decode()
    assert parse(shop.git_dir, [blob], until=in_the_end()).found[blob.key].definitions


def test_a_confined_worker_reads_every_language(repo: Repo) -> None:
    repo.write({sample.file: sample.text for sample in SAMPLES.values()})
    found = repo.map(tokens_max=20_000)
    assert (sum(found.left_out.values()), found.files) == (0, len(SAMPLES))
    assert set(found.languages) == {one.name for one in LANGUAGES}
    assert found.definitions == sum(len(sample.defines.split()) for sample in SAMPLES.values())


def test_a_worker_stops_at_a_file_that_takes_all_its_time() -> None:
    script = (
        "import signal\nfrom penstock_agent_exec.repo_map import worker\nworker.FILE_CPU_SECONDS_MAX = 0.2\n"
        "def forever(raw, language):\n    while True: pass\n"
        "worker.symbols_of = forever\nworker.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.communicate(b"1" * 40 + b" 3 python\nx\n\n\n", timeout=WAIT_SECONDS_MAX)
    assert process.returncode == -signal.SIGPROF


def test_nothing_is_left_running_when_a_map_is_broken_off(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "KEEP_EVERY", 1)
    repo.write(many(10))
    blobs = tree_of(repo.git_dir, repo.commit()).files
    pids = tmp_path / "pids"
    noted = worker(
        tmp_path, f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\nif b'made_5' in text: time.sleep(600)"
    )

    def stop(_: dict[str, bytes]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parse(repo.git_dir, blobs, until=in_the_end(), workers=2, command=noted, keep=stop)
    assert not any(Path(f"/proc/{pid}").exists() for pid in set(pids.read_text().split()))


# -- for a person --------------------------------------------------------------------------------------------------------


def printed(*args: str, cwd: Path | None = None, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "penstock_launcher", "map", *args]
    env = os.environ | ({"XDG_CACHE_HOME": str(cache)} if cache else {})
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=WAIT_SECONDS_MAX)


def test_the_map_is_printed_with_languages_times_and_reasons(shop: Repo, tmp_path: Path) -> None:
    commit = shop.commit()
    done = printed("--words", "totalPrice", "--why", cwd=shop.path / "shop", cache=tmp_path / "cache")
    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        "     5: [Cart] def total_price(self) -> Money:\n         function, ",
        "its name knows totalprice, total, price",
        f"commit {commit[:12]}, 5 of 6 files: Python 4, JavaScript 1\n",
        "left out: 1 no language of the map\n",
        "5 files read, 0 known from before; ",
        "about ",
    ):
        assert part in done.stdout
    assert "0 files read, 5 known from before" in printed(str(shop.path), cache=tmp_path / "cache").stdout


def test_what_has_no_map_says_why(tmp_path: Path, shop: Repo) -> None:
    shop.commit()
    without_git = subprocess.run(
        [sys.executable, "-m", "penstock_agent_exec.repo_map", str(shop.path)],
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS_MAX,
    )
    assert without_git.returncode == 1
    assert without_git.stderr == f"no map of {shop.path}: git is not installed on this host\n"
    for arguments, why in (
        *(
            ((str(shop.path), "--seconds", seconds), "a number of seconds above 0")
            for seconds in ("nan", "inf", "0", "x")
        ),
        ((str(tmp_path / "nothing"),), "No such file"),
        ((str(tmp_path),), "not a git repository"),
        ((str(shop.path), "--commit", "nowhere"), "nowhere"),
        ((str(shop.path), "--commit=--help"), "no commit --help"),
    ):
        done = printed(*arguments)
        assert done.returncode != 0
        assert why in done.stderr
        assert "Traceback" not in done.stderr
