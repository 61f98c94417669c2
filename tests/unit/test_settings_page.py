"""The page of settings says what the code says."""

from __future__ import annotations

from pydantic_settings import BaseSettings

import orthoagent.settings
import orthofunctions.settings
from localdev.settings_page import PAGE, page


def test_the_page_is_as_the_code_would_write_it() -> None:
    assert PAGE.read_text() == page(), "write it again: PYTHONPATH=local-dev python -m localdev.settings_page"


def test_no_program_is_left_out() -> None:
    kinds = [
        kind
        for module in (orthoagent.settings, orthofunctions.settings)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BaseSettings) and kind is not BaseSettings
    ]
    assert len(kinds) > 6
    for kind in kinds:
        for name in kind.model_fields:
            assert f"`{kind.model_config['env_prefix']}{name.upper()}`" in page(), (kind, name)


def test_every_setting_is_described() -> None:
    assert "| None |" not in page()
