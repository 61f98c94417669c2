"""What runs in EODAG's process, in a Python that need not be ours: it imports itself, and what EODAG brings."""
