"""A simulated day of a national archive: what arrives, who wants what of it, and what must come of it."""
