"""What the executor for four vendors has added to the golden documents. New ones go to the end: a document's number is its place."""

from __future__ import annotations

from typing import Final

from contract.golden_policy import JOB, MESSAGE
from penstock import events as e

EXECUTOR: Final[tuple[e.KnownEvent, ...]] = (e.MessageTold(job=JOB, epoch=17, message=MESSAGE),)
