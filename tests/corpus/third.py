"""The third part: other versions, languages of the user, reporters, wrappers and noise than the parts before it.

The rule of this room: labelled by reading the output, before the classifier had seen any of it.
"""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_STAMP: Final = " 2>&1 | sed -u 's/^/2025-03-04T10:11:12.1234567Z /'; exit ${PIPESTATUS[0]}"
_BOX: Final = " 2>&1 | sed -u 's/^/web-1  | /'; exit ${PIPESTATUS[0]}"
_DE: Final = "LC_ALL=de_DE.UTF-8 "
_FR: Final = "LC_ALL=fr_FR.UTF-8 "
_JA: Final = "LC_ALL=ja_JP.UTF-8 "
_NOISE: Final = "for i in $(seq 200); do echo \"[worker $((i % 4))] flushed segment $i, 0 errors, 0 failed, elapsed ${i}ms\"; done"
_TWO: Final = "def total(xs):\n    return sum(xs) - 1\n"
_TWO_TEST: Final = "from bill import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n\n\ndef test_none():\n    assert total([]) == -1\n"
_PY: Final = {"bill.py": _TWO, "test_bill.py": _TWO_TEST}
_PKG: Final = '{"name": "bill", "version": "1.0.0", "private": true, "scripts": {%s}}\n'
_CRATE: Final = '[package]\nname = "bill"\nversion = "0.1.0"\nedition = "2021"\n'
_GOMOD: Final = "module example.com/bill\n\ngo 1.22\n"
_POM: Final = "<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>bill</artifactId><version>1</version><properties><maven.compiler.source>11</maven.compiler.source><maven.compiler.target>11</maven.compiler.target></properties><dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13.2</version><scope>test</scope></dependency></dependencies></project>\n"
_ORIGIN: Final = "git init -q -b main o && (cd o && git config user.name A && git config user.email a@b && echo 1 > a.txt && git add . && git commit -qm one) && git clone -q o c 2>/dev/null"
_SPLIT: Final = "git init -q -b main && echo 1 > a.txt && git add . && git commit -qm one && git switch -qc other && echo 2 > a.txt && git commit -qam two && git switch -q main && echo 3 > a.txt && git commit -qam three"

_PYTHON: Final = (
    Case(name="k_pytest_noise_after", tool="pytest", command=f"pytest -rA -vv --color=yes; code=$?; {_NOISE}; exit $code", expected="test.failed", files=_PY),
    Case(name="k_pytest_make_stamped", tool="pytest", command="make check" + _STAMP, expected="test.failed", files=_PY | {"Makefile": "check:\n\tpython -m pytest -q --tb=short\n"}),
    Case(name="k_pytest_py27", tool="python", command="PYENV_VERSION=2.7.18 python2.7 -m unittest -v test_old", expected="test.failed", files={"test_old.py": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertItemsEqual([1], [2])\n"}),
    Case(name="k_python27_print", tool="python", command="PYENV_VERSION=2.7.18 python2.7 a.py", expected="build.python_syntax", files={"a.py": "def f(x):\n    print(f'{x}')\nf(1)\n"}, stage="build"),
    Case(name="k_python313_color", tool="python", command="FORCE_COLOR=1 PYENV_VERSION=3.13.0 python3.13 a.py", expected="verify.exception", files={"a.py": "def price(d):\n    return d['net'] * 1.19\n\nprint(price({}))\n"}, stage="build"),
    Case(name="k_python36_unittest", tool="python", command="PYENV_VERSION=3.6.15 python3.6 -m unittest discover -s t", expected="test.collection", files={"t/__init__.py": "", "t/test_a.py": "from __future__ import annotations\nimport unittest\n"}),
    Case(name="k_pytest_os_exit", tool="pytest", command="pytest -n 2 --max-worker-restart=1", expected="test.crashed", files={"test_a.py": "import os\n\n\ndef test_a():\n    os._exit(3)\n"}),
    Case(name="k_pytest_mismatch", tool="pytest", command="pytest", expected="test.collection", files={"a/test_x.py": "def test(): pass\n", "b/test_x.py": "def test(): pass\n"}),
    Case(name="k_pytest_cov_config", tool="pytest-cov", command="pytest -q --cov=bill --cov-report=term-missing --cov-fail-under=97", expected="test.coverage", files={"bill.py": "def f(a):\n    if a:\n        return 1\n    return 2\n", "test_b.py": "from bill import f\n\n\ndef test_f():\n    assert f(0) == 2\n"}),
    Case(name="k_pytest_json_stdout", tool="pytest", command="pytest -q --no-header --json-report --json-report-file=/dev/stdout", expected="test.failed", files=_PY),
    Case(name="k_pytest_marker_strict", tool="pytest", command="pytest --strict-markers", expected="test.collection", files={"test_a.py": "import pytest\n\n\n@pytest.mark.slowly\ndef test_a():\n    pass\n"}),
    Case(name="k_pytest_no_such_test", tool="pytest", command="pytest test_bill.py::test_gone", expected="verify.usage", files=_PY),
    Case(name="k_unittest_buffer", tool="unittest", command="python -m unittest -f -b", expected="test.failed", files={"test_q.py": "import unittest\n\n\nclass Q(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls):\n        raise RuntimeError('no fixture: rate limit 429')\n\n    def test_a(self):\n        pass\n"}),
    Case(name="k_unittest_subtests", tool="unittest", command="python test_s.py" + _BOX, expected="test.failed", files={"test_s.py": "import unittest\n\n\nclass S(unittest.TestCase):\n    def test_even(self):\n        for i in range(3):\n            with self.subTest(i=i):\n                self.assertEqual(i % 2, 0)\n\n\nunittest.main(verbosity=2)\n"}),
    Case(name="k_doctest_module", tool="python", command="python -m doctest -v a.py | tail -40; exit ${PIPESTATUS[0]}", expected="test.failed", files={"a.py": '"""\n>>> 1 + 1\n3\n"""\n'}),
    Case(name="k_warning_error", tool="python", command="python -W error a.py", expected="verify.exception", files={"a.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\n"}, stage="build"),
    Case(name="k_tab_error", tool="python", command="python -m compileall -q .", expected="build.python_syntax", files={"a.py": "def f():\n\tif 1:\n        return 2\n"}, stage="build"),
    Case(name="k_mypy_stubs", tool="mypy", command="mypy --strict --no-color-output a.py", expected="lint.mypy", files={"a.py": "import yaml\n\n\ndef f(x):\n    return yaml.load(x)\n"}, stage="lint"),
    Case(name="k_mypy_syntax", tool="mypy", command="mypy a.py", expected="lint.mypy", files={"a.py": "def f(:\n    pass\n"}, stage="lint"),
    Case(name="k_mypy_no_file", tool="mypy", command="mypy src/nope.py", expected="env.file_missing", stage="lint"),
    Case(name="k_ruff_junit", tool="ruff", command="ruff check --output-format junit .", expected="lint.ruff", files={"a.py": "import os\n"}, stage="lint"),
    Case(name="k_ruff_azure", tool="ruff", command="ruff check --output-format azure .", expected="lint.ruff", files={"a.py": "import os\n"}, stage="lint"),
    Case(name="k_ruff_statistics", tool="ruff", command="ruff check --statistics .", expected="lint.ruff", files={"a.py": "import os\nimport re\nx = l == 1\n"}, stage="lint"),
    Case(name="k_ruff_rdjson", tool="ruff", command="ruff check --output-format rdjson .", expected="lint.ruff", files={"a.py": "import os\n"}, stage="lint"),
    Case(name="k_ruff_tox_chain", tool="ruff", command="set -e; ruff format --check . ; ruff check .", expected="lint.format", files={"a.py": "import os\nx={'a':1}\n"}, stage="lint"),
    Case(name="k_flake8_quiet", tool="flake8", command="flake8 --statistics --count .", expected="lint.flake8", files={"a.py": "import os\nx=1\n", "b.py": "def f(:\n"}, stage="lint"),
    Case(name="k_pylint_color", tool="pylint", command="pylint --output-format=colorized a.py", expected="lint.pylint", files={"a.py": "import os\nX = undefined_name\n"}, stage="lint"),
    Case(name="k_pylint_parseable", tool="pylint", command="pylint -sn -f parseable a.py", expected="lint.pylint", files={"a.py": "import os\nX = undefined_name\n"}, stage="lint"),
    Case(name="k_isort_diff", tool="isort", command="isort --check-only --diff --color .", expected="lint.format", files={"a.py": "import sys\nimport os\n"}, stage="lint"),
    Case(name="k_black_quiet", tool="black", command="black --check --diff -q a.py", expected="lint.format", files={"a.py": "x = {  'a':1 }\n"}, stage="lint"),
    Case(name="k_pyright_noise", tool="pyright", command="pyright -p . | cat; exit ${PIPESTATUS[0]}", expected="lint.pyright", files={"a.py": "def f(a: int) -> str:\n    return a + missing\n"}, stage="lint"),
    Case(name="k_pip_managed", tool="pip", command="/usr/bin/python3 -m pip install requests", expected="env.permission", stage="build"),
    Case(name="k_pip_dependency_conflict", tool="pip", command="pip install --dry-run 'requests==2.20.0' 'urllib3==2.0.0' 2>&1", expected="deps.pip_conflict", stage="build"),
    Case(name="k_pip_color_verbose", tool="pip", command="pip -v --no-input install 'nowhere-dist-xq==9.9'", expected="deps.pip_not_found", stage="build"),
    Case(name="k_pip_setup_exit", tool="pip", command="pip install --no-deps --no-build-isolation --target t .", expected="deps.pip_build", files={"setup.py": "import sys\nprint('you need libfoo')\nsys.exit(1)\n"}, stage="build"),
    Case(name="k_uv_lock_check", tool="uv", command="uv lock --check", expected="deps.uv_lock_drift", before="uv lock -q && sed -i 's/dependencies = \\[\\]/dependencies = [\"idna\"]/' pyproject.toml", files={"pyproject.toml": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = []\n'}, stage="build"),
    Case(name="k_uv_add_conflict", tool="uv", command="uv add 'requests==2.20.0' 'urllib3>=2'", expected="deps.uv_conflict", files={"pyproject.toml": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = []\n'}, stage="build"),
    Case(name="k_uv_run_pytest", tool="uv", command="uv run --no-project --with pytest pytest -q", expected="test.failed", files=_PY),
    Case(name="k_uv_build_backend", tool="uv", command="uv build --wheel", expected="deps.pip_build", files={"pyproject.toml": '[project]\nname = "a"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n', "setup.py": "raise RuntimeError('no compiler today')\n"}, stage="build"),
    Case(name="k_poetry_check_lock", tool="poetry", command="poetry check --lock", expected="deps.poetry_lock_drift", files={"pyproject.toml": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.11"\n'}, stage="build"),
    Case(name="k_tox_missing_env", tool="tox", command="tox -e py311,lint", expected="test.failed", files={"tox.ini": "[tox]\nskipsdist=True\n[testenv]\nskip_install=True\nallowlist_externals=pytest\ncommands=pytest -q\n[testenv:lint]\ncommands=python -c 'print(1)'\n"} | _PY),
    Case(name="k_behave_undefined", tool="behave", command="behave --no-color", expected="test.failed", files={"features/a.feature": "Feature: pay\n  Scenario: paid\n    Given a bill\n    Then it is paid\n", "features/steps/s.py": "from behave import given\n@given('a bill')\ndef s(c): pass\n"}),
    Case(name="k_python_memory_limit", tool="python", command="ulimit -v 400000; python a.py", expected="env.out_of_memory", files={"a.py": "x = bytearray(10**10)\n"}),
    Case(name="k_json_decode", tool="python", command="python a.py" + _STAMP, expected="verify.exception", files={"a.py": "import json\njson.load(open('a.json'))\n", "a.json": "{oops}"}, stage="build"),
)

_JS: Final = (
    Case(name="k_jest_ci_snapshot", tool="jest", command="jest --ci --silent --colors", expected="test.snapshot", files={"package.json": _PKG % "", "a.test.js": "test('s', () => { expect({a: 1}).toMatchSnapshot(); });\n"}, modules=True),
    Case(name="k_jest_undefined", tool="jest", command="npm test -s -- --ci" + _STAMP, expected="test.failed", files={"package.json": _PKG % '"test": "jest --verbose=false"', "a.test.js": "test('reads', () => { const a = undefined; expect(a.b).toBe(1); });\n"}, modules=True),
    Case(name="k_jest_preset", tool="jest", command="jest", expected="verify.usage", files={"package.json": _PKG % "", "jest.config.js": "module.exports = {preset: 'no-such-preset'};\n", "a.test.js": ""}, modules=True),
    Case(name="k_jest_bail_multi", tool="jest", command=f"jest --json --outputFile=r.json; c=$?; {_NOISE}; exit $c", expected="test.failed", files={"package.json": _PKG % "", "a.test.js": "describe('bill', () => { it('adds', () => expect(1 + 1).toBe(3)); it('x', () => {}); });\n"}, modules=True),
    Case(name="k_vitest_tap", tool="vitest", command="vitest run --reporter=tap-flat", expected="test.failed", files={"package.json": _PKG % "", "a.test.js": "import {test, expect} from 'vitest';\ntest('adds', () => expect(1 + 1).toBe(3));\n"}, modules=True),
    Case(name="k_vitest_dot_junit", tool="vitest", command="vitest run --reporter=junit", expected="test.failed", files={"package.json": _PKG % "", "a.test.js": "import {test, expect} from 'vitest';\ntest('adds', () => expect(1 + 1).toBe(3));\n"}, modules=True),
    Case(name="k_vitest_hook_timeout", tool="vitest", command="vitest run --hookTimeout=100", expected="test.timeout", files={"package.json": _PKG % "", "a.test.js": "import {test, beforeAll} from 'vitest';\nbeforeAll(() => new Promise(() => {}));\ntest('adds', () => {});\n"}, modules=True),
    Case(name="k_vitest_config", tool="vitest", command="vitest run", expected="build.bundler", files={"package.json": _PKG % "", "vite.config.js": "export default { test: { \n", "a.test.js": ""}, modules=True),
    Case(name="k_mocha_dot", tool="mocha", command="mocha -R dot a.js", expected="test.failed", files={"package.json": _PKG % "", "a.js": "const a = require('assert');\nfor (let i = 0; i < 5; i++) it('n' + i, () => a.ok(i < 4));\n"}, modules=True),
    Case(name="k_mocha_xunit", tool="mocha", command="mocha -R xunit a.js", expected="test.failed", files={"package.json": _PKG % "", "a.js": "const a = require('assert');\nit('n', () => a.deepStrictEqual({x: 1}, {x: 2}));\n"}, modules=True),
    Case(name="k_mocha_jsonstream", tool="mocha", command="mocha -R json-stream a.js", expected="test.failed", files={"package.json": _PKG % "", "a.js": "const a = require('assert');\nit('n', () => a.strictEqual(1, 2));\n"}, modules=True),
    Case(name="k_node_test_dot", tool="node", command="node --test --test-reporter=dot", expected="test.failed", files={"a.test.js": "const {test} = require('node:test');\ntest('x', () => { require('assert').equal(1, 2); });\n"}),
    Case(name="k_node_test_junit", tool="node", command="node --test --test-reporter=junit", expected="test.failed", files={"a.test.js": "const {test} = require('node:test');\ntest('x', () => { require('assert').equal(1, 2); });\n"}),
    Case(name="k_node_test_color", tool="node", command="FORCE_COLOR=1 npm test" + _BOX, expected="test.failed", files={"package.json": _PKG % '"test": "node --test"', "a.test.js": "const {test} = require('node:test');\ntest('x', async (t) => { await t.test('deep', () => { throw new TypeError('n is not iterable'); }); });\n"}),
    Case(name="k_ava_tap", tool="ava", command="ava --tap", expected="test.failed", files={"package.json": _PKG % "", "test.mjs": "import test from 'ava';\ntest('adds', t => t.is(1 + 1, 3));\n"}, modules=True),
    Case(name="k_jasmine_before", tool="jasmine", command="jasmine --random=false a.spec.js", expected="test.failed", files={"package.json": _PKG % "", "a.spec.js": "describe('b', () => { beforeEach(() => { throw new Error('boot'); }); it('x', () => {}); });\n"}, modules=True),
    Case(name="k_tsc_inputs", tool="tsc", command="tsc -p .", expected="build.tsc", files={"tsconfig.json": '{"include": ["src"]}'}, modules=True, stage="build"),
    Case(name="k_tsc_pretty_many", tool="tsc", command="npm run build" + _STAMP, expected="build.tsc", files={"package.json": _PKG % '"build": "tsc --noEmit --strict --pretty --types node a.ts"', "a.ts": "export const a: number = 'x';\nexport function f(b) { return b.c; }\nimport q from './gone';\n"}, modules=True, stage="build"),
    Case(name="k_tsc_then_echo", tool="tsc", command=f"tsc --noEmit --types node a.ts; c=$?; {_NOISE}; exit $c", expected="build.tsc", files={"a.ts": "let a: string = 1;\n"}, modules=True, stage="build"),
    Case(name="k_eslint_plugin_gone", tool="eslint", command="eslint .", expected="deps.module_missing", files={"package.json": _PKG % "", "eslint.config.mjs": "import x from 'eslint-plugin-nowhere';\nexport default [x];\n", "a.js": ""}, modules=True, stage="lint"),
    Case(name="k_eslint_rule_gone", tool="eslint", command="eslint a.js", expected="verify.usage", files={"package.json": _PKG % "", "eslint.config.mjs": "export default [{rules: {'no-such-rule': 2}}];\n", "a.js": "a();\n"}, modules=True, stage="lint"),
    Case(name="k_eslint_make", tool="eslint", command="make lint", expected="lint.eslint", files={"Makefile": "lint:\n\t@eslint --color .\n", "package.json": _PKG % "", "eslint.config.mjs": "export default [{rules: {'no-undef': 2, semi: 1}}];\n", "a.js": "a()\nb()\n"}, modules=True, stage="lint"),
    Case(name="k_prettier_mixed", tool="prettier", command="prettier --check .", expected="lint.format", files={"a.ts": "const  a = 1\n", "b.json": "{a:\n"}, modules=True, stage="lint"),
    Case(name="k_biome_github", tool="biome", command="biome ci --reporter=github a.js", expected="lint.biome", files={"a.js": "var a = 1;\nif (a == 1) debugger;\n"}, modules=True, stage="lint"),
    Case(name="k_oxlint_unix", tool="oxlint", command="oxlint -D all --format unix a.js", expected="lint.oxlint", files={"a.js": "debugger;\nif (a == null) {}\n"}, modules=True, stage="lint"),
    Case(name="k_stylelint_compact", tool="stylelint", command="stylelint -f compact a.css", expected="lint.stylelint", files={"package.json": _PKG % "", ".stylelintrc.json": '{"rules": {"color-no-invalid-hex": true}}', "a.css": "a { color: #ff; }\n"}, modules=True, stage="lint"),
    Case(name="k_node_esm_require", tool="node", command="node a.mjs", expected="verify.exception", files={"a.mjs": "const fs = require('fs');\n"}, stage="build"),
    Case(name="k_node_extension", tool="node", command="node a.ts", expected="verify.exception", files={"package.json": '{"type": "module"}', "a.ts": "let a: number = 1\n"}, stage="build"),
    Case(name="k_node_json", tool="node", command="node a.js" + _BOX, expected="verify.exception", files={"a.js": "const c = JSON.parse('{oops');\n"}, stage="build"),
    Case(name="k_npm_ci_invalid", tool="npm", command="npm ci --ignore-scripts", expected="deps.npm_lock_drift", before="npm i -s --package-lock-only && sed -i 's/2.1.2/2.1.3/' package.json", files={"package.json": '{"name": "a", "version": "1.0.0", "dependencies": {"ms": "2.1.2"}}'}, stage="build"),
    Case(name="k_npm_platform", tool="npm", command="npm i --no-audit --no-fund", expected="env.runtime_version", files={"package.json": '{"name": "a", "dependencies": {"fsevents": "2.3.3"}}'}, stage="build"),
    Case(name="k_npm_postinstall", tool="npm", command="npm i --no-audit --no-fund", expected="deps.npm", files={"package.json": '{"name": "a", "dependencies": {"dep": "file:dep"}, "scripts": {"postinstall": "node gen.js"}}', "dep/package.json": '{"name": "dep", "version": "1.0.0"}', "gen.js": "process.exit(7)\n"}, stage="build", note="a lifecycle script that fails in silence"),
    Case(name="k_npm_publish_auth", tool="npm", command="npm publish --registry=https://registry.npmjs.org/", expected="deps.registry_auth", files={"package.json": '{"name": "a-nowhere-xq", "version": "1.0.0"}'}, stage="build"),
    Case(name="k_npm_tag", tool="npm", command="npm i ms@nightly-xq --no-audit", expected="deps.npm_not_found", files={"package.json": '{"name": "a"}'}, stage="build"),
    Case(name="k_npm_override", tool="npm", command="npm i --no-audit", expected="deps.npm_conflict", files={"package.json": '{"name": "a", "dependencies": {"ms": "2.1.2"}, "overrides": {"ms": "2.1.3"}}'}, stage="build"),
    Case(name="k_npm_two_levels", tool="npm", command="npm run ci", expected="env.command_missing", files={"package.json": _PKG % '"ci": "npm run build", "build": "rimraff dist && tsc"'}, stage="build"),
    Case(name="k_pnpm_drift", tool="pnpm", command="pnpm install --frozen-lockfile", expected="deps.pnpm_lock_drift", before="pnpm install --lockfile-only >/dev/null && sed -i 's/2.1.2/2.1.3/' package.json", files={"package.json": '{"name": "a", "dependencies": {"ms": "2.1.2"}}'}, modules=False, stage="build"),
    Case(name="k_pnpm_workspace", tool="pnpm", command="pnpm install", expected="deps.npm_not_found", files={"package.json": '{"name": "a", "dependencies": {"@bill/core": "workspace:*"}}', "pnpm-workspace.yaml": "packages: ['p/*']\n"}, stage="build"),
    Case(name="k_pnpm_exec", tool="pnpm", command="pnpm exec nosuchtool", expected="env.command_missing", files={"package.json": '{"name": "a"}'}, stage="build"),
    Case(name="k_yarn_engine", tool="yarn", command="yarn install", expected="env.runtime_version", files={"package.json": '{"name": "a", "engines": {"node": ">=99"}}'}, stage="build"),
    Case(name="k_esbuild_resolve", tool="esbuild", command="esbuild a.ts --bundle --log-level=warning --color=true", expected="build.bundler", files={"a.ts": "import {x} from './gone';\nimport y from 'nowhere-lib';\nx(y);\n"}, modules=True, stage="build"),
    Case(name="k_rollup_missing_export", tool="rollup", command="rollup a.js -o b.js", expected="build.bundler", files={"a.js": "import {nope} from './b.js';\nnope();\n", "b.js": "export const a = 1;\n"}, modules=True, stage="build"),
    Case(name="k_webpack_resolve", tool="webpack", command="webpack --mode production --entry ./a.js --no-color", expected="build.bundler", files={"a.js": "import g from './gone.js';\ng();\n"}, modules=True, stage="build"),
    Case(name="k_depcruise", tool="depcruise", command="depcruise --config d.cjs src", expected="lint.imports", files={"d.cjs": "module.exports = {forbidden: [{name: 'no-circular', severity: 'error', from: {}, to: {circular: true}}], options: {}};\n", "src/a.js": "require('./b');\n", "src/b.js": "require('./a');\n", "package.json": _PKG % ""}, modules=True, stage="lint"),
)

_COMPILED: Final = (
    Case(name="k_go_noise", tool="go", command="go test -v ./... | cat; exit ${PIPESTATUS[0]}", expected="test.failed", files={"go.mod": _GOMOD, "a/a_test.go": "package a\n\nimport (\n\t\"log\"\n\t\"testing\"\n)\n\nfunc TestRate(t *testing.T) {\n\tlog.Println(\"HTTP 429 Too Many Requests: rate limit exceeded\")\n\tt.Run(\"deep\", func(t *testing.T) { t.Fatalf(\"got %d, want %d\", 429, 200) })\n}\n", "b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestMany(t *testing.T) {\n\tfor i := 0; i < 80; i++ {\n\t\tt.Logf(\"segment %d flushed\", i)\n\t}\n}\n"}),
    Case(name="k_go_nil_panic", tool="go", command="go test ./..." + _STAMP, expected="test.failed", files={"go.mod": _GOMOD, "a_test.go": "package a\n\nimport \"testing\"\n\ntype n struct{ v int }\n\nfunc TestNil(t *testing.T) {\n\tvar p *n\n\tt.Log(p.v)\n}\n"}),
    Case(name="k_go_example", tool="go", command="go test", expected="build.go_vet", files={"go.mod": _GOMOD, "a_test.go": "package a\n\nimport \"fmt\"\n\nfunc ExampleSum() {\n\tfmt.Println(1 + 1)\n\t// Output: 3\n}\n"}),
    Case(name="k_go_fuzz", tool="go", command="go test -run=Fuzz", expected="test.failed", files={"go.mod": _GOMOD, "a_test.go": "package a\n\nimport \"testing\"\n\nfunc FuzzA(f *testing.F) {\n\tf.Add(3)\n\tf.Fuzz(func(t *testing.T, n int) {\n\t\tif n == 3 {\n\t\t\tt.Error(\"three\")\n\t\t}\n\t})\n}\n"}),
    Case(name="k_go_unknown_directive", tool="go", command="go build ./...", expected="deps.go_mod", files={"go.mod": "module a\n\ngo 1.22\n\nrequires x v1\n", "a.go": "package a\n"}, stage="build"),
    Case(name="k_go_proxy_off", tool="go", command="GOPROXY=off GOFLAGS=-mod=mod go build ./...", expected="deps.go_not_found", files={"go.mod": _GOMOD + "\nrequire github.com/google/nowhere v1.0.0\n", "a.go": "package a\n\nimport _ \"github.com/google/nowhere\"\n"}, stage="build"),
    Case(name="k_go_setup_failed", tool="go", command="go test ./...", expected="deps.go_mod", files={"go.mod": _GOMOD, "a.go": "package a\n\nimport _ \"github.com/nowhere/lib/sub\"\n", "a_test.go": "package a\n"}),
    Case(name="k_go_std_missing", tool="go", command="go vet ./...", expected="build.go", files={"go.mod": _GOMOD, "a.go": "package a\n\nimport _ \"nett/http\"\n"}, stage="build"),
    Case(name="k_go_embed", tool="go", command="go build ./...", expected="build.go", files={"go.mod": _GOMOD, "a.go": "package a\n\nimport _ \"embed\"\n\n//go:embed gone.txt\nvar s string\n"}, stage="build"),
    Case(name="k_go_json_build", tool="go", command="go test -json ./...", expected="build.go", files={"go.mod": _GOMOD, "a.go": "package a\n\nfunc f() int { return \"x\" }\n", "a_test.go": "package a\n"}),
    Case(name="k_go_vet_test", tool="go", command="go test ./...", expected="build.go_vet", files={"go.mod": _GOMOD, "a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {\n\tt.Errorf(\"%d\", \"x\")\n}\n"}),
    Case(name="k_go_cgo", tool="go", command="go build .", expected="build.c", files={"go.mod": _GOMOD, "a.go": "package main\n\n/*\n#include <nowhere.h>\n*/\nimport \"C\"\n\nfunc main() {}\n"}, stage="build"),
    Case(name="k_go_main_undefined", tool="go", command="go run ." + _BOX, expected="build.go", files={"go.mod": _GOMOD, "a.go": "package main\n\nfunc main() {\n\tx := 1\n\tprintln(y)\n}\n"}, stage="build"),
    Case(name="k_gofmt_diff", tool="go", command="test -z \"$(gofmt -d . | tee /dev/stderr)\"", expected="lint.format", files={"a.go": "package a\nfunc  f( ) {}\n"}, stage="lint"),
    Case(name="k_go_map_race", tool="go", command="go run .", expected="verify.exception", files={"go.mod": _GOMOD, "a.go": "package main\n\nfunc main() {\n\tvar m map[string]int\n\tm[\"a\"] = 1\n}\n"}),
    Case(name="k_cargo_quiet", tool="cargo", command="cargo test -q --offline --color always", expected="test.failed", files={"Cargo.toml": _CRATE, "src/lib.rs": "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 3, \"sum is off\");\n}\n"}),
    Case(name="k_cargo_should_panic", tool="cargo", command="RUST_BACKTRACE=1 cargo test --offline" + _STAMP, expected="test.failed", files={"Cargo.toml": _CRATE, "src/lib.rs": "#[test]\n#[should_panic(expected = \"no\")]\nfn p() {}\n\n#[test]\nfn r() -> Result<(), String> { Err(\"bad\".into()) }\n"}),
    Case(name="k_cargo_borrow", tool="cargo", command="cargo check --offline --color always" + _BOX, expected="build.rustc", files={"Cargo.toml": _CRATE, "src/lib.rs": "pub fn f(mut v: Vec<i32>) {\n    let a = &v[0];\n    v.push(1);\n    println!(\"{a}\");\n}\npub fn unused(x: i32) {}\n"}, stage="build"),
    Case(name="k_cargo_msrv", tool="cargo", command="cargo build --offline", expected="env.runtime_version", files={"Cargo.toml": _CRATE + 'rust-version = "1.999"\n', "src/lib.rs": ""}, stage="build"),
    Case(name="k_cargo_edition", tool="cargo", command="cargo build --offline", expected="deps.manifest", files={"Cargo.toml": _CRATE.replace("2021", "2099"), "src/lib.rs": ""}, stage="build"),
    Case(name="k_cargo_link", tool="cargo", command="cargo build --offline", expected="build.link", files={"Cargo.toml": _CRATE, "src/main.rs": "extern \"C\" { fn gone_fn(); }\nfn main() { unsafe { gone_fn() } }\n"}, stage="build"),
    Case(name="k_cargo_no_target", tool="cargo", command="cargo test --offline --test gone", expected="verify.usage", files={"Cargo.toml": _CRATE, "src/lib.rs": ""}),
    Case(name="k_cargo_clippy_json", tool="clippy", command="cargo clippy --offline -q --message-format short -- -D warnings", expected="lint.clippy", files={"Cargo.toml": _CRATE, "src/lib.rs": "pub fn f(v: &Vec<i32>) -> bool {\n    return v.len() == 0;\n}\n"}, stage="lint"),
    Case(name="k_cargo_warnings_denied", tool="cargo", command="RUSTFLAGS='-D warnings' cargo build --offline", expected="build.rustc", files={"Cargo.toml": _CRATE, "src/lib.rs": "use std::fs;\nfn gone() {}\n"}, stage="build"),
    Case(name="k_rust_overflow", tool="cargo", command="cargo run -q --offline", expected="verify.exception", files={"Cargo.toml": _CRATE, "src/main.rs": "fn main() {\n    let v: Vec<i32> = std::env::args().skip(9).map(|a| a.parse().unwrap()).collect();\n    println!(\"{}\", v[3]);\n}\n"}),
    Case(name="k_gcc_german", tool="gcc", command=_DE + "gcc -Wall -Werror -c a.c -o gone/a.o", expected="build.c", files={"a.c": "int main(void) { int x; return \"a\"; }\n"}, stage="build"),
    Case(name="k_gcc_json", tool="gcc", command="gcc -fdiagnostics-format=json -c a.c", expected="build.c", files={"a.c": "int main(void) { return x }\n"}, stage="build"),
    Case(name="k_link_german", tool="gcc", command=_DE + "gcc a.c -o a", expected="build.link", files={"a.c": "int gone(void);\nint main(void) { return gone(); }\n"}, stage="build"),
    Case(name="k_ld_library_french", tool="gcc", command=_FR + "gcc a.c -lnowhere", expected="build.link", files={"a.c": "int main(void) { return 0; }\n"}, stage="build"),
    Case(name="k_make_keep_going", tool="make", command="make -j2 -k", expected="build.c", files={"Makefile": "all: a.o b.o c.o\nCFLAGS=-fdiagnostics-color=always\n", "a.c": "int a = b;\n", "b.c": "int b;\n", "c.c": "#include \"gone.h\"\n"}, stage="build"),
    Case(name="k_make_german_rule", tool="make", command=_DE + "make dist", expected="build.make", files={"Makefile": "all:\n\techo\n"}, stage="build"),
    Case(name="k_make_german_missing", tool="make", command=_DE + "make all", expected="env.command_missing", files={"Makefile": "all:\n\t/bin/bash -c 'protocx --out .'\n"}, stage="build"),
    Case(name="k_make_japanese", tool="make", command=_JA + "make", expected="build.make", files={"Makefile": "a: b.x\n"}, stage="build"),
    Case(name="k_ctest_output", tool="ctest", command="cmake -S . -B b -G 'Unix Makefiles' >/dev/null && cmake --build b >/dev/null && ctest --test-dir b --output-on-failure", expected="test.failed", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nenable_testing()\nadd_executable(t t.c)\nadd_test(NAME sums COMMAND t)\n", "t.c": "#include <stdio.h>\nint main(void) { puts(\"expected 3, got 2\"); return 1; }\n"}),
    Case(name="k_cmake_ninja", tool="cmake", command="cmake -S . -B b && cmake --build b", expected="build.c", files={"CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(a CXX)\nadd_library(a a.cpp)\n", "a.cpp": "#include <vector>\nstd::vector<int> v = \"a\";\n"}, stage="build"),
    Case(name="k_stack_smash", tool="gcc", command="gcc -fstack-protector-all a.c -o a 2>/dev/null && ./a", expected="verify.crashed", files={"a.c": "#include <string.h>\nint main(void) { char b[4]; strcpy(b, \"far too long for this\"); return 0; }\n"}),
    Case(name="k_asan_heap", tool="gcc", command="gcc -g -fsanitize=address a.c -o a && ./a" + _STAMP, expected="test.sanitizer", files={"a.c": "#include <stdlib.h>\nint main(void) { char *p = malloc(3); free(p); return p[1]; }\n"}),
    Case(name="k_javac_german", tool="javac", command="javac -J-Duser.language=de -J-Duser.country=DE A.java", expected="build.javac", files={"A.java": "class A { int f() { return \"x\"; } void g() { gone(); } }\n"}, stage="build"),
    Case(name="k_javac_japanese", tool="javac", command="javac -J-Duser.language=ja -J-Dfile.encoding=UTF-8 A.java", expected="build.javac", files={"A.java": "class A { int f() { return 1 } }\n"}, stage="build"),
    Case(name="k_javac_lint", tool="javac", command="javac -Xlint:all -Xdiags:verbose A.java", expected="build.javac", files={"A.java": "import java.util.*;\nclass A { List l = new ArrayList(); void f(int a) {} void g() { f(\"x\"); } }\n"}, stage="build"),
    Case(name="k_mvn_quiet_test", tool="mvn", command="mvn -o -q -B test", expected="test.failed", files={"pom.xml": _POM, "src/test/java/ATest.java": "import org.junit.*;\npublic class ATest { @Test public void adds() { Assert.assertEquals(\"sum\", 3, 1 + 1); } @Test public void npe() { ((String) null).trim(); } }\n"}),
    Case(name="k_mvn_stamped", tool="mvn", command="mvn -o -B -ntp -e compile" + _STAMP, expected="build.javac", files={"pom.xml": _POM, "src/main/java/A.java": "class A { Strin g; }\n"}, stage="build"),
    Case(name="k_java_version", tool="java", command="python -c \"b = bytearray(open('A.class', 'rb').read()); b[7] = 99; open('A.class', 'wb').write(b)\" && java A", expected="env.runtime_version", before="printf 'class A { public static void main(String[] a) {} }' > A.java && javac A.java", stage="test"),
    Case(name="k_java_jar", tool="java", command="java -jar gone.jar", expected="env.file_missing", stage="test"),
)

_HOSTS: Final = (
    Case(name="k_bash_german_missing", tool="bash", command=_DE + "bash run.sh", expected="env.command_missing", files={"run.sh": "echo start\nprotocx --version\n"}),
    Case(name="k_bash_german_permission", tool="bash", command=_DE + "bash -c ./tool.sh", expected="env.permission", files={"tool.sh": "#!/bin/sh\n"}),
    Case(name="k_bash_french_missing", tool="bash", command=_FR + "bash -c 'cargoo build'", expected="env.command_missing"),
    Case(name="k_bash_japanese_missing", tool="bash", command=_JA + "bash -c 'cargoo build'", expected="env.command_missing"),
    Case(name="k_bash_german_syntax", tool="bash", command=_DE + "bash a.sh", expected="build.shell_syntax", files={"a.sh": "if true; then\n  echo a\ndone\n"}),
    Case(name="k_bash_german_file", tool="bash", command=_DE + "bash -c 'cd src && make'", expected="env.file_missing"),
    Case(name="k_env_german", tool="env", command=_DE + "env nodejsx a.js", expected="env.command_missing"),
    Case(name="k_cat_french", tool="cat", command=_FR + "cat config/prod.yml", expected="env.file_missing"),
    Case(name="k_cp_german_full", tool="cp", command=_DE + "unshare -m sh -c 'mkdir m && mount -t tmpfs -o size=64k tmpfs m && head -c 300000 /dev/zero > z; cp z m/'", expected="env.disk_full"),
    Case(name="k_dash_parameter", tool="dash", command="dash -uc 'echo ${DEPLOY_KEY:?must be set}'", expected="env.variable_missing"),
    Case(name="k_dash_unset", tool="dash", command="dash -euc 'echo $DEPLOY_KEY'", expected="env.variable_missing"),
    Case(name="k_busybox", tool="busybox", command="python -c \"import os; os.execvp('sh', ['sh', '-c', 'exec ./gone.sh'])\"", expected="env.command_missing"),
    Case(name="k_oom_killed", tool="bash", command="bash -c 'python -c \"import os; os.kill(os.getpid(), 9)\"; c=$?; echo \"worker ended\"; exit $c'", expected="env.out_of_memory", note="the code of SIGKILL, as by the OOM killer"),
    Case(name="k_node_port_npm", tool="npm", command="npm start", expected="env.port_in_use", files={"package.json": _PKG % '"start": "node s.js"', "s.js": "const h = require('http'); const a = h.createServer().listen(0, '127.0.0.1', () => h.createServer().listen(a.address().port, '127.0.0.1'));\n"}),
    Case(name="k_java_bind", tool="java", command="java A.java", expected="env.port_in_use", files={"A.java": "import java.net.*;\nclass A { public static void main(String[] x) throws Exception { ServerSocket a = new ServerSocket(0); new ServerSocket(a.getLocalPort()); } }\n"}),
    Case(name="k_urllib_dns", tool="python", command="python -c \"import urllib.request as r; r.urlopen('http://db.nowhere.invalid/')\"", expected="env.dns"),
    Case(name="k_ping_dns", tool="bash", command="getent hosts nowhere.invalid || { ssh -o BatchMode=yes -o StrictHostKeyChecking=no u@nowhere.invalid true; }", expected="env.dns"),
    Case(name="k_curl_ssl", tool="curl", command="openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 1 -subj /CN=localhost 2>/dev/null; python s.py", expected="env.tls", files={"s.py": "import http.server, ssl, subprocess, sys, threading\ns = http.server.HTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('c', 'k')\ns.socket = c.wrap_socket(s.socket, server_side=True)\ns.handle_error = lambda *a: None\nthreading.Thread(target=s.serve_forever, daemon=True).start()\nsys.exit(subprocess.call(['git', 'ls-remote', f'https://localhost:{s.server_address[1]}/x.git']))\n"}, note="git through a certificate nobody signed"),
    Case(name="k_go_dial_refused", tool="go", command="go run .", expected="env.network", files={"go.mod": _GOMOD, "a.go": "package main\n\nimport (\n\t\"log\"\n\t\"net/http\"\n)\n\nfunc main() {\n\t_, err := http.Get(\"http://127.0.0.1:9/health\")\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n}\n"}),
    Case(name="k_java_refused", tool="java", command="java A.java", expected="env.network", files={"A.java": "import java.net.*;\nclass A { public static void main(String[] x) throws Exception { new Socket(\"127.0.0.1\", 9); } }\n"}),
    Case(name="k_two_failures", tool="bash", command="ruff check a.py; mypy a.py; pytest -q", expected="test.failed", files=_PY | {"a.py": "import os\nx: int = 'a'\n"}, note="three failures; the last gave the exit code"),
    Case(name="k_trap_typeerror_py", tool="python", command="python a.py", expected="verify.exception", files={"a.py": "import sys\nprint('TypeError: Cannot read properties of undefined (reading \\'x\\')', file=sys.stderr)\nprint('    at Object.<anonymous> (/app/a.js:1:1)', file=sys.stderr)\nraise ValueError('upstream said no')\n"}, note="another language's error in a Python program's log"),
    Case(name="k_trap_429_cargo", tool="cargo", command="cargo test --offline", expected="test.failed", files={"Cargo.toml": _CRATE, "src/lib.rs": "#[test]\nfn limit() {\n    eprintln!(\"error: 429 Too Many Requests, usage limit reached, overloaded_error\");\n    assert_eq!(429, 200);\n}\n"}),
    Case(name="k_trap_passes_german", tool="pytest", command=_DE + "pytest -v -s", expected="unclassified", files={"test_a.py": "def test_error_401_nicht_gefunden():\n    print('bash: Zeile 1: foo: Kommando nicht gefunden.\\nCONFLICT (content): Merge conflict in a')\n"}),
    Case(name="k_trap_silent_lint", tool="bash", command="printf 'checked 14 files\\n3 hints\\n'; exit 3", expected="verify.failed", stage="lint"),
)

_GIT: Final = tuple(
    Case(name=name, tool="git", command=command, expected=expected, before=before, stage="publish", source="git", note=note)
    for name, command, expected, before, note in (
        ("k_git_german_push", "cd c && " + _DE + "git push origin main", "git.non_fast_forward", _ORIGIN + " && git -C o config receive.denyCurrentBranch ignore && (cd o && git commit -q --allow-empty -m two) && (cd c && git commit -q --allow-empty -m three)", ""),
        ("k_git_german_conflict", _DE + "git merge other", "git.conflict", _SPLIT, ""),
        ("k_git_german_rebase", _DE + "git rebase other", "git.conflict", _SPLIT, ""),
        ("k_git_french_cherry", _FR + "git cherry-pick other", "git.conflict", _SPLIT, ""),
        ("k_git_german_norepo", _DE + "git -C / log", "git.not_a_repository", "", ""),
        ("k_git_german_auth", _DE + "GIT_ASKPASS=/bin/false git push http://127.0.0.1:9/a.git main", "git.unreachable", _SPLIT, "nobody listens there"),
        ("k_git_german_pathspec", _DE + "git checkout gone-branch", "git.ref_missing", _SPLIT, ""),
        ("k_git_german_hook", "cd c && " + _DE + "git push origin main:topic", "git.hook_rejected", _ORIGIN + " && printf '#!/bin/sh\\necho ticket number missing >&2\\nexit 1\\n' > o/.git/hooks/pre-receive && chmod +x o/.git/hooks/pre-receive && (cd c && git commit -q --allow-empty -m three)", ""),
        ("k_git_french_local", _FR + "git checkout other", "git.dirty_tree", _SPLIT + " && echo 4 > a.txt", ""),
        ("k_git_german_identity", _DE + "env -u GIT_AUTHOR_NAME -u GIT_AUTHOR_EMAIL -u GIT_COMMITTER_NAME -u GIT_COMMITTER_EMAIL git -c user.useConfigOnly=true commit --allow-empty -m x", "git.identity_missing", _SPLIT, ""),
        ("k_git_modify_delete", "git merge --no-edit other", "git.conflict", "git init -q -b main && echo 1 > a.txt && git add . && git commit -qm one && git switch -qc other && git rm -q a.txt && git commit -qm two && git switch -q main && echo 3 > a.txt && git commit -qam three", ""),
        ("k_git_unmerged_commit", "git commit -m done", "git.conflict", _SPLIT + "; git merge other >/dev/null", ""),
        ("k_git_lease", "cd c && git push --force-with-lease origin main --porcelain", "git.non_fast_forward", _ORIGIN + " && git -C o config receive.denyCurrentBranch ignore && (cd o && git commit -q --allow-empty -m two) && (cd c && git commit -q --allow-empty -m three)", ""),
        ("k_git_german_lock", "touch .git/index.lock; " + _DE + "git add a.txt", "git.busy", _SPLIT, ""),
        ("k_git_german_clean", _DE + "git commit -am nix", "agent.no_change", _SPLIT, ""),
        ("k_git_revert_empty", "git -c advice.detachedHead=false checkout -q HEAD~9", "git.ref_missing", _SPLIT, ""),
    )
)

CASES: Final = (*_PYTHON, *_JS, *_COMPILED, *_HOSTS, *_GIT)

_SPEC: Final = "RSpec.describe 'Bill' do\n  it('adds') { expect([1, 2].sum).to eq(4) }\n  it('maps') { nil.map }\nend\n"
_UNIT: Final = "<?php\nuse PHPUnit\\Framework\\TestCase;\nclass BillTest extends TestCase {\n  public function testAdds(): void { $this->assertSame(4, 1 + 2); }\n  public function testThrows(): void { throw new LogicException('no rate'); }\n}\n"
_GRADLE: Final = "apply plugin: 'java'\n"

FOREIGN: Final = (
    Case(name="k_rspec_color_stamped", tool="rspec", command="rspec --force-color --order rand:7" + _STAMP, expected="test.failed", files={"spec/bill_spec.rb": _SPEC}),
    Case(name="k_rspec_failures_only", tool="rspec", command="rspec -f failures", expected="test.failed", files={"spec/bill_spec.rb": _SPEC}),
    Case(name="k_rspec_rake", tool="rake", command="rake spec", expected="test.failed", files={"Rakefile": "require 'rspec/core/rake_task'\nRSpec::Core::RakeTask.new(:spec)\n", "spec/bill_spec.rb": _SPEC}),
    Case(name="k_rspec_before_suite", tool="rspec", command="rspec", expected="test.failed", files={"spec/a_spec.rb": "RSpec.configure { |c| c.before(:suite) { raise 'no seed' } }\nRSpec.describe('x') { it('y') {} }\n"}),
    Case(name="k_rspec_coverage_name", tool="rspec", command="rspec spec/gone_spec.rb", expected="test.collection", files={"spec/a_spec.rb": "RSpec.describe('x') { it('y') {} }\n"}),
    Case(name="k_minitest_verbose", tool="ruby", command="ruby -rminitest/autorun t.rb -v --seed 3", expected="test.failed", files={"t.rb": "class T < Minitest::Test\n  def test_a\n    refute_nil nil, 'bill'\n  end\n  def test_b\n    raise KeyError, 'net'\n  end\nend\n"}),
    Case(name="k_ruby_load", tool="ruby", command="ruby a.rb", expected="deps.module_missing", files={"a.rb": "require 'nowhere/gem'\n"}, stage="build"),
    Case(name="k_phpunit_teamcity", tool="phpunit", command="phpunit --teamcity BillTest.php", expected="test.failed", files={"BillTest.php": _UNIT}),
    Case(name="k_phpunit_color", tool="phpunit", command="phpunit --colors=always --testdox BillTest.php", expected="test.failed", files={"BillTest.php": _UNIT}),
    Case(name="k_phpunit_bootstrap", tool="phpunit", command="phpunit --bootstrap vendor/autoload.php BillTest.php", expected="env.file_missing", files={"BillTest.php": _UNIT}),
    Case(name="k_phpunit_risky", tool="phpunit", command="phpunit --fail-on-risky RTest.php", expected="test.failed", files={"RTest.php": "<?php\nclass RTest extends PHPUnit\\Framework\\TestCase { public function testNothing(): void {} }\n"}),
    Case(name="k_php_type_error", tool="php", command="php a.php", expected="verify.exception", files={"a.php": "<?php\ndeclare(strict_types=1);\nfunction f(int $a) { return $a; }\nf('x');\n"}),
    Case(name="k_phpcs_emacs", tool="phpcs", command="phpcs --report=emacs --standard=PSR12 a.php", expected="lint.phpcs", files={"a.php": "<?php\nfunction  f( $a ){\nreturn 1; }\n"}, stage="lint"),
    Case(name="k_composer_json", tool="composer", command="composer validate --no-interaction --strict", expected="deps.manifest", files={"composer.json": '{"name": "Bill Core", "require": {"php": ">=8.1",}}'}, stage="build"),
    Case(name="k_composer_script", tool="composer", command="composer run-script lint --no-interaction", expected="deps.script_missing", files={"composer.json": '{"name": "bill/core"}'}, stage="lint"),
    Case(name="k_gradle_many_projects", tool="gradle", command="gradle --offline --console=plain build" + _STAMP, expected="build.javac", files={"settings.gradle": "include 'core'\n", "core/build.gradle": _GRADLE, "core/src/main/java/A.java": "class A { void f() { int x = \"a\"; b(); } }\n"}, stage="build"),
    Case(name="k_gradle_stacktrace", tool="gradle", command="gradle --offline --stacktrace -q nope", expected="build.gradle", files={"settings.gradle": "", "build.gradle": _GRADLE}, stage="build"),
    Case(name="k_gradle_custom", tool="gradle", command="gradle --offline check", expected="build.gradle", files={"settings.gradle": "", "build.gradle": "task check { doLast { throw new GradleException('licence header missing in 3 files') } }\n"}),
    Case(name="k_clang_color_notes", tool="clang", command="clang++ -std=c++17 -fcolor-diagnostics -c a.cpp", expected="build.c", files={"a.cpp": "#include <map>\nstd::map<int, int> m = {{1, \"x\"}};\nint f() { return g(); }\n"}, stage="build"),
    Case(name="k_clang_msvc_format", tool="clang", command="clang -fdiagnostics-format=msvc -c a.c", expected="build.c", files={"a.c": "int main(void) { retrun 1; }\n"}, stage="build"),
    Case(name="k_kotlinc_main", tool="kotlinc", command="kotlinc a.kt -d out", expected="build.kotlinc", files={"a.kt": "class A(val x: Int)\nfun f(a: A): String = when (a.x) { 1 -> \"a\" }\nval z: A = null\n"}, stage="build"),
)
