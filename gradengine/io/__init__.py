"""Saving and loading: safetensors checkpoints, written whole or not at all and checked when they are read."""

from .checkpoint import load, load_checkpoint, save, save_checkpoint
from .files import atomic_writer
from .state import flatten_state, unflatten_state

__all__ = [
    "atomic_writer",
    "flatten_state",
    "load",
    "load_checkpoint",
    "save",
    "save_checkpoint",
    "unflatten_state",
]
