"""What speaks against a change by its files alone: their names, kinds, sizes, and where they lie.

Rule of this room: one function for each rule, from what was touched to what was found; nothing is read from a file's content.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from penstock.bounds import LINE_LENGTH_MAX, clip
from penstock.scope import allows
from penstock.values import Finding, Preflight
from penstock_agent_exec.preflight.history import FOLDER_MODE, LINK_MODE, NOTHING, SUBMODULE_MODE, Touched

FORBIDDEN: Final = re.compile(
    r"""(?x)
    \.env(?:\..+)? | \.envrc | credentials(?:\.json|\.csv|\.ya?ml)? | client_secrets?(?:_[^/]*)?\.json
    | service[-_]?account[^/]*\.json | application_default_credentials\.json
    | id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)? | .+\.(?:pem|p12|pfx|pkcs12|jks|keystore|kdbx|ppk|asc\.key|tfstate|ovpn)
    | \.netrc | _netrc | \.pgpass | \.pypirc | \.git-credentials | \.htpasswd | \.dockercfg | \.s3cfg | \.vault-token
    | kubeconfig | secrets\.(?:json|env)
    """,
    re.IGNORECASE,
)
EXAMPLES: Final = re.compile(r"(?:^|[._-])(?:example|sample|template|dist|defaults?|schema)(?:$|[._-])", re.IGNORECASE)
"""Names of this kind say that nothing real is in the file; its lines are looked at all the same."""

FOLDERS_OF_SECRETS: Final = ((".aws", "credentials"), (".docker", "config.json"), (".kube", "config"), (".ssh", ""))

WORKFLOWS: Final = (
    ".github/workflows",
    ".github/actions",
    ".gitea/workflows",
    ".forgejo/workflows",
    ".gitlab-ci.yml",
    ".gitlab/ci",
    ".circleci",
    ".buildkite",
    ".woodpecker",
    ".woodpecker.yml",
    ".woodpecker.yaml",
    ".drone.yml",
    ".travis.yml",
    ".teamcity",
    ".appveyor.yml",
    "appveyor.yml",
    "azure-pipelines*.yml",
    "bitbucket-pipelines.yml",
    "cloudbuild.yaml",
    "**/Jenkinsfile",
)
RUNS_BY_ITSELF: Final = (
    "**/.claude/**",
    "**/.mcp.json",
    "**/.codex/**",
    "**/.gemini/**",
    "**/.qwen/**",
    "**/.cursor/**",
    "**/.vscode/tasks.json",
    "**/.vscode/settings.json",
    "**/.devcontainer/**",
    ".husky",
    ".githooks",
    ".pre-commit-config.yaml",
)
HIDES: Final = ("**/.gitattributes",)
LOCK_FILES: Final[dict[str, tuple[str, ...]]] = {
    "package-lock.json": ("package.json",),
    "npm-shrinkwrap.json": ("package.json",),
    "yarn.lock": ("package.json",),
    "pnpm-lock.yaml": ("package.json", "pnpm-workspace.yaml"),
    "bun.lock": ("package.json",),
    "uv.lock": ("pyproject.toml",),
    "poetry.lock": ("pyproject.toml",),
    "pdm.lock": ("pyproject.toml",),
    "Pipfile.lock": ("Pipfile",),
    "Cargo.lock": ("Cargo.toml",),
    "go.sum": ("go.mod",),
    "composer.lock": ("composer.json",),
    "Gemfile.lock": ("Gemfile",),
    "mix.lock": ("mix.exs",),
    "pubspec.lock": ("pubspec.yaml",),
    "Package.resolved": ("Package.swift",),
    "packages.lock.json": ("*.csproj",),
    "flake.lock": ("flake.nix",),
}
GENERATED: Final = re.compile(
    r"(?:^|/)(?:node_modules|__pycache__|\.venv|venv|\.tox|\.mypy_cache|\.pytest_cache|\.ruff_cache|\.gradle|\.next|\.nuxt"
    r"|\.terraform|coverage|htmlcov|\.idea)/|\.(?:pyc|pyo|class|o|obj|so|dylib|dll|exe|min\.js|min\.css|map|log|swp|orig|rej)$"
    r"|(?:^|/)(?:\.DS_Store|Thumbs\.db|\.coverage)$"
)
_WINDOWS: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|.*[. ]", re.IGNORECASE)
_SCOPE_CAN_DO: Final = "take it back, or say why it is needed"


def files(
    touched: tuple[Touched, ...], ends_in: frozenset[str], rules: Preflight, scope: tuple[str, ...]
) -> Iterator[Finding]:
    """Everything that the files say against the change. `ends_in`: the paths that differ in the end; `scope`: what they may
    be, empty is everything."""
    brought = tuple(file for file in touched if file.new_mode != NOTHING)
    yield from _once(_forbidden(brought))
    yield from _once(_sizes(brought, rules))
    yield from _once(_links(brought))
    yield from _once(_submodules(touched))
    yield from _once(_folders(brought))
    yield from _once(_names(brought))
    yield from _once(_workflows(touched, rules))
    yield from _once(_outside(ends_in, touched, scope))
    yield from _once(_by_the_way(touched, scope))


def _once(found: Iterable[Finding]) -> Iterator[Finding]:
    """What several commits do to a file is said once."""
    seen = set()
    for finding in found:
        if (finding.rule, finding.file) not in seen:
            seen.add((finding.rule, finding.file))
            yield finding


def _finding(rule: str, severity: str, file: Touched, message: str, can_do: str) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        file=shown_path(file.path),
        message=clip(message, LINE_LENGTH_MAX),
        can_do=clip(can_do, LINE_LENGTH_MAX),
    )


def shown_path(path: str) -> str:
    """As a person may see it: nothing in it moves the cursor, turns the direction or cannot be seen."""
    safe = "".join(letter if _is_plain(letter) else letter.encode("unicode_escape").decode() for letter in path)
    return clip(safe, LINE_LENGTH_MAX).replace("\n", " ")


def _is_plain(letter: str) -> bool:
    return letter == " " or (letter.isprintable() and unicodedata.category(letter) not in ("Cf", "Zs", "Zl", "Zp"))


def _forbidden(brought: tuple[Touched, ...]) -> Iterator[Finding]:
    for file in brought:
        folder, name = posixpath.split(file.path)
        above = posixpath.basename(folder)
        in_folder = any(above == where and what in ("", name) for where, what in FOLDERS_OF_SECRETS)
        public = name.endswith(".pub") or EXAMPLES.search(name) is not None
        if (FORBIDDEN.fullmatch(name) and not public) or (in_folder and not name.endswith(".pub")):
            message = f"a file of this name is where secrets are kept; it is in commit {file.commit[:12]}"
            yield _finding("forbidden_file", "hard", file, message, "take it out of every commit")


def _sizes(brought: tuple[Touched, ...], rules: Preflight) -> Iterator[Finding]:
    for file in brought:
        if file.size_bytes > rules.file_bytes_max:
            message = (
                f"it has {file.size_bytes} bytes in commit {file.commit[:12]}; the limit is {rules.file_bytes_max}"
            )
            can_do = "take it out of every commit, or raise the repo's preflight.file_bytes_max"
            yield _finding("size", "hard", file, message, can_do)


def _links(brought: tuple[Touched, ...]) -> Iterator[Finding]:
    for file in brought:
        if file.new_mode != LINK_MODE or file.link is None:
            continue
        to = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), file.link))
        leaves = file.link.startswith("/") or to == ".." or to.startswith("../") or "\0" in file.link
        if leaves or ".git" in to.lower().split("/"):
            message = f"a link to {shown_path(file.link)}, which is not in the tree"
            yield _finding("symlink", "hard", file, message, "replace it with a file, or a link inside the tree")
        elif _turns_back(file.link):
            message = (
                f"a link to {shown_path(file.link)}: from where a link in the middle leads to, .. may leave the tree"
            )
            yield _finding("symlink", "hard", file, message, "replace it with a file, or a link inside the tree")


def _turns_back(link: str) -> bool:
    """Whether it goes up again after a name, which may be a link itself: then its words do not say where it leads."""
    names = [name for name in link.split("/") if name not in ("", ".")]
    return ".." in names[next((at for at, name in enumerate(names) if name != ".."), len(names)) :]


def _folders(brought: tuple[Touched, ...]) -> Iterator[Finding]:
    for file in brought:
        if file.new_mode == FOLDER_MODE:
            message = "an empty folder, such as git itself makes none: no review shows it, and its name is pushed"
            yield _finding("path", "hard", file, message, "commit with git itself, which leaves it out")


def _submodules(touched: tuple[Touched, ...]) -> Iterator[Finding]:
    for file in touched:
        if SUBMODULE_MODE in (file.old_mode, file.new_mode) or posixpath.basename(file.path) == ".gitmodules":
            message = "a submodule is added, moved or taken away: what is in it was not looked at"
            yield _finding("submodule", "hard", file, message, "take it back; or a person lets it pass by unblocking")


def _names(brought: tuple[Touched, ...]) -> Iterator[Finding]:
    lower: dict[str, str] = {}
    for file in brought:
        parts = file.path.split("/")
        if (
            not all(_is_plain(letter) for letter in file.path)
            or "\\" in file.path
            or any(p != p.strip() for p in parts)
        ):
            message = "its name has characters that cannot be seen, mislead, or are not text"
            yield _finding("path", "hard", file, message, "rename it")
        elif any(part.startswith("-") for part in parts):
            yield _finding("odd_name", "flagged", file, "its name reads like an option of a command", "look at it")
        elif any(_WINDOWS.fullmatch(part) for part in parts) or ":" in file.path:
            yield _finding("odd_name", "flagged", file, "it cannot be checked out on every system", "look at it")
        known = lower.setdefault(file.path.lower(), file.path)
        if known != file.path:
            message = f"on some systems it is the same file as {shown_path(known)}"
            yield _finding("odd_name", "flagged", file, message, "look at it")


def _workflows(touched: tuple[Touched, ...], rules: Preflight) -> Iterator[Finding]:
    if rules.workflows == "allow":
        return
    severity = "hard" if rules.workflows == "block" else "flagged"
    can_do = "take it back; or a person lets it pass by unblocking" if severity == "hard" else "review it with care"
    for file in touched:
        if allows(WORKFLOWS, file.path):
            yield _finding("workflow", severity, file, "it changes what the forge runs by itself", can_do)


def _outside(ends_in: frozenset[str], touched: tuple[Touched, ...], scope: tuple[str, ...]) -> Iterator[Finding]:
    if not scope:
        return
    for file in touched:
        if file.path in ends_in and not allows(scope, file.path):
            yield _finding(
                "scope", "recoverable", file, f"{_kind(file.path)} outside what may be touched", _SCOPE_CAN_DO
            )


def _kind(path: str) -> str:
    if posixpath.basename(path) in LOCK_FILES:
        return "a lock file"
    return "a generated file" if GENERATED.search(path) else "a file"


def _by_the_way(touched: tuple[Touched, ...], scope: tuple[str, ...]) -> Iterator[Finding]:
    """What is let pass and said: a reviewer may not see it among the lines."""
    paths = {file.path for file in touched}
    for file in touched:
        folder, name = posixpath.split(file.path)
        if allows(RUNS_BY_ITSELF, file.path):
            message = "it makes tools run something on the machine of whoever opens the repository"
            yield _finding("runs_by_itself", "flagged", file, message, "review it with care")
        if allows(HIDES, file.path):
            message = "it may hide files from a review, or change how they are merged"
            yield _finding("attributes", "flagged", file, message, "review it with care")
        if (manifests := LOCK_FILES.get(name)) and not any(_beside(folder, one, paths) for one in manifests):
            message = f"a lock file, without a change of {' or '.join(manifests)}"
            yield _finding("lock_file", "flagged", file, message, "see whether it is meant")
        if file.status == "A" and not scope and GENERATED.search(file.path):
            yield _finding("generated", "flagged", file, "it looks like something that a tool has made", "look at it")
        if file.new_mode == "100755" and file.old_mode != "100755":
            yield _finding("mode", "flagged", file, "it can be executed now", "see whether it is meant")


def _beside(folder: str, manifest: str, paths: set[str]) -> bool:
    return any(allows((posixpath.join(folder, manifest),), path) for path in paths)
