"""``orthoagent procure``: products that requests name and nobody here has, fetched with EODAG."""
