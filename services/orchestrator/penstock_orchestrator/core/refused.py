"""The one error of the core: no, and why."""

from __future__ import annotations


class Refused(Exception):
    """No, and why. `code` is for programs, `field` names what was wrong where one field was."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
