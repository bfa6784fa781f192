"""Git, against bare repositories and a loopback server. The rule of this room: the expected class is a person's judgement."""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_ORIGIN: Final = (
    "git init -q --bare ../origin.git && git init -q -b main . && echo a > a.txt && git add a.txt && git commit -qm one"
    " && git remote add origin ../origin.git && git push -q origin main"
)
_OTHER: Final = " && git clone -q ../origin.git ../other -b main && (cd ../other && echo b > a.txt && git commit -qam two && git push -q origin main)"
_SERVER: Final = (
    "import http.server as h, sys\n\n\nclass H(h.BaseHTTPRequestHandler):\n    def do_GET(self):\n        code = int(self.path.split('/')[1])\n"
    "        self.send_response(code)\n        if code == 401:\n            self.send_header('WWW-Authenticate', 'Basic realm=\"git\"')\n"
    "        self.end_headers()\n\n    def log_message(self, *a):\n        pass\n\n\n"
    "s = h.HTTPServer(('127.0.0.1', 0), H)\nprint(s.server_port, flush=True)\ns.serve_forever()\n"
)
_ASK: Final = "python server.py > port & P=$!; until [ -s port ]; do sleep 0.1; done; git clone http://127.0.0.1:$(cat port)/%d/shop.git x; R=$?; kill $P; exit $R"

_REFUSALS: Final = (
    Case(name="git_non_fast_forward", tool="git", command="git push origin main", expected="git.non_fast_forward", before=_ORIGIN + _OTHER + " && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_stale_info", tool="git", command="git push --force-with-lease origin main", expected="git.non_fast_forward", before=_ORIGIN + _OTHER + " && git commit -q --amend -m x"),
    Case(name="git_behind", tool="git", command="git push origin main", expected="git.non_fast_forward", before=_ORIGIN + _OTHER + " && git fetch -q && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_pull_diverged", tool="git", command="git pull --ff-only origin main", expected="git.non_fast_forward", before=_ORIGIN + _OTHER + " && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_pull_unspecified", tool="git", command="git pull origin main", expected="git.non_fast_forward", before=_ORIGIN + _OTHER + " && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_hook_rejected", tool="git", command="git push origin main", expected="git.hook_rejected",
         before=_ORIGIN + " && printf '#!/bin/sh\\necho commit message must name a ticket >&2\\nexit 1\\n' > ../origin.git/hooks/pre-receive && chmod +x ../origin.git/hooks/pre-receive && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_update_hook", tool="git", command="git push origin main", expected="git.hook_rejected",
         before=_ORIGIN + " && printf '#!/bin/sh\\nexit 1\\n' > ../origin.git/hooks/update && chmod +x ../origin.git/hooks/update && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_protected_github", tool="git", command="git push origin main", expected="git.protected_branch",
         before=_ORIGIN + " && printf '#!/bin/sh\\necho error: GH006: Protected branch update failed for refs/heads/main. >&2\\necho error: At least 1 approving review is required by reviewers with write access. >&2\\nexit 1\\n' > ../origin.git/hooks/pre-receive && chmod +x ../origin.git/hooks/pre-receive && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_protected_gitlab", tool="git", command="git push origin main", expected="git.protected_branch",
         before=_ORIGIN + " && printf '#!/bin/sh\\necho GitLab: You are not allowed to push code to protected branches on this project. >&2\\nexit 1\\n' > ../origin.git/hooks/pre-receive && chmod +x ../origin.git/hooks/pre-receive && echo c > c.txt && git add c.txt && git commit -qm three"),
    Case(name="git_deny_current", tool="git", command="git push origin HEAD:main", expected="git.hook_rejected", before="git init -q -b main ../target && (cd ../target && git commit -q --allow-empty -m one) && git clone -q ../target . && git commit -q --allow-empty -m two"),
    Case(name="git_pre_commit_hook", tool="git", command="git commit -m two", expected="git.hook_rejected", before=_ORIGIN + " && printf '#!/bin/sh\\necho lint: 2 problems\\nexit 1\\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit && echo b > a.txt && git add a.txt", note="a local hook says nothing that git adds to"),
    Case(name="git_pre_push_hook", tool="git", command="git push origin main", expected="git.hook_rejected", before=_ORIGIN + " && printf '#!/bin/sh\\necho tests first >&2\\nexit 1\\n' > .git/hooks/pre-push && chmod +x .git/hooks/pre-push && git commit -q --allow-empty -m x"),
)

_REMOTES: Final = (
    Case(name="git_auth_401", tool="git", command=_ASK % 401, expected="git.auth", files={"server.py": _SERVER}),
    Case(name="git_auth_403", tool="git", command=_ASK % 403, expected="git.auth", files={"server.py": _SERVER}),
    Case(name="git_http_404", tool="git", command=_ASK % 404, expected="git.repository_missing", files={"server.py": _SERVER}),
    Case(name="git_http_502", tool="git", command=_ASK % 502, expected="git.unreachable", files={"server.py": _SERVER}),
    Case(name="git_path_missing", tool="git", command="git clone /nowhere/shop.git", expected="git.repository_missing"),
    Case(name="git_not_a_remote", tool="git", command="git push nowhere main", expected="git.repository_missing", before="git init -q -b main . && git commit -q --allow-empty -m x"),
    Case(name="git_dns", tool="git", command="git clone https://git.nowhere.invalid/shop.git", expected="env.dns"),
    Case(name="git_refused", tool="git", command="git clone http://127.0.0.1:9/shop.git", expected="git.unreachable"),
    Case(name="git_ssh_refused", tool="git", command="GIT_SSH_COMMAND='ssh -p 9 -o StrictHostKeyChecking=no' git clone git@127.0.0.1:shop.git", expected="git.unreachable"),
    Case(name="git_ssh_auth", tool="git", command="printf '#!/bin/sh\\necho \"git@example.com: Permission denied (publickey).\" >&2\\nexit 255\\n' > ssh.sh; chmod +x ssh.sh; GIT_SSH=./ssh.sh git clone git@example.com:a/shop.git", expected="git.auth", note="the line of ssh is a stand-in's; the rest is git's"),
    Case(name="git_tls", tool="git", command="openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 1 -subj /CN=localhost 2>/dev/null; python tls.py > port & P=$!; until [ -s port ]; do sleep 0.1; done; git clone https://localhost:$(cat port)/shop.git x; R=$?; kill $P; exit $R", expected="env.tls",
         before="openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 1 -subj /CN=localhost 2>/dev/null", files={"tls.py": "import http.server as h, ssl\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('c', 'k')\ns = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler)\ns.socket = c.wrap_socket(s.socket, server_side=True)\nprint(s.server_port, flush=True)\ns.serve_forever()\n"}),
    Case(name="git_ref_missing", tool="git", command="git fetch origin no-such-branch", expected="git.ref_missing", before=_ORIGIN),
    Case(name="git_pathspec", tool="git", command="git checkout no-such-branch", expected="git.ref_missing", before=_ORIGIN),
    Case(name="git_src_refspec", tool="git", command="git push origin no-such-branch", expected="git.ref_missing", before=_ORIGIN),
    Case(name="git_unknown_revision", tool="git", command="git log no-such-branch..HEAD", expected="git.ref_missing", before=_ORIGIN),
)

_TREES: Final = (
    Case(name="git_merge_conflict", tool="git", command="git merge origin/main", expected="git.conflict", before=_ORIGIN + _OTHER + " && echo c > a.txt && git commit -qam three && git fetch -q"),
    Case(name="git_rebase_conflict", tool="git", command="git rebase origin/main", expected="git.conflict", before=_ORIGIN + _OTHER + " && echo c > a.txt && git commit -qam three && git fetch -q"),
    Case(name="git_cherry_conflict", tool="git", command="git cherry-pick origin/main", expected="git.conflict", before=_ORIGIN + _OTHER + " && echo c > a.txt && git commit -qam three && git fetch -q"),
    Case(name="git_apply", tool="git", command="git apply x.patch", expected="git.conflict", before=_ORIGIN, files={"x.patch": "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-zzz\n+b\n"}),
    Case(name="git_am", tool="git", command="git am x.patch", expected="git.conflict", before=_ORIGIN + _OTHER + " && (cd ../other && git format-patch -1 --stdout) > x.patch && echo zz > a.txt && git commit -qam z"),
    Case(name="git_dirty", tool="git", command="git checkout main~0 && git merge origin/main", expected="git.dirty_tree", before=_ORIGIN + _OTHER + " && echo dirty > a.txt && git fetch -q"),
    Case(name="git_rebase_dirty", tool="git", command="git rebase origin/main", expected="git.dirty_tree", before=_ORIGIN + " && echo dirty > a.txt"),
    Case(name="git_untracked", tool="git", command="git merge origin/main", expected="git.dirty_tree", before=_ORIGIN + " && git clone -q ../origin.git ../other -b main && (cd ../other && echo n > n.txt && git add n.txt && git commit -qm n && git push -q) && git fetch -q && echo mine > n.txt"),
    Case(name="git_identity", tool="git", command="unset GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL; git -c user.useConfigOnly=true commit --allow-empty -m x", expected="git.identity_missing", before="git init -q ."),
    Case(name="git_not_repo", tool="git", command="GIT_CEILING_DIRECTORIES=/tmp git status", expected="git.not_a_repository"),
    Case(name="git_lock", tool="git", command="git commit --allow-empty -m x -a", expected="git.busy", before=_ORIGIN + " && touch .git/index.lock && echo z > a.txt"),
    Case(name="git_ref_lock", tool="git", command="git commit --allow-empty -m x", expected="git.busy", before=_ORIGIN + " && touch .git/refs/heads/main.lock"),
    Case(name="git_nothing", tool="git", command="git commit -m x", expected="agent.no_change", before=_ORIGIN, note="nothing to commit"),
    Case(name="git_corrupt", tool="git", command="git fsck; git log -p", expected="git.damaged", before=_ORIGIN + " && for f in $(find .git/objects -type f); do chmod +w $f; : > $f; done"),
    Case(name="git_unrelated", tool="git", command="git pull --no-rebase origin main", expected="git.conflict", before="git init -q --bare ../origin.git; git init -q -b main ../o2 && (cd ../o2 && git commit -q --allow-empty -m x && git push -q ../origin.git main); git init -q -b main . && git commit -q --allow-empty -m y && git remote add origin ../origin.git"),
    Case(name="git_diff_exit", tool="git", command="git diff --exit-code", expected="verify.tree_changed", before=_ORIGIN + " && echo 'Error: 429 Too Many Requests' > a.txt", stage="lint", note="generated files are not what is committed"),
    Case(name="trap_git_diff_text", tool="git", command="git diff; exit 5", expected="verify.failed", before=_ORIGIN + " && printf 'FAILED test_x.py::test_a - AssertionError\\nbash: line 1: foo: command not found\\nfatal: Authentication failed for x\\n' > a.txt", note="the failures are in the text of a diff"),
    Case(name="trap_cat_source", tool="git", command="cat -n errors.py; exit 6", expected="verify.failed", files={"errors.py": "# npm ERR! code ERESOLVE\nraise SystemExit('fatal: could not read Username')\nTypeError: x is not a function\nE   AssertionError\n"}, note="the failures are in a listing of a source"),
    Case(name="trap_git_log", tool="git", command="git log --oneline", expected="unclassified", before=_ORIGIN + " && git commit -q --allow-empty -m 'fix: npm ERR! code E404, merge conflict, 2 tests failed'", note="passes"),
)


def _source(case: Case) -> Case:
    from dataclasses import replace

    return replace(case, source="git", stage="publish") if case.stage == "test" and not case.name.startswith("trap_") else case


CASES: Final = tuple(_source(case) for case in (*_REFUSALS, *_REMOTES, *_TREES))
