"""Benchmarks: dispatch, kernels and training steps, each beside its peers in one process run."""
