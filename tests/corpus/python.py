"""Python tools on small broken projects. The rule of this room: the expected class is a person's judgement."""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_CALC: Final = "def add(a, b):\n    return a - b\n"
_TEST: Final = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n\n\ndef test_zero():\n    assert add(0, 0) == 0\n"
_PYPROJECT: Final = '[project]\nname = "shop"\nversion = "1.0"\nrequires-python = ">=3.11"\ndependencies = []\n'

_PYTEST: Final = (
    Case(name="pytest_assert", tool="pytest", command="pytest", expected="test.failed", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_quiet", tool="pytest", command="pytest -q", expected="test.failed", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_color", tool="pytest", command="pytest --color=yes -v", expected="test.failed", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_tb_no", tool="pytest", command="pytest -q --tb=no -rf", expected="test.failed", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_tb_line", tool="pytest", command="pytest --tb=line --no-header", expected="test.failed", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_xdist", tool="pytest", command="pytest -n2", expected="test.failed", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_class_nested", tool="pytest", command="pytest tests", expected="test.failed",
         files={"tests/unit/test_cart.py": "import pytest\n\n\nclass TestCart:\n    @pytest.mark.parametrize('n', [1, 2])\n    def test_total(self, n):\n        assert {'a': n} == {'a': 2}\n"}),
    Case(name="pytest_exception", tool="pytest", command="pytest", expected="test.failed",
         files={"test_io.py": "def load(p):\n    return open(p).read()\n\n\ndef test_load():\n    assert load('/nonexistent/x') == ''\n"}),
    Case(name="pytest_fixture_error", tool="pytest", command="pytest", expected="test.failed",
         files={"test_db.py": "import pytest\n\n\n@pytest.fixture\ndef db():\n    raise RuntimeError('boom')\n\n\ndef test_it(db):\n    pass\n"}),
    Case(name="pytest_fixture_missing", tool="pytest", command="pytest", expected="test.failed", files={"test_x.py": "def test_it(databse):\n    pass\n"}),
    Case(name="pytest_import_name", tool="pytest", command="pytest", expected="test.collection",
         files={"calc.py": _CALC, "test_calc.py": "from calc import multiply\n\n\ndef test_m():\n    assert multiply(1, 2) == 2\n"}),
    Case(name="pytest_import_missing", tool="pytest", command="pytest", expected="deps.module_missing",
         files={"test_web.py": "import requezts\n\n\ndef test_m():\n    assert requezts\n"}),
    Case(name="pytest_syntax", tool="pytest", command="pytest", expected="test.collection", files={"test_a.py": "def test_a(:\n    pass\n"}),
    Case(name="pytest_none", tool="pytest", command="pytest", expected="verify.nothing_ran", files={"calc.py": _CALC}),
    Case(name="pytest_none_selected", tool="pytest", command="pytest -k nothing_like_it", expected="verify.nothing_ran", files={"calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="pytest_usage", tool="pytest", command="pytest --no-such-flag", expected="verify.usage", files={}),
    Case(name="pytest_file_missing", tool="pytest", command="pytest tests/test_gone.py", expected="verify.usage", files={"a.py": ""}),
    Case(name="pytest_coverage", tool="pytest-cov", command="pytest --cov=calc --cov-fail-under=90", expected="test.coverage",
         files={"calc.py": "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    x = a\n    y = b\n    return x - y\n", "test_calc.py": _TEST}),
    Case(name="pytest_timeout", tool="pytest", command="pytest --timeout 1", expected="test.timeout",
         files={"test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(30)\n"}),
    Case(name="pytest_timeout_thread", tool="pytest", command="pytest --timeout 1 --timeout-method thread", expected="test.timeout",
         files={"test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(30)\n"}),
    Case(name="pytest_segfault", tool="pytest", command="pytest", expected="test.crashed",
         files={"test_c.py": "import ctypes\n\n\ndef test_c():\n    ctypes.string_at(0)\n"}),
    Case(name="pytest_conftest_broken", tool="pytest", command="pytest", expected="test.collection",
         files={"conftest.py": "import os\nos.undefined_name()\n", "test_a.py": "def test_a():\n    pass\n"}),
    Case(name="pytest_xpass_strict", tool="pytest", command="pytest", expected="test.failed",
         files={"test_a.py": "import pytest\n\n\n@pytest.mark.xfail(strict=True)\ndef test_a():\n    pass\n"}),
    Case(name="trap_pytest_429", tool="pytest", command="pytest", expected="test.failed", note="429 and rate limits are what the test is about",
         files={"test_limit.py": "def test_limit(capsys):\n    print('HTTP/1.1 429 Too Many Requests')\n    print('rate limit exceeded: please try again in 1.5s')\n    print('API Error: 429 overloaded')\n    status = 200\n    assert status == 429, 'expected 429 Too Many Requests'\n"}),
    Case(name="trap_pytest_node_error", tool="pytest", command="pytest", expected="test.failed", note="the words of another language's runtime in a test's output",
         files={"test_js.py": "def test_js():\n    print(\"TypeError: Cannot read properties of undefined (reading 'x')\\n    at Object.<anonymous> (/srv/app.js:1:1)\")\n    print('bash: line 1: foo: command not found')\n    print('No space left on device')\n    assert 0\n"}),
    Case(name="unittest_fail", tool="unittest", command="python -m unittest", expected="test.failed",
         files={"test_a.py": "import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(1, 2)\n\n    def test_b(self):\n        raise KeyError('x')\n"}),
    Case(name="unittest_import", tool="unittest", command="python -m unittest test_a", expected="test.collection",
         files={"test_a.py": "from calc import nothing\n", "calc.py": _CALC}),
    Case(name="unittest_none", tool="unittest", command="python -m unittest discover -s tests", expected="verify.nothing_ran", files={"tests/a.py": ""}),
    Case(name="unittest_discover_missing", tool="unittest", command="python -m unittest discover -s nowhere", expected="test.collection", files={"a.py": ""}),
    Case(name="doctest_fail", tool="python", command="python -m doctest calc.py", expected="test.failed", files={"calc.py": 'def f():\n    """\n    >>> f()\n    2\n    """\n    return 1\n'}),
)

_TYPED: Final = "def f(a: int) -> str:\n    return a\n\n\nf('x')\n"
_UNTIDY: Final = "import os\nimport sys\nx=1\ndef f( ):\n  return undefined_thing\n"

_LINT: Final = (
    Case(name="ruff_check", tool="ruff", command="ruff check .", expected="lint.ruff", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="ruff_concise", tool="ruff", command="ruff check --output-format concise .", expected="lint.ruff", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="ruff_json", tool="ruff", command="ruff check --output-format json .", expected="lint.ruff", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="ruff_sarif", tool="ruff", command="ruff check --output-format sarif .", expected="lint.ruff", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="ruff_github", tool="ruff", command="ruff check --output-format github .", expected="lint.ruff", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="ruff_format_check", tool="ruff", command="ruff format --check .", expected="lint.format", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="ruff_syntax", tool="ruff", command="ruff check .", expected="lint.ruff", files={"a.py": "def f(:\n  pass\n"}, stage="lint"),
    Case(name="ruff_config", tool="ruff", command="ruff check .", expected="verify.usage", files={"ruff.toml": "no-such = 1\n", "a.py": ""}, stage="lint"),
    Case(name="black_check", tool="black", command="black --check .", expected="lint.format", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="black_diff", tool="black", command="black --check --diff .", expected="lint.format", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="isort_check", tool="isort", command="isort --check-only .", expected="lint.format", files={"a.py": "import sys\nimport os\n"}, stage="lint"),
    Case(name="flake8", tool="flake8", command="flake8", expected="lint.flake8", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="flake8_one", tool="flake8", command="flake8 src", expected="lint.flake8", files={"src/pkg/a.py": "import os\n"}, stage="lint"),
    Case(name="mypy", tool="mypy", command="mypy .", expected="lint.mypy", files={"a.py": _TYPED}, stage="lint"),
    Case(name="mypy_pretty", tool="mypy", command="mypy --pretty --strict .", expected="lint.mypy", files={"a.py": "def f(x):\n    return x\n\n\ny: int = 'a'\n"}, stage="lint"),
    Case(name="mypy_import", tool="mypy", command="mypy a.py", expected="lint.mypy", files={"a.py": "import nowhere_to_be_found\n"}, stage="lint"),
    Case(name="pyright", tool="pyright", command="pyright a.py", expected="lint.pyright", files={"a.py": _TYPED}, stage="lint"),
    Case(name="pyright_json", tool="pyright", command="pyright --outputjson a.py", expected="lint.pyright", files={"a.py": _TYPED}, stage="lint"),
    Case(name="pylint", tool="pylint", command="pylint a.py", expected="lint.pylint", files={"a.py": _UNTIDY}, stage="lint"),
    Case(name="yamllint", tool="yamllint", command="yamllint .", expected="lint.yamllint", files={"a.yaml": "a: 1\nb:   2\na: 3\n"}, stage="lint"),
    Case(name="shellcheck", tool="shellcheck", command="shellcheck a.sh", expected="lint.shellcheck", files={"a.sh": "#!/bin/sh\necho $1\nif [ $x = 1 ]; then echo; fi\n"}, stage="lint"),
    Case(name="shellcheck_gcc", tool="shellcheck", command="shellcheck -f gcc a.sh", expected="lint.shellcheck", files={"a.sh": "#!/bin/sh\necho $1\n"}, stage="lint"),
    Case(name="bandit", tool="bandit", command="bandit -r .", expected="lint.security", files={"a.py": "import subprocess\nsubprocess.call(input(), shell=True)\nexec(input())\n"}, stage="lint"),
    Case(name="codespell", tool="codespell", command="codespell .", expected="lint.spelling", files={"a.txt": "we recieve teh thing\n"}, stage="lint"),
    Case(name="trap_ruff_clean", tool="ruff", command="ruff check . && mypy a.py", expected="unclassified", files={"a.py": "class FatalError(Exception):\n    pass\n"}, stage="lint", note="everything passed"),
    Case(name="lint_then_test", tool="pytest", command="ruff check .; pytest -q", expected="test.failed", files={"calc.py": "import os\n" + _CALC, "test_calc.py": _TEST}, note="two failing commands: the last one gave the exit code"),
    Case(name="warnings_then_mypy", tool="mypy", command="python -W always warn.py; mypy a.py", expected="lint.mypy",
         files={"warn.py": "import warnings\nwarnings.warn('TypeError is not an error here', DeprecationWarning)\nprint('0 errors, 0 failed')\n", "a.py": _TYPED}),
)

_PACKAGES: Final = (
    Case(name="pip_not_found", tool="pip", command="pip install --target t penstock-no-such-distribution-a1", expected="deps.pip_not_found", stage="build"),
    Case(name="pip_version", tool="pip", command="pip install --target t idna==999.1", expected="deps.pip_not_found", stage="build"),
    Case(name="pip_conflict", tool="pip", command="pip install --target t -r requirements.txt", expected="deps.pip_conflict", files={"requirements.txt": "requests==2.31.0\nurllib3==1.20\n"}, stage="build"),
    Case(name="pip_file_missing", tool="pip", command="pip install -r requirements-dev.txt", expected="env.file_missing", stage="build"),
    Case(name="pip_build_wheel", tool="pip", command="pip install --no-build-isolation --target t .", expected="deps.pip_build", before="pip install -q --target lib setuptools wheel", files={"setup.py": "raise RuntimeError('needs libfoo')\n"}, stage="build"),
    Case(name="pip_hash", tool="pip", command="pip install --target t --require-hashes -r r.txt", expected="deps.integrity", files={"r.txt": "idna==3.7 --hash=sha256:" + "0" * 64 + "\n"}, stage="build"),
    Case(name="pip_requires_python", tool="pip", command="pip install --target t .", expected="env.runtime_version", files={"pyproject.toml": _PYPROJECT.replace(">=3.11", ">=3.99")}, stage="build"),
    Case(name="pip_dns", tool="pip", command="pip install --target t --index-url https://pypi.nowhere.invalid/simple --retries 1 --timeout 2 idna", expected="env.dns", stage="build", note="pip's last word is that there is no such version"),
    Case(name="pip_refused", tool="pip", command="pip install --target t --index-url http://127.0.0.1:9/simple --retries 1 idna", expected="env.network", stage="build"),
    Case(name="uv_no_solution", tool="uv", command="uv pip install --target t 'requests==2.31.0' 'urllib3==1.20'", expected="deps.uv_conflict", stage="build"),
    Case(name="uv_not_found", tool="uv", command="uv pip install --target t penstock-no-such-distribution-a1", expected="deps.uv_not_found", stage="build"),
    Case(name="uv_locked", tool="uv", command="uv sync --locked", expected="deps.uv_lock_drift", before="uv lock -q && sed -i 's/dependencies = ../dependencies = [\"idna\"]/' pyproject.toml", files={"pyproject.toml": _PYPROJECT}, stage="build"),
    Case(name="uv_lock_missing", tool="uv", command="uv sync --frozen", expected="deps.uv_lock_drift", files={"pyproject.toml": _PYPROJECT}, stage="build"),
    Case(name="poetry_lock", tool="poetry", command="poetry install --no-interaction", expected="deps.poetry_lock_drift",
         before="poetry lock -q --no-interaction; sed -i 's/dependencies = ../dependencies = [\"idna\"]/' pyproject.toml", files={"pyproject.toml": _PYPROJECT, "shop/__init__.py": ""}, stage="build"),
    Case(name="python_traceback", tool="python", command="python tool.py", expected="verify.exception", files={"tool.py": "def main():\n    return {}['a']\n\n\nmain()\n"}, stage="build"),
    Case(name="python_chained", tool="python", command="python tool.py", expected="verify.exception", files={"tool.py": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('bad: 429') from e\n"}, stage="build"),
    Case(name="python_module_missing", tool="python", command="python tool.py", expected="deps.module_missing", files={"tool.py": "import flask_nowhere\n"}, stage="build"),
    Case(name="python_no_module_m", tool="python", command="python -m pytest_nowhere", expected="deps.module_missing", stage="test"),
    Case(name="python_syntax", tool="python", command="python tool.py", expected="build.python_syntax", files={"tool.py": "def main()\n    pass\n"}, stage="build"),
    Case(name="python_indent", tool="python", command="python -m compileall -q .", expected="build.python_syntax", files={"tool.py": "def main():\npass\n"}, stage="build"),
    Case(name="python_file_missing", tool="python", command="python nothing_here.py", expected="env.file_missing", stage="build"),
    Case(name="python_key_env", tool="python", command="python tool.py", expected="env.variable_missing", files={"tool.py": "import os\nprint(os.environ['DATABASE_URL'])\n"}, stage="build"),
    Case(name="tox_fail", tool="tox", command="tox -q -e py311", expected="test.failed", files={"tox.ini": "[tox]\nenvlist = py311\nskipsdist = true\n[testenv]\ndeps = pytest\ncommands = pytest -q\n", "calc.py": _CALC, "test_calc.py": _TEST}),
    Case(name="behave_fail", tool="behave", command="behave", expected="test.failed", files={"features/a.feature": "Feature: sums\n  Scenario: add\n    Given one\n    Then two\n", "features/steps/s.py": "from behave import given, then\n\n\n@given('one')\ndef one(c):\n    pass\n\n\n@then('two')\ndef two(c):\n    assert 1 == 2, 'one is not two'\n"}),
    Case(name="robot_fail", tool="robot", command="robot a.robot", expected="test.failed", files={"a.robot": "*** Test Cases ***\nSums\n    Should Be Equal    1    2\n"}),
    Case(name="meson_missing", tool="meson", command="meson setup build", expected="build.cmake", files={"meson.build": "project('a', 'c')\ndependency('nowherelib')\n"}, stage="build"),
    Case(name="pre_commit", tool="pre-commit", command="pre-commit run --all-files", expected="lint.pre_commit",
         before="git init -q && git add -A && git commit -qm x", files={"a.txt": "x \n", ".pre-commit-config.yaml": "repos:\n- repo: local\n  hooks:\n  - id: trailing\n    name: trim trailing whitespace\n    language: system\n    entry: sh -c 'echo Fixing a.txt; exit 1'\n"}, stage="lint"),
    Case(name="trap_pass_error_words", tool="pytest", command="pytest -v -s", expected="unclassified", note="all passed; every name speaks of errors",
         files={"test_e.py": "def test_error_429_failed():\n    print('ERROR: FAILED failure 429 rate limit; Error: connect ECONNREFUSED')\n\n\ndef test_fatal_exception():\n    pass\n"}),
    Case(name="unknown_exit", tool="python", command="python -c 'import sys; print(\"done, see report.html\"); sys.exit(3)'", expected="verify.failed", stage="test"),
    Case(name="silent_exit", tool="sh", command="sh -c 'exit 7'", expected="verify.failed", stage="test"),
)

CASES: Final = (*_PYTEST, *_LINT, *_PACKAGES)
