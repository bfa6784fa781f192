"""What every test may use. Servers are real; `adapters/` and `e2e/` add theirs."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
