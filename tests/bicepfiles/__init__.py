"""Reads infra/azure as Azure's own tools would, as far as that goes without Azure: see infra/azure/README.md."""
