"""The catalogue and its page."""

import re
from pathlib import Path

import pytest

from minicnn.testing import diagnosis
from minicnn.testing.catalogue import CAUSES, page

ROOT = Path(__file__).parents[3]


def test_the_page_is_the_catalogue():
    published = (ROOT / "docs/gradient-checking/causes.md").read_text(encoding="utf-8")
    assert published == page(), (
        "write it again: python -c 'from minicnn.testing.catalogue import page; print(page(), end=\"\")'"
    )


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_every_cause_says_what_it_is_how_it_shows_and_how_to_repair_it(cause):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cause.id)
    for text in (cause.title, cause.meaning, cause.sign, cause.remedy, cause.example):
        assert text.strip() == text and text
    assert 1 <= len(cause.example.splitlines()) <= 6
    assert "right" in cause.example


def test_every_cause_can_be_found_and_every_found_one_is_in_the_catalogue():
    sources = "".join(p.read_text(encoding="utf-8") for p in Path(diagnosis.__file__).parent.glob("*.py"))
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', sources)) | ({"nondeterministic", "misplaced"} & set(CAUSES))
    assert named == set(CAUSES)
