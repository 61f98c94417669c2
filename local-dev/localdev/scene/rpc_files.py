"""RPC in the forms they come in: TIFF tags, ``_RPC.TXT``, DIMAP XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from rasterio.rpc import RPC

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.rational import RationalModel
from localdev.scene.xml import add, add_all, encode


def rpc_tags(model: RationalModel) -> RPC:
    """What rasterio writes into the TIFF tag of RPC00B."""
    return RPC(
        height_off=model.height_offset,
        height_scale=model.height_scale,
        lat_off=model.lat_offset,
        lat_scale=model.lat_scale,
        line_den_coeff=list(model.line_den),
        line_num_coeff=list(model.line_num),
        line_off=model.line_offset,
        line_scale=model.line_scale,
        long_off=model.lon_offset,
        long_scale=model.lon_scale,
        samp_den_coeff=list(model.sample_den),
        samp_num_coeff=list(model.sample_num),
        samp_off=model.sample_offset,
        samp_scale=model.sample_scale,
        err_bias=0.0,
        err_rand=0.0,
    )


def _scalars(model: RationalModel) -> dict[str, float]:
    return {
        "LINE_OFF": model.line_offset,
        "SAMP_OFF": model.sample_offset,
        "LAT_OFF": model.lat_offset,
        "LONG_OFF": model.lon_offset,
        "HEIGHT_OFF": model.height_offset,
        "LINE_SCALE": model.line_scale,
        "SAMP_SCALE": model.sample_scale,
        "LAT_SCALE": model.lat_scale,
        "LONG_SCALE": model.lon_scale,
        "HEIGHT_SCALE": model.height_scale,
    }


def _coefficients(model: RationalModel) -> dict[str, Float64Array]:
    return {
        "LINE_NUM_COEFF": model.line_num,
        "LINE_DEN_COEFF": model.line_den,
        "SAMP_NUM_COEFF": model.sample_num,
        "SAMP_DEN_COEFF": model.sample_den,
    }


def write_text(path: Path, model: RationalModel) -> None:
    """``NAME_RPC.TXT``: one value a line, offsets 0-based."""
    lines = [f"{name}: {value!r}" for name, value in _scalars(model).items()]
    for name, values in _coefficients(model).items():
        lines += [f"{name}_{k}: {float(value)!r}" for k, value in enumerate(values, start=1)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_dimap(path: Path, model: RationalModel, n_lines: int, n_samples: int) -> None:
    """``RPC_NAME.XML`` as Pléiades has it: its first pixel is (1, 1), so the offsets are one more than ours."""
    root = Element("Dimap_Document")
    head = add(root, "Metadata_Identification")
    add(head, "METADATA_FORMAT", "DIMAP", version="2.0")
    add_all(head, {"METADATA_PROFILE": "PHR_SENSOR", "METADATA_SUBPROFILE": "RPC", "METADATA_LANGUAGE": "en"})
    rational = add(root, "Rational_Function_Model")
    reference = add(rational, "Resource_Reference")
    add(reference, "RESOURCE_TITLE", "NITF", version="2.1")
    add(reference, "RESOURCE_ID", "RPC00B")
    whole = add(rational, "Global_RFM")
    inverse = add(whole, "Inverse_Model")
    for name in ("SAMP_NUM_COEFF", "SAMP_DEN_COEFF", "LINE_NUM_COEFF", "LINE_DEN_COEFF"):
        for k, value in enumerate(_coefficients(model)[name], start=1):
            add(inverse, f"{name}_{k}", repr(float(value)))
    validity = add(whole, "RFM_Validity")
    domain = add(validity, "Direct_Model_Validity_Domain")
    add_all(domain, {"FIRST_ROW": 1, "FIRST_COL": 1, "LAST_ROW": n_lines, "LAST_COL": n_samples})
    numbers = _scalars(model.shifted(-1.0, -1.0))
    for name in ("LONG", "LAT", "HEIGHT", "SAMP", "LINE"):
        add(validity, f"{name}_SCALE", repr(numbers[f"{name}_SCALE"]))
        add(validity, f"{name}_OFF", repr(numbers[f"{name}_OFF"]))
    path.write_bytes(encode(root))
