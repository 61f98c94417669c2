"""The page of settings says what the code says."""

from __future__ import annotations

from localdev.settings_page import PAGE, page


def test_the_page_is_as_the_code_would_write_it() -> None:
    assert PAGE.read_text() == page(), "write it again: PYTHONPATH=local-dev python -m localdev.settings_page"


def test_every_setting_is_described() -> None:
    assert "| None |" not in page()
