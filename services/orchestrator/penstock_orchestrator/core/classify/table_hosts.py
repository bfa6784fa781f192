"""Rows of the table for what lies around the repository: the host, git, the vendor of the model, the agent, and preflight.

The rule of this room: where the agent cannot act, the hint speaks to the person who can.
"""

from __future__ import annotations

from typing import Final, Literal

_ENV_HARD: Final = """
command_missing | A command is not installed. | A command is not installed on this host[: {what}]. Use one that is there, or have a person add it to the host; trying again cannot help.
disk_full | There is no space left on the device. | The disk, a quota or a tmpfs is full[: {what}]. A person must free space; look too for a test that writes without bound.
out_of_memory | The process needed more memory than it may have. | The process ran out of memory or was killed for it[: {what}]. Use less (fewer workers, smaller data), or have the limit raised.
port_in_use | An address is already taken. | The address is already in use[: {what}]. Bind to port 0 in tests instead of a fixed port; else a left-over process holds it.
permission | The system refuses access. | Access is refused[: {what}]. Write only inside the repository and its temporary folder; a script may need its executable bit (`git update-index --chmod=+x`).
tls | A certificate is not accepted. | A TLS certificate is not accepted[: {what}]. The host lacks a certificate authority, or the address is wrong; do not switch verification off.
open_files | Too many files or watchers are open. | Too many open files or watchers[: {what}]. Close what is opened, or have the limit raised.
resources | No more processes or threads can be started. | The host gives no more processes or threads[: {what}]. Use fewer workers, or have the limit raised.
read_only | The file system is read-only. | The file system is read-only there[: {what}]. Write inside the repository or the temporary folder.
library_missing | A shared library or a system header is not installed. | A shared library is not on this host[: {what}]. A person must install it; the code cannot.
runtime_version | The installed runtime is of the wrong version or architecture. | The installed runtime does not fit[: {what}]. Lower what the project asks for, or have a person install the right version.
service_down | A database or other service is not running. | A service that the tests need is not there[: {what}]. Use what runs without it, or have a person start it; the sandbox has no network.
docker_down | There is no container engine. | No container engine can be reached[: {what}]. Tests that need containers cannot run on this host.
browser_missing | A browser for the tests is not installed. | The browser for the tests is not installed[: {what}]. A person must install it on the host.
variable_missing | An environment variable or secret is not set. | A setting is not in the environment[: {what}]. Give it a default for tests, or have a person set it.
"""
_ENV_PARK: Final = """
dns | A host name cannot be resolved. | A host name cannot be resolved[: {what}]. The network is away or closed to this run; the change is not at fault.
network | A connection is refused, reset or times out. | The network does not answer[: {what}]. If the tests reach out to the internet, they should not; otherwise wait.
"""
_ENV_MENDABLE: Final = """
file_missing | A file or folder that the command names does not exist. | A file or folder is not there[: {what}]. Check the path and the folder the command runs in, and that the file is committed.
"""

_GIT_HARD: Final = """
auth | The remote refuses the credential. | The remote refuses the credential[: {what}]. A person must give the host access; trying again cannot help.
non_fast_forward | The branch on the remote has moved. | Somebody else has pushed to this branch[: {what}]. Nothing is overwritten: fetch and rebase, or let a person decide.
protected_branch | The remote protects this branch. | The branch is protected[: {what}]. Push to another branch and open a pull request, or have the rule changed.
repository_missing | There is no such repository, or it is hidden from this credential. | The repository is not found[: {what}]. Check the address, and whether the credential may see it.
ref_missing | There is no such branch, tag or commit. | Git knows no such branch, tag or commit[: {what}]. Check the name, and whether it was fetched.
not_a_repository | The folder is not a git repository. | The folder is not a git repository[: {what}]. Run the command inside the clone.
ownership | Git distrusts the owner of the folder. | Git distrusts the folder's owner[: {what}]. The user who runs the check must own the clone, or the folder be marked safe.
too_big | The remote refuses a file or push for its size. | The push is too big for the remote[: {what}]. Take the large file out of the history, not only out of the last commit.
damaged | The repository's objects are broken. | The repository is damaged[: {what}]. Clone it again; nothing in it can be trusted.
lfs | Large files cannot be fetched. | Git LFS fails[: {what}]. The host lacks LFS, its quota or its credential.
identity_missing | Git does not know who commits. | Git has no name or e-mail for the commit. Set both for this run; do not make one up.
failed | Git fails for a reason that is not known here. | Git says[: {what}]. Read the first `fatal` or `error` line.
"""
_GIT_PARK: Final = """
unreachable | The remote cannot be reached or breaks off. | The remote does not answer[: {what}]. Nothing is wrong with the change; it is tried again later.
busy | Another process holds a lock in the repository. | Another git process holds a lock[: {what}]. Wait for it; if none runs, the lock is left over from a crash.
"""
_GIT_MENDABLE: Final = """
conflict | Changes do not fit together. | Changes conflict[ in {at}][: {what}]. Resolve each marked place so that both intentions survive, then commit.
hook_rejected | A hook, local or on the remote, refuses. | A git hook refuses[: {what}]. Its own lines above say what it wants; do not go around it with --no-verify.
dirty_tree | Uncommitted changes are in the way. | Uncommitted changes are in the way[: {what}]. Commit them, or take back what does not belong to the task.
submodule | A submodule cannot be brought up. | A submodule cannot be used[: {what}]. Check its address and the commit that is recorded for it.
"""

_VENDOR_PARK: Final = """
rate_limit | The vendor limits the rate of requests. | The vendor limits requests for a short while. The work waits and goes on where it was.
usage_window | The plan's allowance for this window is used up. | The allowance for this window or day is used up[: {what}]. The work waits until it resets.
overloaded | The vendor is overloaded. | The vendor is overloaded. The work waits and goes on where it was.
unavailable | The vendor cannot be reached or fails on its side. | The vendor fails or cannot be reached[: {what}]. The work waits and goes on where it was.
"""
_VENDOR_HARD: Final = """
auth | The vendor refuses the key or login. | The vendor refuses the key or login[: {what}]. A person must renew it on the host.
billing | The account has no credit, plan or quota. | The vendor's account does not cover this[: {what}]. A person must settle it or choose another vendor.
model_not_found | The model does not exist or is not open to this account. | The model is not offered[: {what}]. Choose another model for the task.
bad_request | The vendor refuses the request as malformed. | The vendor refuses the request[: {what}]. Repeating it cannot help; the program or its settings are at fault.
refusal | The model declines. | The model declined to go on. Say the task in other words, or give it to another model.
budget | The run reached its spending limit. | The run reached its limit of cost or calls[: {what}]. A person may raise it.
"""
_VENDOR_MENDABLE: Final = """
context_overflow | The conversation no longer fits the model. | The conversation no longer fits the model. Begin a new session with a summary; read less at a time.
max_turns | The run reached its limit of turns. | The limit of turns was reached. Go on where you were, in fewer and larger steps.
output_limit | The answer was cut at its longest. | The answer was cut at its longest length. Write large files in parts.
bad_answer | The vendor's answer could not be read. | The vendor's answer broke off or could not be read[: {what}]. Go on where you were.
session_lost | The session to be resumed does not exist. | The session cannot be resumed[: {what}]. Begin a new one with a summary of what was done.
session_in_use | The session is in use or its name is taken. | The session's name is taken[: {what}]. Begin a session under another name.
"""

_AGENT: Final = """
no_change | The run ended without a change. | The run ended without a change to commit. Make the change that the task asks for and commit it, or say precisely why none is needed.
timeout | The run reached its time limit. | The run reached its time limit. Go on where you were, and finish the smallest useful part first.
stalled | The run fell silent. | The run fell silent and was stopped. Do not start programs that wait for input or never end.
hang_after_result | The program gave its result and did not end. | The program gave its result but did not end, most often because of a process left in the background. Stop what you start.
crashed | The agent's program ended by itself without a result. | The agent's program ended without a result[: {what}]. Go on where you were.
interrupted | The run was stopped from outside. | The run was stopped from outside. Go on where you were.
loop | The agent repeated itself. | You repeated the same step without progress. Look at its result, and try another way.
"""
_AGENT_HARD: Final = """
misused | The agent's program refuses its arguments, settings or surroundings. | The agent's program refuses to start[: {what}]. A person must mend its arguments or settings on the host.
"""

_PREFLIGHT: Final = """
scope | Files outside the plan are changed. | Files outside the plan are changed[: {what}]. Take these changes back, or say why they are needed.
author | The author's e-mail is not the one that was set. | The commit's author is not the one that was set[: {what}]. Commit with the identity of this clone.
"""
_PREFLIGHT_HARD: Final = """
secret | The change adds something that looks like a secret. | The change adds what looks like a secret[: {what}][ at {at}]. Take it out of every commit; if it is real, have it revoked.
forbidden_file | The change adds a file that must not be committed. | The change holds a file that must never be committed[: {what}]. Take it out of every commit.
size | The change adds a file that is too large. | The change holds a file over the size limit[: {what}]. Take it out of every commit.
symlink | The change adds a link that leads out of the tree. | The change holds a link that leads out of the tree[: {what}]. Replace it with a file or a relative link inside.
submodule | The change adds or moves a submodule. | The change adds or moves a submodule[: {what}]. A person must allow that.
workflow | The change touches the workflow of the CI. | The change touches CI workflows[: {what}]. A person must allow that.
failed | The look at the change could not be done. | The look at the change could not be completed[: {what}]. Nothing is published until it can.
"""

Kind = tuple[str, Literal["recoverable", "hard", "park"], str]

ROWS: Final[tuple[Kind, ...]] = (
    ("env", "hard", _ENV_HARD),
    ("env", "park", _ENV_PARK),
    ("env", "recoverable", _ENV_MENDABLE),
    ("git", "hard", _GIT_HARD),
    ("git", "park", _GIT_PARK),
    ("git", "recoverable", _GIT_MENDABLE),
    ("vendor", "park", _VENDOR_PARK),
    ("vendor", "hard", _VENDOR_HARD),
    ("vendor", "recoverable", _VENDOR_MENDABLE),
    ("agent", "recoverable", _AGENT),
    ("agent", "hard", _AGENT_HARD),
    ("preflight", "recoverable", _PREFLIGHT),
    ("preflight", "hard", _PREFLIGHT_HARD),
)
