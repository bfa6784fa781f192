"""Commands by the files of a language's own tools.

Rule of this room: a lock file or a tool's settings make a command sure; that a language has a tool makes it a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from penstock_agent_exec.verify.proposal import Confidence, Files, Proposal, Stage, ini_of, json_of, said_by, toml_of

_PYTHON_FILES: Final = (
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "pytest.ini",
    "requirements-dev.txt",
    "requirements.txt",
)


def python(files: Files) -> Iterator[Proposal]:
    project = toml_of(files, "pyproject.toml")
    tools = project.get("tool", {})
    tools = tools if isinstance(tools, dict) else {}
    if not set(_PYTHON_FILES) & files.keys():
        return
    run, lock = "", ""
    if "uv.lock" in files:
        run, lock = "uv run ", "uv.lock"
        yield said_by("pre", "uv sync --frozen --all-groups", "high", lock, "a lock file of uv")
    elif "poetry.lock" in files:
        run, lock = "poetry run ", "poetry.lock"
        yield said_by("pre", "poetry install --no-interaction", "high", lock, "a lock file of Poetry")
    elif "pdm.lock" in files:
        run, lock = "pdm run ", "pdm.lock"
        yield said_by("pre", "pdm sync --dev", "high", lock, "a lock file of PDM")
    else:
        for name in ("requirements-dev.txt", "requirements.txt"):
            if name in files:
                yield said_by(
                    "pre", f"pip install -r {name}", "medium", name, "a list of requirements and no lock file"
                )
                break
    ini = ini_of(files, "setup.cfg")
    is_pytest = {
        "pyproject.toml": isinstance(tools.get("pytest"), dict),
        "pytest.ini": "pytest.ini" in files,
        "setup.cfg": "tool:pytest" in ini,
        "tox.ini": "pytest" in ini_of(files, "tox.ini"),
    }
    settings = next((name for name, there in is_pytest.items() if there), "")
    named = next((name for name in _PYTHON_FILES if re.search(r"\bpytest\b", files.get(name, ""))), "")
    if settings:
        yield said_by("test", f"{run}pytest --junitxml=junit.xml", "high", settings, "settings of pytest", "junit.xml")
    elif named:
        yield said_by("test", f"{run}pytest --junitxml=junit.xml", "medium", named, "pytest is named", "junit.xml")
    else:
        source = next(name for name in _PYTHON_FILES if name in files)
        # Not `python`: Debian and its kin have no program of that name unless somebody asked for it.
        yield said_by("test", f"{run}python3 -m unittest", "low", source, "a Python project without word of pytest")
    if "tox.ini" in files:
        yield said_by("test", "tox run", "medium", "tox.ini", "settings of tox")
    if "noxfile.py" in files:
        yield said_by("test", "nox", "medium", "noxfile.py", "sessions of nox")
    for name, there in (
        ("pyproject.toml", "ruff" in tools),
        ("ruff.toml", "ruff.toml" in files),
        (".ruff.toml", ".ruff.toml" in files),
    ):
        if there:
            yield said_by("lint", f"{run}ruff check", "high", name, "settings of ruff")
    if "mypy" in tools or "mypy.ini" in files:
        yield said_by(
            "lint",
            f"{run}mypy .",
            "medium",
            "mypy.ini" if "mypy.ini" in files else "pyproject.toml",
            "settings of mypy",
        )
    if ".flake8" in files or "flake8" in ini:
        yield said_by(
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


def node(files: Files) -> Iterator[Proposal]:
    package = json_of(files, "package.json")
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
        yield said_by("pre", install, "high" if manager == lock[1] else "low", lock[0], f"a lock file of {lock[1]}")
    elif package.get("dependencies") or package.get("devDependencies"):
        yield said_by("pre", f"{manager} install", "medium", "package.json", "dependencies and no lock file")
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
            yield said_by(stage, command, confidence, "package.json", f"the script {name}: {scripts[name]}")
    if "test" not in scripts:
        for tool, command, report in (
            ("vitest", "npx vitest run --reporter=default --reporter=junit --outputFile=junit.xml", "junit.xml"),
            ("jest", "npx jest --ci --json --outputFile=jest-results.json", "jest-results.json"),
            ("mocha", "npx mocha", ""),
        ):
            if tool in wanted:
                reports = (report,) if report else ()
                yield said_by(
                    "test", command, "medium", "package.json", f"{tool} is a dependency, and no test script", *reports
                )
    if (
        "typescript" in wanted
        and "tsconfig.json" in files
        and not {"build", "typecheck", "type-check"} & scripts.keys()
    ):
        yield said_by("build", "npx tsc --noEmit", "medium", "tsconfig.json", "TypeScript without a build script")


def rust(files: Files) -> Iterator[Proposal]:
    cargo = toml_of(files, "Cargo.toml")
    if not cargo:
        return
    locked = " --locked" if "Cargo.lock" in files else ""
    every = " --workspace" if "workspace" in cargo else ""
    yield said_by("build", f"cargo build{every}{locked} --all-targets", "high", "Cargo.toml", "a Rust crate")
    yield said_by("test", f"cargo test{every}{locked}", "high", "Cargo.toml", "a Rust crate")
    yield said_by(
        "lint",
        f"cargo clippy{every}{locked} --all-targets -- -D warnings",
        "low",
        "Cargo.toml",
        "clippy comes with Rust",
    )
    yield said_by("lint", "cargo fmt --all --check", "low", "Cargo.toml", "rustfmt comes with Rust")


def go(files: Files) -> Iterator[Proposal]:
    if "go.mod" not in files:
        return
    yield said_by("build", "go build ./...", "high", "go.mod", "a Go module")
    yield said_by(
        "test", "go test -json ./...", "high", "go.mod", "a Go module; as JSON, so that every test is known by name"
    )
    yield said_by("lint", "go vet ./...", "medium", "go.mod", "vet comes with Go")
    config = next((name for name in (".golangci.yml", ".golangci.yaml", ".golangci.toml") if name in files), "")
    if config:
        yield said_by("lint", "golangci-lint run", "high", config, "settings of golangci-lint")


def jvm(files: Files) -> Iterator[Proposal]:
    if "pom.xml" in files:
        mvn = "./mvnw" if "mvnw" in files else "mvn"
        yield said_by("build", f"{mvn} -B -q -DskipTests package", "medium", "pom.xml", "a Maven project")
        yield said_by(
            "test", f"{mvn} -B verify", "high", "pom.xml", "a Maven project", "**/target/surefire-reports/TEST-*.xml",
            "**/target/failsafe-reports/TEST-*.xml",
        )  # fmt: skip
    script = next((name for name in ("build.gradle.kts", "build.gradle") if name in files), "")
    if script:
        gradle = "./gradlew" if "gradlew" in files else "gradle"
        yield said_by("build", f"{gradle} assemble", "medium", script, "a Gradle build")
        yield said_by("test", f"{gradle} check", "high", script, "a Gradle build", "**/build/test-results/**/*.xml")


def php(files: Files) -> Iterator[Proposal]:
    composer = json_of(files, "composer.json")
    if not composer:
        return
    yield said_by(
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
            yield said_by(stage, f"composer run {name}", "high", "composer.json", f"the script {name}")
    config = next((name for name in ("phpunit.xml", "phpunit.xml.dist") if name in files), "")
    if config:
        yield said_by(
            "test", "vendor/bin/phpunit --log-junit junit.xml", "medium", config, "settings of PHPUnit", "junit.xml"
        )


def ruby(files: Files) -> Iterator[Proposal]:
    gems, rake = files.get("Gemfile"), files.get("Rakefile", "")
    run = "bundle exec " if gems is not None else ""
    if gems is not None:
        yield said_by("pre", "bundle install", "high" if "Gemfile.lock" in files else "medium", "Gemfile", "a Gemfile")
    if ".rspec" in files or re.search(r"\brspec\b", gems or ""):
        source = ".rspec" if ".rspec" in files else "Gemfile"
        junit = "rspec_junit_formatter" in (gems or "")
        more = " --format RspecJunitFormatter --out rspec.xml --format progress" if junit else ""
        yield said_by(
            "test", f"{run}rspec{more}", "high", source, "RSpec is used here", *(("rspec.xml",) if junit else ())
        )
    elif re.search(r"\bTestTask\b|task\s+:?['\"]?(?:test|default)", rake):
        yield said_by("test", f"{run}rake test", "medium", "Rakefile", "a task for tests")
    if ".rubocop.yml" in files:
        yield said_by("lint", f"{run}rubocop", "high", ".rubocop.yml", "settings of RuboCop")


def native(files: Files) -> Iterator[Proposal]:
    if "CMakeLists.txt" in files:
        yield said_by(
            "build", "cmake -S . -B build && cmake --build build", "medium", "CMakeLists.txt", "a CMake project"
        )
        if re.search(r"\b(?:enable_testing|include\s*\(\s*CTest|add_test)\b", files["CMakeLists.txt"]):
            yield said_by(
                "test", "ctest --test-dir build --output-on-failure --output-junit junit.xml", "medium", "CMakeLists.txt",
                "tests are added to CTest", "build/junit.xml",
            )  # fmt: skip
    if "meson.build" in files:
        yield said_by(
            "build", "meson setup build && meson compile -C build", "medium", "meson.build", "a Meson project"
        )
        yield said_by(
            "test", "meson test -C build", "medium", "meson.build", "a Meson project", "build/meson-logs/*.junit.xml"
        )


def others(files: Files) -> Iterator[Proposal]:
    if "mix.exs" in files:
        yield said_by("pre", "mix deps.get", "medium", "mix.exs", "an Elixir project")
        yield said_by("test", "mix test", "high", "mix.exs", "an Elixir project")
    if "Package.swift" in files:
        yield said_by("build", "swift build", "high", "Package.swift", "a Swift package")
        yield said_by(
            "test", "swift test --xunit-output junit.xml", "medium", "Package.swift", "a Swift package", "junit.xml"
        )
    if ".pre-commit-config.yaml" in files:
        yield said_by(
            "lint",
            "pre-commit run --all-files",
            "low",
            ".pre-commit-config.yaml",
            "hooks before commits; they may fetch",
        )
