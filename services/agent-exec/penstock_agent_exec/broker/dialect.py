"""The wire formats that models are spoken to in: what may be asked, how the key goes in, how a refusal of our own looks.

The rule of this room: allow-lists. A path, a query or a header that is not named here does not leave the sandbox; a vendor's
program that learns a new one is a line here, after a look at what it can carry. How usage and limits are read from answers is
in `metering.py` and `limits.py`.
"""

from __future__ import annotations

import enum
import json
import re
from typing import Final, Literal, TypeAlias, assert_never
from urllib.parse import parse_qsl, urlencode

from penstock.settings import Secret

HeaderList: TypeAlias = list[tuple[bytes, bytes]]
OwnKind: TypeAlias = Literal["not_open", "unreachable", "budget", "busy", "given_up"]
"""Why the gate answers in the model's place."""


class Dialect(enum.Enum):
    """ANTHROPIC: Messages (claude). RESPONSES: OpenAI Responses (codex). CHAT: OpenAI chat completions (qwen, generic).
    GEMINI: generateContent. An upstream's base URL ends as the vendor's own variable for it does: with `/v1` for RESPONSES
    and CHAT, without for the others; inside, `/v1` stands after the gate's address in the same way."""

    ANTHROPIC = "anthropic"
    RESPONSES = "responses"
    CHAT = "chat"
    GEMINI = "gemini"

    @property
    def path_inside(self) -> str:
        """What the base URL inside has after the gate's address."""
        return "/v1" if self in (Dialect.RESPONSES, Dialect.CHAT) else ""


QUERY_LENGTH_MAX: Final = 1_000

_MODEL_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_OPEN: Final[dict[Dialect, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    Dialect.ANTHROPIC: (
        ("POST", re.compile(r"/v1/messages(?:/count_tokens)?")),
        ("HEAD", re.compile(r"/")),
    ),
    Dialect.RESPONSES: (("POST", re.compile(r"/v1/responses")),),
    Dialect.CHAT: (("POST", re.compile(r"/v1/chat/completions")),),
    Dialect.GEMINI: (
        (
            "POST",
            re.compile(rf"/v1(?:beta)?/models/{_MODEL_NAME}:(?:generateContent|streamGenerateContent|countTokens)"),
        ),
    ),
}

# A query can carry a key of the client's own (`?key=` at Google): what is not named is dropped.
_QUERIES: Final[dict[str, re.Pattern[str]]] = {
    "beta": re.compile(r"true|false"),
    "alt": re.compile(r"sse|json"),
    "api-version": re.compile(r"[A-Za-z0-9.-]{1,40}"),
}

_HEADERS: Final = frozenset(
    b"accept accept-language content-type content-encoding content-length user-agent originator openai-beta "
    b"anthropic-version anthropic-beta anthropic-dangerous-direct-browser-access session-id session_id thread-id "
    b"conversation_id version idempotency-key x-app x-client-request-id x-request-id x-goog-api-client "
    b"x-gemini-api-privileged-user-id chatgpt-account-id".split()
)
_HEADER_BEGINNINGS: Final = (b"x-stainless-", b"x-claude-code-", b"x-codex-", b"x-dashscope-")


def upstream_target(dialect: Dialect, method: str, target: str) -> str | None:
    """What follows the upstream's base URL for this request of the agent's program; None where it is not open."""
    path, _, query = target.partition("?")
    if not any(method == verb and pattern.fullmatch(path) for verb, pattern in _OPEN[dialect]):
        return None
    kept = [(name, value) for name, value in parse_qsl(query[:QUERY_LENGTH_MAX]) if _is_open(name, value)]
    return path.removeprefix(dialect.path_inside) + (f"?{urlencode(kept)}" if kept else "")


def _is_open(name: str, value: str) -> bool:
    return name in _QUERIES and _QUERIES[name].fullmatch(value) is not None


def is_metered(method: str, target: str) -> bool:
    """Whether the answer to this open request is one that somebody pays for by the token."""
    path = target.partition("?")[0]
    return method == "POST" and not path.endswith(("/count_tokens", ":countTokens"))


def with_query(onward: str, own: tuple[tuple[str, str], ...]) -> str:
    """`onward` with the upstream's own parameters, which the agent's program cannot say otherwise."""
    if not own:
        return onward
    path, _, query = onward.partition("?")
    names = {name for name, _ in own}
    kept = [(name, value) for name, value in parse_qsl(query) if name not in names]
    return f"{path}?{urlencode([*kept, *own])}"


def headers_out(dialect: Dialect, given: HeaderList, key: Secret, *, login: bool, own_header: str = "") -> HeaderList:
    """The client's headers (names in lower case) as they go to the upstream: the harmless ones, and our key."""
    kept = [(name, value) for name, value in given if name in _HEADERS or name.startswith(_HEADER_BEGINNINGS)]
    # A compressed answer could not be metered as it passes.
    pays = key_header(dialect, key, login=login, own_header=own_header.lower())
    return [*kept, (b"accept-encoding", b"identity"), pays]


def key_header(dialect: Dialect, key: Secret, *, login: bool, own_header: str = "") -> tuple[bytes, bytes]:
    """The header that pays. `login`: the key is a subscription's token. `own_header`, in lower case: where an API wants a key
    elsewhere than its dialect has it, such as Azure in `api-key`."""
    shown = key.reveal().encode()
    if own_header and not login and own_header != "authorization":
        return own_header.encode(), shown
    if own_header and not login:
        return b"authorization", b"Bearer " + shown
    match dialect:
        case Dialect.ANTHROPIC if not login:
            return b"x-api-key", shown
        case Dialect.GEMINI if not login:
            return b"x-goog-api-key", shown
        case Dialect.ANTHROPIC | Dialect.GEMINI | Dialect.RESPONSES | Dialect.CHAT:
            return b"authorization", b"Bearer " + shown
        case _:
            assert_never(dialect)


def own_status(dialect: Dialect, kind: OwnKind) -> int:
    """The status of an answer of our own. That for a spent budget is one at which the dialect's program stops at once, by
    what it was seen to do: claude, qwen and gemini try a 403 no second time, codex a 400."""
    match kind:
        case "not_open" | "given_up":
            return 403
        case "unreachable":
            return 502
        case "busy":
            return 503
        case "budget":
            return 400 if dialect is Dialect.RESPONSES else 403
        case _:
            assert_never(kind)


_ANTHROPIC_TYPES: Final = {400: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}
_GEMINI_WORDS: Final = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def own_answer(dialect: Dialect, kind: OwnKind, message: str) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """Status, body and headers of an answer in the model's place."""
    status = own_status(dialect, kind)
    # Some programs try again unless told.
    headers = (("x-should-retry", "false"),) if kind in ("budget", "not_open", "given_up") else ()
    return status, own_body(dialect, status, message), headers


def own_body(
    dialect: Dialect, status: int, message: str, *, kind: str = "", details: tuple[dict[str, object], ...] = ()
) -> bytes:
    """The body of an answer of our own, in the shape of the dialect's errors. `kind` is its word for what it is."""
    text = f"penstock: {message}"
    body: dict[str, object]
    match dialect:
        case Dialect.ANTHROPIC:
            body = {
                "type": "error",
                "error": {"type": kind or _ANTHROPIC_TYPES.get(status, "api_error"), "message": text},
            }
        case Dialect.RESPONSES | Dialect.CHAT:
            word = kind or ("server_error" if status >= 500 else "invalid_request_error")
            error: dict[str, object] = {"message": text, "type": word, "code": word, "param": None}
            for detail in details:
                error |= detail
            body = {"error": error}
        case Dialect.GEMINI:
            word = _GEMINI_WORDS.get(status, "INTERNAL")
            body = {"error": {"code": status, "message": text, "status": word, "details": list(details)}}
        case _:
            assert_never(dialect)
    return json.dumps(body).encode()
