"""RPC from a DIMAP XML file (``RPC_….XML`` of SPOT 6/7, Pléiades, Pléiades Neo)."""

from __future__ import annotations

from pathlib import Path

from orthokernel.errors import RpcError
from orthokernel.rpc.coefficients import N_TERMS, RpcCoefficients
from orthokernel.safexml import XmlDocument

_MODELS = ("Inverse_Model", "GroundtoImage_Values")  # DIMAP 2, DIMAP 3
_POLYNOMIALS = ("LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")


def read_dimap_rpc(path: Path) -> RpcCoefficients:
    """The ground to image coefficients of a DIMAP file, made 0-based.

    DIMAP 2 counts lines and samples from 1. DIMAP 3 may count from 0, and says so where its image to ground domain
    begins.

    Source: Pléiades Imagery User Guide (Airbus, 2012), C.4: the "inverse model" goes from ground to image.

    Raises
    ------
    RpcError
        It holds no such coefficients, or impossible ones.
    ProductError
        It is no safe, well-formed XML.
    """
    document = XmlDocument.parse(path.read_bytes(), path.name)
    rfm = document.element.find(".//Global_RFM")
    model = next((m for name in _MODELS if rfm is not None and (m := rfm.find(name)) is not None), None)
    validity = None if rfm is None else rfm.find("RFM_Validity")
    if model is None or validity is None:
        raise RpcError(path, "no Global_RFM with a ground to image model", "a DIMAP RPC file")
    first_line = first_sample = 1.0
    domain = validity.find("ImagetoGround_Validity_Domain")
    if domain is not None:
        # Only DIMAP 3 has this element; the domain of DIMAP 2 reaches beyond the image and tells nothing.
        first_line = float(domain.findtext("FIRST_ROW", "1"))
        first_sample = float(domain.findtext("FIRST_COL", "1"))
        if first_line not in (0.0, 1.0) or first_sample not in (0.0, 1.0):
            raise RpcError(path, f"a first pixel ({first_line:g}, {first_sample:g})", "images counted from 0 or 1")
    items: dict[str, str | list[str]] = {child.tag: (child.text or "").strip() for child in validity}
    for name in _POLYNOMIALS:
        terms = [model.findtext(f"{name}_{k}", "") for k in range(1, N_TERMS + 1)]
        items[name] = [term for term in terms if term.strip()]
    one_based = RpcCoefficients.from_items(items, path)
    # An edge half a pixel before the first centre, on a scale where that centre is 1 (or 0).
    return one_based.rebased(first_line=first_line, first_sample=first_sample)
