"""The fifth part: made after what the fourth had shown was mended, for the number that is to be expected now.

The rule of this room: labelled by reading the output, before the classifier had seen any of it.
"""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_STAMP: Final = " 2>&1 | sed -u 's/^/2026-02-01 08:15:00 | /'; exit ${PIPESTATUS[0]}"
_PACKAGE: Final = '{"name": "kiln", "version": "3.0.0", "private": true, "scripts": {%s}}\n'
_CRATE: Final = '[package]\nname = "kiln"\nversion = "0.3.0"\nedition = "2021"\n'
_MOD: Final = "module example.com/kiln\n\ngo 1.22\n"
_POM: Final = "<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>kiln</artifactId><version>1</version><properties><maven.compiler.source>11</maven.compiler.source><maven.compiler.target>11</maven.compiler.target></properties><dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13.2</version><scope>test</scope></dependency></dependencies></project>\n"

CASES: Final = (
    Case(name="v_pytest_raises", tool="pytest", command="pytest -vv -rf --tb=long" + _STAMP, expected="test.failed", files={"tests/test_glaze.py": "import pytest\n\n\nclass TestGlaze:\n    @pytest.mark.parametrize('heat', [900, 1200])\n    def test_melts(self, heat):\n        with pytest.raises(ValueError, match='hot'):\n            if heat > 1000:\n                raise ValueError('too cold')\n            raise ValueError('hot')\n"}),
    Case(name="v_import_name", tool="python", command="python -c 'from json import lods'", expected="verify.exception", stage="build"),
    Case(name="v_walrus_36", tool="python", command="PYENV_VERSION=3.6.15 python3.6 a.py", expected="build.python_syntax", files={"a.py": "if (n := 3) > 2:\n    print(n)\n"}, stage="build"),
    Case(name="v_mypy_context", tool="mypy", command="mypy --pretty --show-error-context --show-column-numbers a.py", expected="lint.mypy", files={"a.py": "class K:\n    def f(self) -> int:\n        return self.g()\n"}, stage="lint"),
    Case(name="v_ruff_diff", tool="ruff", command="ruff check --diff .", expected="lint.ruff", files={"a.py": "import os\n"}, stage="lint"),
    Case(name="v_flake8_color", tool="flake8", command="make style", expected="lint.flake8", files={"Makefile": "style:\n\tflake8 --color always kiln.py\n", "kiln.py": "x = lambda: 0\nif x == None: pass\n"}, stage="lint"),
    Case(name="v_tsc_docker", tool="tsc", command="tsc --noEmit --strict --types node a.ts 2>&1 | sed 's/^/#14 3.412 /'; exit ${PIPESTATUS[0]}", expected="build.tsc", files={"a.ts": "import {x} from 'nowhere-lib';\nfunction f(a) { return x + a; }\n"}, modules=True, stage="build"),
    Case(name="v_jest_inline", tool="jest", command="npx jest --ci", expected="test.snapshot", files={"package.json": _PACKAGE % "", "a.test.js": "test('s', () => { expect({heat: 900}).toMatchInlineSnapshot(`\n{\n  \"heat\": 1200,\n}\n`); });\n"}, modules=True),
    Case(name="v_vitest_actions", tool="vitest", command="vitest run --reporter=github-actions --reporter=default", expected="test.failed", files={"package.json": _PACKAGE % "", "a.test.js": "import {test, expect} from 'vitest';\ntest('heat', () => { expect.soft(1).toBe(2); expect({a: [1]}).toEqual({a: [2]}); });\n"}, modules=True),
    Case(name="v_eslint_nothing", tool="eslint", command="eslint gone/**/*.js", expected="verify.usage", files={"package.json": _PACKAGE % "", "eslint.config.mjs": "export default [];\n"}, modules=True, stage="lint"),
    Case(name="v_npm_workspaces", tool="npm", command="npm run build --workspaces", expected="deps.script_missing", files={"package.json": '{"name": "kiln", "workspaces": ["p/*"]}', "p/a/package.json": '{"name": "a", "version": "1.0.0"}'}, stage="build"),
    Case(name="v_pnpm_add", tool="pnpm", command="pnpm add nowhere-package-xq-kiln", expected="deps.npm_not_found", files={"package.json": _PACKAGE % ""}, stage="build"),
    Case(name="v_go_unused", tool="go", command="go build ./... 2>&1 | cat -A | sed 's/\\$$//'; exit ${PIPESTATUS[0]}", expected="build.go", files={"go.mod": _MOD, "a.go": "package a\n\nimport \"fmt\"\n\nfunc f() int {\n\tn := 3\n\treturn\n}\n"}, stage="build"),
    Case(name="v_go_test_two", tool="go", command="go test ./... -count=1 -shuffle=on", expected="test.failed", files={"go.mod": _MOD, "a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestHeat(t *testing.T) {\n\tfor _, n := range []string{\"x\", \"y z\"} {\n\t\tt.Run(n, func(t *testing.T) { t.Errorf(\"heat = %d; want %d\", 1, 2) })\n\t}\n}\n", "b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestOk(t *testing.T) {}\n"}),
    Case(name="v_cargo_trait", tool="cargo", command="cargo check --offline" + _STAMP, expected="build.rustc", files={"Cargo.toml": _CRATE, "src/lib.rs": "use std::collections::HashMap;\n#[derive(Debug)]\npub struct Heat(f64);\npub fn f() -> HashMap<Heat, i32> { let mut m = HashMap::new(); m.insert(Heat(1.0), 2); m }\n"}, stage="build"),
    Case(name="v_cargo_bin", tool="cargo", command="cargo run --offline --bin gone", expected="verify.usage", files={"Cargo.toml": _CRATE, "src/main.rs": "fn main() {}\n"}, stage="build"),
    Case(name="v_cargo_fmt_color", tool="cargo", command="cargo fmt --check -- --color always", expected="lint.format", files={"Cargo.toml": _CRATE, "src/lib.rs": "pub fn f( )->i32{1}\n"}, stage="lint"),
    Case(name="v_cargo_macro", tool="cargo", command="cargo test --offline -q", expected="build.rustc", files={"Cargo.toml": _CRATE, "src/lib.rs": "pub fn f() { println!(\"{} {}\", 1); vec![1, 2; 3]; }\n"}),
    Case(name="v_gcc_main", tool="gcc", command="make kiln", expected="build.link", files={"kiln.c": "int heat(void) { return 3; }\n"}, stage="build"),
    Case(name="v_gcc_multiple", tool="gcc", command="gcc a.c b.c -o k", expected="build.link", files={"a.c": "int heat = 1;\nint main(void) { return 0; }\n", "b.c": "int heat = 2;\n"}, stage="build"),
    Case(name="v_ubsan", tool="gcc", command="gcc -fsanitize=undefined -fno-sanitize-recover=all a.c -o a && ./a", expected="test.sanitizer", files={"a.c": "#include <limits.h>\nint main(int c, char **v) { int n = INT_MAX; n += c; return n; }\n"}),
    Case(name="v_mvn_before", tool="mvn", command="mvn -o -B -ntp test", expected="test.failed", files={"pom.xml": _POM, "src/test/java/KilnTest.java": "import org.junit.*;\npublic class KilnTest { @Before public void heat() { throw new IllegalStateException(\"cold\"); } @Test public void fires() {} }\n"}),
    Case(name="v_javac_package", tool="javac", command="javac -Werror -Xlint:unchecked K.java", expected="build.javac", files={"K.java": "import com.gone.Heat;\nclass K { Heat h; }\n"}, stage="build"),
    Case(name="v_timeout", tool="bash", command="timeout 1 sleep 9", expected="verify.timeout"),
    Case(name="v_french_unbound", tool="bash", command="LC_ALL=fr_FR.UTF-8 bash -uc 'echo $KILN_TOKEN'", expected="env.variable_missing"),
    Case(name="v_japanese_file", tool="sed", command="LC_ALL=ja_JP.UTF-8 sed -n 1p heat.txt", expected="env.file_missing"),
    Case(name="v_git_hook_eslint", tool="git", command="git commit -qm x", expected="git.hook_rejected", before="git init -q -b main && printf '#!/bin/sh\\necho \"  3:7  error  x is not defined  no-undef\"\\nexit 1\\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit && echo 1 > a && git add a", stage="publish", source="git"),
    Case(name="v_git_german_refspec", tool="git", command="cd c && LC_ALL=de_DE.UTF-8 git push origin topic", expected="git.ref_missing", before="git init -q -b main o && (cd o && echo 1 > a.txt && git add . && git commit -qm one) && git clone -q o c 2>/dev/null", stage="publish", source="git"),
    Case(name="v_trap_jest_log", tool="jest", command="jest", expected="unclassified", files={"package.json": _PACKAGE % "", "a.test.js": "test('retries', () => { console.warn('429 Too Many Requests; npm error code E404; fatal: Authentication failed'); });\n"}, modules=True),
    Case(name="v_trap_ruby_words", tool="bash", command="cat notes.txt; exit 7", expected="verify.failed", files={"notes.txt": "How to read errors\n==================\nA NoMethodError (undefined method) is Ruby's.\nError: ENOSPC means the disk is full.\nKeep calm.\n"}),
)

FIFTH: Final = r"""
@@ v_gradle_compile_groovy_dsl | gradle | build.gradle | build | verify | 1
FAILURE: Build failed with an exception.

* Where:
Build file '/app/build.gradle' line: 14

* What went wrong:
A problem occurred evaluating root project 'kiln'.
> Could not find method implementaton() for arguments [com.google.guava:guava:33.0.0-jre] on object of type DefaultDependencyHandler.
@@ v_gradle_junit_stdout | gradle | test.failed | test | verify | 1
> Task :test

KilnTest > fires() STANDARD_OUT
    HTTP/1.1 429 Too Many Requests

KilnTest > fires() FAILED
    org.opentest4j.AssertionFailedError: 
    expected: 200
     but was: 429
        at com.example.KilnTest.fires(KilnTest.java:31)

8 tests completed, 1 failed

> Task :test FAILED
@@ v_dotnet_test_build | dotnet | build.dotnet | test | verify | 1
  Determining projects to restore...
  All projects are up-to-date for restore.
/app/tests/KilnTests.cs(15,28): error CS0117: 'Kiln' does not contain a definition for 'Fire' [/app/tests/Kiln.Tests.csproj]
@@ v_dotnet_assembly | dotnet | verify.exception | test | verify | 134
Unhandled exception. System.IO.FileNotFoundException: Could not load file or assembly 'Serilog, Version=4.0.0.0, Culture=neutral'. The system cannot find the file specified.
File name: 'Serilog, Version=4.0.0.0, Culture=neutral'
   at Kiln.Program.Main(String[] args)
@@ v_rspec_ci | rspec | test.failed | test | verify | 1
2026-02-01T08:15:00.1Z Randomized with seed 1234
2026-02-01T08:15:00.2Z ....................F
2026-02-01T08:15:01.0Z 
2026-02-01T08:15:01.0Z Failures:
2026-02-01T08:15:01.0Z 
2026-02-01T08:15:01.0Z   1) Kiln fires
2026-02-01T08:15:01.0Z      Failure/Error: expect { kiln.fire }.to change(kiln, :heat).by(10)
2026-02-01T08:15:01.0Z        expected `Kiln#heat` to have changed by 10, but was changed by 0
2026-02-01T08:15:01.0Z 
2026-02-01T08:15:01.0Z 21 examples, 1 failure
@@ v_phpunit_exception | phpunit | test.failed | test | verify | 2
There was 1 error:

1) App\Tests\KilnTest::testFires with data set "hot" (1200)
TypeError: App\Kiln::fire(): Argument #1 ($heat) must be of type string, int given

/app/src/Kiln.php:9
/app/tests/KilnTest.php:22

ERRORS!
Tests: 5, Assertions: 4, Errors: 1.
@@ v_swift_test_crash | swift | test.crashed | test | verify | 1
Test Case '-[KilnTests.KilnTests testFires]' started.
Kiln/Kiln.swift:12: Fatal error: Unexpectedly found nil while unwrapping an Optional value
error: Exited with unexpected signal code 5
@@ v_kotlin_multiplatform | gradle | build.kotlinc | build | verify | 1
> Task :shared:compileKotlinJvm FAILED
e: file:///app/shared/src/commonMain/kotlin/Kiln.kt:8:13 No value passed for parameter 'heat'.
e: file:///app/shared/src/commonMain/kotlin/Kiln.kt:9:5 Overload resolution ambiguity between candidates
@@ v_msbuild_sdk | msbuild | env.runtime_version | build | verify | 1
C:\Program Files\dotnet\sdk\8.0.100\Sdks\Microsoft.NET.Sdk\targets\Microsoft.NET.TargetFrameworkInference.targets(166,5): error NETSDK1045: The current .NET SDK does not support targeting .NET 9.0.  Either target .NET 8.0 or lower, or use a version of the .NET SDK that supports .NET 9.0. [C:\src\Kiln\Kiln.csproj]
@@ v_golangci_json_line | golangci-lint | lint.golangci | lint | verify | 1
pkg/kiln/kiln.go:17:1: cyclomatic complexity 31 of func `(*Kiln).Fire` is high (> 30) (gocyclo)
func (k *Kiln) Fire() error {
^
pkg/kiln/kiln.go:60:2: ineffectual assignment to err (ineffassign)
2 issues:
* gocyclo: 1
* ineffassign: 1
@@ v_pnpm_store | pnpm | deps.integrity | build | verify | 1
 ERR_PNPM_TARBALL_INTEGRITY  Got unexpected checksum for "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz". Wanted "sha512-aaa". Got "sha512-bbb".
@@ v_github_rate | git | git.unreachable | publish | git | 128
remote: Internal Server Error
fatal: unable to access 'https://github.com/harbour/kiln.git/': The requested URL returned error: 500
@@ v_github_branch_rule | git | git.protected_branch | publish | git | 1
remote: error: GH006: Protected branch update failed for refs/heads/main.
remote: error: Required status check "build" is expected.
To github.com:harbour/kiln.git
 ! [remote rejected] main -> main (protected branch hook declined)
error: failed to push some refs to 'github.com:harbour/kiln.git'
@@ v_claude_max | claude | vendor.usage_window | agent | agent | 1
{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"You've hit your Opus limit · resets Oct 9, 5pm (UTC)","session_id":"x"}
@@ v_claude_overloaded_text | claude | vendor.overloaded | agent | agent | 1
API Error: Repeated 529 Overloaded errors · check status.claude.com
@@ v_codex_limit_time | codex | vendor.usage_window | agent | agent | 1
{"type":"error","message":"You've hit your usage limit. Visit https://chatgpt.com/codex/settings/usage to purchase more credits or try again at 4:15 PM."}
{"type":"turn.failed","error":{"message":"You've hit your usage limit. Visit https://chatgpt.com/codex/settings/usage to purchase more credits or try again at 4:15 PM."}}
@@ v_gemini_safety | gemini | vendor.refusal | agent | agent | 1
Error: The request was blocked due to safety settings. Finish reason: SAFETY
@@ v_openai_long | agent | vendor.context_overflow | agent | agent | 1
Error: Your input exceeds the context window of this model. Please adjust your input and try again.
@@ v_bedrock_expired | agent | vendor.auth | agent | agent | 1
API Error: 403 The security token included in the request is expired
@@ v_vertex_model | agent | vendor.model_not_found | agent | agent | 1
API Error: 404 {"error":{"code":404,"message":"Publisher Model `projects/x/locations/us-east5/publishers/anthropic/models/claude-x` was not found or your project does not have access to it.","status":"NOT_FOUND"}}
@@ v_agent_oom | agent | env.out_of_memory | agent | agent | 137
Killed
@@ v_max_turns_text | claude | vendor.max_turns | agent | agent | 1
Error: Reached max turns (40)
"""
