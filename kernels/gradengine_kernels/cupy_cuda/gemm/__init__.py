"""Matrix products on the GPU, by cuBLASLt: described, planned, and run as kernels."""
