"""Small products in blob storage: a SAFE with a manifest and token members, an RPC TIFF without pixels."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime

from orthofunctions.ports import Blobs

ROME = "S1B_IW_GRDH_1SDV_20211223T051122_20211223T051147_030148_039993_5371"
NEXT_SLICE = "S1B_IW_GRDH_1SDV_20211223T051147_20211223T051212_030148_039993_AB12"
ROME_RING = ((14.925448, 40.876698), (11.865704, 41.281048), (12.189661, 42.780445), (15.321935, 42.376778))
NEXT_RING = ((15.321935, 42.376778), (12.189661, 42.780445), (12.52, 44.27), (15.73, 43.87))
LAST_SLICE = "S1B_IW_GRDH_1SDV_20211223T051212_20211223T051237_030148_039993_CD34"
LAST_RING = ((15.73, 43.87), (12.52, 44.27), (12.86, 45.76), (16.16, 45.36))

LonLat = tuple[float, float]


def members(stem: str) -> dict[str, bytes]:
    """What a SAFE holds, in token sizes."""
    return {
        f"annotation/{stem.lower()}-vv-001.xml": b"<product/>",
        f"measurement/{stem.lower()}-vv-001.tiff": b"II*\x00" + bytes(60),
        "preview/quick-look.png": b"png",
    }


def manifest(
    files: Mapping[str, bytes], ring: Sequence[LonLat] = ROME_RING, prologue: str = "", stem: str = ROME
) -> bytes:
    """A SAFE manifest with what a plan reads; times are those of the name."""
    start, stop = (datetime.strptime(text, "%Y%m%dT%H%M%S").isoformat() for text in stem.split("_")[4:6])
    corners = " ".join(f"{lat},{lon}" for lon, lat in ring)
    listed = "".join(
        f'<dataObject><byteStream mimeType="x" size="{len(data)}"><fileLocation href="./{path}"/>'
        f'<checksum checksumName="MD5">{hashlib.md5(data).hexdigest()}</checksum></byteStream></dataObject>'
        for path, data in files.items()
    )
    return (
        f'<?xml version="1.0"?>{prologue}<XFDU><startTime>{start}</startTime>'
        f"<stopTime>{stop}</stopTime><transmitterReceiverPolarisation>VV</transmitterReceiverPolarisation>"
        f"<coordinates>{corners}</coordinates>{listed}</XFDU>"
    ).encode()


def put_safe(blobs: Blobs, stem: str = ROME, ring: Sequence[LonLat] = ROME_RING) -> str:
    """Upload a SAFE folder, manifest last. Returns its reference."""
    files = members(stem)
    for path, data in files.items():
        blobs.write("products", f"{stem}.SAFE/{path}", data)
    blobs.write("products", f"{stem}.SAFE/manifest.safe", manifest(files, ring, stem=stem))
    return f"products/{stem}.SAFE"


def safe_zip(stem: str = ROME, extra: Mapping[str, bytes] | None = None, manifest_xml: bytes | None = None) -> bytes:
    """A SAFE as a zip."""
    files = members(stem)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(f"{stem}.SAFE/{path}", data)
        archive.writestr(f"{stem}.SAFE/manifest.safe", manifest_xml or manifest(files))
        for path, data in (extra or {}).items():
            archive.writestr(path, data)
    return buffer.getvalue()


def affine_rpc(
    lon: float = 5.2, lat: float = 44.2, height_m: float = 500.0, half_px: float = 2000.0, half_deg: float = 0.01
) -> list[float]:
    """The 92 values of an RPC tag: sample east, line south, with some relief in both."""
    line_num, samp_num = [0.0] * 20, [0.0] * 20
    samp_num[1], samp_num[3] = 1.0, 0.02
    line_num[2], line_num[3] = -1.0, 0.01
    one = [1.0] + [0.0] * 19
    offsets = [half_px, half_px, lat, lon, height_m, half_px, half_px, half_deg, half_deg, 500.0]
    return [-1.0, -1.0, *offsets, *line_num, *one, *samp_num, *one]


def rpc_text(rpc: Sequence[float]) -> bytes:
    """The same values as ``NAME_RPC.TXT`` has them."""
    whole = ("LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF", "HEIGHT_OFF")
    whole += ("LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE")
    text = "".join(f"{name}: {value}\n" for name, value in zip(whole, rpc[2:12], strict=True))
    for start, name in ((12, "LINE_NUM"), (32, "LINE_DEN"), (52, "SAMP_NUM"), (72, "SAMP_DEN")):
        text += "".join(f"{name}_COEFF_{n + 1}: {rpc[start + n]}\n" for n in range(20))
    return text.encode()


def rpc_tiff(
    rpc: Sequence[float] | None, n_lines: int = 4000, n_samples: int = 4000, *, order: str = "<", big: bool = False
) -> bytes:
    """A TIFF's directory, with RPC if given, and no pixels. Classic or BigTIFF, either byte order."""
    kinds = {"H": 3, "I": 4, "d": 12}
    entries: list[tuple[int, str, Sequence[float]]] = [(256, "I", [n_samples]), (257, "I", [n_lines])]
    if rpc is not None:
        entries.append((50844, "d", rpc))
    pointer, inline = ("Q", 8) if big else ("I", 4)
    start = 16 if big else 8
    header = b"II" if order == "<" else b"MM"
    header += struct.pack(f"{order}HHHQ", 43, 8, 0, start) if big else struct.pack(f"{order}HI", 42, start)
    directory = struct.pack(f"{order}{'Q' if big else 'H'}", len(entries))
    data_at = start + len(directory) + len(entries) * (20 if big else 12) + inline
    data = b""
    for tag, kind, values in entries:
        packed = struct.pack(f"{order}{len(values)}{kind}", *(values if kind == "d" else map(int, values)))
        directory += struct.pack(f"{order}HH{pointer}", tag, kinds[kind], len(values))
        if len(packed) <= inline:
            directory += packed.ljust(inline, b"\0")
        else:
            directory += struct.pack(f"{order}{pointer}", data_at + len(data))
            data += packed
    return header + directory + bytes(inline) + data


S2_TILE = "S2B_MSIL1C_20230605T110619_N0509_R137_T30UVU_20230605T131150"
S2_NEXT_TILE = "S2B_MSIL1C_20230605T110619_N0509_R137_T30UWU_20230605T131150"
# What the datatake has of each tile: 30UVU from its slanting west edge on, all of its neighbour.
S2_RINGS = {
    S2_TILE: ((-4.347138, 48.224305), (-4.151398, 48.746094), (-2.867218, 48.752937), (-2.869751, 47.765093),
              (-4.334869, 47.757404)),
    S2_NEXT_TILE: ((-3.000273, 48.753211), (-1.506577, 48.744771), (-1.534808, 47.757338), (-3.000268, 47.765335)),
}  # fmt: skip
OLCI = "S3A_OL_1_EFR____20230605T103015_20230605T103315_20230605T123456_0179_099_279_2160_PS1_O_NR_003"
OLCI_RING = ((3.1, 53.1), (-14.7, 50.1), (-10.4, 40.4), (4.6, 42.6))
SLSTR = "S3B_SL_1_RBT____20230605T103015_20230605T103315_20230605T123456_0179_080_222_2160_PS2_O_NT_004"


def packed(stem: str, mission: str) -> tuple[str, dict[str, bytes]]:
    """The folder's name and its members, in token sizes, of a Sentinel-2 (``"2"``) or Sentinel-3 (``"3"``) product."""
    if mission == "3":
        bands = ("Oa01_radiance", "Oa21_radiance") if "_OL_" in stem else ("S1_radiance_an", "S8_BT_in")
        files = {f"{band}.nc": band.encode() for band in (*bands, "geo_coordinates", "tie_meteo")}
        return f"{stem}.SEN3", files
    level, tile = stem[7:10], stem.split("_")[5]
    image = "IMG_DATA/R10m/" if level == "L2A" else "IMG_DATA/"
    granule = f"GRANULE/{level}_{tile}_A032624_20230605T111628"
    return f"{stem}.SAFE", {
        f"MTD_MSI{level}.xml": b"<user/>",
        "HTML/banner_1.png": b"png",
        "DATASTRIP/DS_2BPS/MTD_DS.xml": b"<ds/>",
        f"{granule}/MTD_TL.xml": b"<tile/>",
        f"{granule}/{image}{tile}_20230605T110619_B04.jp2": b"jp2",
        f"{granule}/{image}{tile}_20230605T110619_TCI.jp2": b"tci",
        f"{granule}/QI_DATA/MSK_DETFOO_B04.jp2": b"mask",
        f"{granule}/QI_DATA/{tile}_20230605T110619_PVI.jp2": b"pvi",
    }


def manifest_of(files: Mapping[str, bytes], ring: Sequence[LonLat], mission: str) -> bytes:
    """A Sentinel-2 or Sentinel-3 manifest with what a plan reads, written as theirs are."""
    corners = " ".join(f"{lat} {lon}" for lon, lat in (*ring, ring[0]))
    kind, place = ("SHA3-256", "coordinates") if mission == "2" else ("MD5", "posList")
    digest = hashlib.sha3_256 if mission == "2" else hashlib.md5
    listed = "".join(
        f'<dataObject><byteStream size="{len(data)}"><fileLocation locatorType="URL" href="./{path}"/>'
        f'<checksum checksumName="{kind}">{digest(data).hexdigest()}</checksum></byteStream></dataObject>'
        for path, data in files.items()
    )
    stop = "" if mission == "2" else "<stopTime>2023-06-05T10:33:15.5Z</stopTime>"
    return (
        f"<x:XFDU xmlns:x='urn:x' xmlns:gml='http://www.opengis.net/gml'><startTime>2023-06-05T10:30:15.024Z</startTime>"
        f"{stop}<gml:{place}>{corners} </gml:{place}>{listed}</x:XFDU>"
    ).encode()


def put_packed(
    blobs: Blobs,
    stem: str,
    mission: str,
    ring: Sequence[LonLat],
    *,
    zip_it: bool = False,
    members: Mapping[str, bytes] | None = None,
) -> str:
    """Upload a Sentinel-2 or Sentinel-3 product, manifest last, or as a zip. Returns its reference.

    ``members`` takes the place of those of the same name.
    """
    folder, files = packed(stem, mission)
    files |= members or {}
    last = "manifest.safe" if mission == "2" else "xfdumanifest.xml"
    whole = {**files, last: manifest_of(files, ring, mission)}
    if not zip_it:
        for path, data in whole.items():
            blobs.write("products", f"{folder}/{path}", data)
        return f"products/{folder}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in whole.items():
            archive.writestr(f"{folder}/{path}", data)
    blobs.write("products", f"{stem}.zip", buffer.getvalue())
    return f"products/{stem}.zip"
