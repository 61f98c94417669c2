"""Names lead there and back."""

from __future__ import annotations

from typing import get_args

import pytest

from orthocontracts import names
from orthocontracts.outputs import FILE_SUFFIX, FileKind, file_kinds
from orthocontracts.requests import Extra, Options

DIGEST = "ab" * 32


@pytest.mark.parametrize("kind", FILE_SUFFIX)
def test_a_delivered_file_leads_back_to_its_output(kind: FileKind) -> None:
    blob = names.result_blob("jabc-0001", 2, 3, DIGEST, kind)
    assert blob.startswith("jabc-0001-2/3/")
    assert names.digest_of_result_blob(blob) == DIGEST


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({names.result_blob("j-0001", 1, 1, DIGEST, kind) for kind in FILE_SUFFIX}) == len(FILE_SUFFIX)


def test_every_extra_is_a_kind_of_file_named_after_it() -> None:
    for extra in get_args(Extra):
        assert FILE_SUFFIX[extra] == f"_{extra}.tif"
    assert set(FILE_SUFFIX) == set(get_args(FileKind))


def test_the_files_of_an_output_follow_from_its_options() -> None:
    always = ("image", "mask", "browse", "item")
    assert file_kinds(Options()) == always
    assert file_kinds(Options(extras=("scattering_area",))) == (*always, "scattering_area")
    assert file_kinds(Options(radiometry="gamma0_rtc")) == (*always, "layover_shadow", "local_incidence", "acquisition")


@pytest.mark.parametrize("path", ["", "jabc-0001-2/3/readme.txt", "jabc-0001-2/3/.tif"])
def test_other_files_belong_to_no_output(path: str) -> None:
    assert names.digest_of_result_blob(path) is None
