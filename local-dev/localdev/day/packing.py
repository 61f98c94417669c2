"""Products as blobs: real names, manifests with what a plan reads, members in token sizes; whole, or broken."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

from localdev.day.scenes import Scene

LAST = {"sentinel-1": "manifest.safe", "sentinel-2": "manifest.safe", "sentinel-3": "xfdumanifest.xml"}
"""A folder's manifest, which completes it."""


def blobs_of(scene: Scene) -> dict[str, bytes]:
    """What is uploaded of a product, by path in container ``products``: its zip, or its folder, manifest last."""
    members = _members(scene)
    manifest = _manifest(scene, members)
    if scene.is_zip:
        return {f"{scene.name}.zip": _zip(scene, members, manifest)}
    match scene.defect:
        case "cut manifest":
            manifest = manifest[: len(manifest) // 2]
        case "member missing":
            members.pop(_image(members))
        case "member short":
            members[_image(members)] = members[_image(members)][:-1]
        case _:
            pass
    whole = {**members, LAST[scene.mission]: manifest}
    return {f"{scene.folder}/{path}": data for path, data in whole.items()}


def _members(scene: Scene) -> dict[str, bytes]:
    stamp = scene.name.encode()
    match scene.mission:
        case "sentinel-1":
            low = scene.name.lower()
            return {
                f"annotation/{low}-vv-001.xml": b"<product/>",
                f"measurement/{low}-vv-001.tiff": b"II*\x00" + stamp,
                f"measurement/{low}-vh-002.tiff": b"II*\x00vh" + stamp,
            }
        case "sentinel-3":
            bands = ("Oa01_radiance", "Oa21_radiance") if scene.kind == "OL_1_EFR" else ("S1_radiance_an", "S8_BT_in")
            return {f"{band}.nc": band.encode() + stamp for band in (*bands, "geo_coordinates", "tie_meteo")}
        case _:
            granule = f"GRANULE/{scene.kind}_T{scene.tile}_A032624_{scene.start:%Y%m%dT%H%M%S}"
            image = "IMG_DATA/R10m/" if scene.kind == "L2A" else "IMG_DATA/"
            clouds = f"<Cloud_Coverage_Assessment>{scene.clouds_percent}</Cloud_Coverage_Assessment>"
            return {
                f"MTD_MSI{scene.kind}.xml": f"<user>{clouds}</user>".encode(),
                f"{granule}/MTD_TL.xml": b"<tile/>",
                f"{granule}/{image}T{scene.tile}_{scene.start:%Y%m%dT%H%M%S}_B04.jp2": b"jp2" + stamp,
            }


def _image(members: Mapping[str, bytes]) -> str:
    """One that decides pixels."""
    return next(path for path in members if path.endswith((".tiff", ".jp2", "radiance.nc", "radiance_an.nc")))


def _manifest(scene: Scene, members: Mapping[str, bytes]) -> bytes:
    ring = [*scene.ring_lonlat, scene.ring_lonlat[0]]
    if scene.mission == "sentinel-1":
        place = "coordinates"
        corners = " ".join(f"{lat:.6f},{lon:.6f}" for lon, lat in scene.ring_lonlat)
    else:
        place = "coordinates" if scene.mission == "sentinel-2" else "posList"
        corners = " ".join(f"{lat:.6f} {lon:.6f}" for lon, lat in ring)
    footprint = "" if scene.defect == "no footprint" else f"<gml:{place}>{corners}</gml:{place}>"
    listed = "".join(
        f'<dataObject><byteStream mimeType="x" size="{len(data)}"><fileLocation href="./{path}"/>'
        f'<checksum checksumName="MD5">{hashlib.md5(data).hexdigest()}</checksum></byteStream></dataObject>'
        for path, data in members.items()
    )
    direction = "ascending" if scene.ascends else "descending"
    return (
        "<?xml version='1.0'?><x:XFDU xmlns:x='urn:x' xmlns:gml='http://www.opengis.net/gml'>"
        f"<startTime>{scene.start:%Y-%m-%dT%H:%M:%S}</startTime><stopTime>{scene.stop:%Y-%m-%dT%H:%M:%S}</stopTime>"
        "<transmitterReceiverPolarisation>VV</transmitterReceiverPolarisation>"
        "<transmitterReceiverPolarisation>VH</transmitterReceiverPolarisation>"
        f"<pass>{direction.upper()}</pass>"
        f"<relativeOrbitNumber groundTrackDirection='{direction}'>{scene.relative_orbit}</relativeOrbitNumber>"
        f"{footprint}{listed}</x:XFDU>"
    ).encode()


def _zip(scene: Scene, members: Mapping[str, bytes], manifest: bytes) -> bytes:
    if scene.defect == "no zip":
        return b"<html>404</html>" + scene.name.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(f"{scene.folder}/{path}", data)
        if scene.defect != "zip without manifest":
            archive.writestr(f"{scene.folder}/{LAST[scene.mission]}", manifest)
    data = buffer.getvalue()
    return data[: len(data) // 2] if scene.defect == "cut zip" else data
