"""Digests: equal meaning, equal digest; anything that changes pixels changes it."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthocontracts.digests import canonical_json, job_id_of, output_digest
from orthocontracts.outputs import GridSpec, OutputIdentity, ResolvedTerrain, Source
from orthocontracts.requests import Extra, Options
from orthocontracts.tasks import job_of_task, task_id_of

A = Source(ref="products/a.zip", content="11", size_bytes=5)
B = Source(ref="products/b.zip", content="22", size_bytes=6)
GRID = GridSpec(epsg=32633, left=199980, top=4700040, spacing=10, n_rows=10980, n_cols=10980, tile="33TTG")
IDENTITY = OutputIdentity(
    process="orthorectify",
    products=(A, B),
    grid=GRID,
    options=Options(bands=("vv",)),
    terrain=ResolvedTerrain(height_m=0),
    trust="public",
    result_version=1,
)


def test_the_digest_is_pinned() -> None:
    """A changed digest would silently redo a whole catalogue: this one may change only with a result version."""
    assert output_digest(IDENTITY) == output_digest(OutputIdentity.model_validate_json(IDENTITY.to_json()))
    assert output_digest(IDENTITY) == "998d0a9f0f6617e4b462ce8e518549dd1b55f61eebd0d625044b449959d35422"


def test_products_are_a_set() -> None:
    assert output_digest(IDENTITY.model_copy(update={"products": (B, A)})) == output_digest(IDENTITY)


@pytest.mark.parametrize(
    "change",
    [
        {"products": (A,)},
        {"products": (A, B.model_copy(update={"content": "23"}))},
        {"grid": GRID.model_copy(update={"spacing": 20.0})},
        {"options": Options(bands=("vv",), resampling="cubic")},
        {"options": Options(bands=("vv",), noise_removal=False)},
        {"options": Options(bands=("vv",), noise_removal=True)},
        {"options": Options(bands=("vv",), radiometry="sigma0", scale="db")},
        {"options": Options(bands=("vv",), radiometry="gamma0_rtc")},
        {"options": Options(bands=("vv",), extras=("local_incidence",))},
        {"terrain": ResolvedTerrain(height_m=1)},
        {"trust": "user-x"},
        {"result_version": 2},
    ],
)
def test_what_decides_pixels_decides_the_digest(change: dict[str, object]) -> None:
    assert output_digest(IDENTITY.model_copy(update=change)) != output_digest(IDENTITY)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "bands": st.none() | st.permutations(["vv", "vh"]).map(tuple),
        "radiometry": st.sampled_from([None, "sigma0", "gamma0_rtc"]),
        "noise_removal": st.sampled_from([None, True, False]),
        "scale": st.just("linear"),
        "extras": st.lists(st.sampled_from(get_args(Extra)), unique=True).map(tuple),
    },
)


@given(OPTIONS, OPTIONS)
def test_equal_options_have_equal_digests_and_others_do_not(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = Options(**one), Options(**other)
    digests = {output_digest(IDENTITY.model_copy(update={"options": options})) for options in (first, second)}
    assert len(digests) == (1 if first == second else 2)


@given(OPTIONS)
def test_an_option_spelled_out_at_its_default_changes_nothing(given_options: dict[str, Any]) -> None:
    sparse = Options(**given_options)
    spelled_out = Options.model_validate(sparse.model_dump())
    assert spelled_out.model_fields_set == set(Options.model_fields)
    digest = output_digest(IDENTITY.model_copy(update={"options": sparse}))
    assert output_digest(IDENTITY.model_copy(update={"options": spelled_out})) == digest
    read_back = OutputIdentity.model_validate_json(IDENTITY.model_copy(update={"options": spelled_out}).to_json())
    assert output_digest(read_back) == digest


def test_extras_that_come_anyway_and_their_order_are_no_difference() -> None:
    plain = Options(radiometry="gamma0_rtc")
    said = Options(radiometry="gamma0_rtc", extras=("acquisition", "layover_shadow"))
    assert output_digest(IDENTITY.model_copy(update={"options": plain})) == output_digest(
        IDENTITY.model_copy(update={"options": said})
    )


def test_canonical_json_is_sorted_and_dense_and_refuses_nan() -> None:
    assert canonical_json({"b": 1.5, "a": [1, "é"]}) == '{"a":[1,"é"],"b":1.5}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": float("nan")})


def test_ids_lead_back_to_their_job() -> None:
    job = job_id_of("local", "r1")
    assert job == job_id_of("local", "r1") != job_id_of("other", "r1")
    assert job_of_task(task_id_of(job, 12)) == job
