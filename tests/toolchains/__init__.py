"""Small repositories in many toolchains, each with two tests that pass, one that fails and one that is skipped (or what comes
next to that), how they are tested, and what is to be read from it.

Rule of this room: nothing here is made up about a tool. What stands in `tests/golden/reports` was written by the tool itself,
by `python -m toolchains` in this folder's parent, and the slow tests have the tools write it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROOT: Final = "/checkout"
"""Where a recording says that the work tree was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`needs`: programs on PATH; `node`: packages of npm; `python`: packages of PyPI. `counts`: total, passed, failed, skipped.
    `source`: what the numbers are read from."""

    name: str
    language: str
    tool: str
    files: dict[str, str]
    command: str
    counts: tuple[int, int, int, int]
    failed: tuple[str, ...]
    source: str
    reports: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    python: tuple[str, ...] = ()


_PYTEST: Final = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": (
        "import pytest\nfrom calc import add\n\n\n@pytest.mark.parametrize('n', [0, 1])\ndef test_zero(n):\n"
        "    assert add(n, 0) == n\n\n\ndef test_sum():\n    assert add(2, 2) == 4\n\n\n"
        "@pytest.mark.skip(reason='later')\ndef test_big():\n    raise AssertionError\n"
    ),
}
_UNITTEST: Final = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": (
        "import unittest\nfrom calc import add\n\n\nclass Sums(unittest.TestCase):\n    def test_zero(self):\n"
        "        self.assertEqual(add(1, 0), 1)\n\n    def test_none(self):\n        self.assertEqual(add(0, 0), 0)\n\n"
        "    def test_sum(self):\n        self.assertEqual(add(2, 2), 4)\n\n    @unittest.skip('later')\n"
        "    def test_big(self):\n        self.fail()\n"
    ),
}
_JEST_CASES: Final = (
    "describe('sums', () => {\n  test('zero', () => expect(add(1, 0)).toBe(1));\n"
    "  test('none', () => expect(add(0, 0)).toBe(0));\n  test('adds up', () => expect(add(2, 2)).toBe(4));\n"
    "  test.skip('big', () => {});\n});\n"
)
_JEST: Final = {
    "package.json": '{"name": "calc", "version": "1.0.0"}\n',
    "calc.js": "exports.add = (a, b) => a - b;\n",
    "calc.test.js": "const { add } = require('./calc');\n\n" + _JEST_CASES,
}
_VITEST: Final = {
    "package.json": '{"name": "calc", "version": "1.0.0", "type": "module"}\n',
    "calc.js": "export const add = (a, b) => a - b;\n",
    "calc.test.js": (
        "import { describe, expect, test } from 'vitest';\nimport { add } from './calc.js';\n\n" + _JEST_CASES
    ),
}
_MOCHA: Final = {
    "package.json": '{"name": "calc", "version": "1.0.0"}\n',
    "calc.js": "exports.add = (a, b) => a - b;\n",
    "test/calc.js": (
        "const assert = require('assert');\nconst { add } = require('../calc');\n\ndescribe('sums', () => {\n"
        "  it('zero', () => assert.equal(add(1, 0), 1));\n  it('none', () => assert.equal(add(0, 0), 0));\n"
        "  it('adds up', () => assert.equal(add(2, 2), 4));\n  it.skip('big', () => {});\n});\n"
    ),
}
_NODE: Final = {
    "calc.mjs": "export const add = (a, b) => a - b;\n",
    "calc.test.mjs": (
        "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { add } from './calc.mjs';\n\n"
        "test('zero', () => assert.equal(add(1, 0), 1));\ntest('none', () => assert.equal(add(0, 0), 0));\n"
        "test('adds up', () => assert.equal(add(2, 2), 4));\ntest('big', { skip: true }, () => {});\n"
    ),
}
_GO: Final = {
    "go.mod": "module example.org/calc\n\ngo 1.20\n",
    "calc.go": "package calc\n\nfunc Add(a, b int) int { return a - b }\n",
    "calc_test.go": (
        'package calc\n\nimport "testing"\n\nfunc TestZero(t *testing.T) {\n\tif Add(1, 0) != 1 {\n\t\tt.Fatal()\n\t}\n}\n\n'
        "func TestNone(t *testing.T) {\n\tif Add(0, 0) != 0 {\n\t\tt.Fatal()\n\t}\n}\n\n"
        "func TestSum(t *testing.T) {\n\tif Add(2, 2) != 4 {\n\t\tt.Fatal(Add(2, 2))\n\t}\n}\n\n"
        'func TestBig(t *testing.T) { t.Skip("later") }\n'
    ),
}
_RUST: Final = {
    "Cargo.toml": '[package]\nname = "calc"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/lib.rs": (
        "pub fn add(a: i64, b: i64) -> i64 {\n    a - b\n}\n\n#[cfg(test)]\nmod tests {\n    use super::add;\n\n"
        "    #[test]\n    fn zero() {\n        assert_eq!(add(1, 0), 1);\n    }\n\n"
        "    #[test]\n    fn none() {\n        assert_eq!(add(0, 0), 0);\n    }\n\n"
        "    #[test]\n    fn sum() {\n        assert_eq!(add(2, 2), 4);\n    }\n\n"
        "    #[test]\n    #[ignore]\n    fn big() {}\n}\n"
    ),
}
_RSPEC: Final = {
    "calc.rb": "def add(a, b) = a - b\n",
    "spec/calc_spec.rb": (
        "require_relative '../calc'\n\nRSpec.describe 'sums' do\n  it('has zero') { expect(add(1, 0)).to eq 1 }\n"
        "  it('has none') { expect(add(0, 0)).to eq 0 }\n  it('adds up') { expect(add(2, 2)).to eq 4 }\n"
        "  xit('is big') { raise }\nend\n"
    ),
}
_PHP: Final = {
    "Calc.php": "<?php\nfunction add(int $a, int $b): int { return $a - $b; }\n",
    "tests/CalcTest.php": (
        "<?php\nrequire_once __DIR__ . '/../Calc.php';\nuse PHPUnit\\Framework\\TestCase;\n\n"
        "final class CalcTest extends TestCase {\n    public function testZero(): void { $this->assertSame(1, add(1, 0)); }\n"
        "    public function testNone(): void { $this->assertSame(0, add(0, 0)); }\n"
        "    public function testSum(): void { $this->assertSame(4, add(2, 2)); }\n"
        "    public function testBig(): void { $this->markTestSkipped('later'); }\n}\n"
    ),
}
_C: Final = {
    "CMakeLists.txt": (
        "cmake_minimum_required(VERSION 3.16)\nproject(calc C)\nenable_testing()\nadd_executable(check check.c)\n"
        "foreach(which zero none sum)\n  add_test(NAME ${which} COMMAND check ${which})\nendforeach()\n"
        "add_test(NAME big COMMAND check big)\nset_tests_properties(big PROPERTIES DISABLED TRUE)\n"
    ),
    "check.c": (
        "#include <string.h>\nstatic int add(int a, int b) { return a - b; }\nint main(int argc, char **argv) {\n"
        '    if (argc < 2) return 2;\n    if (!strcmp(argv[1], "zero")) return add(1, 0) != 1;\n'
        '    if (!strcmp(argv[1], "none")) return add(0, 0) != 0;\n    return add(2, 2) != 4;\n}\n'
    ),
}
_BATS: Final = {
    "calc.sh": "add() { echo $(($1 - $2)); }\n",
    "test/calc.bats": (
        'setup() { . "$BATS_TEST_DIRNAME/../calc.sh"; }\n\n@test "zero" {\n  [ "$(add 1 0)" = 1 ]\n}\n\n'
        '@test "none" {\n  [ "$(add 0 0)" = 0 ]\n}\n\n@test "adds up" {\n  [ "$(add 2 2)" = 4 ]\n}\n\n'
        '@test "big" {\n  skip later\n}\n'
    ),
}
_JAVA: Final = {
    "pom.xml": (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n  <modelVersion>4.0.0</modelVersion>\n'
        "  <groupId>org.example</groupId>\n  <artifactId>calc</artifactId>\n  <version>1</version>\n  <properties>\n"
        "    <maven.compiler.source>11</maven.compiler.source>\n    <maven.compiler.target>11</maven.compiler.target>\n"
        "    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>\n  </properties>\n  <dependencies>\n"
        "    <dependency>\n      <groupId>junit</groupId>\n      <artifactId>junit</artifactId>\n"
        "      <version>4.x</version>\n      <scope>test</scope>\n    </dependency>\n  </dependencies>\n</project>\n"
    ),
    "src/main/java/org/example/Calc.java": (
        "package org.example;\n\npublic final class Calc {\n    static int add(int a, int b) { return a - b; }\n}\n"
    ),
    "src/test/java/org/example/CalcTest.java": (
        "package org.example;\n\nimport static org.junit.Assert.assertEquals;\nimport org.junit.Ignore;\n"
        "import org.junit.Test;\n\n"
        "public class CalcTest {\n    @Test public void zero() { assertEquals(1, Calc.add(1, 0)); }\n"
        "    @Test public void none() { assertEquals(0, Calc.add(0, 0)); }\n"
        "    @Test public void sum() { assertEquals(4, Calc.add(2, 2)); }\n    @Ignore @Test public void big() { }\n}\n"
    ),
}
_LINT_PY: Final = {"bad.py": "import os\nimport sys\n\n\ndef f():\n    x = 1\n"}
_LINT_JS: Final = {
    ".eslintrc.json": (
        '{"root": true, "env": {"node": true, "es2021": true},'
        ' "rules": {"no-undef": "error", "no-unused-vars": "warn"}}\n'
    ),
    "bad.js": "const a = 1;\nfoo();\nfoo();\n",
}
_MAVEN: Final = "mvn -o -B -s /etc/maven/settings-debian.xml -Dmaven.repo.local=/usr/share/maven-repo test"
_ALL: Final = (4, 2, 1, 1)

SAMPLES: Final = (
    Sample(name="pytest-junit", language="Python", tool="pytest --junitxml", files=_PYTEST,
           command="python -m pytest -p no:cacheprovider --junitxml=junit.xml", reports=("junit.xml",), counts=_ALL,
           failed=("test_calc::test_sum",), source="junit", python=("pytest",)),
    Sample(name="pytest-json", language="Python", tool="pytest-json-report", files=_PYTEST,
           command="python -m pytest -q -p no:cacheprovider --json-report", reports=(".report.json",), counts=_ALL,
           failed=("test_calc.py::test_sum",), source="pytest", python=("pytest", "pytest-json-report")),
    Sample(name="pytest-text", language="Python", tool="pytest, printed", files=_PYTEST,
           command="python -m pytest -p no:cacheprovider", counts=_ALL, failed=("test_calc.py::test_sum",), source="text",
           python=("pytest",)),
    Sample(name="unittest-text", language="Python", tool="unittest, printed", files=_UNITTEST,
           command="python -m unittest", counts=_ALL, failed=("test_sum (test_calc.Sums.test_sum)",), source="text"),
    Sample(name="ruff", language="Python", tool="ruff --output-format json", files=_LINT_PY,
           command="ruff check --no-cache --output-format json", counts=(3, 0, 3, 0),
           failed=("bad.py F401", "bad.py F401 (2)", "bad.py F841"), source="ruff", python=("ruff",)),
    Sample(name="jest-json", language="JavaScript", tool="jest --json", files=_JEST,
           command="npx --no-install jest --json --outputFile=jest-results.json", reports=("jest-results.json",), counts=_ALL,
           failed=("calc.test.js::sums adds up",), source="jest", node=("jest@29",)),
    Sample(name="jest-junit", language="JavaScript", tool="jest-junit", files=_JEST,
           command="npx --no-install jest --reporters=jest-junit", reports=("junit.xml",), counts=_ALL,
           failed=("sums adds up",), source="junit", node=("jest@29", "jest-junit@16")),
    Sample(name="jest-text", language="JavaScript", tool="jest, printed", files=_JEST,
           command="npx --no-install jest", counts=_ALL, failed=("sums › adds up",), source="text", node=("jest@29",)),
    Sample(name="vitest-junit", language="JavaScript", tool="vitest --reporter junit", files=_VITEST,
           command="npx --no-install vitest run --reporter=junit --outputFile=junit.xml", reports=("junit.xml",), counts=_ALL,
           failed=("calc.test.js::sums > adds up",), source="junit", node=("vitest@1",)),
    Sample(name="vitest-json", language="JavaScript", tool="vitest --reporter json", files=_VITEST,
           command="npx --no-install vitest run --reporter=json --outputFile=vitest-results.json",
           reports=("vitest-results.json",), counts=_ALL, failed=("calc.test.js::sums adds up",), source="jest",
           node=("vitest@1",)),
    Sample(name="vitest-text", language="JavaScript", tool="vitest, printed", files=_VITEST,
           command="npx --no-install vitest run", counts=_ALL, failed=("calc.test.js > sums > adds up",), source="text",
           node=("vitest@1",)),
    Sample(name="mocha-json", language="JavaScript", tool="mocha --reporter json", files=_MOCHA,
           command="npx --no-install mocha --reporter json", counts=_ALL, failed=("test/calc.js::sums adds up",),
           source="mocha", node=("mocha@10",)),
    Sample(name="mocha-text", language="JavaScript", tool="mocha, printed", files=_MOCHA,
           command="npx --no-install mocha", counts=_ALL, failed=(), source="text", node=("mocha@10",)),
    Sample(name="node-junit", language="JavaScript", tool="node --test, junit", files=_NODE,
           command="node --test --test-reporter=junit --test-reporter-destination=junit.xml", reports=("junit.xml",),
           counts=_ALL, failed=("test::adds up",), source="junit", needs=("node",)),
    Sample(name="eslint", language="JavaScript", tool="eslint --format json", files=_LINT_JS,
           command="npx --no-install eslint --format json bad.js", counts=(2, 0, 2, 0),
           failed=("bad.js no-undef", "bad.js no-undef (2)"), source="eslint", node=("eslint@8",)),
    Sample(name="go-json", language="Go", tool="go test -json", files=_GO, command="go test -json ./...", counts=_ALL,
           failed=("example.org/calc.TestSum",), source="go", needs=("go",)),
    Sample(name="go-text", language="Go", tool="go test -v, printed", files=_GO, command="go test -v ./...", counts=_ALL,
           failed=("TestSum",), source="text", needs=("go",)),
    Sample(name="cargo-text", language="Rust", tool="cargo test, printed", files=_RUST, command="cargo test --offline",
           counts=_ALL, failed=("tests::sum",), source="text", needs=("cargo",)),
    Sample(name="surefire", language="Java", tool="Maven Surefire", files=_JAVA, command=_MAVEN,
           reports=("target/surefire-reports/TEST-*.xml",), counts=_ALL, failed=("org.example.CalcTest::sum",),
           source="junit", needs=("mvn",)),
    Sample(name="rspec-junit", language="Ruby", tool="rspec_junit_formatter", files=_RSPEC,
           command="rspec --format RspecJunitFormatter --out rspec.xml", reports=("rspec.xml",), counts=_ALL,
           failed=("spec.calc_spec::sums adds up",), source="junit", needs=("rspec",)),
    Sample(name="rspec-text", language="Ruby", tool="rspec, printed", files=_RSPEC, command="rspec", counts=_ALL,
           failed=("sums adds up",), source="text", needs=("rspec",)),
    Sample(name="phpunit-junit", language="PHP", tool="phpunit --log-junit", files=_PHP,
           command="phpunit --do-not-cache-result --log-junit junit.xml tests", reports=("junit.xml",), counts=_ALL,
           failed=("CalcTest::testSum",), source="junit", needs=("phpunit",)),
    Sample(name="phpunit-text", language="PHP", tool="phpunit, printed", files=_PHP,
           command="phpunit --do-not-cache-result tests", counts=_ALL, failed=("CalcTest::testSum",), source="text",
           needs=("phpunit",)),
    Sample(name="ctest-junit", language="C", tool="ctest --output-junit", files=_C,
           command="cmake -S . -B build && cmake --build build && cd build && ctest --output-junit ../junit.xml",
           reports=("junit.xml",), counts=_ALL, failed=("sum",), source="junit", needs=("cmake", "ctest", "cc")),
    Sample(name="ctest-text", language="C", tool="ctest, printed", files=_C,
           command="cmake -S . -B build && cmake --build build && ctest --test-dir build", counts=(3, 2, 1, 0), failed=("sum",),
           source="text", needs=("cmake", "ctest", "cc")),
    Sample(name="bats-junit", language="Shell", tool="bats --report-formatter junit", files=_BATS,
           command="bats --report-formatter junit --output . test", reports=("report.xml",), counts=_ALL,
           failed=("calc.bats::adds up",), source="junit", needs=("bats",)),
    Sample(name="bats-tap", language="Shell", tool="bats --tap, printed", files=_BATS, command="bats --tap test", counts=_ALL,
           failed=("adds up",), source="text", needs=("bats",)),
)  # fmt: skip
