"""Unix sockets at paths of any length.

Rule of this room: the kernel's address holds 107 bytes, so a socket is named by way of its folder's descriptor.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

BACKLOG: Final = 128


def listening_at(path: Path) -> socket.socket:
    """A socket that listens at `path`, for this account alone; what lay there before is removed. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener
