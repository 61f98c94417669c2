"""The functions Azure calls: decode, call one use case, reply."""
