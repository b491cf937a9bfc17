"""String formats of custom resources: whatever the text, the answer is yes or no, and soon."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.api.extensions.formats import FORMATS

HOSTILE = [
    "1" * 5000 + "x", "1.1" * 2000 + "x", "(" * 50_000, "a@" + "(" * 310, "1h" * 5000 + "x", "::" * 3000,
    "[", "http://[::1", "\ud7ff", "é" * 100,
]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_no_text_is_too_much_for_a_format(name: str) -> None:
    began = process_time()
    for text in HOSTILE:
        assert FORMATS[name](text) in (True, False)
    assert process_time() - began < 1


@given(st.sampled_from(sorted(FORMATS)), st.text())
def test_any_text_is_judged(name: str, text: str) -> None:
    assert FORMATS[name](text) in (True, False)
