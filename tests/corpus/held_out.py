"""Documentation samples of the held-out part; see `documentation`."""

from __future__ import annotations

from typing import Final

SECOND: Final = ""
