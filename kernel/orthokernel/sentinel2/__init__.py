"""Sentinel-2: the rigorous geometry of level 1B."""
