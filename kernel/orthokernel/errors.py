"""What the kernel raises. Every error names the thing, what was found and what was expected or what to do."""

from __future__ import annotations


class KernelError(Exception):
    """Base of every error the kernel raises on purpose.

    ``permanent`` is True where trying again with the same input cannot help (a broken product, a grid off the
    image), False where it can (a full disk).
    """

    permanent = True


class ProductError(KernelError):
    """A product that cannot be read: missing annotation, truncated raster, unsupported type."""

    def __init__(self, path: object, found: str, expected: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}")
        self.path = str(path)
        self.found = found
        self.expected = expected
