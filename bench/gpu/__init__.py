"""The parts of `python -m bench.gpu_check`: what is checked and measured on a GPU, each in its own process."""
