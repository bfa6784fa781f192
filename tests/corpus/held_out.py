"""Documentation samples of the held-out part, after outputs that strangers have shown; see `documentation`."""

from __future__ import annotations

from typing import Final

SECOND: Final = """
@@ d_nextest_stamped | cargo-nextest | test.failed | test | verify | 100
2024-09-23T10:11:12.1234567Z      Summary [1103.134s] 308 tests run: 305 passed (92 slow), 3 failed, 22 skipped
2024-09-23T10:11:12.1234568Z         FAIL [ 112.112s] wallet-tests::chain chain::pool_change
2024-09-23T10:11:12.1234569Z         FAIL [ 154.246s] wallet-tests::concrete fast::tx_status
2024-09-23T10:11:12.1234570Z error: test run failed
2024-09-23T10:11:12.1234571Z ##[error]Process completed with exit code 100.
@@ d_golangci_actions | golangci-lint | lint.golangci | lint | verify | 1
2020-06-21T07:53:29.1627489Z Running [/home/runner/golangci-lint-1.27.0-linux-amd64/golangci-lint run --out-format=github-actions] in [] ...
2020-06-21T07:53:30.6448589Z ##[error]Error return value of `reqCapability` is not checked (errcheck)
2020-06-21T07:53:30.6452862Z ##[error]Error return value of `viper.BindPFlag` is not checked (errcheck)
2020-06-21T07:53:30.6453512Z issues found
@@ d_gradle_old_stamped | gradle | test.failed | test | verify | 1
2015-12-10T06:14:19.408Z: 57 tests completed, 4 failed
2015-12-10T06:14:20.920Z: * What went wrong:
2015-12-10T06:14:20.920Z: Execution failed for task ':test'.
2015-12-10T06:14:20.921Z: There were failing tests. See the report at: file:///home/me/build/reports/tests/index.htm
2015-12-10T06:14:20.922Z: * Try:
@@ d_dotnet_vstest_old | dotnet | test.failed | test | verify | 1
Starting test execution, please wait...
Passed   Sample.UnitTest1.PassingTest
Failed   Sample.UnitTest1.FailingTest
Error Message:
 Assert.AreEqual failed. Expected:<2>. Actual:<3>.
Stack Trace:
   at Sample.UnitTest1.FailingTest() in /home/me/samples/Tests.cs:line 29
Total tests: 7. Passed: 5. Failed: 2. Skipped: 0.
Test Run Failed.
@@ d_mstest_runner | dotnet | test.failed | test | verify | 2
  failed Invalid_Profile_Name ("net9.0",Debug) (6s 220ms)
    Assert.AreEqual failed. Expected:<1>. Actual:<-532462766>.
      at Acceptance.Tests.Invalid_Profile_Name() in /_/test/SdkTests.cs:280

Test run summary: Failed! - bin/Debug/net9.0/Acceptance.dll (net9.0|x64)
  total: 12
  failed: 1
  succeeded: 11
  skipped: 0
  duration: 7s 100ms
@@ d_swift_linux | swift | test.failed | test | verify | 1
Test Case 'FilesTests.testCreating' started at 2017-11-16 11:38:50.496
/home/travis/build/Files/Tests/FilesTests/FilesTests.swift:667: error: FilesTests.testCreating : XCTAssertEqual failed: ("Failed to read file.") is not equal to ("Failed to read file. ") -
Test Case 'FilesTests.testCreating' failed (0.002 seconds)
Test Suite 'All tests' failed at 2017-11-16 11:38:51.000
	 Executed 40 tests, with 2 failures (0 unexpected) in 0.151 (0.152) seconds
✔ Test run with 500 tests in 39 suites passed after 11.687 seconds.
##[error]Process completed with exit code 1.
@@ d_kotlin_paren | gradle | build.kotlinc | build | verify | 1
> Task :castle:compileReleaseKotlin FAILED
e: /home/me/android/src/main/java/com/castle/CastleModule.kt: (26, 35): Unresolved reference: VERSION_NAME

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':castle:compileReleaseKotlin'.
> Compilation error. See log for more details

BUILD FAILED in 18s
@@ d_kotlin_uri | gradle | build.kotlinc | build | verify | 1
e: file:///home/me/app/src/main/kotlin/com/example/MainActivity.kt:3:8 Unresolved reference: io

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':app:compileDebugKotlin'.
> A failure occurred while executing org.jetbrains.kotlin.compilerRunner.GradleCompilerRunnerWithWorkers$GradleKotlinCompilerWorkAction
   > Compilation error. See log for more details
@@ d_kotlin_windows | gradle | build.kotlinc | build | verify | 1
e: E:\\WorkSpace\\Koans\\src\\Task.kt: (2, 12): Unresolved reference: html
e: E:\\WorkSpace\\Koans\\src\\Task.kt: (3, 9): Unresolved reference: table

FAILURE: Build failed with an exception.
@@ d_nuget_downgrade | dotnet | deps.nuget | build | verify | 1
Project "/Users/me/Koans/Koans.csproj" (Clean target(s)):
    /Users/me/Koans/Koans.csproj : error NU1605: Detected package downgrade: System.Net.Primitives from 4.3.0 to 4.0.11. Reference the package directly from the project to select a different version.
@@ d_phpunit_11 | phpunit | test.failed | test | verify | 1
PHPUnit 11.0.3 by Sebastian Bergmann and contributors.

Runtime:       PHP 8.3.2

F.                                                                  2 / 2 (100%)

Time: 00:00.010, Memory: 8.00 MB

There was 1 failure:

1) App\\Tests\\CartTest::testTotal
Failed asserting that 2 is identical to 3.

/app/tests/CartTest.php:12

FAILURES!
Tests: 2, Assertions: 2, Failures: 1.
@@ d_pest | pest | test.failed | test | verify | 1
   FAIL  Tests\\Unit\\CartTest
  ⨯ it adds                                                              0.01s
  ────────────────────────────────────────────────────────────────────────────
   FAILED  Tests\\Unit\\CartTest > it adds
  Failed asserting that 2 is identical to 3.

  at tests/Unit/CartTest.php:4

  Tests:    1 failed, 3 passed (4 assertions)
  Duration: 0.10s
@@ d_psalm | psalm | lint.phpstan | lint | verify | 2
ERROR: InvalidReturnStatement - src/Cart.php:12:16 - The inferred type 'string' does not match the declared return type 'int' for Cart::total (see https://psalm.dev/128)
        return "ten";

------------------------------
1 errors found
------------------------------
@@ d_flutter_test | flutter | test.failed | test | verify | 1
00:03 +4: /app/test/cart_test.dart: adds
══╡ EXCEPTION CAUGHT BY FLUTTER TEST FRAMEWORK ╞════════════════════════════════════════════════════
The following TestFailure was thrown running a test:
Expected: <3>
  Actual: <2>
00:03 +4 -1: /app/test/cart_test.dart: adds [E]
  Test failed. See exception logs above.
00:04 +9 -1: Some tests failed.
@@ d_flutter_analyze | flutter | lint.dart | lint | verify | 1
Analyzing app...

   info • Prefer const with constant constructors • lib/main.dart:14:12 • prefer_const_constructors
  error • Undefined name 'foo' • lib/main.dart:20:3 • undefined_identifier

2 issues found. (ran in 2.1s)
@@ d_xcodebuild_test | xcodebuild | test.failed | test | verify | 65
Test Case '-[ShopTests.CartTests testTotal]' started.
/Users/me/Shop/ShopTests/CartTests.swift:14: error: -[ShopTests.CartTests testTotal] : XCTAssertEqual failed: ("2") is not equal to ("3")
Test Case '-[ShopTests.CartTests testTotal]' failed (0.051 seconds).
** TEST FAILED **
@@ d_xcodebuild_build | xcodebuild | build.swift | build | verify | 65
/Users/me/Shop/Shop/Cart.swift:9:13: error: cannot find 'foo' in scope
** BUILD FAILED **

The following build commands failed:
	CompileSwift normal arm64 /Users/me/Shop/Shop/Cart.swift
(1 failure)
@@ d_msbuild_windows | msbuild | build.dotnet | build | verify | 1
Microsoft (R) Build Engine version 17.4.0
C:\\src\\Shop\\Cart.cs(12,17): error CS1002: ; expected [C:\\src\\Shop\\Shop.csproj]
    1 Error(s)
@@ d_msvc | cl | build.c | build | verify | 2
main.cpp
C:\\src\\main.cpp(7): error C2065: 'foo': undeclared identifier
@@ d_msvc_link | link | build.link | build | verify | 1120
main.obj : error LNK2019: unresolved external symbol "void __cdecl foo(void)" (?foo@@YAXXZ) referenced in function main
shop.exe : fatal error LNK1120: 1 unresolved externals
@@ d_fsharp | dotnet | build.dotnet | build | verify | 1
/src/Program.fs(4,17): error FS0039: The value or constructor 'foo' is not defined. [/src/App.fsproj]
@@ d_cypress | cypress | test.failed | test | verify | 1
  1) Cart
       adds:
     AssertionError: Timed out retrying after 4000ms: Expected to find element: `.total`, but never found it.

  (Results)

  ┌────────────────────────────────────────────────────────────────────────────────────────────────┐
  │ Tests:        2                                                                                │
  │ Passing:      1                                                                                │
  │ Failing:      1                                                                                │
  └────────────────────────────────────────────────────────────────────────────────────────────────┘

    ✖  1 of 1 failed (100%)                     00:07        2        1        1        -        -
@@ d_playwright | playwright | test.failed | test | verify | 1
Running 3 tests using 2 workers

  1) [chromium] › tests/cart.spec.ts:5:5 › total ────────────────────────────────────

    Error: Timed out 5000ms waiting for expect(locator).toHaveText(expected)

  1 failed
    [chromium] › tests/cart.spec.ts:5:5 › total
  2 passed (8.1s)
@@ d_karma | karma | test.failed | test | verify | 1
Chrome Headless 120.0.0.0 (Linux x86_64) CartComponent should create FAILED
	Error: Expected 1 to be 2.
Chrome Headless 120.0.0.0 (Linux x86_64): Executed 3 of 3 (1 FAILED) (0.052 secs / 0.041 secs)
@@ d_angular | ng | build.tsc | build | verify | 1
✖ Failed to compile.

Error: src/app/app.component.ts:12:5 - error TS2322: Type 'string' is not assignable to type 'number'.

12     this.n = 'a';
       ~~~~~~
@@ d_next_lint | next | lint.eslint | build | verify | 1
Failed to compile.

./pages/index.tsx
12:7  Error: 'x' is assigned a value but never used.  @typescript-eslint/no-unused-vars

info  - Need to disable some ESLint rules? Learn more here: https://nextjs.org/docs/basic-features/eslint#disabling-rules
@@ d_next_types | next | build.tsc | build | verify | 1
   Linting and checking validity of types ...
Failed to compile.

./pages/index.tsx:12:9
Type error: Type 'string' is not assignable to type 'number'.

  10 | export default function Home() {
@@ d_yarn_berry | yarn | deps.yarn_lock_drift | build | verify | 1
➤ YN0000: ┌ Resolution step
➤ YN0000: └ Completed in 0s 300ms
➤ YN0000: ┌ Post-resolution validation
➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.
➤ YN0000: └ Completed
➤ YN0000: Failed with errors in 0s 310ms
@@ d_npm6 | npm | deps.npm_conflict | build | verify | 1
npm ERR! code ERESOLVE
npm ERR! ERESOLVE unable to resolve dependency tree
npm ERR!
npm ERR! Found: react@18.2.0
@@ d_bundler_frozen | bundle | deps.bundler | build | verify | 16
The gemspecs for path gems changed, but the lockfile can't be updated because frozen mode is set

Run `bundle install` elsewhere and add the updated Gemfile.lock to version control.
@@ d_maven_junit5 | mvn | test.failed | test | verify | 1
[INFO] Running com.example.CartTest
[ERROR] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.05 s <<< FAILURE! -- in com.example.CartTest
[ERROR] com.example.CartTest.adds -- Time elapsed: 0.01 s <<< FAILURE!
org.opentest4j.AssertionFailedError: expected: <3> but was: <2>
[ERROR] Failures:
[ERROR]   CartTest.adds:11 expected: <3> but was: <2>
[INFO]
[ERROR] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0
[INFO] BUILD FAILURE
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:3.2.2:test (default-test) on project shop: There are test failures.
@@ d_maven_kotlin | mvn | build.kotlinc | build | verify | 1
[ERROR] /app/src/main/kotlin/Cart.kt: (4, 20) Type mismatch: inferred type is String but Int was expected
[INFO] BUILD FAILURE
[ERROR] Failed to execute goal org.jetbrains.kotlin:kotlin-maven-plugin:1.9.20:compile (compile) on project shop: Compilation failure
@@ d_maven_offline | mvn | deps.maven | build | verify | 1
[ERROR] Failed to execute goal on project shop: Could not resolve dependencies for project com.example:shop:jar:1: Cannot access central (https://repo.example/maven2) in offline mode and the artifact com.example:gone:jar:1 has not been downloaded from it before. -> [Help 1]
@@ d_sbt_test | sbt | test.failed | test | verify | 1
[info] CartSpec:
[info] - adds *** FAILED ***
[info]   2 did not equal 3 (CartSpec.scala:8)
[info] *** 1 TEST FAILED ***
[error] Failed tests:
[error] 	CartSpec
[error] (Test / test) sbt.TestsFailedException: Tests unsuccessful
@@ d_bazel_test | bazel | test.failed | test | verify | 3
//shop:cart_test                                                         FAILED in 0.3s
  /root/.cache/bazel/testlogs/shop/cart_test/test.log

Executed 1 out of 1 test: 1 fails locally.
@@ d_gotestsum | gotestsum | test.failed | test | verify | 1
✖  shop/cart (3ms)

=== Failed
=== FAIL: shop/cart TestTotal (0.00s)
    cart_test.go:9: got 2, want 3

DONE 4 tests, 1 failure in 0.412s
@@ d_go_testify | go | test.failed | test | verify | 1
=== RUN   TestTotal
    cart_test.go:12:
        	Error Trace:	/app/cart_test.go:12
        	Error:      	Not equal:
        	            	expected: 3
        	            	actual  : 2
        	Test:       	TestTotal
--- FAIL: TestTotal (0.00s)
FAIL
exit status 1
FAIL	shop/cart	0.004s
@@ d_jest_worker | jest | test.crashed | test | verify | 1
  ● Test suite failed to run

    A worker process was terminated unexpectedly: signal=SIGSEGV, exitCode=null

Test Suites: 1 failed, 4 passed, 5 total
Tests:       12 passed, 12 total
@@ d_k8s_oom | bash | env.out_of_memory | test | verify | 137
running tests
Killed
@@ d_azure_push | git | git.protected_branch | publish | git | 1
 ! [remote rejected] main -> main (TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.)
error: failed to push some refs to 'https://dev.azure.com/example/_git/shop'
@@ d_github_https | git | git.auth | publish | git | 128
remote: Support for password authentication was removed on August 13, 2021.
remote: Please see https://docs.github.com/get-started/getting-started-with-git for information on currently recommended modes of authentication.
fatal: Authentication failed for 'https://github.com/example/shop.git/'
@@ d_github_denied | git | git.auth | publish | git | 128
remote: Permission to example/shop.git denied to someone.
fatal: unable to access 'https://github.com/example/shop.git/': The requested URL returned error: 403
@@ d_github_missing | git | git.repository_missing | publish | git | 128
ERROR: Repository not found.
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
@@ d_github_rules | git | git.protected_branch | publish | git | 1
remote: error: GH013: Repository rule violations found for refs/heads/main.
remote: - Changes must be made through a pull request.
To github.com:example/shop.git
 ! [remote rejected] main -> main (push declined due to repository rule violations)
error: failed to push some refs to 'github.com:example/shop.git'
@@ d_rpc_failed | git | git.unreachable | publish | git | 128
error: RPC failed; curl 56 GnuTLS recv error (-54): Error in the pull function.
fatal: the remote end hung up unexpectedly
fatal: early EOF
fatal: fetch-pack: invalid index-pack output
@@ d_claude_limit_text | claude | vendor.usage_window | agent | agent | 1
5-hour limit reached ∙ resets 3pm
@@ d_openai_quota | agent | vendor.billing | agent | agent | 1
Error: 429 You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs.
@@ d_openai_tpm | agent | vendor.rate_limit | agent | agent | 1
openai.RateLimitError: Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.', 'type': 'tokens', 'code': 'rate_limit_exceeded'}}
@@ d_anthropic_overloaded | agent | vendor.overloaded | agent | agent | 1
API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}
@@ d_anthropic_prompt | agent | vendor.context_overflow | agent | agent | 1
API Error: 400 {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}
@@ d_anthropic_oauth | agent | vendor.auth | agent | agent | 1
API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired. Please obtain a new token or refresh your existing token."}} · Please run /login
@@ d_gemini_429 | gemini | vendor.rate_limit | agent | agent | 1
Attempt 1 failed with status 429. Retrying with backoff... GaxiosError: [{
  "error": {
    "code": 429,
    "message": "Resource has been exhausted (e.g. check quota).",
    "status": "RESOURCE_EXHAUSTED"
  }
}]
@@ d_trap_review_text | pytest | test.failed | test | verify | 1
tests/test_git.py F                                                      [100%]
=================================== FAILURES ===================================
_________________________________ test_rejects _________________________________
    def test_rejects():
        out = "fatal: Authentication failed for 'https://x'"
>       assert "rejected" in out
E       assert 'rejected' in "fatal: Authentication failed for 'https://x'"
----------------------------- Captured stdout call -----------------------------
 ! [rejected]        main -> main (non-fast-forward)
npm error code ERESOLVE
error TS2322: Type 'string' is not assignable
=========================== short test summary info ============================
FAILED tests/test_git.py::test_rejects - assert 'rejected' in "fatal: Authen...
============================== 1 failed in 0.02s ===============================
@@ d_trap_passing_go | go | unclassified | test | verify | -
2024/01/01 10:00:00 ERROR connect: connection refused
--- PASS: TestRetry (0.01s)
PASS
ok  	shop/net	0.015s
@@ d_trap_build_success | mvn | unclassified | build | verify | -
[WARNING] /app/src/main/java/A.java:[3,12] [deprecation] stop() in java.lang.Thread has been deprecated
[INFO] Tests run: 12, Failures: 0, Errors: 0, Skipped: 0
[INFO] BUILD SUCCESS
@@ d_trap_help_text | cli | verify.failed | test | verify | 4
usage notes: exit 1 means FAILED, exit 2 means error TS0000 in your tsconfig
 see also "No space left on device" in the manual
nothing else to report
"""
