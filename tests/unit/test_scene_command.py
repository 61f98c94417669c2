"""The simulator's command: what it prints, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localdev.scene.__main__ import main
from orthokernel import open_product


def test_json_tells_the_truth_of_the_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sentinel1", str(tmp_path), "--size", "80x120", "--flat", "30", "--sigma0", "-7", "--targets", "1"]
    assert main([*arguments, "--start", "2023-07-01T17:03:00", "--ascending", "--json"]) == 0
    printed = capsys.readouterr()
    made = json.loads(printed.out)
    assert Path(made["path"]).is_dir()
    assert "_20230701T170300_" in made["path"]
    assert (made["law"], made["level_db"], made["n_lines"], made["n_samples"]) == ("sigma0", -7.0, 80, 120)
    assert made["targets"][0]["height_m"] == pytest.approx(30.0)
    assert "target at" in printed.err


def test_a_wrong_place_is_one_line_and_exit_code_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sentinel1", str(tmp_path), "--centre", "10,89", "--size", "50x50"]) == 2
    assert "latitude" in capsys.readouterr().err


def test_rpc_reports_its_residual(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rpc", str(tmp_path / "a.tif"), "--size", "64x80", "--flat", "100", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["residual_px"] < 0.01
    assert "RPC within" in printed.err


@pytest.mark.parametrize(
    ("arguments", "bands"),
    [
        (["olci", "--size", "40x50", "--bands", "3,21", "--zip", "stored", "--uncertainties"], ("oa03", "oa21")),
        (["slstr", "--size", "20x24", "--images", "S7_in,S4_bo", "--ascending"], ("s7",)),
    ],
)
def test_sentinel3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], bands: tuple[str, ...]
) -> None:
    """What is made opens."""
    assert main([arguments[0], str(tmp_path), *arguments[1:], "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    with open_product(made["path"]) as product:
        assert product.bands == bands
        assert product.sensor_model(bands[0]).n_lines in (20, 40)
