"""Every example of docs/testing-operators.md does what it shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "docs" / "testing-operators.md"
EXAMPLES = dict(
    re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
)
SCRIPTS = {"script.py": "kube-system", "inprocess.py": "{'a': 'b'}"}


def test_the_examples_for_pytest_pass(pytester: pytest.Pytester) -> None:
    for name, text in EXAMPLES.items():
        (pytester.path / name).write_text(text)
    count = sum(text.count("def test_") for text in EXAMPLES.values())
    result = pytester.runpytest_subprocess(
        "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--show-capture=no"
    )
    result.assert_outcomes(passed=count)
    assert count >= 7


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_examples_without_pytest_run(pytester: pytest.Pytester, name: str) -> None:
    (pytester.path / name).write_text(EXAMPLES[name])
    done = pytester.run(sys.executable, name)
    assert done.ret == 0
    assert SCRIPTS[name] in done.stdout.str()
