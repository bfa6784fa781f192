r"""Documentation samples of the third part: tools that do not run here, in the versions of today; see `documentation`.

The rule of this room: the form is the tool's, the names are made up, and the class was set down with the text.
"""

from __future__ import annotations

from typing import Final

THIRD: Final = r"""
@@ t_dotnet_xunit_net8 | dotnet | test.failed | test | verify | 1
  Determining projects to restore...
  All projects are up-to-date for restore.
  Bill -> /app/src/Bill/bin/Debug/net8.0/Bill.dll
Test run for /app/tests/Bill.Tests/bin/Debug/net8.0/Bill.Tests.dll (.NETCoreApp,Version=v8.0)
Microsoft (R) Test Execution Command Line Tool Version 17.8.0 (x64)

Starting test execution, please wait...
A total of 1 test files matched the specified pattern.
[xUnit.net 00:00:00.71]     Bill.Tests.RateTests.Throttles [FAIL]
  Failed Bill.Tests.RateTests.Throttles [6 ms]
  Error Message:
   Assert.Equal() Failure: Values differ
Expected: 200
Actual:   429
  Stack Trace:
     at Bill.Tests.RateTests.Throttles() in /app/tests/Bill.Tests/RateTests.cs:line 18

Failed!  - Failed:     1, Passed:    41, Skipped:     2, Total:    44, Duration: 412 ms - Bill.Tests.dll (net8.0)
@@ t_dotnet_nunit_german | dotnet | test.failed | test | verify | 1
Die Testausführung wird gestartet, bitte warten...
Insgesamt 1 Testdateien stimmten mit dem angegebenen Muster überein.
  Fehler Rundet_Auf [12 ms]
  Fehlermeldung:
     Expected: 3
  But was:  2

  Stapelverfolgung:
     at Bill.Tests.Rundung.Rundet_Auf() in C:\src\Bill.Tests\Rundung.cs:line 11

Fehler!      : Fehler:     1, erfolgreich:     7, übersprungen:     0, gesamt:     8, Dauer: 61 ms - Bill.Tests.dll (net8.0)
@@ t_dotnet_build_german | dotnet | build.dotnet | build | verify | 1
  Es wird bestimmt, welche Projekte wiederhergestellt werden sollen...
  Alle Projekte sind für die Wiederherstellung auf dem neuesten Stand.
C:\src\Bill\Rate.cs(14,9): error CS0103: Der Name "rundung" ist im aktuellen Kontext nicht vorhanden. [C:\src\Bill\Bill.csproj]

Fehler beim Buildvorgang.

C:\src\Bill\Rate.cs(14,9): error CS0103: Der Name "rundung" ist im aktuellen Kontext nicht vorhanden. [C:\src\Bill\Bill.csproj]
    0 Warnung(en)
    1 Fehler

Verstrichene Zeit 00:00:02.31
@@ t_dotnet_terminal_logger | dotnet | build.dotnet | build | verify | 1
Restore complete (0.4s)
  Bill net9.0 failed with 2 error(s) (1.1s)
    /app/src/Bill/Rate.cs(9,20): error CS1002: ; expected
    /app/src/Bill/Rate.cs(12,16): error CS0029: Cannot implicitly convert type 'string' to 'int'

Build failed with 2 error(s) in 1.8s
@@ t_dotnet_sdk | dotnet | env.runtime_version | build | verify | 1
The command could not be loaded, possibly because:
  * You intended to execute a .NET application:
      The application 'build' does not exist.
  * You intended to execute a .NET SDK command:
      A compatible .NET SDK was not found.

Requested SDK version: 9.0.100
global.json file: /app/global.json

Installed SDKs:
8.0.404 [/usr/share/dotnet/sdk]

Install the [9.0.100] .NET SDK or update [/app/global.json] to match an installed SDK.
@@ t_dotnet_nu1605 | dotnet | deps.nuget | build | verify | 1
  Determining projects to restore...
/app/Bill.csproj : error NU1605: Warning As Error: Detected package downgrade: Newtonsoft.Json from 13.0.3 to 12.0.1. Reference the package directly from the project to select a different version.
  Failed to restore /app/Bill.csproj (in 301 ms).
@@ t_dotnet_locked | dotnet | deps.nuget | build | verify | 1
/app/Bill.csproj : error NU1004: The packages lock file is inconsistent with the project dependencies so restore can't be run in locked mode. Disable the RestoreLockedMode MSBuild property or pass an explicit --force-evaluate option to run restore to update the lock file.
  Failed to restore /app/Bill.csproj (in 120 ms).
@@ t_msbuild_vcx | msbuild | build.c | build | verify | 1
Build started 3/4/2025 10:11:12 AM.
     1>Project "C:\src\bill\bill.sln" on node 1 (Build target(s)).
     2>ClCompile:
         rate.cpp
     2>C:\src\bill\rate.cpp(14,5): error C2065: 'totl': undeclared identifier [C:\src\bill\bill.vcxproj]
     2>Done Building Project "C:\src\bill\bill.vcxproj" (default targets) -- FAILED.

Build FAILED.
    0 Warning(s)
    1 Error(s)
@@ t_msbuild_target | msbuild | build.dotnet | build | verify | 1
MSBuild version 17.8.3+195e7f5a3 for .NET
/app/Directory.Build.targets(12,5): error MSB4057: The target "GenerateNotices" does not exist in the project. [/app/Bill.csproj]

Build FAILED.
@@ t_dotnet_format_verify | dotnet format | lint.dotnet_analyzer | lint | verify | 2
/app/src/Bill/Rate.cs(8,1): error WHITESPACE: Fix whitespace formatting. Replace 12 characters with '\n\s\s\s\s'. [/app/src/Bill/Bill.csproj]
/app/src/Bill/Rate.cs(1,1): error IMPORTS: Fix imports ordering. [/app/src/Bill/Bill.csproj]
@@ t_gradle8_kotlin_test | gradle | test.failed | test | verify | 1
> Task :core:compileKotlin UP-TO-DATE
> Task :core:test

RateTest > rounds half up() FAILED
    org.opentest4j.AssertionFailedError: expected: <3> but was: <2>
        at app//com.example.bill.RateTest.rounds half up(RateTest.kt:21)

RateTest > [2] 0.5, 1 FAILED
    java.lang.IllegalStateException at RateTest.kt:34

12 tests completed, 2 failed

> Task :core:test FAILED

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':core:test'.
> There were failing tests. See the report at: file:///app/core/build/reports/tests/test/index.html

* Try:
> Run with --scan to get full insights.

BUILD FAILED in 9s
@@ t_gradle_many | gradle | build.kotlinc | build | verify | 1
> Task :api:compileKotlin FAILED
e: file:///app/api/src/main/kotlin/Rate.kt:17:24 Argument type mismatch: actual type is 'kotlin.String', but 'kotlin.Int' was expected.
w: file:///app/api/src/main/kotlin/Old.kt:3:5 'fun old(): Unit' is deprecated.

FAILURE: Build completed with 2 failures.

1: Task failed with an exception.
-----------
* What went wrong:
Execution failed for task ':api:compileKotlin'.
> A failure occurred while executing org.jetbrains.kotlin.compilerRunner.GradleCompilerRunnerWithWorkers$GradleKotlinCompilerWorkAction
   > Compilation error. See log for more details
==============================================================================

2: Task failed with an exception.
-----------
* What went wrong:
Execution failed for task ':web:processResources'.
> Could not copy file '/app/web/x.txt'.
==============================================================================

BUILD FAILED in 14s
@@ t_gradle_plugin | gradle | deps.gradle | build | verify | 1
FAILURE: Build failed with an exception.

* Where:
Build file '/app/build.gradle.kts' line: 3

* What went wrong:
Plugin [id: 'com.example.release', version: '2.1.0'] was not found in any of the following sources:

- Gradle Core Plugins (plugin is not in 'org.gradle' namespace)
- Plugin Repositories (could not resolve plugin artifact 'com.example.release:com.example.release.gradle.plugin:2.1.0')

BUILD FAILED in 2s
@@ t_gradle_toolchain | gradle | env.runtime_version | build | verify | 1
FAILURE: Build failed with an exception.

* What went wrong:
Could not determine the dependencies of task ':compileJava'.
> No matching toolchains found for requested specification: {languageVersion=21, vendor=any, implementation=vendor-specific} for LINUX on x86_64.
   > No locally installed toolchains match and toolchain download repositories have not been configured.

BUILD FAILED in 1s
@@ t_gradle_detekt | gradle | lint.ktlint | lint | verify | 1
> Task :detekt FAILED
/app/src/main/kotlin/Rate.kt:12:9: The function total is too long (74). The maximum length is 60. [LongMethod]
/app/src/main/kotlin/Rate.kt:40:21: This expression contains a magic number. [MagicNumber]

FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':detekt'.
> Analysis failed with 2 weighted issues.
@@ t_gradle_java_home | gradlew | env.command_missing | build | verify | 1

ERROR: JAVA_HOME is not set and no 'java' command could be found in your PATH.

Please set the JAVA_HOME variable in your environment to match the
location of your Java installation.
@@ t_junit_console | junit | test.failed | test | verify | 1
Failures (1):
  JUnit Jupiter:RateTest:roundsHalfUp()
    MethodSource [className = 'com.example.RateTest', methodName = 'roundsHalfUp', methodParameterTypes = '']
    => org.opentest4j.AssertionFailedError: expected: <3> but was: <2>
       org.junit.jupiter.api.AssertEquals.failNotEqual(AssertEquals.java:197)
       com.example.RateTest.roundsHalfUp(RateTest.java:14)

Test run finished after 64 ms
[         2 containers found      ]
[         3 tests found           ]
[         2 tests successful      ]
[         1 tests failed          ]
@@ t_rspec_progress_docker | rspec | test.failed | test | verify | 1
app-1  | ..F..*
app-1  |
app-1  | Failures:
app-1  |
app-1  |   1) Rate#round rounds half up
app-1  |      Failure/Error: expect(rate.round).to eq 3
app-1  |
app-1  |        expected: 3
app-1  |             got: 2
app-1  |
app-1  |        (compared using ==)
app-1  |      # ./spec/models/rate_spec.rb:12:in `block (3 levels) in <top (required)>'
app-1  |
app-1  | Finished in 0.41 seconds (files took 2.1 seconds to load)
app-1  | 6 examples, 1 failure, 1 pending
app-1  |
app-1  | Failed examples:
app-1  |
app-1  | rspec ./spec/models/rate_spec.rb:11 # Rate#round rounds half up
app-1 exited with code 1
@@ t_rails_minitest | rails | test.failed | test | verify | 1
Running 14 tests in a single process (parallelization threshold is 50)
Run options: --seed 41231

# Running:

.....F

Failure:
RateTest#test_rounds [test/models/rate_test.rb:9]:
Expected: 3
  Actual: 2

bin/rails test test/models/rate_test.rb:8

........

Finished in 0.512s, 27.34 runs/s, 41.1 assertions/s.
14 runs, 21 assertions, 1 failures, 0 errors, 0 skips
@@ t_rails_migration | rails | verify.exception | test | verify | 1
rails aborted!
ActiveRecord::PendingMigrationError:

Migrations are pending. To resolve this issue, run:

        bin/rails db:migrate RAILS_ENV=test

You have 1 pending migration:

db/migrate/20250304101112_add_rate.rb
@@ t_phpunit_12 | phpunit | test.failed | test | verify | 1
PHPUnit 12.1.0 by Sebastian Bergmann and contributors.

Runtime:       PHP 8.3.6
Configuration: /app/phpunit.xml

..F.                                                                4 / 4 (100%)

Time: 00:00.021, Memory: 16.00 MB

There was 1 failure:

1) App\Tests\RateTest::testRounds
Failed asserting that 2 matches expected 3.

/app/tests/RateTest.php:15

FAILURES!
Tests: 4, Assertions: 6, Failures: 1.
Script phpunit handling the test event returned with error code 1
@@ t_phpunit_deprecations | phpunit | test.failed | test | verify | 1
....                                                                4 / 4 (100%)

Time: 00:00.018, Memory: 16.00 MB

1 test triggered 1 PHP deprecation:

1) /app/src/Rate.php:8
Optional parameter $a declared before required parameter $b is implicitly treated as a required parameter

OK, but there were issues!
Tests: 4, Assertions: 6, Deprecations: 1.
@@ t_phpstan_table | phpstan | lint.phpstan | lint | verify | 1
 ------ ---------------------------------------------------------------
  Line   src/Rate.php
 ------ ---------------------------------------------------------------
  14     Method App\Rate::round() should return int but returns string.
         🪪  return.type
 ------ ---------------------------------------------------------------


 [ERROR] Found 1 error
@@ t_kotlinc_k2 | kotlinc | build.kotlinc | build | verify | 1
warning: language version 1.9 is deprecated and its support will be removed in a future version of Kotlin
src/Rate.kt:7:17: error: initializer type mismatch: expected 'Int', actual 'String'.
    val n: Int = "ten"
                ^^^^^
@@ t_swift_6_snippet | swift | build.swift | build | verify | 1
Building for debugging...
error: emit-module command failed with exit code 1 (use -v to see invocation)
/app/Sources/Bill/Rate.swift:9:20: error: cannot find 'rounding' in scope
 7 | struct Rate {
 8 |     func total() -> Int {
 9 |         return 3 * rounding
   |                    `- error: cannot find 'rounding' in scope
10 |     }
[5/7] Compiling Bill Rate.swift
@@ t_swift_testing | swift | test.failed | test | verify | 1
◇ Test run started.
↳ Testing Library Version: 6.0.3
◇ Test "rounds half up" started.
✘ Test "rounds half up" recorded an issue at RateTests.swift:11:5: Expectation failed: (rate.rounded() → 2) == 3
✘ Test "rounds half up" failed after 0.001 seconds with 1 issue.
✘ Test run with 8 tests failed after 0.004 seconds with 1 issue.
@@ t_swift_resolve | swift | deps.swiftpm | build | verify | 1
Fetching https://github.com/example/money.git
error: Dependencies could not be resolved because root depends on 'money' 3.0.0..<4.0.0 and no versions of 'money' match the requirement 3.0.0..<4.0.0.
@@ t_xcodebuild_scheme | xcodebuild | verify.usage | build | verify | 65
Command line invocation:
    /Applications/Xcode.app/Contents/Developer/usr/bin/xcodebuild -scheme Bil test

xcodebuild: error: The project named "Bill" does not contain a scheme named "Bil". The "-list" option can be used to find the names of the schemes in the project.
@@ t_golangci_v2 | golangci-lint | lint.golangci | lint | verify | 1
rate/rate.go:21:14: Error return value of `f.Close` is not checked (errcheck)
	defer f.Close()
	             ^
rate/rate.go:33:5: SA4006: this value of err is never used (staticcheck)
	a, err := load()
	   ^
2 issues:
* errcheck: 1
* staticcheck: 1
@@ t_golangci_typecheck | golangci-lint | lint.golangci | lint | verify | 1
rate/rate.go:9:2: undefined: rounding (typecheck)
	rounding(3)
	^
1 issues:
* typecheck: 1
@@ t_golangci_config | golangci-lint | verify.usage | lint | verify | 3
Error: can't load config: unsupported version of the configuration: "" See https://golangci-lint.run/docs/product/migration-guide for migration instructions
The command is terminated due to an error: can't load config: unsupported version of the configuration: "" See https://golangci-lint.run/docs/product/migration-guide for migration instructions
@@ t_pnpm10_outdated | pnpm | deps.pnpm_lock_drift | build | verify | 1
 ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with <ROOT>/packages/web/package.json

Note that in CI environments this setting is true by default. If you still need to run install in such cases, use "pnpm install --no-frozen-lockfile"

  Failure reason:
  specifiers in the lockfile don't match specifiers in package.json:
* 1 dependencies were added: zod@^3.23.0
@@ t_pnpm_recursive_ts | pnpm | build.tsc | build | verify | 2
Scope: 3 of 4 workspace projects
packages/core build$ tsc -p tsconfig.build.json
packages/core build: src/rate.ts(9,3): error TS2741: Property 'net' is missing in type '{}' but required in type 'Rate'.
packages/core build: Failed
/app/packages/core:
 ERR_PNPM_RECURSIVE_RUN_FIRST_FAIL  @bill/core@1.0.0 build: `tsc -p tsconfig.build.json`
Exit status 2
@@ t_pnpm_packagemanager | pnpm | env.runtime_version | build | verify | 1
 ERR_PNPM_BAD_PM_VERSION  This project is configured to use v10.4.1 of pnpm. Your current pnpm is v9.15.0

If you want to bypass this version check, you can set the "package-manager-strict" configuration to "false" or set the "COREPACK_ENABLE_STRICT" environment variable to "0"
@@ t_turbo_vitest | turbo | test.failed | test | verify | 1
@bill/web:test: cache miss, executing 8c1f0a2b3c4d5e6f
@bill/web:test:  ❯ src/rate.test.ts (3 tests | 1 failed) 14ms
@bill/web:test:    × rate > rounds half up 6ms
@bill/web:test:      → expected 2 to be 3 // Object.is equality
@bill/web:test:
@bill/web:test:  Test Files  1 failed (1)
@bill/web:test:       Tests  1 failed | 2 passed (3)
@bill/web:test: npm error Lifecycle script `test` failed with error:
@bill/web:test: ERROR: command finished with error: command (/app/packages/web) npm run test exited (1)
@bill/web#test: command (/app/packages/web) npm run test exited (1)

 Tasks:    1 successful, 2 total
Cached:    0 cached, 2 total
  Time:    3.91s
Failed:    @bill/web#test

 ERROR  run failed: command  exited (1)
@@ t_nx_lint | nx | lint.eslint | lint | verify | 1

> nx run bill:lint


/app/libs/bill/src/rate.ts
  12:7  error  'x' is assigned a value but never used  @typescript-eslint/no-unused-vars

✖ 1 problem (1 error, 0 warnings)

Lint errors found in the listed files.


 NX   Running target lint for project bill failed

Failed tasks:

- bill:lint
@@ t_gitlab_runner_jest | jest | test.failed | test | verify | 1
$ npx jest --ci
PASS src/a.test.ts
FAIL src/rate.test.ts
  ● rate › rounds half up

    expect(received).toBe(expected) // Object.is equality

    Expected: 3
    Received: 2

      at Object.<anonymous> (src/rate.test.ts:7:18)

Test Suites: 1 failed, 1 passed, 2 total
Tests:       1 failed, 8 passed, 9 total
section_end:1741083072:step_script
Cleaning up project directory and file based variables
ERROR: Job failed: exit code 1
@@ t_yarn_berry_immutable | yarn | deps.yarn_lock_drift | build | verify | 1
➤ YN0000: · Yarn 4.5.0
➤ YN0000: ┌ Resolution step
➤ YN0000: └ Completed in 0s 312ms
➤ YN0000: ┌ Post-resolution validation
➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.
➤ YN0000: └ Completed
➤ YN0000: · Failed with errors in 0s 401ms
@@ t_uv_requires_python | uv | deps.uv_conflict | build | verify | 1
  × No solution found when resolving dependencies for split (markers: python_full_version == '3.9.*'):
  ╰─▶ Because the requested Python version (>=3.9) does not satisfy Python>=3.10 and pandas==2.3.0 depends on Python>=3.10, we can conclude that pandas==2.3.0 cannot be used.
      And because your project depends on pandas==2.3.0, we can conclude that your project's requirements are unsatisfiable.
@@ t_cargo_workspace_version | cargo | deps.cargo_conflict | build | verify | 101
    Updating crates.io index
error: failed to select a version for `links`-having package `libsqlite3-sys`.
    ... required by package `rusqlite v0.29.0`
versions that meet the requirements `^0.26.0` are: 0.26.0

package `libsqlite3-sys` links to the native library `sqlite3`, but it conflicts with a previous package which links to `sqlite3` as well:
@@ t_docker_pull_limit | docker | env.network | build | verify | 1
#2 ERROR: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit
------
ERROR: failed to solve: python:3.12: failed to resolve source metadata for docker.io/library/python:3.12: toomanyrequests: You have reached your pull rate limit.
"""
