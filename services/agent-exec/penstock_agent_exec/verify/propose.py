"""Which commands say whether a change is good: proposed from a repository's own files, for a person to confirm.

Rule of this room: files are read, and nothing of the repository is run. A proposal says where it comes from and how sure it is;
what a file says and nobody can read is left out, since a person looks at the rest anyway. A command is proposed only where it
is made of our own words, or of the repository's own script names, checked letter by letter.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from penstock.bounds import Glob, Line, Shell, Word

Stage: TypeAlias = Literal["pre", "build", "test", "lint"]
Confidence: TypeAlias = Literal["high", "medium", "low"]
Files: TypeAlias = Mapping[str, str]

PROPOSALS_MAX: Final = 60
FILE_BYTES_MAX: Final = 512 * 1024
BY_NAME: Final = frozenset((
    "uv.lock", "poetry.lock", "pdm.lock", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "bun.lockb", "bun.lock",
    "Cargo.lock", "composer.lock", "Gemfile.lock", "mvnw", "gradlew",
))  # fmt: skip
"""Files that say all by being there, however long they are."""

WANTED: Final = (
    "pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "noxfile.py", "pytest.ini", "requirements.txt", "requirements-dev.txt",
    "uv.lock", "poetry.lock", "pdm.lock", "ruff.toml", ".ruff.toml", "mypy.ini", ".flake8",
    "package.json", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lockb", "bun.lock",
    "tsconfig.json", "Cargo.toml", "Cargo.lock", "go.mod", ".golangci.yml", ".golangci.yaml", ".golangci.toml",
    "Makefile", "makefile", "GNUmakefile", "justfile", "pom.xml", "mvnw", "build.gradle", "build.gradle.kts", "gradlew",
    "settings.gradle", "settings.gradle.kts", "composer.json", "composer.lock", "phpunit.xml", "phpunit.xml.dist", "Gemfile",
    "Gemfile.lock", "Rakefile", ".rspec", ".rubocop.yml", "CMakeLists.txt", "meson.build", ".gitlab-ci.yml", "mix.exs",
    "Package.swift", "pre-commit-config.yaml", ".pre-commit-config.yaml",
)  # fmt: skip
"""At the root; a monorepo's parts are for a person to name."""

WORKFLOWS: Final = ".github/workflows/"
WORKFLOWS_MAX: Final = 20

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,60}")
_TARGET: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,40})\s*:(?!=)", re.MULTILINE)
_RUN: Final = re.compile(r"^(\s*)(?:- )?(?:run|script):\s*(.*)$")
_ITEM: Final = re.compile(r"^\s*-\s+(\S.*)$")
_ORDER: Final = {"high": 0, "medium": 1, "low": 2}
_STAGES: Final = ("pre", "build", "test", "lint")


class Proposal(Struct, frozen=True, kw_only=True):
    """One command for one stage. `source`: the file that it comes from; `reports`: what it writes about its tests."""

    stage: Word
    command: Shell
    confidence: Word
    source: Line
    why: Line
    reports: tuple[Glob, ...] = ()


class Proposals(Struct, frozen=True, kw_only=True):
    """All of them, by stage and the surest first. `unread`: files that nobody could make sense of."""

    proposals: tuple[Proposal, ...]
    unread: tuple[Line, ...] = ()

    def best(self) -> dict[str, Proposal]:
        """The surest of each stage: what a person is asked to confirm."""
        found: dict[str, Proposal] = {}
        for one in self.proposals:
            found.setdefault(one.stage, one)
        return found


class _Unread(Exception):
    """This file is not what its name says."""


def propose(files: Files) -> Proposals:
    """From the wanted files of a tree, by path."""
    found: list[Proposal] = []
    unread: list[str] = []
    for reader in (_python, _node, _rust, _go, _jvm, _php, _ruby, _native, _others, _make, _ci):
        try:
            found += reader(files)
        except _Unread as error:
            unread.append(str(error))
    seen: dict[tuple[str, str], Proposal] = {}
    for one in found:
        known = seen.get((one.stage, one.command))
        if known is None or _ORDER[one.confidence] < _ORDER[known.confidence]:
            seen[one.stage, one.command] = one
    ranked = sorted(seen.values(), key=lambda one: (_STAGES.index(one.stage), _ORDER[one.confidence]))
    return Proposals(proposals=tuple(ranked[:PROPOSALS_MAX]), unread=tuple(unread))


def _of(stage: Stage, command: str, confidence: Confidence, source: str, why: str, *reports: str) -> Proposal:
    return Proposal(stage=stage, command=command, confidence=confidence, source=source, why=why[:300], reports=reports)


# -- by language -------------------------------------------------------------------------------------------------------


def _python(files: Files) -> Iterator[Proposal]:
    project = _toml(files, "pyproject.toml")
    tools = project.get("tool", {})
    tools = tools if isinstance(tools, dict) else {}
    if not {"pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "pytest.ini", "requirements.txt"} & files.keys():
        return
    run, lock = "", ""
    if "uv.lock" in files:
        run, lock = "uv run ", "uv.lock"
        yield _of("pre", "uv sync --frozen --all-groups", "high", lock, "a lock file of uv")
    elif "poetry.lock" in files:
        run, lock = "poetry run ", "poetry.lock"
        yield _of("pre", "poetry install --no-interaction", "high", lock, "a lock file of Poetry")
    elif "pdm.lock" in files:
        run, lock = "pdm run ", "pdm.lock"
        yield _of("pre", "pdm sync --dev", "high", lock, "a lock file of PDM")
    else:
        for name in ("requirements-dev.txt", "requirements.txt"):
            if name in files:
                yield _of("pre", f"pip install -r {name}", "medium", name, "a list of requirements and no lock file")
                break
    ini = _ini(files, "setup.cfg")
    is_pytest = {
        "pyproject.toml": isinstance(tools.get("pytest"), dict),
        "pytest.ini": "pytest.ini" in files,
        "setup.cfg": "tool:pytest" in ini,
        "tox.ini": "pytest" in _ini(files, "tox.ini"),
    }
    settings = next((name for name, there in is_pytest.items() if there), "")
    text = "\n".join(files.get(name, "") for name in ("pyproject.toml", "setup.cfg", "requirements-dev.txt", "tox.ini"))
    if settings:
        yield _of("test", f"{run}pytest --junitxml=junit.xml", "high", settings, "settings of pytest", "junit.xml")
    elif re.search(r"\bpytest\b", text):
        yield _of(
            "test", f"{run}pytest --junitxml=junit.xml", "medium", "pyproject.toml", "pytest is named", "junit.xml"
        )
    else:
        yield _of(
            "test", f"{run}python -m unittest", "low", "pyproject.toml", "a Python project without word of pytest"
        )
    if "tox.ini" in files:
        yield _of("test", "tox run", "medium", "tox.ini", "settings of tox")
    if "noxfile.py" in files:
        yield _of("test", "nox", "medium", "noxfile.py", "sessions of nox")
    for name, there in (
        ("pyproject.toml", "ruff" in tools),
        ("ruff.toml", "ruff.toml" in files),
        (".ruff.toml", ".ruff.toml" in files),
    ):
        if there:
            yield _of("lint", f"{run}ruff check", "high", name, "settings of ruff")
    if "mypy" in tools or "mypy.ini" in files:
        yield _of(
            "lint",
            f"{run}mypy .",
            "medium",
            "mypy.ini" if "mypy.ini" in files else "pyproject.toml",
            "settings of mypy",
        )
    if ".flake8" in files or "flake8" in ini:
        yield _of(
            "lint", f"{run}flake8", "medium", ".flake8" if ".flake8" in files else "setup.cfg", "settings of flake8"
        )


_NODE_LOCKS: Final = (
    ("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile"),
    ("yarn.lock", "yarn", "yarn install --immutable"),
    ("bun.lockb", "bun", "bun install --frozen-lockfile"),
    ("bun.lock", "bun", "bun install --frozen-lockfile"),
    ("package-lock.json", "npm", "npm ci"),
    ("npm-shrinkwrap.json", "npm", "npm ci"),
)
_NODE_SCRIPTS: Final[tuple[tuple[Stage, tuple[str, ...]], ...]] = (
    ("build", ("build", "compile", "typecheck", "type-check")),
    ("test", ("test", "test:unit", "test:ci")),
    ("lint", ("lint", "lint:check", "check", "eslint")),
)


def _node(files: Files) -> Iterator[Proposal]:
    package = _json(files, "package.json")
    if not package:
        return
    lock = next((one for one in _NODE_LOCKS if one[0] in files), None)
    manager = lock[1] if lock is not None else "npm"
    said = package.get("packageManager")
    if isinstance(said, str) and said.split("@")[0] in ("npm", "pnpm", "yarn", "bun"):
        manager = said.split("@")[0]
    if lock is not None:
        install = lock[2]
        if manager == "yarn" and "__metadata" not in files["yarn.lock"]:
            install = "yarn install --frozen-lockfile"
        yield _of("pre", install, "high" if manager == lock[1] else "low", lock[0], f"a lock file of {lock[1]}")
    elif package.get("dependencies") or package.get("devDependencies"):
        yield _of("pre", f"{manager} install", "medium", "package.json", "dependencies and no lock file")
    scripts = package.get("scripts")
    scripts = scripts if isinstance(scripts, dict) else {}
    wanted = package.get("devDependencies")
    wanted = wanted if isinstance(wanted, dict) else {}
    for stage, names in _NODE_SCRIPTS:
        there = [
            name for name in names if isinstance(scripts.get(name), str) and "no test specified" not in scripts[name]
        ]
        for number, name in enumerate(there):
            command = f"{manager} test" if name == "test" and manager != "bun" else f"{manager} run {name}"
            confidence: Confidence = "high" if not number else "medium"
            yield _of(stage, command, confidence, "package.json", f"the script {name}: {scripts[name]}")
    if "test" not in scripts:
        for tool, command, report in (
            ("vitest", "npx vitest run --reporter=default --reporter=junit --outputFile=junit.xml", "junit.xml"),
            ("jest", "npx jest --ci --json --outputFile=jest-results.json", "jest-results.json"),
            ("mocha", "npx mocha", ""),
        ):
            if tool in wanted:
                reports = (report,) if report else ()
                yield _of(
                    "test", command, "medium", "package.json", f"{tool} is a dependency, and no test script", *reports
                )
    if (
        "typescript" in wanted
        and "tsconfig.json" in files
        and not {"build", "typecheck", "type-check"} & scripts.keys()
    ):
        yield _of("build", "npx tsc --noEmit", "medium", "tsconfig.json", "TypeScript without a build script")


def _rust(files: Files) -> Iterator[Proposal]:
    cargo = _toml(files, "Cargo.toml")
    if not cargo:
        return
    locked = " --locked" if "Cargo.lock" in files else ""
    every = " --workspace" if "workspace" in cargo else ""
    yield _of("build", f"cargo build{every}{locked} --all-targets", "high", "Cargo.toml", "a Rust crate")
    yield _of("test", f"cargo test{every}{locked}", "high", "Cargo.toml", "a Rust crate")
    yield _of(
        "lint",
        f"cargo clippy{every}{locked} --all-targets -- -D warnings",
        "low",
        "Cargo.toml",
        "clippy comes with Rust",
    )
    yield _of("lint", "cargo fmt --all --check", "low", "Cargo.toml", "rustfmt comes with Rust")


def _go(files: Files) -> Iterator[Proposal]:
    if "go.mod" not in files:
        return
    yield _of("build", "go build ./...", "high", "go.mod", "a Go module")
    yield _of(
        "test", "go test -json ./...", "high", "go.mod", "a Go module; as JSON, so that every test is known by name"
    )
    yield _of("lint", "go vet ./...", "medium", "go.mod", "vet comes with Go")
    config = next((name for name in (".golangci.yml", ".golangci.yaml", ".golangci.toml") if name in files), "")
    if config:
        yield _of("lint", "golangci-lint run", "high", config, "settings of golangci-lint")


def _jvm(files: Files) -> Iterator[Proposal]:
    if "pom.xml" in files:
        mvn = "./mvnw" if "mvnw" in files else "mvn"
        yield _of("build", f"{mvn} -B -q -DskipTests package", "medium", "pom.xml", "a Maven project")
        yield _of(
            "test", f"{mvn} -B verify", "high", "pom.xml", "a Maven project", "**/target/surefire-reports/TEST-*.xml",
            "**/target/failsafe-reports/TEST-*.xml",
        )  # fmt: skip
    script = next((name for name in ("build.gradle.kts", "build.gradle") if name in files), "")
    if script:
        gradle = "./gradlew" if "gradlew" in files else "gradle"
        yield _of("build", f"{gradle} assemble", "medium", script, "a Gradle build")
        yield _of("test", f"{gradle} check", "high", script, "a Gradle build", "**/build/test-results/**/*.xml")


def _php(files: Files) -> Iterator[Proposal]:
    composer = _json(files, "composer.json")
    if not composer:
        return
    yield _of(
        "pre",
        "composer install --no-interaction",
        "high" if "composer.lock" in files else "medium",
        "composer.json",
        "Composer",
    )
    scripts = composer.get("scripts")
    for name in scripts if isinstance(scripts, dict) else ():
        stage: Stage | None = (
            "test" if name in ("test", "tests") else "lint" if name in ("lint", "cs", "stan", "phpstan") else None
        )
        if stage is not None:
            yield _of(stage, f"composer run {name}", "high", "composer.json", f"the script {name}")
    config = next((name for name in ("phpunit.xml", "phpunit.xml.dist") if name in files), "")
    if config:
        yield _of(
            "test", "vendor/bin/phpunit --log-junit junit.xml", "medium", config, "settings of PHPUnit", "junit.xml"
        )


def _ruby(files: Files) -> Iterator[Proposal]:
    gems, rake = files.get("Gemfile"), files.get("Rakefile", "")
    run = "bundle exec " if gems is not None else ""
    if gems is not None:
        yield _of("pre", "bundle install", "high" if "Gemfile.lock" in files else "medium", "Gemfile", "a Gemfile")
    if ".rspec" in files or re.search(r"\brspec\b", gems or ""):
        source = ".rspec" if ".rspec" in files else "Gemfile"
        junit = "rspec_junit_formatter" in (gems or "")
        more = " --format RspecJunitFormatter --out rspec.xml --format progress" if junit else ""
        yield _of("test", f"{run}rspec{more}", "high", source, "RSpec is used here", *(("rspec.xml",) if junit else ()))
    elif re.search(r"\bTestTask\b|task\s+:?['\"]?(?:test|default)", rake):
        yield _of("test", f"{run}rake test", "medium", "Rakefile", "a task for tests")
    if ".rubocop.yml" in files:
        yield _of("lint", f"{run}rubocop", "high", ".rubocop.yml", "settings of RuboCop")


def _native(files: Files) -> Iterator[Proposal]:
    if "CMakeLists.txt" in files:
        yield _of("build", "cmake -S . -B build && cmake --build build", "medium", "CMakeLists.txt", "a CMake project")
        if re.search(r"\b(?:enable_testing|include\s*\(\s*CTest|add_test)\b", files["CMakeLists.txt"]):
            yield _of(
                "test", "ctest --test-dir build --output-on-failure --output-junit junit.xml", "medium", "CMakeLists.txt",
                "tests are added to CTest", "build/junit.xml",
            )  # fmt: skip
    if "meson.build" in files:
        yield _of("build", "meson setup build && meson compile -C build", "medium", "meson.build", "a Meson project")
        yield _of(
            "test", "meson test -C build", "medium", "meson.build", "a Meson project", "build/meson-logs/*.junit.xml"
        )


def _others(files: Files) -> Iterator[Proposal]:
    if "mix.exs" in files:
        yield _of("pre", "mix deps.get", "medium", "mix.exs", "an Elixir project")
        yield _of("test", "mix test", "high", "mix.exs", "an Elixir project")
    if "Package.swift" in files:
        yield _of("build", "swift build", "high", "Package.swift", "a Swift package")
        yield _of(
            "test", "swift test --xunit-output junit.xml", "medium", "Package.swift", "a Swift package", "junit.xml"
        )
    if ".pre-commit-config.yaml" in files:
        yield _of(
            "lint",
            "pre-commit run --all-files",
            "low",
            ".pre-commit-config.yaml",
            "hooks before commits; they may fetch",
        )


# -- files of any language ---------------------------------------------------------------------------------------------

_MAKE_TARGETS: Final[tuple[tuple[Stage, tuple[str, ...]], ...]] = (
    ("pre", ("deps", "setup", "install-deps", "bootstrap")),
    ("build", ("build", "compile")),
    ("test", ("test", "tests", "check", "unit", "unittest")),
    ("lint", ("lint", "fmt-check", "format-check", "vet", "typecheck")),
)


def _make(files: Files) -> Iterator[Proposal]:
    for name, tool in (("GNUmakefile", "make"), ("Makefile", "make"), ("makefile", "make"), ("justfile", "just")):
        if name not in files:
            continue
        targets = set(_TARGET.findall(files[name]))
        for stage, wanted in _MAKE_TARGETS:
            for number, target in enumerate(one for one in wanted if one in targets):
                confidence: Confidence = "high" if not number and stage in ("test", "lint") else "medium"
                yield _of(stage, f"{tool} {target}", confidence, name, f"the target {target}")


_CI_WORDS: Final[tuple[tuple[Stage, re.Pattern[str]], ...]] = (
    (
        "lint",
        re.compile(
            r"\b(?:lint|eslint|ruff|flake8|mypy|pyright|clippy|golangci-lint|rubocop|phpstan|fmt|vet|prettier)\b"
        ),
    ),
    (
        "test",
        re.compile(
            r"\b(?:test|tests|pytest|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest|check|verify|nextest|bats)\b"
        ),
    ),
    ("build", re.compile(r"\b(?:build|compile|assemble|package|tsc)\b")),
    ("pre", re.compile(r"\b(?:install|sync|restore|deps|ci)\b")),
)
_CI_NOT: Final = re.compile(
    r"\$\{\{|\$[A-Z_{(]|\b(?:sudo|curl|wget|docker|publish|deploy|push|upload|release|login|codecov)\b|[`|;<>]|\bcd\b"
)
CI_LENGTH_MAX: Final = 200


def _ci(files: Files) -> Iterator[Proposal]:
    """What a CI runs, line by line as it stands there: somebody has found it telling. A line that needs the CI around it is
    left out."""
    names = sorted(name for name in files if name.startswith(WORKFLOWS) or name == ".gitlab-ci.yml")
    for name in names[: WORKFLOWS_MAX + 1]:
        for line in _ci_lines(files[name]):
            if len(line) > CI_LENGTH_MAX or _CI_NOT.search(line) or not line.isprintable():
                continue
            stage = next((stage for stage, words in _CI_WORDS if words.search(line)), None)
            if stage is not None:
                yield _of(stage, line, "low" if stage == "pre" else "medium", name, "the CI runs it")


def _ci_lines(text: str) -> Iterator[str]:
    """The shell lines of `run:` and `script:` keys. Read by their indentation: no YAML of a stranger is built."""
    deep: int | None = None
    for line in text.splitlines():
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if deep is not None and indent > deep:
            item = _ITEM.match(line)
            yield (item.group(1) if item else bare).strip("'\"")
            continue
        deep = None
        if found := _RUN.match(line):
            value = found.group(2).strip()
            if value in ("", "|", "|-", ">", ">-", "|+"):
                deep = len(found.group(1))
            else:
                yield value.strip("'\"")


# -- reading files -----------------------------------------------------------------------------------------------------


def _toml(files: Files, name: str) -> dict[str, object]:
    if name not in files:
        return {}
    try:
        return tomllib.loads(files[name])
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _Unread(f"{name}: {str(error)[:200]}") from error


def _json(files: Files, name: str) -> dict[str, object]:
    if name not in files:
        return {}
    try:
        read = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise _Unread(f"{name}: {str(error)[:200]}") from error
    return read if isinstance(read, dict) else {}


def _ini(files: Files, name: str) -> frozenset[str]:
    """The names of its sections."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(files.get(name, ""))
    except configparser.Error as error:
        raise _Unread(f"{name}: {str(error)[:200]}") from error
    return frozenset(parser.sections())
