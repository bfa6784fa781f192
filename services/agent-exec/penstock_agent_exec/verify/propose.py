"""Which commands say whether a change is good: proposed from a repository's own files, for a person to confirm.

Rule of this room: files are read, and nothing of the repository is run. A proposal says where it comes from and how sure it is;
what a file says and nobody can read is left out, since a person looks at the rest anyway.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from penstock.bounds import Line
from penstock_agent_exec.verify import by_language, by_pipeline
from penstock_agent_exec.verify.proposal import Files, Proposal, Unread

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

READERS: Final = (
    by_language.python, by_language.node, by_language.rust, by_language.go, by_language.jvm, by_language.php, by_language.ruby,
    by_language.native, by_language.others, by_pipeline.make, by_pipeline.ci,
)  # fmt: skip
_ORDER: Final = {"high": 0, "medium": 1, "low": 2}
_STAGES: Final = ("pre", "build", "test", "lint")


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


def propose(files: Files) -> Proposals:
    """From the wanted files of a tree, by path."""
    found: list[Proposal] = []
    unread: list[str] = []
    for reader in READERS:
        try:
            found += reader(files)
        except Unread as error:
            unread.append(str(error))
    seen: dict[tuple[str, str], Proposal] = {}
    for one in found:
        known = seen.get((one.stage, one.command))
        if known is None or _ORDER[one.confidence] < _ORDER[known.confidence]:
            seen[one.stage, one.command] = one
    ranked = sorted(seen.values(), key=lambda one: (_STAGES.index(one.stage), _ORDER[one.confidence]))
    return Proposals(proposals=tuple(ranked[:PROPOSALS_MAX]), unread=tuple(unread))
