"""The orchestrator's clock.

Rule of this room: it is the machine's own, in UTC. Only demonstrations and tests set it ahead, by a file that says how far.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from penstock.bounds import SECONDS_MAX

log = structlog.get_logger()


class Clock:
    """Called, it says what time it is. `offset_file`: a file with a number of seconds that is added, looked at whenever the
    clock is; empty for none. A file that is missing or holds no such number counts as 0, and is complained of once."""

    def __init__(self, offset_file: str = "") -> None:
        self._path = Path(offset_file) if offset_file else None
        self._seen: tuple[int, int, int] | None = None
        self._offset = timedelta()
        self._complained = False

    def __call__(self) -> datetime:
        now = datetime.now(UTC)
        return now if self._path is None else now + self._read(self._path)

    def _read(self, path: Path) -> timedelta:
        try:
            found = path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen != self._seen:
                self._offset = _seconds(path.read_text(encoding="ascii"))
                self._seen = seen
        except (OSError, ValueError) as error:
            self._seen, self._offset = None, timedelta()
            if not self._complained:
                self._complained = True
                log.warning("clock.no_offset", path=str(path), reason=str(error))
        return self._offset


def _seconds(text: str) -> timedelta:
    seconds = float(text)
    if not math.isfinite(seconds) or abs(seconds) > SECONDS_MAX:
        raise ValueError(f"{text.strip()[:40]!r} is not a number of seconds within a year")
    return timedelta(seconds=seconds)
