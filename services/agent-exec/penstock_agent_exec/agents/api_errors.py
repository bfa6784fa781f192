"""What a model's API means by a refusal, where an agent's program passes on no more than the status and the words.

The rule of this room: the status first, the words only where it leaves room for doubt; and what nobody has seen is not guessed
at. The words are those of the APIs themselves (OpenAI's wire format and Gemini's), not of the programs that print them.
"""

from __future__ import annotations

import re
from typing import Final

OWN_MARK: Final = "penstock: "
"""How an answer of our own gate begins."""
_GIVEN_UP: Final = re.compile(r"penstock: given up after \d+ tries: (\d{3})(.*)", re.DOTALL)

_SPENT: Final = re.compile(r"penstock: the run has cost ")

_TOO_LONG: Final = re.compile(
    r"input token count|maximum context length|context[ _](?:length|window)|(?:prompt|input) is too long|range of input length"
    r"|reduce the length of the messages|context is too large",
    re.IGNORECASE,
)
_NO_KEY: Final = re.compile(
    r"API_KEY_INVALID|api key (?:not valid|expired|not found)|invalid[ _]api[ _]key", re.IGNORECASE
)
_NOT_PAID: Final = re.compile(
    r"insufficient[ _](?:quota|balance)|arrearage|billing|credit balance|good standing", re.IGNORECASE
)
_DECLINED: Final = re.compile(
    r"content[ _](?:filter|policy|management policy)|data_?inspection_?failed|inappropriate content", re.IGNORECASE
)
_OVERLOADED: Final = re.compile(r"overloaded", re.IGNORECASE)
_NOT_REACHED: Final = re.compile(
    r"connection error|fetch failed|socket hang up|ECONN\w+|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|request timed out"
    r"|\bterminated\b|UND_ERR_\w+",
    re.IGNORECASE,
)
_NO_ANSWER: Final = re.compile(
    r"without a finish reason|empty response|non-SSE response|invalid stream|malformed|no (?:text or thoughts|response text)"
    r"|(?:Unterminated string|Unexpected \w+|Expected property name|Bad control character|Incomplete JSON)",
    re.IGNORECASE,
)


def class_of_refusal(status: int, said: str) -> tuple[str, bool]:
    """(class of the failure, whether the same request may well go through later). `status` is 0 where nobody said one."""
    if (given_up := _GIVEN_UP.search(said)) is not None:
        return class_of_refusal(int(given_up.group(1)), given_up.group(2))
    if OWN_MARK in said and status in (400, 403):
        return ("vendor.budget" if _SPENT.search(said) else "vendor.bad_request"), False
    if status in (0, 400, 413) and _TOO_LONG.search(said):
        return "vendor.context_overflow", False
    if status == 402 or (status in (400, 403, 429) and _NOT_PAID.search(said)):
        return "vendor.billing", False
    if status in (401, 403) or (status in (0, 400) and _NO_KEY.search(said)):
        return "vendor.auth", False
    if status == 429:
        return "vendor.rate_limit", True
    if status == 529 or (status in (0, 503) and _OVERLOADED.search(said)):
        return "vendor.overloaded", True
    if status >= 500 or (status == 0 and _NOT_REACHED.search(said)):
        return "vendor.unavailable", True
    if status == 404:
        return "vendor.model_not_found", False
    if status >= 400:
        return ("vendor.refusal" if _DECLINED.search(said) else "vendor.bad_request"), False
    if _NO_ANSWER.search(said):
        return "vendor.bad_answer", True
    return "agent.crashed", True
