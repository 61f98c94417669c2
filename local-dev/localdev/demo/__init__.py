"""The demo: simulated products through all three doors, on-prem agents first, the cloud when those are full."""
