"""Every Python process of a stack that is recorded writes down what it says."""

import contextlib

with contextlib.suppress(ImportError):  # what is no program of ours
    import harvest  # noqa: F401
