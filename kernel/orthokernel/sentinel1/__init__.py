"""Sentinel-1: SAFE containers, annotations, range-Doppler geometry, calibration."""
