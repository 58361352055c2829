"""The IDX format, in which MNIST is published: one array per file, plain or gzip-compressed.

Two zero bytes, a byte for the element type, a byte for the rank, the sizes as big-endian 32-bit integers, then the
elements in C order, big-endian. Source: http://yann.lecun.com/exdb/mnist/ ("The IDX file format").
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from ..errors import DataError
from ..validation import known_words

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CHUNK = 1 << 20
DEFLATE = 1040  # gzip makes data at most about so many times smaller


@known_words
def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the array in an IDX file, whatever its rank and element type, gzip-compressed or not.

    Returns
    -------
    An array of the file's own shape, in the machine's byte order: uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    DataError
        If the file is missing, truncated, damaged, too long, no IDX file, or larger than the memory.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "three-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> read_idx(path)
    array([7, 8, 9], dtype=uint8)
    """
    return read_with_digest(path, os.fsdecode(path))[0]


def read_with_digest(
    path: str | os.PathLike[str], subject: str, expected: Callable[[np.dtype, tuple[int, ...]], None] | None = None
) -> tuple[np.ndarray, str]:
    """The array in an IDX file and the SHA-256 of the uncompressed file. Errors call the file `subject`.

    `expected(dtype, shape)` may raise for what the header says, before anything more is read.
    """
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            if not compressed:
                return _parse(file, subject, size, expected)
            with gzip.open(file) as stream:
                return _parse(cast("IO[bytes]", stream), subject, size * DEFLATE, expected)
    except FileNotFoundError:
        raise DataError(f"{subject}: there is no such file") from None
    except EOFError:
        raise DataError(f"{subject} is truncated: its gzip stream breaks off") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{subject} is damaged: {error}") from error
    except MemoryError:
        raise DataError(f"{subject} is larger than the memory that there is") from None
    except OSError as error:
        raise DataError(f"{subject} cannot be read: {error.strerror or error}") from error


def _parse(
    stream: IO[bytes], subject: str, most: int, expected: Callable[[np.dtype, tuple[int, ...]], None] | None
) -> tuple[np.ndarray, str]:
    """As `read_with_digest`, from a stream that holds `most` bytes at most."""
    magic = stream.read(4)
    if len(magic) == 4 and (magic[:2] != b"\0\0" or magic[2] not in DTYPES):
        raise DataError(f"{subject} is no IDX file: it begins with the bytes {magic.hex(' ')}")
    sizes = stream.read(4 * magic[3]) if len(magic) == 4 else b""
    if len(magic) < 4 or len(sizes) < 4 * magic[3]:
        raise DataError(f"{subject} is truncated: it ends within its header")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    dtype = np.dtype(DTYPES[magic[2]])
    wanted = math.prod(shape) * dtype.itemsize
    if expected is not None:
        expected(dtype.newbyteorder("="), shape)
    if wanted > most - len(magic) - len(sizes):
        rest = max(most - len(magic) - len(sizes), 0)
        raise DataError(f"{subject} is truncated: shape {shape} takes {wanted} bytes, no more than {rest} are there")
    content = bytearray()
    # In pieces: a damaged header may promise terabytes. And one byte more than wanted, so that the end is seen.
    while piece := stream.read(min(CHUNK, wanted + 1 - len(content))):
        content += piece
    if len(content) < wanted:
        raise DataError(f"{subject} is truncated: shape {shape} takes {wanted} bytes, {len(content)} are there")
    if len(content) > wanted:
        raise DataError(f"{subject} is damaged: it goes on after the {wanted} bytes that shape {shape} takes")
    digest = hashlib.sha256(magic + sizes)
    digest.update(content)
    try:
        array = np.frombuffer(content, dtype).reshape(shape) if content else np.empty(shape, dtype)
    except ValueError as error:  # more axes than NumPy has, or sizes beyond it
        raise DataError(f"{subject} holds shape {shape}, which NumPy cannot: {error}") from error
    return array.astype(dtype.newbyteorder("="), copy=False), digest.hexdigest()
