"""The fourth part: unlike the third, and made after what the third had shown was mended.

The rule of this room: labelled by reading the output, before the classifier had seen any of it.
"""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_STAMP: Final = " 2>&1 | sed -u 's/^/[12:04:31] /'; exit ${PIPESTATUS[0]}"
_PACKAGE: Final = '{"name": "ferry", "version": "2.0.0", "private": true, "scripts": {%s}}\n'
_CRATE: Final = '[package]\nname = "ferry"\nversion = "0.2.0"\nedition = "2021"\n'
_MOD: Final = "module example.com/ferry\n\ngo 1.22\n"
_SPLIT: Final = "git init -q -b main && echo 1 > a.txt && git add . && git commit -qm one && git switch -qc other && echo 2 > a.txt && git commit -qam two && git switch -q main && echo 3 > a.txt && git commit -qam three"
_ORIGIN: Final = "git init -q -b main o && (cd o && echo 1 > a.txt && git add . && git commit -qm one) && git clone -q o c 2>/dev/null"

CASES: Final = (
    Case(name="q_pytest_junit_stdout", tool="pytest", command="pytest -q -p no:terminal --junitxml=/dev/stdout", expected="verify.usage", files={"test_tide.py": "def test_high():\n    assert {'a': 1} == {'a': 2}\n"}),
    Case(name="q_pytest_teardown", tool="pytest", command="pytest -q" + _STAMP, expected="test.failed", files={"test_tide.py": "import pytest\n\n\n@pytest.fixture\ndef boat():\n    yield 1\n    raise OSError('anchor')\n\n\ndef test_high(boat):\n    assert boat\n"}),
    Case(name="q_asyncio_never", tool="python", command="PYENV_VERSION=3.12.1 python3.12 a.py", expected="verify.exception", files={"a.py": "import asyncio\n\n\nasync def sail():\n    raise LookupError('harbour')\n\n\nasync def main():\n    async with asyncio.TaskGroup() as g:\n        g.create_task(sail())\n\nasyncio.run(main())\n"}, stage="build"),
    Case(name="q_unittest_313", tool="python", command="FORCE_COLOR=1 PYENV_VERSION=3.13.0 python3.13 -m unittest -v --durations 2", expected="test.failed", files={"test_tide.py": "import unittest\n\n\nclass Tide(unittest.TestCase):\n    def test_high(self):\n        self.assertIn('x', ['y'])\n"}),
    Case(name="q_dmypy", tool="mypy", command="dmypy run -- a.py; c=$?; dmypy stop >/dev/null; exit $c", expected="lint.mypy", files={"a.py": "def f(n: int) -> str:\n    return n\n"}, stage="lint"),
    Case(name="q_pylint_json", tool="pylint", command="pylint -f json a.py", expected="lint.pylint", files={"a.py": "import os\nx = gone\n"}, stage="lint"),
    Case(name="q_yamllint_github", tool="yamllint", command="yamllint -f github a.yaml", expected="lint.yamllint", files={"a.yaml": "a:  1\nb: [1,2 ]\na: 2\n"}, stage="lint"),
    Case(name="q_bandit_json", tool="bandit", command="bandit -q -f json -r .", expected="lint.security", files={"a.py": "import subprocess\nsubprocess.call(input(), shell=True)\n"}, stage="lint"),
    Case(name="q_pip_wheel_gone", tool="pip", command="pip install --no-deps ./dist/ferry-1.0-py3-none-any.whl", expected="env.file_missing", stage="build"),
    Case(name="q_pip_check", tool="pip", command="python -m venv v && v/bin/pip install -q --no-deps requests==2.20.0 && v/bin/pip check", expected="deps.pip_conflict", stage="build"),
    Case(name="q_vitest_provider", tool="vitest", command="vitest run --coverage", expected="deps.module_missing", files={"package.json": _PACKAGE % "", "a.test.js": "import {test} from 'vitest';\ntest('a', () => {});\n"}, modules=True),
    Case(name="q_jest_each", tool="jest", command="jest --verbose --no-colors" + _STAMP, expected="test.failed", files={"package.json": _PACKAGE % "", "tide.test.js": "test.each([[1, 2], [2, 2]])('%i is %i', (a, b) => { expect(a).toBe(b); });\n"}, modules=True),
    Case(name="q_mocha_only", tool="mocha", command="mocha --forbid-only a.js", expected="test.collection", files={"package.json": _PACKAGE % "", "a.js": "describe('tide', () => { it.only('x', () => {}); it('y', () => {}); });\n"}, modules=True),
    Case(name="q_node_test_timeout", tool="node", command="node --test --test-reporter=spec", expected="test.timeout", files={"a.test.js": "const {test} = require('node:test');\ntest('slow', {timeout: 50}, () => new Promise(() => setTimeout(() => {}, 5000)));\n"}),
    Case(name="q_tsc_lerna", tool="tsc", command="tsc --noEmit --types node a.ts b.ts 2>&1 | sed 's/^/@ferry\\/core: /'; exit ${PIPESTATUS[0]}", expected="build.tsc", files={"a.ts": "let a: string = 1;\n", "b.ts": "let b: number = 'x';\nc();\n"}, modules=True, stage="build"),
    Case(name="q_eslint_json_npm", tool="eslint", command="npm run -s lint", expected="lint.eslint", files={"package.json": _PACKAGE % '"lint": "eslint -f json ."', "eslint.config.mjs": "export default [{rules: {'no-undef': 2}}];\n", "a.js": "sail();\n"}, modules=True, stage="lint"),
    Case(name="q_npx_no_install", tool="npm", command="npx --no-install nosuchtool-xq --version", expected="deps.npm_not_found", files={"package.json": _PACKAGE % ""}),
    Case(name="q_npm_git_dep", tool="npm", command="npm i --no-audit git+https://127.0.0.1:9/x/y.git", expected="git.unreachable", files={"package.json": _PACKAGE % ""}, stage="build"),
    Case(name="q_go_testmain", tool="go", command="go test ./...", expected="test.failed", files={"go.mod": _MOD, "a_test.go": "package a\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(m *testing.M) {\n\tprintln(\"no harbour today\")\n\tos.Exit(1)\n}\n"}),
    Case(name="q_go_infer", tool="go", command="go build ./..." + _STAMP, expected="build.go", files={"go.mod": _MOD, "a.go": "package a\n\nfunc Map[T any](n int) T { var t T; return t }\n\nvar x = Map(3)\n"}, stage="build"),
    Case(name="q_go_vendor", tool="go", command="go build -mod=vendor ./...", expected="deps.go_mod", files={"go.mod": _MOD + "\nrequire github.com/google/uuid v1.6.0\n", "a.go": "package a\n\nimport _ \"github.com/google/uuid\"\n", "vendor/modules.txt": ""}, stage="build"),
    Case(name="q_cargo_integration", tool="cargo", command="cargo test --offline" + _STAMP, expected="build.rustc", files={"Cargo.toml": _CRATE, "src/lib.rs": "", "tests/tide.rs": "use ferry::gone;\n#[test]\nfn t() { gone::x(); }\n"}),
    Case(name="q_cargo_no_targets", tool="cargo", command="cargo build --offline", expected="deps.manifest", files={"Cargo.toml": _CRATE}, stage="build"),
    Case(name="q_cargo_doc", tool="cargo", command="RUSTDOCFLAGS='-D warnings' cargo doc --offline --no-deps", expected="build.documentation", files={"Cargo.toml": _CRATE, "src/lib.rs": "/// See [`Gone`].\npub fn f() {}\n"}, stage="build"),
    Case(name="q_make_cxx", tool="make", command="make CXX=clang++-99 tide.o", expected="env.command_missing", files={"tide.cpp": "int x;\n"}, stage="build"),
    Case(name="q_cmake_source", tool="cmake", command="cmake -S . -B b", expected="build.cmake", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nadd_executable(a gone.c)\n"}, stage="build"),
    Case(name="q_ctest_segfault", tool="ctest", command="cmake -S . -B b >/dev/null && cmake --build b >/dev/null && ctest --test-dir b", expected="test.crashed", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nenable_testing()\nadd_executable(t t.c)\nadd_test(NAME tide COMMAND t)\n", "t.c": "int main(void) { volatile int *p = 0; return *p; }\n"}),
    Case(name="q_gpp_concepts", tool="g++", command="g++ -std=c++20 -fdiagnostics-color=always -c a.cpp", expected="build.c", files={"a.cpp": "#include <concepts>\ntemplate <std::integral T> T f(T t) { return t; }\nauto x = f(1.5);\n"}, stage="build"),
    Case(name="q_javac_module", tool="javac", command="javac -d out module-info.java", expected="build.javac", files={"module-info.java": "module ferry { requires gone.module; }\n"}, stage="build"),
    Case(name="q_java_assert", tool="java", command="java -ea A.java", expected="verify.exception", files={"A.java": "class A { public static void main(String[] x) { assert 1 > 2 : \"low tide\"; } }\n"}),
    Case(name="q_bash_spanish", tool="bash", command="LC_ALL=es_ES.UTF-8 bash -c 'cargoo build'", expected="env.command_missing"),
    Case(name="q_bash_chinese_file", tool="bash", command="LC_ALL=zh_CN.UTF-8 bash -c 'cd gone && make'", expected="env.file_missing"),
    Case(name="q_make_spanish", tool="make", command="LC_ALL=es_ES.UTF-8 make check", expected="build.c", files={"Makefile": "check: a.o\n", "a.c": "int x = y;\n"}, stage="build"),
    Case(name="q_git_spanish", tool="git", command="LC_ALL=es_ES.UTF-8 git merge other", expected="git.conflict", before=_SPLIT, stage="publish", source="git"),
    Case(name="q_git_chinese_push", tool="git", command="cd c && LC_ALL=zh_CN.UTF-8 git push origin main", expected="git.non_fast_forward", before=_ORIGIN + " && git -C o config receive.denyCurrentBranch ignore && (cd o && git commit -q --allow-empty -m two) && (cd c && git commit -q --allow-empty -m three)", stage="publish", source="git"),
    Case(name="q_git_rebase_twice", tool="git", command="git rebase other", expected="git.conflict", before=_SPLIT + "; git rebase other >/dev/null 2>&1", stage="publish", source="git"),
    Case(name="q_git_gpg", tool="git", command="git commit --allow-empty -S -m signed", expected="git.failed", before=_SPLIT + "; git config user.signingkey 0000; git config gpg.program /bin/false", stage="publish", source="git"),
    Case(name="q_trap_go_passes", tool="go", command="go test -v ./...", expected="unclassified", files={"go.mod": _MOD, "a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestParsesPanic(t *testing.T) {\n\tt.Log(\"panic: 429 Too Many Requests\\nFAIL\\texample.com/x [build failed]\")\n}\n"}),
    Case(name="q_trap_script_words", tool="bash", command="printf 'tide table: 3 stations, 1 closed\\nerror budget: 12 %% left\\nfailed over to the second mirror, fine\\n'; exit 2", expected="verify.failed"),
)

FOURTH: Final = r"""
@@ q_gradle_spotless | gradle | lint.format | lint | verify | 1
> Task :spotlessJava
> Task :spotlessJavaCheck FAILED

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':spotlessJavaCheck'.
> The following files had format violations:
      src/main/java/com/example/Ferry.java
          @@ -3,4 +3,4 @@
          -class  Ferry {
          +class Ferry {
  Run './gradlew spotlessApply' to fix all violations.
@@ q_gradle_jacoco | gradle | test.coverage | test | verify | 1
> Task :jacocoTestCoverageVerification FAILED
[ant:jacocoReport] Rule violated for bundle ferry: instructions covered ratio is 0.61, but expected minimum is 0.80

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':jacocoTestCoverageVerification'.
> Rule violated for bundle ferry: instructions covered ratio is 0.61, but expected minimum is 0.80
@@ q_dotnet_mtp | dotnet | test.failed | test | verify | 2
failed Sails_At_Noon (14ms)
  Assert.That(tide, Is.EqualTo(3))
  Expected: 3
  But was:  2
    at Ferry.Tests.TideTests.Sails_At_Noon() in /app/tests/TideTests.cs:22

Test run summary: Failed! - /app/tests/bin/Debug/net9.0/Ferry.Tests.dll (net9.0|x64)
  total: 9
  failed: 1
@@ q_dotnet_nullable | dotnet | build.dotnet | build | verify | 1
  Ferry net8.0 failed with 1 error(s) (0.9s)
    /app/src/Tide.cs(31,16): error CS8603: Possible null reference return.

Build failed with 1 error(s) in 2.1s
@@ q_kotlin_ksp | gradle | build.kotlinc | build | verify | 1
e: [ksp] /app/src/main/kotlin/Tide.kt:12: Unable to find a constructor for Tide
> Task :app:kspDebugKotlin FAILED

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':app:kspDebugKotlin'.
> A failure occurred while executing com.google.devtools.ksp.gradle.KspAAWorkerAction
@@ q_swift_actor | swift | build.swift | build | verify | 1
[1/4] Compiling Ferry Tide.swift
/app/Sources/Ferry/Tide.swift:18:9: error: call to main actor-isolated instance method 'sail()' in a synchronous nonisolated context
        boat.sail()
             ^
/app/Sources/Ferry/Boat.swift:4:10: note: calls to instance method 'sail()' from outside of its actor context are implicitly asynchronous
@@ q_paratest | phpunit | test.failed | test | verify | 1
ParaTest v7.4.3 upon PHPUnit 11.1.3 by Sebastian Bergmann and contributors.

...F....                                                            8 / 8 (100%)

Time: 00:00.512, Memory: 12.00 MB

There was 1 failure:

1) Tests\TideTest::testHigh
Failed asserting that false is true.

/app/tests/TideTest.php:19

FAILURES!
Tests: 8, Assertions: 11, Failures: 1.
@@ q_artisan | php | test.failed | test | verify | 1

   FAIL  Tests\Feature\TideTest
  ⨯ sails at noon                                                        0.08s
  ──────────────────────────────────────────────────────────────────────────
   FAILED  Tests\Feature\TideTest > sails at noon
  Expected response status code [200] but received 500.
  Failed asserting that 500 is identical to 200.

  at tests/Feature/TideTest.php:17

  Tests:    1 failed, 12 passed (31 assertions)
  Duration: 0.71s
@@ q_rspec_undefined | rspec | test.failed | test | verify | 1
Failures:

  1) Tide#high raises NoMethodError
     Failure/Error: subject.hight

     NoMethodError:
       undefined method `hight' for an instance of Tide
     # ./spec/tide_spec.rb:9:in 'block (3 levels) in <top (required)>'

Finished in 0.02 seconds (files took 0.3 seconds to load)
14 examples, 1 failure
@@ q_golangci_new | golangci-lint | lint.golangci | lint | verify | 1
internal/tide/tide.go:44:2: S1008: should use 'return a > b' instead of 'if a > b { return true }; return false' (gosimple)
	if a > b {
	^
@@ q_pnpm_ignored | pnpm | deps.npm_conflict | build | verify | 1
 ERR_PNPM_PEER_DEP_ISSUES  Unmet peer dependencies

.
└─┬ vite-plugin-x 2.0.0
  └── ✕ unmet peer vite@^6.0.0: found 5.4.2
@@ q_bun_test | bun | test.failed | test | verify | 1
bun test v1.1.30 (7996d06b)

tide.test.ts:
4 | test("sails", () => {
5 |   expect(2).toBe(3);
                ^
error: expect(received).toBe(expected)

Expected: 3
Received: 2

      at /app/tide.test.ts:5:13
✗ sails [0.42ms]

 3 pass
 1 fail
 4 expect() calls
Ran 4 tests across 1 files. [11.00ms]
@@ q_cargo_msrv_dep | cargo | env.runtime_version | build | verify | 101
error: package `clap v4.5.20` cannot be built because it requires rustc 1.74 or newer, while the currently active rustc version is 1.70.0
Either upgrade to rustc 1.74 or newer, or use
cargo update clap@4.5.20 --precise ver
@@ q_uv_frozen | uv | deps.uv_lock_drift | build | verify | 1
Resolved 24 packages in 3ms
error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided. To update the lockfile, run `uv lock`.
@@ q_gitlab_protected | git | git.protected_branch | publish | git | 1
remote: GitLab: You are not allowed to push code to protected branches on this project.
To gitlab.example.com:harbour/ferry.git
 ! [remote rejected] main -> main (pre-receive hook declined)
error: failed to push some refs to 'gitlab.example.com:harbour/ferry.git'
@@ q_git_token_expired | git | git.auth | publish | git | 128
remote: HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you're required to use a token instead of a password.
fatal: Authentication failed for 'https://gitlab.example.com/harbour/ferry.git/'
@@ q_git_fetch_gone | git | git.unreachable | publish | git | 128
kex_exchange_identification: read: Connection reset by peer
Connection reset by 192.0.2.7 port 22
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
@@ q_claude_500 | claude | vendor.unavailable | agent | agent | 1
API Error: 500 {"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_2"}
@@ q_claude_overage | claude | vendor.usage_window | agent | agent | 1
You're out of extra usage · resets 5pm (America/New_York)
@@ q_claude_image | claude | vendor.bad_request | agent | agent | 1
API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":"messages.3.content.1.image.source.base64: The image was specified using the image/png media type, but does not appear to be a valid png image"}}
@@ q_codex_model | codex | vendor.model_not_found | agent | agent | 1
ERROR: {"detail":"The 'gpt-9-codex' model is not supported when using Codex with a ChatGPT account."}
@@ q_codex_network | codex | vendor.unavailable | agent | agent | 1
ERROR: stream disconnected before completion: error sending request for url (https://chatgpt.com/backend-api/codex/responses)
@@ q_gemini_expired | gemini | vendor.auth | agent | agent | 1
[API Error: API key expired. Please renew the API key. (Status: INVALID_ARGUMENT)]
@@ q_openai_org | agent | vendor.auth | agent | agent | 1
Error: 403 Your organization must be verified to use the model `o9`. Please go to: https://platform.openai.com/settings/organization/general
@@ q_azure_filter | agent | vendor.refusal | agent | agent | 1
Error code: 400 - {'error': {'message': "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", 'code': 'content_filter', 'status': 400}}
@@ q_deepseek_balance | agent | vendor.billing | agent | agent | 1
Error: 402 Insufficient Balance
@@ q_mistral_capacity | agent | vendor.overloaded | agent | agent | 1
Error: 503 {"message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","code":"3505"}
"""
