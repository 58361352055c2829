"""Tells `ge.jit` that the emulator is no part of a step that is traced, as little as a driver would be."""

from pathlib import Path


def install() -> None:
    """Let guards leave out what the emulator's own modules read."""
    from gradengine.compiler import reads

    files = Path(__file__).parent.glob("*.py")
    reads.OWN += tuple(str(path) for path in files if not path.name.startswith("test_"))
    reads.is_outside.cache_clear()
