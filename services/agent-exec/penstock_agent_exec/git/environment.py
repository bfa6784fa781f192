"""What git is told on the trusted side and in a clone: the whole of its environment, an allow-list, and its settings.

Rule of this room: git sees no configuration, no variable and no protocol that is not named here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from penstock_agent_exec.folder import MARK

Settings = Sequence[tuple[str, str]]

# What an operator may have to say about the way out: certificates, proxies, and where git is; and whose child it is.
_PASSED_ON: Final = (
    MARK,
    "PATH",
    "TMPDIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
)

_NO_OUTSIDE_CONFIGURATION: Final = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_DEFAULT_HASH": "sha1",
    "GIT_DEFAULT_REF_FORMAT": "files",
}

_NOTHING_RUNS_BY_ITSELF: Final = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("advice.detachedHead", "false"),
)

_TRUSTED_SETTINGS: Final = (
    *_NOTHING_RUNS_BY_ITSELF,
    ("safe.bareRepository", "explicit"),
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.followTags", "false"),
    # A redirect could carry a request to a host that nobody checked, and a push with it.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    # Beyond this a file is streamed, not held in memory, and a diff calls it binary.
    ("core.bigFileThreshold", "32m"),
    # An acknowledged bundle has to survive a power cut, refs included; git's default syncs packs only.
    ("core.fsync", "committed,reference"),
    ("core.fsyncMethod", "batch"),
)

_CLONE_SETTINGS: Final = (
    *_NOTHING_RUNS_BY_ITSELF,
    ("core.sparseCheckout", "false"),
    ("commit.gpgSign", "false"),
    ("checkout.workers", "0"),
)


def trusted_environment(*, protocol: str = "", settings: Settings = ()) -> dict[str, str]:
    """The whole environment of git on the trusted side: an allow-list, whatever this service's own may be."""
    return (
        {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        | _NO_OUTSIDE_CONFIGURATION
        | {
            "HOME": "/nonexistent",  # no .netrc, no .config
            "GIT_ALLOW_PROTOCOL": protocol,
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ASKPASS": "false",
            "SSH_ASKPASS": "false",
        }
        | _as_variables((*_TRUSTED_SETTINGS, *settings))
    )


def clone_environment(settings: Settings = ()) -> dict[str, str]:
    """What git in a clone is told. It tames an honest clone; a hostile one is the sandbox's business."""
    return _NO_OUTSIDE_CONFIGURATION | {"GIT_ALLOW_PROTOCOL": "file"} | _as_variables((*_CLONE_SETTINGS, *settings))


def _as_variables(settings: Settings) -> dict[str, str]:
    """Settings as variables: unlike `-c key=value` they stand in no argv, and a repository cannot override them."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
