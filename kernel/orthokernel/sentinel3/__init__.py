"""Sentinel-3: OLCI L1B (EFR, ERR) and SLSTR L1B (RBT), in `.SEN3` folders and zips."""
