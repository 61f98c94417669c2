"""The one number that tells whether two kernels make the same pixels."""

KERNEL_RESULT_VERSION = 3
"""Raised whenever the kernel's pixels change for equal input. Part of every output's digest and of the name of
every pool queue, so that a worker of another version neither takes the work nor answers for it."""
