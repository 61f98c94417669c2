"""Writes a precise orbit file as the Copernicus POD service does: 26 hours of true state vectors, 10 s apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from localdev.scene.identity import Identity
from localdev.scene.orbit import CircularOrbit

INTERVAL_S = 10.0
LEAD_S, VALID_S = 3618.0, 93600.0  # from 22:59:42 the day before to 00:59:42 the day after
LATENCY = timedelta(days=20, hours=12, minutes=17)
TAI_LESS_UTC, UT1_LESS_UTC = timedelta(seconds=37), timedelta(milliseconds=-2)

_HEADER = """<?xml version="1.0" ?>
<Earth_Explorer_File>
  <Earth_Explorer_Header>
    <Fixed_Header>
      <File_Name>{name}</File_Name>
      <File_Description>Precise Orbit Ephemerides (POE) Orbit File</File_Description>
      <Notes></Notes>
      <Mission>Sentinel-{platform}</Mission>
      <File_Class>OPER</File_Class>
      <File_Type>AUX_POEORB</File_Type>
      <Validity_Period>
        <Validity_Start>UTC={start}</Validity_Start>
        <Validity_Stop>UTC={stop}</Validity_Stop>
      </Validity_Period>
      <File_Version>0001</File_Version>
      <Source>
        <System>OPOD</System>
        <Creator>orthoburst scene simulator</Creator>
        <Creator_Version>0.0</Creator_Version>
        <Creation_Date>UTC={created}</Creation_Date>
      </Source>
    </Fixed_Header>
    <Variable_Header>
      <Ref_Frame>EARTH_FIXED</Ref_Frame>
      <Time_Reference>UTC</Time_Reference>
    </Variable_Header>
  </Earth_Explorer_Header>
<Data_Block type="xml">
  <List_of_OSVs count="{count}">
"""
_VECTOR = """    <OSV>
      <TAI>TAI={tai}</TAI>
      <UTC>UTC={utc}</UTC>
      <UT1>UT1={ut1}</UT1>
      <Absolute_Orbit>+{orbit:05d}</Absolute_Orbit>
      <X unit="m">{x:.6f}</X>
      <Y unit="m">{y:.6f}</Y>
      <Z unit="m">{z:.6f}</Z>
      <VX unit="m/s">{vx:.6f}</VX>
      <VY unit="m/s">{vy:.6f}</VY>
      <VZ unit="m/s">{vz:.6f}</VZ>
      <Quality>NOMINAL</Quality>
    </OSV>
"""


def write_orbit_file(folder: Path, identity: Identity, orbit: CircularOrbit, epoch: datetime, middle_s: float) -> Path:
    """Write ``S1?_OPER_AUX_POEORB_….EOF``.

    Parameters
    ----------
    orbit : CircularOrbit
        With time zero ``middle_s`` after the epoch.
    epoch : datetime
        UTC of the first line.
    """
    start = datetime(epoch.year, epoch.month, epoch.day) - timedelta(seconds=LEAD_S)
    stop = start + timedelta(seconds=VALID_S)
    created = stop + LATENCY
    name = (
        f"{identity.platform}_OPER_AUX_POEORB_OPOD_{created:%Y%m%dT%H%M%S}_V{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}"
    )
    since_start = INTERVAL_S * np.arange(round(VALID_S / INTERVAL_S) + 1)
    states = orbit.states(since_start + (start - epoch).total_seconds() - middle_s)
    node = (orbit.argument_rad + orbit.rate_rad_s * states.time_s) // (2.0 * np.pi)
    passing = int(orbit.argument_rad // (2.0 * np.pi))
    parts = [
        _HEADER.format(
            name=name,
            platform=identity.platform[1:],
            start=start.isoformat(),
            stop=stop.isoformat(),
            created=created.isoformat(),
            count=since_start.size,
        )
    ]
    for k, (position, velocity) in enumerate(
        zip(states.position_m.tolist(), states.velocity_m_s.tolist(), strict=True)
    ):
        utc = start + timedelta(seconds=since_start[k])
        parts.append(
            _VECTOR.format(
                tai=(utc + TAI_LESS_UTC).isoformat(timespec="microseconds"),
                utc=utc.isoformat(timespec="microseconds"),
                ut1=(utc + UT1_LESS_UTC).isoformat(timespec="microseconds"),
                orbit=identity.orbit + int(node[k]) - passing,
                **dict(zip(("x", "y", "z", "vx", "vy", "vz"), position + velocity, strict=True)),
            )
        )
    parts.append("  </List_of_OSVs>\n</Data_Block>\n</Earth_Explorer_File>\n")
    path = folder / f"{name}.EOF"
    path.write_text("".join(parts), encoding="ascii")
    return path
