"""Tells `ge.jit` that the emulator is no part of a step that is traced, as little as a driver would be."""

from pathlib import Path


def install() -> None:
    """Let guards leave out what the emulator's own modules read."""
    from gradengine.compiler import source_files

    files = Path(__file__).parent.glob("*.py")
    source_files.OWN += tuple(str(path) for path in files if not path.name.startswith("test_"))
    source_files.is_outside.cache_clear()
