"""The ``orthoburst`` command."""

from __future__ import annotations

import sys

from orthoburst.commands import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
