"""Samples of tools that do not run here, written after the form that their documentation shows.

    PYTHONPATH=tests python -m corpus.documentation

The rule of this room: the names in them are made up, the form is the tool's; every sample is marked as `documentation`.
"""

from __future__ import annotations

import re
from typing import Final

from corpus.sample import Part, Sample, write

FIRST: Final = """
@@ scalac_sbt | sbt | build.scalac | build | verify | 1
[info] compiling 2 Scala sources to /repo/target/scala-3.3.1/classes ...
[error] -- [E007] Type Mismatch Error: /repo/src/main/scala/Cart.scala:12:18
[error] 12 |  val total: Int = "ten"
[error]    |                   ^^^^^
[error]    |                   Found:    ("ten" : String)
[error]    |                   Required: Int
[error] one error found
[error] (Compile / compileIncremental) Compilation failed
[error] Total time: 3 s, completed
@@ groovyc_spock | gradle | build.groovy | build | verify | 1
> Task :compileGroovy FAILED
startup failed:
/repo/src/main/groovy/Cart.groovy: 7: unexpected token: } @ line 7, column 1.
   }
   ^

1 error

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':compileGroovy'.
> Compilation failed; see the compiler error output for details.
@@ swift_build | swift | build.swift | build | verify | 1
Building for debugging...
/repo/Sources/Shop/Cart.swift:14:22: error: cannot convert value of type 'String' to specified type 'Int'
    let total: Int = "ten"
                     ^~~~~
[3/5] Compiling Shop Cart.swift
error: fatalError
@@ swift_test | swift | test.failed | test | verify | 1
Test Suite 'CartTests' started at 2025-01-01 10:00:00.000
Test Case 'CartTests.testTotal' started at 2025-01-01 10:00:00.001
/repo/Tests/ShopTests/CartTests.swift:9: error: CartTests.testTotal : XCTAssertEqual failed: ("2") is not equal to ("3") -
Test Case 'CartTests.testTotal' failed (0.004 seconds)
Test Suite 'CartTests' failed at 2025-01-01 10:00:00.006
	 Executed 4 tests, with 1 failure (0 unexpected) in 0.004 (0.006) seconds
@@ dart_analyze | dart | lint.dart | lint | verify | 3
Analyzing shop...

  error - lib/cart.dart:8:12 - The argument type 'String' can't be assigned to the parameter type 'int'. - argument_type_not_assignable

1 issue found.
@@ dart_compile | dart | build.dart | build | verify | 254
lib/cart.dart:8:12: Error: A value of type 'String' can't be assigned to a variable of type 'int'.
  int total = 'ten';
              ^
@@ dart_pub | dart | deps.pub | build | verify | 1
Resolving dependencies...
Because shop depends on http ^9.0.0 which doesn't match any versions, version solving failed.
pubspec.yaml: dart pub get
@@ zig_build | zig | build.zig | build | verify | 1
src/main.zig:6:17: error: expected type 'u32', found '*const [3:0]u8'
    const x: u32 = "ten";
                   ^~~~~
referenced by:
    main: src/main.zig:9:5
@@ ocaml_dune | dune | build.ocaml | build | verify | 1
File "bin/main.ml", line 3, characters 14-19:
3 | let total = 1 + "a"
                    ^^^
Error: This expression has type string but an expression was expected of type int
@@ docker_build | docker | build.docker | build | verify | 1
 => ERROR [4/6] RUN npm ci                                                0.8s
------
 > [4/6] RUN npm ci:
0.512 something went wrong in a step of this image
------
Dockerfile:9
--------------------
   7 |     COPY package.json .
   9 | >>> RUN npm ci
--------------------
ERROR: failed to solve: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1
@@ docker_copy | docker | build.docker | build | verify | 1
#7 [3/4] COPY dist /app
#7 ERROR: failed to calculate checksum of ref abc: "/dist": not found
ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref abc: "/dist": not found
@@ sphinx_w | sphinx | build.documentation | build | verify | 2
Running Sphinx v7.2.6
loading pickled environment... done

Warning, treated as error:
/repo/docs/index.rst:4:toctree contains reference to nonexisting document 'usage'
@@ maven_plugin | mvn | build.maven | build | verify | 1
[INFO] BUILD FAILURE
[ERROR] Failed to execute goal org.codehaus.mojo:exec-maven-plugin:3.1.0:exec (generate) on project shop: Command execution failed.: Process exited with an error: 2 (Exit value: 2) -> [Help 1]
[ERROR] Re-run Maven using the -X switch to enable full debug logging.
@@ protoc_type | protoc | build.protobuf | build | verify | 1
shop/v1/cart.proto:12:3: "Monney" is not defined.
@@ terraform_validate | terraform | build.terraform | build | verify | 1
╷
│ Error: Unsupported argument
│
│   on main.tf line 12, in resource "aws_instance" "web":
│   12:   amii = "ami-123"
│
│ An argument named "amii" is not expected here. Did you mean "ami"?
╵
@@ nim_type | nim | build.compiler | build | verify | 1
/repo/cart.nim(3, 18) Error: type mismatch: got 'string' for '"ten"' but expected 'int'
@@ bun_frozen | bun | deps.bun_lock_drift | build | verify | 1
bun install v1.1.0
error: lockfile had changes, but lockfile is frozen
@@ cargo_select | cargo | deps.cargo_conflict | build | verify | 101
    Updating crates.io index
error: failed to select a version for `openssl-sys`.
    ... required by package `shop v0.1.0 (/repo)`
versions that meet the requirements `^0.9` are: 0.9.102
the package `openssl-sys` links to the native library `openssl`, but it conflicts with a previous package which links to `openssl` as well
@@ conan_missing | conan | deps.conan | build | verify | 1
======== Computing dependency graph ========
ERROR: Package 'fmt/99.0' not resolved: Unable to find 'fmt/99.0' in remotes.
@@ go_unknown_revision | go | deps.go_not_found | build | verify | 1
go: downloading github.com/example/cart v9.9.9
go: github.com/example/cart@v9.9.9: invalid version: unknown revision v9.9.9
@@ mix_deps | mix | deps.hex | build | verify | 1
Unchecked dependencies for environment test:
* jason (Hex package)
  lock mismatch: the dependency is out of date. To fetch locked version run "mix deps.get"
** (Mix) Can't continue due to errors on dependencies
@@ nuget_missing | dotnet | deps.nuget | build | verify | 1
  Determining projects to restore...
/repo/Shop.csproj : error NU1101: Unable to find package Shop.Nowhere. No packages exist with this id in source(s): nuget.org
  Failed to restore /repo/Shop.csproj (in 1.2 sec).
@@ poetry_solve | poetry | deps.poetry_conflict | build | verify | 1
Updating dependencies
Resolving dependencies...

Because shop depends on both requests (2.31.0) and urllib3 (1.20), and requests (2.31.0) depends on urllib3 (>=1.21.1,<3), version solving failed.
@@ npm_e401 | npm | deps.registry_auth | build | verify | 1
npm error code E401
npm error Incorrect or missing password.
npm error If you were trying to login, change your password, create an authentication token or enable two-factor authentication.
@@ swiftpm_resolve | swift | deps.swiftpm | build | verify | 1
error: Dependencies could not be resolved because root depends on 'nio' 2.0.0..<3.0.0 and root depends on 'nio' 1.0.0..<2.0.0.
@@ npm_audit_found | npm | deps.vulnerable | lint | verify | 1
# npm audit report

minimist  <=0.2.3
Severity: critical
Prototype Pollution in minimist - https://github.com/advisories/GHSA-xvch-5gv4-984h
fix available via `npm audit fix`
node_modules/minimist

1 critical severity vulnerability

To address all issues, run:
  npm audit fix
@@ pip_audit_found | pip-audit | deps.vulnerable | lint | verify | 1
Found 2 known vulnerabilities in 1 package
Name   Version ID                  Fix Versions
------ ------- ------------------- ------------
jinja2 2.4.1   PYSEC-2014-8        2.7.2
@@ playwright_install | playwright | env.browser_missing | test | verify | 1
Running 1 test using 1 worker
  ✘  1 [chromium] › cart.spec.ts:3:5 › adds (5ms)

  1) [chromium] › cart.spec.ts:3:5 › adds ──────────────────────────

    Error: browserType.launch: Executable doesn't exist at /home/agent/.cache/ms-playwright/chromium-1097/chrome-linux/chrome
    ╔═════════════════════════════════════════════════════════════════════════╗
    ║ Looks like Playwright Test or Playwright was just installed or updated. ║
    ╚═════════════════════════════════════════════════════════════════════════╝

  1 failed
    [chromium] › cart.spec.ts:3:5 › adds ───────────────────────────────
@@ git_unknown_fatal | git | git.failed | publish | git | 128
fatal: something of which nobody has told us
@@ git_lfs_quota | git | git.lfs | publish | git | 2
Downloading assets/video.bin (220 MB)
Error downloading object: assets/video.bin (1a2b3c4): Smudge error: Error downloading assets/video.bin: batch response: This repository is over its data quota.
@@ git_dubious | git | git.ownership | publish | git | 128
fatal: detected dubious ownership in repository at '/repo'
To add an exception for this directory, call:

	git config --global --add safe.directory /repo
@@ git_submodule | git | git.submodule | publish | git | 1
fatal: No url found for submodule path 'vendor/lib' in .gitmodules
@@ git_github_large | git | git.too_big | publish | git | 1
remote: error: Trace: 0123
remote: error: See https://gh.io/lfs for more information.
remote: error: File data/big.bin is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB
remote: error: GH001: Large files detected. You may want to try Git Large File Storage - https://git-lfs.github.com.
To https://github.com/example/shop.git
 ! [remote rejected] main -> main (pre-receive hook declined)
error: failed to push some refs to 'https://github.com/example/shop.git'
@@ actionlint | actionlint | lint.actionlint | lint | verify | 1
.github/workflows/ci.yml:12:9: unexpected key "runs-onn" for "job" section. expected one of "runs-on", "steps" [syntax-check]
   |
12 |         runs-onn: ubuntu-latest
   |         ^~~~~~~~~
@@ checkstyle_maven | mvn | lint.checkstyle | lint | verify | 1
[INFO] --- maven-checkstyle-plugin:3.3.1:check (default) @ shop ---
[ERROR] src/main/java/com/example/Cart.java:[7,5] (javadoc) MissingJavadocMethod: Missing a Javadoc comment.
[INFO] BUILD FAILURE
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-checkstyle-plugin:3.3.1:check (default) on project shop: You have 1 Checkstyle violation. -> [Help 1]
@@ spotbugs_maven | mvn | lint.checkstyle | lint | verify | 1
[ERROR] Medium: Possible null pointer dereference in com.example.Cart.total() [com.example.Cart] At Cart.java:[line 12] NP_NULL
[INFO] BUILD FAILURE
[ERROR] Failed to execute goal com.github.spotbugs:spotbugs-maven-plugin:4.8.3.0:check (default) on project shop: failed with 1 bugs and 0 errors  -> [Help 1]
@@ credo | mix | lint.credo | lint | verify | 8
┃ [D] ↗ Nested modules could be aliased at the top of the invoking module.
┃       lib/cart.ex:12:5 #(Cart.total)

Analysis took 0.2 seconds (0.01s to load, 0.1s running 55 checks on 4 files)
12 mods/funs, found 1 software design suggestion.
@@ dotnet_format | dotnet | lint.dotnet_analyzer | lint | verify | 2
/repo/Cart.cs(12,5): error WHITESPACE: Fix whitespace formatting. Insert '\\s'. [/repo/Shop.csproj]
@@ dotnet_ca | dotnet | lint.dotnet_analyzer | build | verify | 1
/repo/Cart.cs(12,9): error CA1822: Member 'Total' does not access instance data and can be marked as static [/repo/Shop.csproj]

Build FAILED.

/repo/Cart.cs(12,9): error CA1822: Member 'Total' does not access instance data and can be marked as static [/repo/Shop.csproj]
    0 Warning(s)
    1 Error(s)
@@ golangci | golangci-lint | lint.golangci | lint | verify | 1
cart/cart.go:31:10: Error return value of `w.Write` is not checked (errcheck)
	w.Write([]byte(`{}`))
	       ^
cart/cart.go:44:2: ineffectual assignment to err (ineffassign)
	err = f()
	^
2 issues:
* errcheck: 1
* ineffassign: 1
@@ hadolint | hadolint | lint.hadolint | lint | verify | 1
Dockerfile:3 DL3008 warning: Pin versions in apt get install. Instead of `apt-get install <package>` use `apt-get install <package>=<version>`
@@ hlint | hlint | lint.hlint | lint | verify | 1
src/Cart.hs:4:9-20: Suggestion: Eta reduce
Found:
  total xs = sum xs
Perhaps:
  total = sum

1 hint
@@ importlinter | lint-imports | lint.imports | lint | verify | 1
=============
Import Linter
=============

Analyzed 21 files, 30 dependencies.
-----------------------------------

Core may not import the shell BROKEN

Contracts: 1 kept, 1 broken.
@@ ktlint | ktlint | lint.ktlint | lint | verify | 1
/repo/src/main/kotlin/Cart.kt:3:1: Unused import (standard:no-unused-imports)
/repo/src/main/kotlin/Cart.kt:9:1: Needless blank line(s) (standard:no-consecutive-blank-lines)
@@ detekt | gradle | lint.ktlint | lint | verify | 1
/repo/src/main/kotlin/Cart.kt:12:9: This expression contains a magic number. [MagicNumber]

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':detekt'.
> Analysis failed with 1 weighted issues.
@@ luacheck | luacheck | lint.other | lint | verify | 1
Checking cart.lua                                 1 warning

    cart.lua:3:7: unused variable total

Total: 1 warning / 0 errors in 1 file
@@ phpstan | phpstan | lint.phpstan | lint | verify | 1
 ------ ---------------------------------------------------------
  Line   src/Cart.php
 ------ ---------------------------------------------------------
  12     Method Cart::total() should return int but returns string.
 ------ ---------------------------------------------------------

 [ERROR] Found 1 error
@@ sqlfluff | sqlfluff | lint.sql | lint | verify | 1
== [models/cart.sql] FAIL
L:   1 | P:   1 | LT09 | Select targets should be on a new line unless there is only one select target.
All Finished!
@@ staticcheck | staticcheck | lint.staticcheck | lint | verify | 1
cart/cart.go:18:2: this value of err is never used (SA4006)
@@ swiftlint | swiftlint | lint.swiftlint | lint | verify | 2
Linting 'Cart.swift' (1/4)
/repo/Sources/Cart.swift:9:1: error: Line Length Violation: Line should be 120 characters or less; currently it has 212 characters (line_length)
Done linting! Found 1 violation, 1 serious in 4 files.
@@ agent_crashed | agent | agent.crashed | agent | agent | 139
Segmentation fault (core dumped)
@@ agent_hang | agent | agent.hang_after_result | agent | agent | 143
result was given, but the program did not end within 30 s
@@ agent_stalled | agent | agent.stalled | agent | agent | 143
no output for 600 s; stopped
@@ preflight_author | preflight | preflight.author | preflight | preflight | 1
commit 1a2b3c4: the author's e-mail is root@localhost, expected agent@example.com instead
@@ preflight_crash | preflight | preflight.failed | preflight | preflight | 2
the diff could not be read
@@ preflight_env | preflight | preflight.forbidden_file | preflight | preflight | 1
the file config/.env.production must never be committed
@@ preflight_scope | preflight | preflight.scope | preflight | preflight | 1
2 changed files are outside the plan: docs/readme.md, setup.cfg
@@ preflight_secret | preflight | preflight.secret | preflight | preflight | 1
settings.py:4: an AWS access token was found in the added lines
@@ gitleaks | gitleaks | preflight.secret | preflight | preflight | 1
Finding:     aws_key = REDACTED
RuleID:      aws-access-token
File:        settings.py
Line:        4

2:04PM WRN leaks found: 1
@@ preflight_size | preflight | preflight.size | preflight | preflight | 1
the file data/dump.bin is too large: 3400000 bytes, over the limit of 1048576
@@ preflight_submodule | preflight | preflight.submodule | preflight | preflight | 1
the change adds a submodule: vendor/lib
@@ preflight_symlink | preflight | preflight.symlink | preflight | preflight | 1
the symbolic link etc points outside of the tree (/etc)
@@ preflight_workflow | preflight | preflight.workflow | preflight | preflight | 1
the change touches .github/workflows/release.yml
@@ nextest_flaky | cargo-nextest | verify.flaky | test | verify | 100
   TRY 1 FAIL [   0.003s] shop cart::adds
   TRY 2 PASS [   0.003s] shop cart::adds
------------
     Summary [   0.010s] 1 test run: 1 passed (1 flaky), 0 skipped
   FLAKY 2/3 [   0.003s] shop cart::adds
@@ killed_143 | bash | verify.killed | test | verify | 143
running the first of 400 steps
@@ gradle_test | gradle | test.failed | test | verify | 1
> Task :compileJava UP-TO-DATE
> Task :test FAILED

CartTest > adds() FAILED
    org.opentest4j.AssertionFailedError at CartTest.java:11

4 tests completed, 1 failed

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':test'.
> There were failing tests. See the report at: file:///repo/build/reports/tests/test/index.html

* Try:
> Run with --scan to get full insights.

BUILD FAILED in 3s
@@ dotnet_test | dotnet | test.failed | test | verify | 1
  Determining projects to restore...
  All projects are up-to-date for restore.
Starting test execution, please wait...
A total of 1 test files matched the specified pattern.
[xUnit.net 00:00:00.51]     Shop.Tests.CartTests.Adds [FAIL]
  Failed Shop.Tests.CartTests.Adds [3 ms]
  Error Message:
   Assert.Equal() Failure: Values differ
Expected: 3
Actual:   2
  Stack Trace:
     at Shop.Tests.CartTests.Adds() in /repo/Shop.Tests/CartTests.cs:line 9

Failed!  - Failed:     1, Passed:     4, Skipped:     0, Total:     5, Duration: 12 ms - Shop.Tests.dll (net8.0)
@@ dotnet_build | dotnet | build.dotnet | build | verify | 1
/repo/Cart.cs(7,16): error CS0029: Cannot implicitly convert type 'string' to 'int' [/repo/Shop.csproj]

Build FAILED.

/repo/Cart.cs(7,16): error CS0029: Cannot implicitly convert type 'string' to 'int' [/repo/Shop.csproj]
    0 Warning(s)
    1 Error(s)

Time Elapsed 00:00:01.61
@@ nextest_fail | cargo-nextest | test.failed | test | verify | 100
    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.34s
    Starting 14 tests across 1 binary
        PASS [   0.004s] shop cart::empty
        FAIL [   0.009s] shop cart::adds

--- STDERR:              shop cart::adds ---
thread 'cart::adds' panicked at src/cart.rs:21:9:
assertion `left == right` failed
  left: 2
 right: 3
------------
     Summary [   0.014s] 2 tests run: 1 passed, 1 failed, 0 skipped
        FAIL [   0.009s] shop cart::adds
error: test run failed
@@ pre_receive_secret | git | git.hook_rejected | publish | git | 1
remote: error: commit message does not match the pattern ABC-123
To example.com:shop.git
 ! [remote rejected] main -> main (pre-receive hook declined)
error: failed to push some refs to 'example.com:shop.git'
@@ trap_dotnet_passed | dotnet | unclassified | test | verify | 0
Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5, Duration: 12 ms - Shop.Tests.dll (net8.0)
@@ trap_unknown_code_passed | pytest | unclassified | test | verify | -
tests/test_errors.py::test_connection_refused PASSED
tests/test_errors.py::test_429_too_many_requests PASSED
ERROR    root:client.py:12 [Errno 28] No space left on device
============================== 2 passed in 0.03s ===============================
@@ trap_agent_words | agent | agent.crashed | agent | agent | 1
{"type":"assistant","session_id":"s","message":{"role":"assistant","content":[{"type":"text","text":"The test expects API Error: 429 rate limit exceeded, and Overloaded"}]}}
{"type":"user","session_id":"s","message":{"role":"user","content":[{"type":"tool_result","content":"FAILED tests/test_a.py::test_b - Invalid API key"}]}}
@@ trap_json_tool_output | turbo | test.failed | test | verify | 1
{"level":"info","task":"shop#test","stdout":"FAIL src/cart.test.ts\\n  ● cart › adds\\n\\n    expect(received).toBe(expected)\\n\\nTests:       1 failed, 3 passed, 4 total\\n"}
{"level":"error","task":"shop#test","message":"command finished with error: exit code 1"}
@@ trap_diff_of_lock | npm | deps.npm_lock_drift | build | verify | 1
diff --git a/notes.md b/notes.md
index 1..2 100644
--- a/notes.md
+++ b/notes.md
@@ -1,2 +1,2 @@
-FAILED tests/test_a.py::test_b - AssertionError
+error TS2345: Argument of type
npm error code EUSAGE
npm error
npm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync.
npm error Missing: left-pad@1.3.0 from lock file
@@ trap_warnings_many | npm | build.tsc | build | verify | 2
npm warn deprecated inflight@1.0.6: This module is not supported, and leaks memory.
npm warn deprecated rimraf@3.0.2: Rimraf versions prior to v4 are no longer supported

added 400 packages in 9s
warning: error handling may have failed, 0 errors
src/cart.ts(4,7): error TS2322: Type 'string' is not assignable to type 'number'.
"""


def samples(text: str) -> list[Sample]:
    """The samples of a text in which each begins with `@@ name | tool | class | stage | source | exit code`."""
    found = []
    for block in re.split(r"\n@@ (?=\w+ \| )", text)[1:]:
        head, _, body = block.partition("\n")
        name, tool, expected, stage, source, code = (cell.strip() for cell in head.split(" | "))
        found.append(
            Sample(
                name=name,
                tool=tool,
                version="",
                how="documentation",
                command="",
                exit_code=None if code == "-" else int(code),
                stage=stage,
                source=source,
                expected=expected,
                note="",
                text=body.rstrip("\n") + "\n",
            )  # fmt: skip
        )
    return found


def main() -> None:
    from corpus.fifth import FIFTH
    from corpus.fourth import FOURTH
    from corpus.held_out import SECOND
    from corpus.third_documentation import THIRD
    from corpus.third_services import THIRD as THIRD_SERVICES

    parts: tuple[tuple[Part, str], ...] = (("first", FIRST), ("second", SECOND), ("third", THIRD + THIRD_SERVICES), ("fourth", FOURTH), ("fifth", FIFTH))
    for part, text in parts:
        for sample in samples(text):
            write(sample, part)


if __name__ == "__main__":
    main()
