"""What pytest leaves to tests/test_docs.py: the page about CUDA, whose examples need a device or the emulator."""

collect_ignore = ["cuda.md"]
