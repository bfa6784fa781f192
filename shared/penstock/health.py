"""`python -m penstock.health URL`: 0 where the address answers 200, else 1 with what it said; for container health checks.

Rule of this room: nothing but the standard library, so that an image needs no other program for it.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from typing import Final

ANSWER_SECONDS_MAX: Final = 3.0
ANSWER_BYTES_MAX: Final = 2_000


def ask(url: str) -> tuple[bool, str]:
    """Whether it answers 200, and its words."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX) as response:  # noqa: S310 - the operator's own address
            return True, response.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return False, error.read(ANSWER_BYTES_MAX).decode("utf-8", "replace") or str(error)
    except (OSError, ValueError) as error:
        return False, str(error)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m penstock.health URL", file=sys.stderr)
        return 2
    is_well, words = ask(arguments[0])
    print(words.strip())
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
