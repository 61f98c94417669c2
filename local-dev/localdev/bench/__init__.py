"""Measures this project against its peers: ``./local-dev/bench NAME [--json]``."""
