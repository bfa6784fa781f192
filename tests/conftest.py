"""What every test may use. Servers are real; `adapters/` and `e2e/` add theirs."""

from __future__ import annotations

import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run in the background of a shell inherits an ignored SIGINT, and so would every child that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
