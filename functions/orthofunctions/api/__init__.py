"""The HTTP door: OGC API - Processes over the use cases."""
