"""The command: what it prints, and that bad input is one line and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orthokernel.cli import main
from reference.rpc_image import place_grid, write_rpc_image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_rpc_image(tmp_path / "image.tif")
    return tmp_path / "image.tif"


def _bounds(spacing_m: float = 4.0) -> list[str]:
    return ["--crs", "EPSG:32631", "--spacing", str(spacing_m), "--bounds", *map(str, place_grid().bounds)]


def test_info(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(image), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bands"] == ["b1"]
    assert facts["bounds_lonlat"][0] < 5.2 < facts["bounds_lonlat"][2]
    assert main(["info", str(image)]) == 0
    assert "n_lines" in capsys.readouterr().out


def test_ortho_makes_files_and_says_which(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.tif"
    code = main(["ortho", str(image), "-o", str(out), *_bounds(), "--height", "500", "--json", "--threads", "1"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    summary = json.loads(captured.out)
    assert summary["image"] == str(out)
    assert all(Path(summary[key]).is_file() for key in ("image", "mask", "browse", "item"))
    assert summary["resampling"] == "average"
    assert "100 % done" in captured.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--tile", "33TTG", "--height", "0"], "does not reach"),
        (["--tile", "99ZZZ", "--height", "0"], "99ZZZ"),
        ([*_bounds(), "--height", "500", "--dem", "none.tif"], "not both"),
        ([*_bounds()], "--dem"),
        ([*_bounds(), "--dem", "none.tif"], "none.tif"),
        ([*_bounds(), "--height", "500", "--radiometry", "sigma0"], "gives no sigma0"),
        ([*_bounds(), "--height", "500", "--bands", "hv"], "hv"),
        (["--bounds", "0", "0", "1", "1", "--height", "0"], "--crs"),
        (["--like", "none.tif", "--height", "0"], "none.tif"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert main(["ortho", str(image), "-o", str(tmp_path / "new" / "out.tif"), *more]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "%" not in line]
    assert len(lines) == 1, captured.err
    assert says in lines[0]
    assert not (tmp_path / "new" / "out.tif").exists()


def test_a_product_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "nothing.zip")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_loads_no_compiler() -> None:
    code = (
        "import sys\nfrom orthokernel.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'numba', 'numpy', 'rasterio', 'pyproj'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "orthokernel" in done.stdout
