"""How a program in a sandbox without a network finds what is forwarded to it: ports on its own loopback.

Rule of this room: what is forwarded is named, port by port. What listens there is `loopback_program.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program

LOOPBACK_PROGRAM: Final = Path(__file__).parent / "loopback_program.py"

EGRESS_PORT: Final = 8010
"""Where the way to a repo's own hosts is, for a repo that has any."""

_PROXY: Final = f"http://127.0.0.1:{EGRESS_PORT}"
# The model's place is on the same loopback, or a name that is only ever spoken into a socket.
_NO_PROXY: Final = "127.0.0.1,localhost,::1,model.invalid"
_EGRESS_ENV: Final = {
    name: value
    for each, value in (("https_proxy", _PROXY), ("http_proxy", _PROXY), ("no_proxy", _NO_PROXY))
    for name in (each, each.upper())
}


@dataclass(frozen=True, slots=True)
class Forward:
    """A TCP port on the loopback inside, and the unix socket to which every connection there leads."""

    port: int
    socket: Path


def behind_loopback(
    profile: Profile, argv: Sequence[str], forwards: tuple[Forward, ...] = (), *, egress: Path | None = None
) -> tuple[Profile, tuple[str, ...]]:
    """Profile and command line with which `argv` finds `forwards`, and by the usual environment the proxy behind the socket
    `egress`."""
    if egress is not None:
        forwards = (*forwards, Forward(EGRESS_PORT, egress))
        profile = replace(profile, env=dict(profile.env) | _EGRESS_ENV)
    if not forwards:
        return profile, tuple(argv)
    sockets = tuple(Bind(forward.socket) for forward in forwards)
    ports = (f"{forward.port}={forward.socket}" for forward in forwards)
    listening = (str(python_program()), "-I", "-S", str(LOOPBACK_PROGRAM), *ports, "--")
    binds = (*profile.binds, *python_binds(), Bind(LOOPBACK_PROGRAM), *sockets)
    return replace(profile, binds=binds), (*listening, *argv)
