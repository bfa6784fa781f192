"""How git gets a secret for a remote: from a file, by a helper, at the moment it is asked.

The rule of this room: a secret is in no URL, no argument, no environment and no configuration; these name a file.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from penstock_agent_exec.git.command import Settings
from penstock_agent_exec.git.failures import AuthRefused, BadName
from penstock_agent_exec.git.names import Remote


@dataclass(frozen=True)
class TokenFile:
    """A file whose first line is a token or password, for https. `username`: what the forge wants beside it."""

    path: Path
    username: str = "x-access-token"


@dataclass(frozen=True)
class SshKey:
    """A private key without a passphrase, and the known hosts to trust; nothing of the account's own ~/.ssh is read."""

    path: Path
    known_hosts: Path


@dataclass(frozen=True)
class NoKey:
    """Nothing for ssh, not even what the account has of itself: for a host that is to hold no credential."""


Credential: TypeAlias = TokenFile | SshKey | NoKey


@dataclass(frozen=True)
class Access:
    """What git is told so that it may speak to a remote."""

    settings: Settings
    env: dict[str, str]


# `head` writes into git's pipe, so the token is on no command line. Git runs this by `sh -c`; it asks with `get` only.
_HELPER: Final = (
    '!f() { test "$1" = get || exit 0; printf "username=%s\\npassword=" "$PENSTOCK_GIT_USERNAME";'
    ' head -n 1 "$PENSTOCK_GIT_TOKEN_FILE"; }; f'
)
_SSH: Final = (
    "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    " -o ControlMaster=no -o ControlPath=none"
)


def access_to(remote: Remote, credential: Credential | None) -> Access:
    """Settings and variables for git. The token is offered to this host only. Raises AuthRefused if the kinds do not fit."""
    match credential:
        case None:
            # A laptop: whatever key the account's ssh has of itself.
            return Access((), {"GIT_SSH_COMMAND": _SSH})
        case TokenFile(path=path, username=username):
            if remote.protocol != "https":
                raise AuthRefused(f"A token is for https; this remote speaks {remote.protocol}.")
            if not username.isprintable() or not path.is_absolute():
                raise BadName("credential: right would be an absolute path to the token and a printable user name.")
            variables = {"PENSTOCK_GIT_USERNAME": username, "PENSTOCK_GIT_TOKEN_FILE": str(path)}
            return Access(((f"credential.https://{remote.host}.helper", _HELPER),), variables)
        case SshKey(path=path, known_hosts=known_hosts):
            if remote.protocol != "ssh":
                raise AuthRefused(f"A key is for ssh; this remote speaks {remote.protocol}.")
            # `IdentityFile`, not `-i`, which falls back to the account's own keys where the file is missing. The quotes
            # are for ssh: without them a space would begin a second file.
            files = (f'IdentityFile="{path}"', f'UserKnownHostsFile="{known_hosts}"', "GlobalKnownHostsFile=none")
            options = (*files, "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes")
            words = ("-F", "none", *(word for option in options for word in ("-o", option)))
            return Access((), {"GIT_SSH_COMMAND": f"{_SSH} {shlex.join(words)}"})
        case NoKey():
            words = ("-F", "none", "-o", "IdentityFile=none", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none")
            return Access((), {"GIT_SSH_COMMAND": f"{_SSH} {shlex.join(words)}"})
        case _:
            assert_never(credential)
