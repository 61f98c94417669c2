"""Faults at random under load, and a check that nothing was lost, committed twice or computed wrongly."""
