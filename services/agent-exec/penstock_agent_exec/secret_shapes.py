"""What tokens and keys look like by themselves: the usual kinds, for secrets that nobody has told us.

Rule of this room: a rule is RE2 (linear, whatever is printed), has one group, which is what must not be shown, and begins with
something that ordinary text does not have. Only private keys may go over a line's end.
"""

from __future__ import annotations

import re
from typing import Final

_EDGE: Final = r"(?:\A|[^A-Za-z0-9_-]|\\[nrtbf])"
"""In front of prefixes that also end a word (`task-`): a line's beginning, or an escape for it."""

_QUOTE: Final = r"""\\*["']?"""
_GIVEN: Final = rf"{_QUOTE}[ \t]*[:=][ \t]*{_QUOTE}"
_GAP: Final = r"(?:[ \t\r\n]|\\+[nrt])*"
_KEY_WORDS: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_NOTE: Final = r"(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash):[ A-Za-z0-9,.:/()@-]{0,100}"
_KEY_PARTS: Final = rf"(?:{_GAP}{_KEY_NOTE})*(?:{_GAP}[A-Za-z0-9+/]{{16,}})"

KEY_HINT: Final = b"PRIVATE KEY"
KEY_OPEN: Final = (
    rf"-----BEGIN{_KEY_WORDS}(?:{_GAP}{_KEY_NOTE})*(?:{_GAP}[A-Za-z0-9+/=]+)*{_GAP}(?:-----[A-Z0-9 ]*-{{0,5}})?\z"
)
"""The beginning of a private key at the end of a text, that may go on."""

KEY_BEGIN: Final = b"-----BEGIN PRIVATE KEY-----\n"

SHAPES: Final[tuple[tuple[str, str], ...]] = (
    (
        "private key",
        rf"(-----BEGIN{_KEY_WORDS}{_KEY_PARTS}+(?:{_GAP}[A-Za-z0-9+/]{{1,15}})?={{0,2}}(?:{_GAP}=[A-Za-z0-9+/]{{4}})?"
        rf"(?:{_GAP}-----END{_KEY_WORDS})?)",
    ),
    ("GitHub", r"(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    ("GitLab", r"(gl(?:pat|ptt|dt|rt|rtr|cbt|ft|soat|agent|imt|oas)-[A-Za-z0-9_.-]{20,}|GR1348941[A-Za-z0-9_-]{20,})"),
    ("AWS", r"((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})"),
    ("AWS secret", rf"(?i:aws_?secret_?(?:access_?)?key){_GIVEN}([A-Za-z0-9/+]{{40}})"),
    ("AWS session", rf"(?i:aws_?session_?token){_GIVEN}([A-Za-z0-9/+=]{{100,}})"),
    ("Google", r"(AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})"),
    ("Azure", r"(?i:accountkey|sharedaccesskey)=([A-Za-z0-9+/]{42,86}={1,2})"),
    ("Slack", r"(xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{20,})"),
    (
        "Slack webhook",
        r"hooks\.slack\.com\\?/(?:services|workflows|triggers)\\?/((?:[A-Za-z0-9+]+\\?/){1,3}[A-Za-z0-9]{16,})",
    ),
    ("Anthropic", r"(sk-ant-[a-z0-9]{3,12}-[A-Za-z0-9_-]{20,})"),
    (
        "OpenAI",
        rf"{_EDGE}(sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{{20,}}|sk-or-v1-[0-9a-f]{{64}}|sk-[A-Za-z0-9]{{32,}})",
    ),
    (
        "other models",
        rf"{_EDGE}(gsk_[A-Za-z0-9]{{40,}}|xai-[A-Za-z0-9]{{60,}}|pplx-[A-Za-z0-9]{{40,}}|hf_[A-Za-z]{{34}})",
    ),
    ("npm", r"(npm_[A-Za-z0-9]{36})"),
    ("PyPI", r"(pypi-AgE[A-Za-z0-9_-]{50,})"),
    ("Docker", r"(dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,})"),
    ("Stripe", rf"{_EDGE}((?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{{16,}}|whsec_[A-Za-z0-9+/=]{{32,}})"),
    ("SendGrid", r"(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})"),
    ("Telegram", r"([0-9]{8,10}:AA[A-Za-z0-9_-]{33})"),
    ("DigitalOcean", r"(do[opr]_v1_[a-f0-9]{64})"),
    ("Databricks", rf"{_EDGE}(dapi[a-f0-9]{{32}})"),
    ("Shopify", r"(shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})"),
    ("Atlassian", r"(ATATT3[A-Za-z0-9_=-]{100,})"),
    ("Vault", r"(hv[sb]\.[A-Za-z0-9_-]{80,})"),
    ("Linear", r"(lin_api_[A-Za-z0-9]{40})"),
    ("age", r"(AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58})"),
    ("Penstock", r"(penstock_[A-Za-z0-9]{8,40}_[A-Za-z0-9_-]{40,})"),
    ("JWT", r"(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"),
    ("bearer", rf"(?i:authorization){_GIVEN}(?i:bearer|basic|token)[ \t]+([A-Za-z0-9._~+/=-]{{16,}})"),
    ("key header", rf"(?i:x-api-key|x-goog-api-key|private-token|x-auth-token){_GIVEN}([A-Za-z0-9._~+/=-]{{16,}})"),
    (
        "connection string",
        r"""[A-Za-z0-9]:\\?/\\?/[^\s:/@"'\\<>]{0,100}:([^\s/@"'\\<>]{8,200})@[A-Za-z0-9\[]""",
    ),
)
"""(name, rule): the first rule that fits names what was found."""

_PLACEHOLDER: Final = re.compile(
    rb"EXAMPLE|[Ee]xample|xxxx|XXXX|\*\*\*|\.\.\.|YOUR|your[_-]|[Pp]laceholder|[Cc]hange-?_?me|^\$|^\{|^%|^pass(?:word|wd)?$"
)
_DIFFERENT_MIN: Final = 6
"""Characters that differ in a real token. Fewer are somebody's `aaaaaaaa` or `12341234`."""


def is_placeholder(found: bytes) -> bool:
    """Whether what has a secret's shape stands for one: documentation, a template, a test."""
    return _PLACEHOLDER.search(found) is not None or len(set(found)) < _DIFFERENT_MIN
