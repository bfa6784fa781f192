"""Webhooks of forges: is it theirs, was it here before, and which pull request is it about?

Rule of this room: what a webhook says is a hint to look and nothing more. Who sends one learns only whether it was believed:
that a repo is unknown, has no secret, or has another one, is one and the same answer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import structlog

from penstock.bounds import LINE_LENGTH_MAX, clip

log = structlog.get_logger()

Provider: TypeAlias = Literal["github", "gitea", "gitlab"]
PROVIDERS: Final[tuple[Provider, ...]] = ("github", "gitea", "gitlab")
SPEAKS: Final[Mapping[str, Provider]] = {
    "github": "github",
    "gitea": "gitea",
    "forgejo": "gitea",
    "gitlab": "gitlab",
    "recording": "gitea",
}
"""By a repo's provider: whose webhooks it has, and no others. One delivery is then one, whichever paths it is sent to. The forge
that is a file has none of its own, and is tried with Gitea's."""

SECRET_REF: Final = re.compile(r"file:([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
SECRET_BYTES_MIN: Final = 16
SECRET_FILE_BYTES_MAX: Final = 4_096
SECRETS_MAX: Final = 2
"""The one in use, and the one that takes its place."""

DELIVERY: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,200}")
HINTS_MAX: Final = 5
BRANCH: Final = re.compile(r"refs/heads/(.{1,200})", re.DOTALL)
BRANCH_LENGTH_MAX: Final = 200
WORD_LENGTH_MAX: Final = 100

Headers: TypeAlias = Mapping[str, str]


class Hint(NamedTuple):
    """A pull request that something has happened to: by its number, or by the branch it is made from."""

    number: int | None
    branch: str


class Secrets:
    """The secrets of webhooks, in files of one folder, read anew each time so that they can be changed at any time."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        # In the place of a secret that is not there, so that the answer takes as long.
        self._nobodys = secrets.token_bytes(32)

    def of(self, ref: str) -> tuple[bytes, ...]:
        """At least one, always: where there is none, one that nobody knows."""
        found = SECRET_REF.fullmatch(ref)
        if found is None or self._folder is None:
            return (self._nobodys,)
        try:
            with (self._folder / found[1]).open("rb") as file:
                lines = file.read(SECRET_FILE_BYTES_MAX).split()
        except OSError as error:
            log.error("hook.no_secret", secret=found[1], reason=error.strerror or type(error).__name__)
            return (self._nobodys,)
        good = tuple(line for line in lines[:SECRETS_MAX] if len(line) >= SECRET_BYTES_MIN)
        if not good:
            log.error("hook.no_secret", secret=found[1], reason=f"no line of at least {SECRET_BYTES_MIN} bytes")
        return good or (self._nobodys,)


def believed(provider: str, headers: Headers, body: bytes, known: tuple[bytes, ...]) -> bool:
    """Whether who sent this knows one of the secrets. Takes as long for a no as for a yes."""
    match provider:
        case "gitlab":
            given = headers.get("x-gitlab-token", "").encode("utf-8", "replace")
            # Of digests, so that not even the length of the secret shows.
            return _any(hmac.compare_digest(_digest(given), _digest(secret)) for secret in known)
        case "gitea":
            signature = headers.get("x-gitea-signature") or headers.get("x-hub-signature-256", "")
        case _:
            signature = headers.get("x-hub-signature-256", "")
    given = signature.removeprefix("sha256=").lower().encode("ascii", "replace")
    right = _any(hmac.compare_digest(given, _signed(secret, body)) for secret in known)
    return right and provider in PROVIDERS


def delivery_of(provider: str, headers: Headers) -> str:
    """The id of the delivery, the same however often it is repeated; empty where there is none that can be one."""
    names = {
        "github": ("x-github-delivery",),
        "gitea": ("x-gitea-delivery", "x-github-delivery"),
        "gitlab": ("idempotency-key", "x-gitlab-event-uuid"),
    }
    given = next((headers[name] for name in names.get(provider, ()) if headers.get(name)), "")
    return given if DELIVERY.fullmatch(given) else ""


def event_of(provider: str, headers: Headers) -> str:
    """The forge's word for what has happened."""
    names = {"github": "x-github-event", "gitea": "x-gitea-event", "gitlab": "x-gitlab-event"}
    return clip(" ".join(headers.get(names.get(provider, ""), "").split()), WORD_LENGTH_MAX)


def hints(provider: str, payload: object) -> tuple[Hint, ...]:
    """The pull requests that the payload is about; none where it is about something else."""
    found = _of_gitlab(payload) if provider == "gitlab" else _of_github(payload)
    return tuple(dict.fromkeys(found))[:HINTS_MAX]


def actor_of(payload: object) -> str:
    """Who has caused it, as the forge names them."""
    for path in (("sender", "login"), ("user", "username"), ("user_username",)):
        if text := _text(payload, *path):
            return clip(text, LINE_LENGTH_MAX)
    return ""


def command_id(provider: str, repo: str, delivery: str, nth: int) -> str:
    """The id of what a delivery leads to: the same delivery, the same command, whoever sends it."""
    return hashlib.sha256(f"{provider}\n{repo}\n{delivery}\n{nth}".encode()).hexdigest()[:32]


def _of_github(payload: object) -> list[Hint]:
    """GitHub's payloads, and those of Gitea and Forgejo, which are made after them."""
    found: list[Hint] = []
    pull_request = _at(payload, "pull_request")
    if isinstance(pull_request, dict):
        found.append(_hint(_at(pull_request, "number"), _text(pull_request, "head", "ref")))
    issue = _at(payload, "issue")
    if isinstance(issue, dict) and issue.get("pull_request"):
        found.append(_hint(issue.get("number"), ""))
    for name in ("check_run", "check_suite", "workflow_run"):
        run = _at(payload, name)
        for one in _list(run, "pull_requests"):
            found.append(_hint(_at(one, "number"), ""))
        branch = _text(run, "head_branch") or _text(run, "check_suite", "head_branch")
        found.append(_hint(None, branch))
    found += [_hint(None, _text(branch, "name")) for branch in _list(payload, "branches")]
    if pushed := BRANCH.fullmatch(_text(payload, "ref")):
        found.append(_hint(None, pushed[1]))
    return [hint for hint in found if hint.number is not None or hint.branch]


def _of_gitlab(payload: object) -> list[Hint]:
    found: list[Hint] = []
    attributes = _at(payload, "object_attributes")
    kind = _text(payload, "object_kind")
    if kind == "merge_request":
        found.append(_hint(_at(attributes, "iid"), _text(attributes, "source_branch")))
    merge_request = _at(payload, "merge_request")
    if isinstance(merge_request, dict):
        found.append(_hint(merge_request.get("iid"), _text(merge_request, "source_branch")))
    if kind == "pipeline":
        found.append(_hint(None, _text(attributes, "ref")))
    if kind == "build":
        found.append(_hint(None, _text(payload, "ref")))
    if kind == "push" and (pushed := BRANCH.fullmatch(_text(payload, "ref"))):
        found.append(_hint(None, pushed[1]))
    return [hint for hint in found if hint.number is not None or hint.branch]


def _hint(number: object, branch: str) -> Hint:
    whole = number if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**31 else None
    return Hint(whole, branch if len(branch) <= BRANCH_LENGTH_MAX else "")


def _at(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: object, *path: str) -> str:
    found = _at(value, *path)
    return found if isinstance(found, str) else ""


def _list(value: object, name: str) -> list[object]:
    found = _at(value, name)
    return found[:HINTS_MAX] if isinstance(found, list) else []


def _signed(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).hexdigest().encode()


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _any(answers: Iterable[bool]) -> bool:
    """True where one is; all of them are asked, whichever it is."""
    return sum(answers) > 0
