"""All that a call has found, and the kernels that it has compiled, as one archive in pieces that may travel.

The machine with the GPU may give back few files, none of them large. Kernels come last: what does not fit is left out.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

PIECE = 15 << 20  # bytes
MOST = 5  # pieces
NAME = "gpu-{}.tar.xz"
PACKED = 1 << 20  # bytes that are compressed before it is seen whether there is room for more


def pack(call: str, folder: Path, results: Path, caches: Path, piece: int = PIECE, most: int = MOST) -> list[Path]:
    """Write the archive of one call to a folder, and say which files it has become."""
    for former in folder.glob(f"{NAME.format(call)}*"):
        former.unlink()
    packed, compressor = bytearray(), lzma.LZMACompressor(preset=1)
    room = piece * most - (2 * PACKED + (1 << 16))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, name in [*below(results, "results"), *below(caches, "cache")]:
            if len(packed) > room:
                break
            tar.add(path, name, recursive=False)
            if stream.tell() > PACKED:
                packed += compressor.compress(drained(stream, tar))
    packed += compressor.compress(stream.getvalue()) + compressor.flush()
    starts = range(0, len(packed), piece)
    names = [NAME.format(call) + (f".{i}" if len(starts) > 1 else "") for i in range(len(starts))]
    for start, name in zip(starts, names, strict=True):
        (folder / name).write_bytes(packed[start : start + piece])
    return [folder / name for name in names]


def drained(stream: io.BytesIO, tar: tarfile.TarFile) -> bytes:
    """What stands in the stream, which is empty afterwards."""
    data = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return data


def below(folder: Path, name: str) -> list[tuple[Path, str]]:
    """The files below a folder, with their names in the archive."""
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return [(path, f"{name}/{path.relative_to(folder)}") for path in found]


def unpack(call: str, folder: Path, results: Path, caches: Path) -> bool:
    """Put back what `pack` has packed; whether there was an archive."""
    pieces = sorted(folder.glob(f"{NAME.format(call)}*"), key=lambda path: (len(path.name), path.name))
    if not pieces:
        return False
    packed = b"".join(path.read_bytes() for path in pieces)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as tar:
        for member in tar:
            top, _, rest = member.name.partition("/")
            place = {"results": results, "cache": caches}.get(top)
            file = tar.extractfile(member) if member.isfile() else None
            if place is None or file is None or ".." in Path(rest).parts:
                continue
            (place / rest).parent.mkdir(parents=True, exist_ok=True)
            (place / rest).write_bytes(file.read())
    return True
