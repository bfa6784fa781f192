"""JavaScript and TypeScript tools on small broken projects. The rule of this room: the expected class is a person's judgement."""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_ADD: Final = "module.exports = { add: (a, b) => a - b };\n"
_JEST: Final = "const { add } = require('./add');\n\ndescribe('sums', () => {\n  test('adds', () => {\n    expect(add(1, 2)).toBe(3);\n  });\n});\n"
_PACKAGE: Final = '{"name":"shop","version":"1.0.0","scripts":{"test":"%s"}}\n'
_VITEST: Final = "import { expect, test } from 'vitest';\n\ntest('adds', () => {\n  expect(1 + 1).toBe(3);\n});\n"
_TS: Final = "export function f(a: number): string {\n  return a;\n}\nf('x');\n"
_ESLINT: Final = "import js from '@eslint/js';\nexport default [js.configs.recommended];\n"
_UNTIDY: Final = "const a = 1;\nfunction f() { return undefinedThing }\n"

_TESTS: Final = (
    Case(name="jest_fail", tool="jest", command="jest", expected="test.failed", files={"package.json": _PACKAGE % "jest", "add.js": _ADD, "add.test.js": _JEST}, modules=True),
    Case(name="jest_verbose_color", tool="jest", command="jest --verbose --colors", expected="test.failed", files={"package.json": _PACKAGE % "jest", "add.js": _ADD, "add.test.js": _JEST}, modules=True),
    Case(name="jest_json", tool="jest", command="jest --json", expected="test.failed", files={"package.json": _PACKAGE % "jest", "add.js": _ADD, "add.test.js": _JEST}, modules=True),
    Case(name="jest_npm_test", tool="jest", command="npm test", expected="test.failed", files={"package.json": _PACKAGE % "jest", "add.js": _ADD, "add.test.js": _JEST}, modules=True),
    Case(name="jest_module_missing", tool="jest", command="jest", expected="deps.module_missing", files={"package.json": _PACKAGE % "jest", "a.test.js": "const _ = require('lodash-nowhere');\ntest('a', () => {});\n"}, modules=True),
    Case(name="jest_local_missing", tool="jest", command="jest", expected="test.collection", files={"package.json": _PACKAGE % "jest", "a.test.js": "const _ = require('./gone');\ntest('a', () => {});\n"}, modules=True),
    Case(name="jest_syntax", tool="jest", command="jest", expected="test.collection", files={"package.json": _PACKAGE % "jest", "a.test.js": "test('a', () => { const = 1; });\n"}, modules=True),
    Case(name="jest_none", tool="jest", command="jest", expected="verify.nothing_ran", files={"package.json": _PACKAGE % "jest", "a.js": ""}, modules=True),
    Case(name="jest_snapshot", tool="jest", command="jest --ci", expected="test.snapshot", before="jest >/dev/null 2>&1; sed -i 's/a: 1/a: 2/' a.test.js", files={"package.json": _PACKAGE % "jest", "a.test.js": "test('snap', () => { expect({ a: 1 }).toMatchSnapshot(); });\n"}, modules=True),
    Case(name="jest_timeout", tool="jest", command="jest --testTimeout 200", expected="test.timeout", files={"package.json": _PACKAGE % "jest", "a.test.js": "test('slow', async () => { await new Promise(() => {}); });\n"}, modules=True),
    Case(name="jest_coverage", tool="jest", command="jest --coverage", expected="test.coverage", files={"package.json": '{"name":"a","jest":{"coverageThreshold":{"global":{"lines":90}}}}', "add.js": "exports.a = (x) => {\n  if (x) {\n    return 1;\n  }\n  return 2;\n};\nexports.b = () => {\n  return 3;\n};\n", "a.test.js": "const { a } = require('./add');\ntest('a', () => { expect(a(1)).toBe(1); });\n"}, modules=True),
    Case(name="trap_jest_typeerror", tool="jest", command="jest", expected="test.failed", note="a JavaScript TypeError", files={"package.json": _PACKAGE % "jest", "a.test.js": "test('a', () => { const u = undefined; u.x(); });\n"}, modules=True),
    Case(name="trap_jest_429", tool="jest", command="jest", expected="test.failed", note="429 in what the test prints and compares", files={"package.json": _PACKAGE % "jest", "a.test.js": "test('returns 429 when the rate limit is exceeded', () => { console.error('Error: 429 Too Many Requests: rate_limit_error overloaded'); expect(200).toBe(429); });\n"}, modules=True),
    Case(name="trap_jest_pass_errors", tool="jest", command="jest", expected="unclassified", note="passes while it logs errors", files={"package.json": _PACKAGE % "jest", "a.test.js": "test('logs an error', () => { console.error(new Error('connect ECONNREFUSED 127.0.0.1:5432')); console.log('1 failed, npm ERR! code E404'); });\n"}, modules=True),
    Case(name="vitest_fail", tool="vitest", command="vitest run", expected="test.failed", files={"package.json": _PACKAGE % "vitest", "a.test.mjs": _VITEST}, modules=True),
    Case(name="vitest_color", tool="vitest", command="FORCE_COLOR=1 vitest run", expected="test.failed", files={"package.json": _PACKAGE % "vitest", "a.test.mjs": _VITEST}, modules=True),
    Case(name="vitest_import", tool="vitest", command="vitest run", expected="test.collection", files={"package.json": _PACKAGE % "vitest", "a.test.mjs": "import { x } from './gone';\n" + _VITEST}, modules=True),
    Case(name="vitest_none", tool="vitest", command="vitest run", expected="verify.nothing_ran", files={"package.json": _PACKAGE % "vitest"}, modules=True),
    Case(name="vitest_timeout", tool="vitest", command="vitest run --testTimeout 200", expected="test.timeout", files={"package.json": _PACKAGE % "vitest", "a.test.mjs": "import { test } from 'vitest';\ntest('slow', async () => { await new Promise(() => {}); });\n"}, modules=True),
    Case(name="vitest_snapshot", tool="vitest", command="CI=1 vitest run", expected="test.snapshot", before="vitest run >/dev/null 2>&1; sed -i 's/a: 1/a: 2/' a.test.mjs", files={"package.json": _PACKAGE % "vitest", "a.test.mjs": "import { expect, test } from 'vitest';\ntest('snap', () => { expect({ a: 1 }).toMatchSnapshot(); });\n"}, modules=True),
    Case(name="mocha_fail", tool="mocha", command="mocha a.spec.js", expected="test.failed", files={"a.spec.js": "const assert = require('assert');\ndescribe('sums', () => { it('adds', () => { assert.strictEqual(1 + 1, 3); }); it('ok', () => {}); });\n"}, modules=True),
    Case(name="mocha_json", tool="mocha", command="mocha --reporter json a.spec.js", expected="test.failed", files={"a.spec.js": "const assert = require('assert');\ndescribe('sums', () => { it('adds', () => { assert.strictEqual(1 + 1, 3); }); });\n"}, modules=True),
    Case(name="mocha_timeout", tool="mocha", command="mocha --timeout 100 a.spec.js", expected="test.timeout", files={"a.spec.js": "it('slow', (done) => {});\n"}, modules=True),
    Case(name="mocha_none", tool="mocha", command="mocha", expected="verify.nothing_ran", files={"a.js": ""}, modules=True),
    Case(name="mocha_tap", tool="mocha", command="mocha --reporter tap a.spec.js", expected="test.failed", files={"a.spec.js": "it('adds', () => { throw new TypeError('x is not a function'); });\n"}, modules=True),
    Case(name="ava_fail", tool="ava", command="ava", expected="test.failed", files={"package.json": '{"type":"module"}', "test.js": "import test from 'ava';\ntest('adds', t => { t.is(1 + 1, 3); });\n"}, modules=True),
    Case(name="jasmine_fail", tool="jasmine", command="jasmine a.spec.js", expected="test.failed", files={"a.spec.js": "describe('sums', () => { it('adds', () => { expect(1).toBe(2); }); });\n"}, modules=True),
    Case(name="node_test_fail", tool="node", command="node --test", expected="test.failed", files={"a.test.js": "const test = require('node:test');\nconst assert = require('node:assert');\ntest('adds', () => { assert.strictEqual(1, 2); });\n"}),
    Case(name="node_test_tap", tool="node", command="node --test --test-reporter tap", expected="test.failed", files={"a.test.js": "const test = require('node:test');\nconst assert = require('node:assert');\ntest('adds', () => { assert.strictEqual(1, 2); });\n"}),
    Case(name="tsjest_types", tool="jest", command="jest", expected="build.tsc", note="the test file does not compile", files={"package.json": '{"name":"a","jest":{"preset":"ts-jest"}}', "tsconfig.json": '{"compilerOptions":{"strict":true,"esModuleInterop":true}}', "a.test.ts": "test('a', () => { const x: number = 'a'; });\n"}, modules=True),
)

_BUILD: Final = (
    Case(name="tsc_old", tool="tsc", command="tsc --noEmit --pretty false a.ts", expected="build.tsc", files={"a.ts": _TS}, stage="build", modules=True),
    Case(name="tsc_pretty", tool="tsc", command="tsc --noEmit --pretty a.ts", expected="build.tsc", files={"a.ts": _TS}, stage="build", modules=True),
    Case(name="tsc_project", tool="tsc", command="tsc -p .", expected="build.tsc", files={"tsconfig.json": '{"compilerOptions":{"strict":true,"noEmit":true}}', "src/a.ts": "import { x } from './gone';\nlet y = x as unknown as never;\n"}, stage="build", modules=True),
    Case(name="tsc_config", tool="tsc", command="tsc -p nowhere.json", expected="build.tsc", stage="build", modules=True),
    Case(name="tsc_syntax", tool="tsc", command="tsc --noEmit a.ts", expected="build.tsc", files={"a.ts": "function ( {\n"}, stage="build", modules=True),
    Case(name="node_typeerror", tool="node", command="node a.js", expected="verify.exception", note="a JavaScript TypeError", files={"a.js": "const x = undefined;\nx.y();\n"}, stage="build"),
    Case(name="node_unhandled", tool="node", command="node a.js", expected="verify.exception", files={"a.js": "Promise.reject(new Error('bad: 429'));\n"}, stage="build"),
    Case(name="node_syntax", tool="node", command="node a.js", expected="build.javascript_syntax", files={"a.js": "const = 1;\n"}, stage="build"),
    Case(name="node_check_syntax", tool="node", command="node --check a.mjs", expected="build.javascript_syntax", files={"a.mjs": "function f( {\n"}, stage="build"),
    Case(name="node_module_missing", tool="node", command="node a.js", expected="deps.module_missing", files={"a.js": "require('express-nowhere');\n"}, stage="build"),
    Case(name="node_esm_missing", tool="node", command="node a.mjs", expected="deps.module_missing", files={"a.mjs": "import x from 'express-nowhere';\n"}, stage="build"),
    Case(name="node_file_missing", tool="node", command="node dist/server.js", expected="env.file_missing", stage="build"),
    Case(name="node_heap", tool="node", command="node --max-old-space-size=20 a.js", expected="env.out_of_memory", files={"a.js": "const a = []; for (;;) a.push(new Array(1000).fill('x' + a.length));\n"}, stage="build"),
    Case(name="node_port", tool="node", command="node a.js", expected="env.port_in_use", files={"a.js": "const n = require('net'); const s = n.createServer().listen(0, () => { n.createServer().listen(s.address().port); });\n"}, stage="test"),
    Case(name="node_refused", tool="node", command="node a.js", expected="env.network", files={"a.js": "require('net').connect(9, '127.0.0.1');\n"}, stage="test"),
    Case(name="node_dns", tool="node", command="node a.js", expected="env.dns", files={"a.js": "fetch('http://nowhere.invalid/').then(() => {});\n"}, stage="test"),
    Case(name="esbuild_fail", tool="esbuild", command="esbuild --bundle a.js --outfile=out.js", expected="build.bundler", files={"a.js": "import x from './gone';\nconsole.log(x)\n"}, stage="build", modules=True),
    Case(name="webpack_fail", tool="webpack", command="webpack --mode production --entry ./src/index.js", expected="build.bundler", files={"src/index.js": "import x from './gone';\nconsole.log(x)\n"}, stage="build", modules=True),
    Case(name="rollup_fail", tool="rollup", command="rollup a.js -o o.js", expected="build.bundler", files={"a.js": "import x from './gone.js';\nconsole.log(x)\n"}, stage="build", modules=True),
    Case(name="vite_fail", tool="vite", command="vite build", expected="build.bundler", files={"index.html": "<script type=module src=/src/main.js></script>", "src/main.js": "import x from './gone.js';\nconsole.log(x)\n"}, stage="build", modules=True),
)

_LINT: Final = (
    Case(name="eslint_stylish", tool="eslint", command="eslint .", expected="lint.eslint", files={"eslint.config.mjs": _ESLINT, "src/a.js": _UNTIDY}, stage="lint", modules=True),
    Case(name="eslint_color", tool="eslint", command="eslint --color .", expected="lint.eslint", files={"eslint.config.mjs": _ESLINT, "a.js": _UNTIDY}, stage="lint", modules=True),
    Case(name="eslint_json", tool="eslint", command="eslint -f json .", expected="lint.eslint", files={"eslint.config.mjs": _ESLINT, "a.js": _UNTIDY}, stage="lint", modules=True),
    Case(name="eslint_max_warnings", tool="eslint", command="eslint --max-warnings 0 a.js", expected="lint.eslint", files={"eslint.config.mjs": "export default [{ rules: { 'no-unused-vars': 'warn' } }];\n", "a.js": "const a = 1;\n"}, stage="lint", modules=True),
    Case(name="eslint_no_config", tool="eslint", command="eslint a.js", expected="verify.usage", files={"a.js": "const a = 1;\n"}, stage="lint", modules=True),
    Case(name="eslint_parse", tool="eslint", command="eslint a.js", expected="lint.eslint", files={"eslint.config.mjs": _ESLINT, "a.js": "const = 1;\n"}, stage="lint", modules=True),
    Case(name="eslint_warn_then_jest", tool="jest", command="eslint a.js; jest", expected="test.failed", note="warnings first, then the command that failed",
         files={"package.json": _PACKAGE % "jest", "eslint.config.mjs": "export default [{ rules: { 'no-unused-vars': 'warn' } }];\n", "a.js": "const a = 1;\n", "add.js": _ADD, "add.test.js": _JEST}, modules=True),
    Case(name="trap_eslint_warnings", tool="eslint", command="eslint a.js", expected="unclassified", note="warnings only", files={"eslint.config.mjs": "export default [{ rules: { 'no-unused-vars': 'warn' } }];\n", "a.js": "const error = 1;\n"}, stage="lint", modules=True),
    Case(name="prettier_check", tool="prettier", command="prettier --check .", expected="lint.format", files={"a.js": "const  a=1\n"}, stage="lint", modules=True),
    Case(name="prettier_syntax", tool="prettier", command="prettier --check a.js", expected="lint.format", files={"a.js": "const = \n"}, stage="lint", modules=True),
    Case(name="biome_lint", tool="biome", command="biome lint a.js", expected="lint.biome", files={"a.js": "debugger;\nvar a = 1; if (a == 1) {}\n"}, stage="lint", modules=True),
    Case(name="stylelint", tool="stylelint", command="stylelint a.css", expected="lint.stylelint", files={".stylelintrc.json": '{"extends":"stylelint-config-standard"}', "a.css": "a { color: #FFFFFF; colr: red }\n"}, stage="lint", modules=True),
    Case(name="markdownlint", tool="markdownlint", command="markdownlint a.md", expected="lint.markdownlint", files={"a.md": "# A\n\n\ntext \n### C\n"}, stage="lint", modules=True),
    Case(name="oxlint", tool="oxlint", command="oxlint --deny correctness .", expected="lint.oxlint", files={"a.js": "debugger;\n"}, stage="lint", modules=True),
    Case(name="commitlint", tool="commitlint", command="echo 'Did stuff.' | commitlint", expected="lint.commitlint", files={"commitlint.config.js": "module.exports = { extends: ['@commitlint/config-conventional'] };\n"}, stage="lint", modules=True),
)

_PACKAGES: Final = (
    Case(name="npm_ci_drift", tool="npm", command="npm ci", expected="deps.npm_lock_drift", before="npm i --package-lock-only -q; sed -i s/2.0.0/2.1.3/ package.json", files={"package.json": '{"name":"a","version":"1.0.0","dependencies":{"ms":"2.0.0"}}'}, stage="build"),
    Case(name="npm_ci_no_lock", tool="npm", command="npm ci", expected="deps.npm_lock_drift", files={"package.json": '{"name":"a","version":"1.0.0","dependencies":{"ms":"2.0.0"}}'}, stage="build"),
    Case(name="npm_eresolve", tool="npm", command="npm i", expected="deps.npm_conflict", files={"package.json": '{"name":"a","version":"1.0.0","dependencies":{"react":"16.0.0","react-dom":"18.0.0"}}'}, stage="build"),
    Case(name="npm_e404", tool="npm", command="npm i @penstock-none/no-such-a1", expected="deps.npm_not_found", files={"package.json": "{}"}, stage="build"),
    Case(name="npm_etarget", tool="npm", command="npm i ms@99.0.0", expected="deps.npm_not_found", files={"package.json": "{}"}, stage="build"),
    Case(name="npm_script_missing", tool="npm", command="npm run lint", expected="deps.script_missing", files={"package.json": '{"name":"a","scripts":{"test":"x"}}'}, stage="lint"),
    Case(name="npm_no_package", tool="npm", command="npm test", expected="env.file_missing", stage="test"),
    Case(name="npm_bad_json", tool="npm", command="npm test", expected="deps.manifest", files={"package.json": "{ name: }"}, stage="test"),
    Case(name="npm_command_missing", tool="npm", command="npm test", expected="env.command_missing", files={"package.json": _PACKAGE % "jezt --ci"}, stage="test"),
    Case(name="npm_default_test", tool="npm", command="npm test", expected="verify.nothing_ran", files={"package.json": '{"name":"a","scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}'}, stage="test"),
    Case(name="npm_dns", tool="npm", command="npm i ms --registry https://registry.nowhere.invalid --fetch-retries 0", expected="env.dns", files={"package.json": "{}"}, stage="build"),
    Case(name="npm_refused", tool="npm", command="npm i ms --registry http://127.0.0.1:9 --fetch-retries 0", expected="env.network", files={"package.json": "{}"}, stage="build"),
    Case(name="npm_integrity", tool="npm", command="npm ci", expected="deps.integrity", before="npm i --package-lock-only -q; sed -i 's/sha512-[A-Za-z0-9+/=]*/sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==/' package-lock.json", files={"package.json": '{"name":"a","version":"1.0.0","dependencies":{"ms":"2.1.3"}}'}, stage="build"),
    Case(name="npm_engine", tool="npm", command="npm i --engine-strict", expected="env.runtime_version", files={"package.json": '{"name":"a","version":"1.0.0","engines":{"node":">=99"}}'}, stage="build"),
    Case(name="npm_build_script", tool="npm", command="npm run build", expected="build.tsc", files={"package.json": '{"name":"a","version":"1.0.0","scripts":{"build":"tsc --noEmit a.ts"}}', "a.ts": _TS}, stage="build", modules=True),
    Case(name="pnpm_frozen", tool="pnpm", command="pnpm install --frozen-lockfile", expected="deps.pnpm_lock_drift", before="pnpm i --lockfile-only >/dev/null; sed -i 's/2.0.0/2.1.3/' package.json", files={"package.json": '{"name":"a","dependencies":{"ms":"2.0.0"}}'}, stage="build"),
    Case(name="pnpm_no_lock", tool="pnpm", command="CI=1 pnpm install --frozen-lockfile", expected="deps.pnpm_lock_drift", files={"package.json": '{"name":"a","dependencies":{"ms":"2.0.0"}}'}, stage="build"),
    Case(name="pnpm_404", tool="pnpm", command="pnpm add @penstock-none/no-such-a1", expected="deps.npm_not_found", files={"package.json": "{}"}, stage="build"),
    Case(name="pnpm_script_fails", tool="pnpm", command="pnpm test", expected="test.failed", files={"package.json": _PACKAGE % "jest", "add.js": _ADD, "add.test.js": _JEST}, modules=True),
    Case(name="yarn_frozen", tool="yarn", command="yarn install --frozen-lockfile", expected="deps.yarn_lock_drift", before="yarn install --silent >/dev/null 2>&1; sed -i 's/2.0.0/2.1.3/' package.json", files={"package.json": '{"name":"a","version":"1.0.0","license":"MIT","dependencies":{"ms":"2.0.0"}}'}, stage="build"),
    Case(name="yarn_command_missing", tool="yarn", command="yarn test", expected="env.command_missing", files={"package.json": _PACKAGE % "jezt"}, stage="test"),
    Case(name="yarn_not_found", tool="yarn", command="yarn add @penstock-none/no-such-a1", expected="deps.npm_not_found", files={"package.json": '{"name":"a","version":"1.0.0","license":"MIT"}'}, stage="build"),
    Case(name="npm_audit", tool="npm", command="npm audit --audit-level low", expected="deps.npm", note="the registry offers no audit", before="npm i --package-lock-only -q", files={"package.json": '{"name":"a","version":"1.0.0","dependencies":{"minimist":"0.0.8"}}'}, stage="lint"),
)

CASES: Final = (*_TESTS, *_BUILD, *_LINT, *_PACKAGES)
