"""Variables in files that containers leave."""

from __future__ import annotations

import pytest

from podium.runtime.oci.envfiles import value

TEXT = "# a comment\n\n  ONE='1' # said\nEMPTY= 'not this'\nTWO='x\n y'\nONE='again'\nBAD=none\n"


@pytest.mark.parametrize(("key", "found"), [("ONE", "1"), ("EMPTY", ""), ("TWO", "x\n y")])
def test_a_value_is_what_stands_between_quotes(key: str, found: str) -> None:
    assert value(TEXT, key) == found


def test_only_what_comes_before_a_variable_is_looked_at() -> None:
    with pytest.raises(ValueError, match="line 8: the value must be enclosed"):
        value(TEXT, "THREE")
    assert value("A='1'", "B") == ""


@pytest.mark.parametrize("line", ["A", "A = '1'", "='1'", "A=1", "A='1", "A='1'x", 'A="1"'])
def test_other_forms_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        value(line, "B")
