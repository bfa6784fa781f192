"""How long a test waits for what must come.

Rule of this room: a wait that ends well costs what it takes, so the limit is for a machine much slower than any that we know;
what has to be quick is measured where it happens, not by how long a test is willing to wait.
"""

from __future__ import annotations

import os
from typing import Final

WAIT_SECONDS_MAX: Final = float(os.environ.get("PENSTOCK_TEST_WAIT_SECONDS", "300"))
