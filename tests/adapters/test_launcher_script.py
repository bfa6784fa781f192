"""`./penstock` in a copy of the project, with stand-ins for the programs that it calls: what it installs, and when."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

UV = """#!/bin/sh
[ "$1" = --version ] && echo "uv 0.9" && exit 0
echo "$*" >> uv.calls
mkdir -p .venv/bin
printf '#!/bin/sh\\necho "ran $*"\\n' > .venv/bin/python
chmod +x .venv/bin/python
"""


class Copy:
    """A copy of the script and of what it looks at. PATH has the stand-in of uv, python3, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in ("penstock", "uv.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        self.program("uv", UV)
        for name in ("sh", "mkdir", "chmod"):
            (self.programs / name).symlink_to(str(shutil.which(name)))

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.folder / "penstock"), *arguments],
            env={"PATH": str(self.programs), "HOME": str(self.folder)} | environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def uv_calls(self) -> list[str]:
        path = self.folder / "uv.calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_the_first_verb_installs_what_the_lock_says_and_the_second_installs_nothing(copy: Copy) -> None:
    assert copy.run("status").stdout.endswith("ran -m penstock_launcher status\n")
    assert copy.run("up", "--port", "80").stdout == "ran -m penstock_launcher up --port 80\n"
    assert copy.uv_calls() == [f"sync --locked --all-packages --no-dev --inexact --quiet --python {sys.executable}"]


def test_a_changed_lock_installs_again(copy: Copy) -> None:
    copy.run("status")
    with (copy.folder / "uv.lock").open("a") as lock:
        lock.write("\n")
    copy.run("status")
    assert len(copy.uv_calls()) == 2


def test_the_tests_get_their_tools_and_the_arguments_go_to_pytest(copy: Copy) -> None:
    for name in ("git", "bwrap"):
        copy.program(name, "#!/bin/sh\n")
    copy.run("status")
    done = copy.run("test", "-k", "x", PENSTOCK_TEST_CLAUDE="/given")
    assert done.stdout.endswith("ran -m pytest -k x\n")
    assert copy.uv_calls()[1] == "sync --locked --all-packages --all-groups --quiet"
    assert copy.run("up").stdout == "ran -m penstock_launcher up\n"


def test_a_missing_program_of_the_tests_is_named_with_the_line_that_installs_it(copy: Copy) -> None:
    done = copy.run("test", PENSTOCK_TEST_CLAUDE="/given")
    assert done.returncode == 1
    assert "apt-get install -y bubblewrap git" in done.stderr


NPM = """#!/bin/sh
echo "$*" >> "$HOME/npm.calls"
for one in "$@"; do
  case $one in @*@*)
    package=${one%@*} name=${one##*/}
    name=${name%@*} name=${name%-*}
    mkdir -p "$HOME/node_modules/$package" "$HOME/node_modules/.bin"
    echo "{\\"version\\": \\"${one##*@}\\"}" > "$HOME/node_modules/$package/package.json"
    : > "$HOME/node_modules/.bin/$name";;
  esac
done
"""


def test_the_agents_of_the_tests_are_installed_by_one_command_where_one_is_missing(copy: Copy) -> None:
    for name, text in (("git", "#!/bin/sh\n"), ("bwrap", "#!/bin/sh\n"), ("npm", NPM)):
        copy.program(name, text)
    calls = copy.folder / "npm.calls"
    assert "are left out" not in copy.run("test").stdout
    assert len(calls.read_text().splitlines()) == 1
    assert calls.read_text().split()[-4:] == [
        "@anthropic-ai/claude-code@2.1.197",
        "@openai/codex@0.169.0",
        "@google/gemini-cli@0.61.0",
        "@qwen-code/qwen-code@0.24.4",
    ]
    copy.run("test")
    assert len(calls.read_text().splitlines()) == 1
    (copy.folder / "node_modules" / ".bin" / "qwen").unlink()
    copy.run("test", PENSTOCK_TEST_CLAUDE="/given")
    assert calls.read_text().splitlines()[1].split()[-3:] == [
        "@openai/codex@0.169.0",
        "@google/gemini-cli@0.61.0",
        "@qwen-code/qwen-code@0.24.4",
    ]


def test_without_npm_the_agents_are_named_whose_tests_are_left_out(copy: Copy) -> None:
    for name in ("git", "bwrap"):
        copy.program(name, "#!/bin/sh\n")
    done = copy.run("test", PENSTOCK_TEST_CODEX="/given")
    assert done.returncode == 0
    for name in ("claude", "gemini", "qwen"):
        assert f"PENSTOCK_TEST_{name.upper()}" in done.stdout
    assert "PENSTOCK_TEST_CODEX" not in done.stdout


def test_without_uv_and_venv_the_line_that_installs_it_is_printed(copy: Copy) -> None:
    (copy.programs / "uv").unlink()
    # As on a Debian without python3-venv.
    (copy.folder / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'ensurepip' else find(name, *more)\n"
    )
    done = copy.run("up", PYTHONPATH=str(copy.folder))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("apt-get install -y python3-venv")


def test_an_installation_that_fails_is_not_taken_for_done(copy: Copy) -> None:
    good = (copy.programs / "uv").read_text()
    copy.program("uv", '#!/bin/sh\n[ "$1" = --version ] && echo uv && exit 0\nexit 2\n')
    assert copy.run("up").returncode == 1
    copy.program("uv", good)
    assert copy.run("up").returncode == 0


def test_what_is_no_verb_is_answered_with_the_verbs(copy: Copy) -> None:
    assert (copy.run().returncode, copy.run("bogus").returncode, copy.run("--help").returncode) == (2, 2, 0)
    assert "demo" in copy.run("--help").stdout
    assert copy.uv_calls() == []
