"""What strangers wrote, marked off in a prompt.

Rule of this room: the mark holds a hash of the text between its ends, so no text can end its own quotation.
"""

from __future__ import annotations

import hashlib


def quoted(whose: str, text: str) -> str:
    """`text` between two lines that say whose words it is. `whose` is ours, one line."""
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"--- begin of {whose} [{mark}] ---\n{text}\n--- end of {whose} [{mark}] ---"
