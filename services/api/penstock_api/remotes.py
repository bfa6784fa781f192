"""Names that will reach git: clone URLs and branch names, and why one of them is refused.

Rule of this room: what is accepted is listed, in forms in which git can neither be told an option nor a helper program.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from penstock.bounds import EGRESS_PATTERN

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_SCP_FORM: Final = re.compile(r"([^@:/]+)@([^@:/]+):(?!:)(.+)")

ACCEPTED: Final = "https://host/path, ssh://git@host/path or git@host:path"
ACCEPTED_LOCAL: Final = ACCEPTED + ", file:///path or /path"


def clone_url_problem(url: str, *, allow_local: bool) -> str | None:
    """Why git must not be given this URL, None where it may. The reason never repeats the URL."""
    if not url.isprintable() or " " in url:
        return "it holds a blank, or a control or invisible character"
    if url.startswith("-"):
        return "it begins with a dash, which git would read as an option"
    if "::" in url.split("/", 1)[0]:
        return "it names a helper program of git (the part before ::)"
    if url.startswith("/"):
        return (
            None if allow_local else "paths of the executor's host are not allowed here (PENSTOCK_ALLOW_LOCAL_REMOTES)"
        )
    if scp := _SCP_FORM.fullmatch(url):
        return _host_problem(scp[2]) or _user_problem(scp[1]) or _path_problem(scp[3])
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is not a URL"
    return _url_problem(parts, allow_local=allow_local)


def _url_problem(parts: SplitResult, *, allow_local: bool) -> str | None:
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        return "it carries credentials: they would be in the log for ever; give them to the executor's host instead"
    if parts.query or parts.fragment:
        return "it has a query or a fragment, where credentials hide"
    if parts.scheme == "file":
        if not allow_local:
            return "paths of the executor's host are not allowed here (PENSTOCK_ALLOW_LOCAL_REMOTES)"
        return None if not parts.netloc and parts.path.startswith("/") else "it is not of the form file:///path"
    if parts.scheme in ("http", "git"):
        return f"{parts.scheme}:// is neither private nor authentic"
    if parts.scheme not in ("https", "ssh"):
        return "its form is not one of those accepted"
    user = None if parts.username is None else _user_problem(parts.username)
    return _host_problem(_host_of(parts)) or user or _path_problem(parts.path.lstrip("/"))


def _host_of(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return host if parts.port is None and not host.endswith(":") else host.rpartition(":")[0]


def _host_problem(host: str) -> str | None:
    return None if _HOST.fullmatch(host) else "it names no proper host"


def _user_problem(user: str) -> str | None:
    return None if _USER.fullmatch(user) else "its user is not a proper name"


def _path_problem(path: str) -> str | None:
    return "it names no path, or one that begins with a dash" if not path or path.startswith("-") else None


_EGRESS: Final = re.compile(EGRESS_PATTERN)
PORT_MAX: Final = 65_535


def egress_problem(entry: str) -> str | None:
    """Why this is no host that a sandbox can be opened to, None where it is one."""
    host, _, port = entry.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        return "it is not of the form host:port"
    if host.replace(".", "").isdigit() or "[" in host or ":" in host:
        return "it is an address: hosts are opened by name"
    if host.startswith("*.") and host.count(".") < 2:
        return "it opens a whole top-level domain"
    if not _EGRESS.match(entry) or len(host) > 253:
        return "it names no proper host, in lower case and with a dot"
    if int(port) > PORT_MAX:
        return f"a port is at most {PORT_MAX}"
    return None


_NOT_IN_A_BRANCH: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|\.lock(/|$)|(^|/)\.|[./]$|^[-/]|^@$")


def branch_problem(name: str) -> str | None:
    """Why this is no name of a branch by git's own rules (git-check-ref-format), None where it is one."""
    return "it is not a name that git allows for a branch" if _NOT_IN_A_BRANCH.search(name) else None
