"""Requests and envelopes: what is refused, and that the refusal names the thing."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orthocontracts.requests import (
    NRB_EXTRAS,
    BoundsGrid,
    Extra,
    Options,
    Radiometry,
    Request,
    RequestEnvelope,
    TerrainRequest,
    TileGrid,
)


def request(**changes: object) -> Request:
    return Request.model_validate({"request_id": "r1", "products": ["products/a.zip"], **changes})


def test_round_trip_through_json_changes_nothing() -> None:
    asked = request(
        grid={"kind": "bounds", "epsg": 32633, "left": 0, "bottom": 0, "right": 100, "top": 50, "spacing": 0.5},
        deadline="2026-05-01T14:00:00+02:00",
        terrain={"dem": "aux/dem.tif"},
    )
    assert Request.model_validate_json(asked.to_json()) == asked
    assert asked.deadline == datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"products": []}, "at least 1 item"),
        ({"products": ["products/a/../../tickets-hpc/x"]}, "not a plain path"),
        ({"terrain": {"dem": "aux/a/../../products/x"}}, "not a plain path"),
        ({"orbits": "aux/orbits/./s1a"}, "not a plain path"),
        ({"products": ["results/a.zip"]}, "pattern"),
        ({"products": ["products/a.zip", "products/a.zip"]}, "named twice"),
        ({"request_id": "Not An Id"}, "pattern"),
        ({"deadline": "2026-05-01T14:00:00"}, "needs a zone"),
        ({"grid": {"kind": "mgrs", "tiles": ["99ZZZ"]}}, "99ZZZ"),
        ({"grid": {"kind": "mgrs", "spacing_m": 7}}, "does not divide"),
        ({"grid": {"kind": "mgrs", "spacing_m": float("nan")}}, "finite"),
        ({"grid": {"kind": "polygon"}}, "polygon"),
        ({"grid": {"kind": "footprint", "epsg": 3857}}, "not in 3857: give bounds for it"),
        ({"grid": {"kind": "footprint", "epsg": 32661}}, "not in 32661"),
        ({"options": {"radiometry": "sigma1"}}, "sigma0"),
        ({"options": {"scale": "dB"}}, "'linear' or 'db'"),
        ({"options": {"scale": "db"}}, "scale db with no radiometry: ask for radiometry beta0, sigma0 or gamma0"),
        ({"options": {"scale": "db", "radiometry": "dn"}}, "scale db with dn"),
        ({"options": {"scale": "db", "radiometry": "gamma0_rtc"}}, "Backscatter is linear"),
        ({"options": {"noise_removal": True, "radiometry": "dn"}}, "noise_removal with dn"),
        ({"options": {"noise_removal": "perhaps"}}, "noise_removal"),
        ({"options": {"extras": ["shadow"]}}, "layover_shadow"),
        ({"options": {"extras": ["acquisition", "local_incidence", "acquisition"]}}, "named twice"),
        ({"options": {"extras": "acquisition"}}, "tuple"),
        ({"terrain": {}}, "either dem or height_m"),
        ({"terrain": {"height_m": 3, "geoid": "aux/g.gtx"}}, "geoid without dem"),
        ({"priority_": 3}, "Extra inputs"),
    ],
)
def test_refusals_name_what_is_wrong(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        request(**changes)


@pytest.mark.parametrize("radiometry", ["beta0", "sigma0", "gamma0"])
def test_calibrated_power_may_be_in_decibels(radiometry: str) -> None:
    assert Options.model_validate({"radiometry": radiometry, "scale": "db"}).scale == "db"


def test_noise_may_be_left_in_whatever_the_radiometry() -> None:
    for radiometry in (None, *get_args(Radiometry)):
        assert Options(radiometry=radiometry, noise_removal=False).noise_removal is False


def test_flattened_gamma0_brings_the_files_that_make_it_nrb() -> None:
    assert Options(radiometry="gamma0_rtc").extras == ("layover_shadow", "local_incidence", "acquisition")
    every = ("layover_shadow", "local_incidence", "scattering_area", "acquisition")
    assert Options(radiometry="gamma0_rtc", extras=("scattering_area",)).extras == every
    for radiometry in (None, "dn", "beta0", "sigma0", "gamma0"):
        assert Options.model_validate({"radiometry": radiometry}).extras == ()


EXTRAS = st.lists(st.sampled_from(get_args(Extra)), unique=True)


@given(st.sampled_from([None, *get_args(Radiometry)]), EXTRAS, st.randoms(use_true_random=False))
def test_extras_are_a_set(radiometry: Radiometry | None, extras: list[Extra], shuffle: Random) -> None:
    asked = Options(radiometry=radiometry, extras=tuple(extras))
    shuffled = list(extras)
    shuffle.shuffle(shuffled)
    assert Options(radiometry=radiometry, extras=tuple(shuffled)) == asked
    assert set(asked.extras) == set(extras) | (NRB_EXTRAS if radiometry == "gamma0_rtc" else set())
    assert len(set(asked.extras)) == len(asked.extras)
    assert Options.model_validate_json(asked.to_json()) == asked


def test_a_grid_without_pixels_or_with_too_many_is_refused() -> None:
    with pytest.raises(ValidationError, match="left must be below right"):
        BoundsGrid(kind="bounds", epsg=32633, left=10, right=10, bottom=0, top=5, spacing=1)
    with pytest.raises(ValidationError, match="pixels"):
        BoundsGrid(kind="bounds", epsg=32633, left=0, right=1e6, bottom=0, top=1e6, spacing=1)


def test_an_envelope_holds_a_request_or_a_blob_never_both_or_none() -> None:
    assert RequestEnvelope(blob="requests/abc.json").request is None
    for wrong in ({}, {"request": request().model_dump(), "blob": "requests/abc.json"}):
        with pytest.raises(ValidationError, match="either request or blob"):
            RequestEnvelope.model_validate(wrong)
    with pytest.raises(ValidationError, match="pattern"):
        RequestEnvelope(blob="tickets-hpc/x.json")


def test_grid_and_spacing_are_left_to_what_suits_the_product() -> None:
    assert request().grid is None
    assert request(grid={"kind": "mgrs"}).grid == TileGrid(tiles=None, spacing_m=None)
    assert TerrainRequest(height_m=0).dem is None
