"""The files of a made `.SEN3` product: netCDF-4 variables, manifest, folder or zip."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, register_namespace

import h5py
import numpy as np
from numpy.typing import NDArray

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.xml import encode

_XFDU = "urn:ccsds:schema:xfdu:1"
_SAFE = "http://www.esa.int/safe/sentinel/1.1"
_S3 = "http://www.esa.int/safe/sentinel/sentinel-3/1.0"
_GML = "http://www.opengis.net/gml"
_CHUNK = (512, 1024)


@dataclass(frozen=True)
class Variable:
    """Numbers and what is said of them."""

    values: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def write_netcdf(path: Path, variables: Mapping[str, Variable], attributes: Mapping[str, Any] | None = None) -> None:
    """A netCDF-4 file as the ground segment writes them: chunked, shuffled, deflated."""
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
        for key, value in (attributes or {}).items():
            file.attrs[key] = value
        for name, variable in variables.items():
            values = variable.values
            options: dict[str, Any] = {}
            if values.ndim == 2 and values.size > 64:
                chunks = tuple(min(n, most) for n, most in zip(values.shape, _CHUNK, strict=True))
                options = {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "shuffle": True}
            made = file.create_dataset(name, data=values, fillvalue=variable.attributes.get("_FillValue"), **options)
            for key, value in variable.attributes.items():
                made.attrs[key] = value


@dataclass(frozen=True)
class About:
    """What a manifest says of a product. ``bands``: name, centre and width in nanometres."""

    name: str
    product_type: str
    platform: str
    instrument: str
    start: datetime
    stop: datetime
    absolute_orbit: int
    relative_orbit: int
    ascending: bool
    bands: tuple[tuple[str, float, float], ...]
    ring_lonlat: Float64Array


def write_manifest(folder: Path, about: About) -> None:
    """``xfdumanifest.xml`` over all files that are in the folder."""
    for prefix, uri in (("xfdu", _XFDU), ("sentinel-safe", _SAFE), ("sentinel3", _S3), ("gml", _GML)):
        register_namespace(prefix, uri)
    root = Element(f"{{{_XFDU}}}XFDU", version="esa/safe/sentinel/sentinel-3/level-1/1.0")
    section = SubElement(root, "metadataSection")
    period = _object(section, "acquisitionPeriod", _SAFE, "acquisitionPeriod")
    _text(period, _SAFE, "startTime", f"{about.start:%Y-%m-%dT%H:%M:%S.%f}Z")
    _text(period, _SAFE, "stopTime", f"{about.stop:%Y-%m-%dT%H:%M:%S.%f}Z")
    platform = _object(section, "platform", _SAFE, "platform")
    _text(platform, _SAFE, "familyName", "Sentinel-3")
    _text(platform, _SAFE, "number", about.platform[-1])
    instrument = SubElement(platform, f"{{{_SAFE}}}instrument")
    _text(instrument, _SAFE, "familyName", about.instrument, abbreviation=about.instrument)
    frames = _object(section, "measurementFrameSet", _SAFE, "frameSet")
    footprint = SubElement(frames, f"{{{_SAFE}}}footPrint", srsName="http://www.opengis.net/def/crs/EPSG/0/4326")
    pairs = " ".join(f"{lat:.6g} {(lon + 180) % 360 - 180:.6g}" for lon, lat in about.ring_lonlat)
    _text(footprint, _GML, "posList", pairs)
    general = _object(section, "generalProductInformation", _S3, "generalProductInformation")
    _text(general, _S3, "productName", f"{about.name}.SEN3")
    _text(general, _S3, "productType", f"{about.product_type}___")
    _text(general, _S3, "timeliness", "NT")
    _text(general, _S3, "baselineCollection", "003")
    described = SubElement(general, f"{{{_S3}}}bandDescriptions", bands=str(len(about.bands)))
    for name, centre, width in about.bands:
        band = SubElement(described, f"{{{_S3}}}band", name=name)
        _text(band, _S3, "centralWavelength", f"{centre:g}")
        _text(band, _S3, "bandwidth", f"{width:g}")
    orbit = _object(section, "measurementOrbitReference", _SAFE, "orbitReference")
    way = "ascending" if about.ascending else "descending"
    _text(orbit, _SAFE, "orbitNumber", str(about.absolute_orbit), type="start", groundTrackDirection=way)
    _text(orbit, _SAFE, "relativeOrbitNumber", str(about.relative_orbit), type="start", groundTrackDirection=way)
    data = SubElement(root, "dataObjectSection")
    for file in sorted(folder.iterdir()):
        one = SubElement(data, "dataObject", ID=f"{file.stem}Data")
        stream = SubElement(one, "byteStream", mimeType="application/x-netcdf", size=str(file.stat().st_size))
        SubElement(stream, "fileLocation", locatorType="URL", href=f"./{file.name}")
        checksum = SubElement(stream, "checksum", checksumName="MD5")
        checksum.text = hashlib.md5(file.read_bytes()).hexdigest()
    (folder / "xfdumanifest.xml").write_bytes(encode(root))


def zipped(folder: Path, kind: int) -> Path:
    """The folder as a zip beside it, members stored or deflated; the folder is gone."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", kind) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    shutil.rmtree(folder)
    return path


def ring_of(lon: Float64Array, lat: Float64Array) -> Float64Array:
    """A closed ring along the edge of arrays of places."""
    edge = np.linspace(0, 1, 9)[:-1]
    i = np.rint(np.concatenate([0 * edge, edge, 1 + 0 * edge, 1 - edge, [0]]) * (lon.shape[0] - 1)).astype(int)
    j = np.rint(np.concatenate([edge, 1 + 0 * edge, 1 - edge, 0 * edge, [0]]) * (lon.shape[1] - 1)).astype(int)
    return np.stack([lon[i, j], lat[i, j]], axis=1)


def _object(section: Element, name: str, namespace: str, tag: str) -> Element:
    one = SubElement(section, "metadataObject", ID=name)
    wrap = SubElement(one, "metadataWrap", mimeType="text/xml")
    return SubElement(SubElement(wrap, "xmlData"), f"{{{namespace}}}{tag}")


def _text(parent: Element, namespace: str, tag: str, text: str, **attributes: str) -> None:
    made = SubElement(parent, f"{{{namespace}}}{tag}", attributes)
    made.text = text
