"""Whether there is a device to check: `python -m bench.gpu.probe SETTINGS` fails where there is none, and says why.

A process of its own, so that the one that starts the parts never loads CUDA.
"""

from __future__ import annotations

import subprocess
import sys

from .parts import ROOT, Settings, environment

PATIENCE = 40.0  # seconds that a driver may take to answer


def why_not(settings: Settings, patience: float = PATIENCE) -> str:
    """Why this machine has no device to check, in one line, or "" when it has."""
    if settings.tiny:
        return ""  # nothing here asks for one
    command = [sys.executable, "-m", "bench.gpu.probe", settings.text()]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment(settings), timeout=patience
        )
    except subprocess.TimeoutExpired:
        return f"device {settings.device!r} has not answered for {patience:g} s"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return "" if done.returncode == 0 else lines[-1] if lines else f"asking for it ended with status {done.returncode}"


def main(text: str) -> None:
    """Load the device's backend. Exits with the reason when that fails."""
    from .report import described

    settings = Settings.read(text)
    try:
        from gradengine.backend import devices

        if reason := devices.why_not("cupy"):
            sys.exit(reason)
        devices.for_device(settings.device)
    except Exception as error:
        sys.exit(described(error))


if __name__ == "__main__":
    main(sys.argv[1])
