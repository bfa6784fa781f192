"""Git's own words. The rule of this room: git tells many stories that end alike, so the line with the reason decides."""

# ruff: noqa: E501  (a rule is one line: its expression is read and compared in one piece)
# fmt: off
from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import likely, sure, wrapper

_REASONS: Final = (
    "git.auth", "git.protected_branch", "git.non_fast_forward", "git.repository_missing", "git.hook_rejected", "git.too_big",
    "env.dns", "env.tls", "env.disk_full", "git.ownership", "git.lfs",
)  # fmt: skip

_PUSHES: Final = (
    sure("git.protected_branch", "git", r"^(remote: )?.*(?P<what>(GH006|GH013|[Pp]rotected branch|push(ing)? (code )?to protected branch|branch is protected|TF402455|VS403660|Repository rule violations|not allowed to (force )?push|Changes must be made through a pull request|protected ref|You are not allowed to push|[Pp]ermission denied to update branch|can only be (modified|changed|updated) through).*)", unless=r"Push cannot contain secrets|PUSH PROTECTION", yields_to=("test.failed",)),
    sure("git.too_big", "git", r"^(remote: )?.*(?P<what>(GH001|exceeds GitHub's file size limit|this exceeds .* file size limit|pack exceeds maximum allowed size|exceeds the (maximum|limit)|HTTP 413|file size limit of|larger than 100(\.00)? MB).*)", also=r"^(remote: |To |error: |fatal: )|rejected"),
    sure("git.non_fast_forward", "git", r"^(?: ! |!\t\S+\t)\[rejected\] +.*(?P<what>\((non-fast-forward|fetch first|stale info|needs force|remote ref updated since checkout|already exists)\).*)"),
    sure("git.non_fast_forward", "git", r"^(hint|fatal|error|remote): +(?P<what>(Not possible to fast-forward|Diverging branches can't be fast-forwarded|Need to specify how to reconcile divergent branches|You have divergent branches|Updates were rejected because (the (remote|tip)|a pushed)|cannot lock ref .* but expected).*)"),
    sure("git.hook_rejected", "git", r"^(?: ! |!\t\S+\t)\[remote rejected\] +(?P<what>.+)", yields_to=("git.protected_branch", "git.too_big", "git.auth")),
    sure("git.hook_rejected", "git", r"^.*?(?P<what>(pre-receive hook declined|hook declined|pre-commit hook (failed|exited)|husky - \S+ (hook exited|script failed)|The \S+ hook (failed|exited|returned)|error: cannot (spawn|run) \.git/hooks).*)", yields_to=("git.protected_branch", "git.too_big")),
    likely("git.hook_rejected", "git", r"^error: (?P<what>failed to push some refs to .+)", yields_to=(*_REASONS, "git.unreachable", "git.ref_missing")),
)

_REMOTES: Final = (
    sure("git.auth", "git", r"^(remote: |fatal: |error: |git@\S+: |ERROR: |\S+@\S+: |gh: )(?P<what>.*(Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied|Access denied|Permission to \S+ denied|returned error: 40[13]\b|Write access to repository not granted|Invalid (username or (password|token)|credentials)|HTTP Basic: Access denied|Support for password authentication was removed|Bad credentials|deploy key|not authorized|Host key verification failed|You do not have permission|account is suspended|enabled or enforced SAML SSO).*)", yields_to=("git.protected_branch",)),
    sure("git.auth", "git", r"^.*?(?P<what>refusing to allow an? .+ to create or update workflow.*)"),
    sure("git.auth", "ssh", r"^(?P<what>(Host key verification failed\.|.*Permission denied \((publickey|password|keyboard)\S*\)\.?|Received disconnect from .*Too many authentication failures|Load key \S+: .*|sign_and_send_pubkey: .*))$"),
    sure("git.repository_missing", "git", r"^(remote: |fatal: |ERROR: |error: )(?P<what>.*(Repository not found|[Rr]epository '.*' (not found|does not exist)|does not appear to be a git repository|The project you were looking for could not be found|returned error: 404|No such remote|No configured push destination|Project not found).*)", yields_to=("git.auth",)),
    sure("git.ref_missing", "git", r"^(fatal|error): (?P<what>.*(couldn't find remote ref|[Rr]emote branch .* not found|not a valid object name|[Nn]eeded a single revision|unknown revision or path|pathspec '.*' did not match|src refspec .* does not match any|bad revision|invalid (reference|upstream)|ambiguous argument|not a commit|no such (ref|branch)|unable to resolve reference|reference is not a tree|Not a valid commit|does not point to a commit|not our ref|[Bb]ranch '.*' not found|tag '.*' not found).*)"),
    sure("env.dns", "git", r"^(fatal|error): .*(?P<what>Could(n't| not) resolve host.*)|^ssh: (?P<note>Could not resolve hostname .+)"),
    sure("git.unreachable", "git", r"^(npm (?:ERR!|error) )?(fatal|error|ssh|remote): (?P<what>.*(unable to access|[Ff]ailed to connect|Couldn't connect|[Cc]onnection (refused|timed out|reset|closed)|connect to host|Could not read from remote|hung up unexpectedly|unexpected disconnect|RPC failed|returned error: (429|5\d\d)|Network is unreachable|No route to host|Operation timed out).*)", yields_to=(*_REASONS,)),
    likely("git.unreachable", "git", r"^fatal: (?P<what>early EOF|remote transport reported error)"),
    sure("git.lfs", "git-lfs", r"^(?P<what>(batch response: |Error downloading object: |Smudge error: |LFS: |.*external filter 'git-lfs|git-lfs.*not found|This repository is configured for Git LFS but|.*[Oo]ver its data quota|Encountered \d+ files? that should have been pointers|error: failed to (fetch|push) some (lfs )?objects).*)", yields_to=("test.failed",)),
    sure("git.submodule", "git", r"^(fatal|error): (?P<what>.*([Ss]ubmodule|[Nn]o url found for).*)", yields_to=()),
)

_TREES: Final = (
    sure("git.conflict", "git", r"^CONFLICT \((?P<what>[^)]+)\): .*?(in (?P<file>\S+))?$"),
    sure("git.conflict", "git", r"^(Automatic merge failed; fix conflicts|error: could not apply [0-9a-f]{5,}|Resolve all conflicts manually|error: (?P<what>(patch failed: (?P<file>[^:]+):(?P<line>\d+)|.*: patch does not apply|corrupt patch at|[Mm]erging is not possible|[Pp]ulling is not possible|could not revert|.*: does not match index|.*: does not exist in index|.*already exists in (working directory|index)|git apply failed).*)|Patch failed at |fatal: (refusing to merge unrelated histories|Exiting because of an unresolved conflict|It seems that there is already a rebase)|Applied patch .* with conflicts|\S+: needs merge$|\d+ out of \d+ hunks? (FAILED|failed))"),
    sure("git.conflict", "git", r"^error: you need to resolve your current index first"),
    sure("git.dirty_tree", "git", r"^(error|fatal): (?P<what>([Yy]our local changes|The following untracked working tree files|cannot (pull|rebase|merge|stash)|.*[Yy]ou have unstaged changes|[Yy]our index contains uncommitted|.*uncommitted changes|.*local changes would be overwritten|Cannot .*: You have|.*has changes|Entry '.+' (not uptodate|would be overwritten)).*)"),
    sure("git.dirty_tree", "tool", r"^.*?(?P<what>(working (tree|directory) (is not clean|is dirty|not clean)|Git working directory (is )?not clean|[Tt]here are uncommitted changes|files in the working directory contain changes).*)", yields_to=("test.failed",)),
    sure("git.identity_missing", "git", r"^(fatal: (unable to auto-detect email|empty ident name|no email was given|user\.useConfigOnly)|\*\*\* Please tell me who you are|Author identity unknown|Committer identity unknown)"),
    sure("git.not_a_repository", "git", r"^(fatal: )(?P<what>not a git repository.*|this operation must be run in a work tree|not in a git directory|.*is not a working tree)"),
    sure("git.not_a_repository", "git", r"^warning: Not a git repository\. Use --no-index"),
    sure("git.ownership", "git", r"^fatal: (?P<what>(detected dubious ownership|unsafe repository).*)"),
    sure("git.busy", "git", r"^(fatal|error): (?P<what>.*(Unable to create '.+\.lock'|[Cc]ould not lock|cannot lock ref .*(File exists|Unable to create)|index\.lock|Another git process).*)", yields_to=("env.permission", "env.read_only", "env.disk_full")),
    sure("git.damaged", "git", r"^(fatal|error): (?P<what>.*(object file \S+ is empty|loose object \S+ .*corrupt|packfile \S+ (is|cannot)|unable to read (tree|sha1|object)|bad object|index file (corrupt|smaller)|bad index|bad signature|unable to (parse|unpack) (commit|object|\S+ header)|object \S+ is corrupt|inflate: data stream error|sha1 mismatch|your current branch appears to be broken|missing (blob|tree|commit)|pack has bad object|invalid index-pack|index-pack (failed|died)).*)", yields_to=("git.unreachable", "env.disk_full", "env.out_of_memory")),
    sure("agent.no_change", "git", r"^(nothing to commit, working tree clean|nothing added to commit but untracked files present|no changes added to commit)", unless=r"^(FAIL|error|fatal|CONFLICT|Unmerged paths)"),
    wrapper("git", r"^fatal: "),
)

RULES: Final = (*_PUSHES, *_REMOTES, *_TREES)
