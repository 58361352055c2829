"""Checkpoints: `save`, `load` and their lower level, on safetensors files. Pickle is neither written nor read.

A file is an ordinary safetensors file whose arrays any program can read. One entry of its header, `gradengine`, holds
the rest as JSON: the version of this format, the tree that says where each array belongs (see `state`), and a SHA-256
over tree and arrays, so that damage is found when the file is read and not by a model that has become worse.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tree
from ..backend.devices import for_device
from ..core.tensor_class import Tensor
from ..errors import CheckpointError, DTypeError, MissingCheckpointError, installing
from ..missing_names import advising
from ..shapes.dtypes import bfloat16_dtype
from ..validation import known_words
from .files import atomic_writer
from .state import encode, unflatten_state

if TYPE_CHECKING:
    from types import ModuleType

    StrPath = str | os.PathLike[str]

KEY = "gradengine"
VERSION = 1
LONGEST_HEADER = 100_000_000  # bytes; safetensors takes no longer one
REMEDY = "Restore it from a copy, or go on from another checkpoint."


@known_words
def save(state: Any, path: StrPath) -> None:
    """Save a state dict, or any nested state, to a safetensors file, whole or not at all.

    Parameters
    ----------
    state
        Dicts, lists and tuples, nested, of Tensors, NumPy arrays and scalars, str, int, float, bool and None.
        An array's name in the file is the path to it, so `model.state_dict()` is stored under its own names.
    path
        The file. The folder must exist. What stands there is replaced only once the new file is on the disk.

    Raises
    ------
    CheckpointError
        If the state holds something else, or the file cannot be written (full disk, no permission, no such folder).
        The file that was there is then untouched.

    Examples
    --------
    >>> import tempfile, gradengine as ge
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> ge.save({"weight": ge.tensor([1.0, 2.0]), "epoch": 3}, path)
    >>> ge.load(path)
    {'weight': tensor([1., 2.]), 'epoch': 3}
    """
    arrays: dict[str, np.ndarray] = {}
    _write(path, arrays, {"state": encode(state, (), arrays)})


@known_words
@advising("load")
def load(path: StrPath, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """Read what `save` has written, exactly as it was.

    Tensors come back as Tensors on the default device, or on `map_location`, and need no gradient; arrays come back as
    arrays. A safetensors file of another program gives a dict of Tensors by name; there is no checksum in it, so its
    content is not checked. `weights_only` changes nothing: no pickle is ever read.

    Raises
    ------
    DeviceError
        If `map_location` is not a device that can be used here.
    CheckpointError
        If the file is truncated, damaged or of another kind. Pickle files (`torch.save`) are never read. A file that
        is missing is a MissingCheckpointError, which is a FileNotFoundError too.

    Examples
    --------
    >>> import tempfile, gradengine as ge
    >>> path = tempfile.mkdtemp() + "/state.safetensors"
    >>> ge.save([("lr", 0.1), ge.tensor(2.0)], path)
    >>> ge.load(path)
    [('lr', 0.1), tensor(2.)]
    """
    arrays, content = _read(path)
    if content is None:
        content = {name: {"$tensor": name} for name in arrays}
    found = _restore(path, arrays, content["state"] if list(content) == ["state"] else content)
    if map_location is None:
        return found
    device = for_device(map_location).device
    return tree.map(lambda x: x.to(device) if isinstance(x, Tensor) else x, found)


@known_words
def save_checkpoint(
    path: StrPath, tensors: Mapping[str, Tensor | np.ndarray], metadata: Mapping[str, Any] | None = None
) -> None:
    """Save named tensors under exactly these names, and beside them whatever else training needs to resume.

    Parameters
    ----------
    path
        The file, as for `save`.
    tensors
        Tensors or arrays by name, such as `model.state_dict()`.
    metadata
        Any nested state, as for `save`: settings and counters, and also the states of optimizers, loaders and
        generators with the arrays in them.

    Raises
    ------
    CheckpointError
        As `save` does.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/run.safetensors"
    >>> save_checkpoint(path, {"w": np.ones(2)}, {"epoch": 3, "optimizer": {0: {"step": 7, "m": np.zeros(2)}}})
    >>> load_checkpoint(path)
    ({'w': array([1., 1.])}, {'epoch': 3, 'optimizer': {0: {'step': 7, 'm': array([0., 0.])}}})
    """
    metadata = {} if metadata is None else metadata
    for what, value in (("tensors", tensors), ("metadata", metadata)):
        if not isinstance(value, Mapping):
            raise CheckpointError(f"save_checkpoint: {what} must be a dict, got a {type(value).__name__}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, (Tensor, np.ndarray)):
            raise CheckpointError(
                f"save_checkpoint: tensors must be Tensors or arrays by name, but {name!r} is a "
                f"{type(tensor).__name__}; put anything else into metadata"
            )
    arrays: dict[str, np.ndarray] = {}
    tree = {"tensors": encode(tensors, (), arrays), "metadata": encode(metadata, (), arrays)}
    _write(path, arrays, tree)


@known_words
def load_checkpoint(path: StrPath) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the tensors and the metadata that `save_checkpoint` has written, exactly as they were.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, damaged, or not one that `save_checkpoint` has written.

    Examples
    --------
    >>> load_checkpoint("nowhere.safetensors")
    Traceback (most recent call last):
      ...
    gradengine.errors.MissingCheckpointError: cannot read the checkpoint nowhere.safetensors: there is no such file
    """
    arrays, content = _read(path)
    if content is None:
        raise CheckpointError(
            f"{_text(path)} is a safetensors file of another program; gradengine.load reads the tensors in it"
        )
    if "tensors" not in content:
        raise CheckpointError(f"{_text(path)} holds a state, not a training checkpoint; read it with gradengine.load")
    restored = _restore(path, arrays, content)
    return restored["tensors"], restored["metadata"]


def _write(path: StrPath, arrays: dict[str, np.ndarray], tree: dict[str, Any]) -> None:
    text = _text(path)
    safetensors = _safetensors()
    # safetensors reads straight from memory: whatever is strided or big-endian must become plain first.
    plain = {name: np.require(array, array.dtype.newbyteorder("<"), "C") for name, array in arrays.items()}
    header = {"version": VERSION, "sha256": _digest(plain, tree), "content": tree}
    try:
        data = safetensors.numpy.save(plain, metadata={KEY: _to_json(header)})
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"cannot save the checkpoint {text}: {error} (all that is not in arrays stands in the header, so put long "
            "lists of numbers into arrays)"
        ) from error
    try:
        with atomic_writer(path) as file:
            file.write(data)
    except OSError as error:
        raise CheckpointError(
            f"cannot save the checkpoint {text}: {error.strerror or error}. What was there before is untouched; "
            "free some space, or choose a folder that exists and that you may write to."
        ) from error


def _read(path: StrPath) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of a safetensors file, and the checked content of its header entry if gradengine wrote the file."""
    safetensors = _safetensors()
    text = _text(path)
    if os.path.isdir(path):
        raise CheckpointError(f"cannot read the checkpoint {text}: it is a folder; name the file in it")
    try:
        with safetensors.safe_open(text, framework="numpy") as file:
            metadata = file.metadata() or {}
            if any(file.get_slice(name).get_dtype() == "BF16" for name in file.keys()):  # noqa: SIM118 - not a dict
                bfloat16_dtype()  # now NumPy knows it by its name
            arrays = {name: _readable(file, name) for name in file.keys()}  # noqa: SIM118
        _refuse_duplicates(path)
    except FileNotFoundError:
        raise MissingCheckpointError(f"cannot read the checkpoint {text}: there is no such file", text) from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"cannot read the checkpoint {text}: {_diagnose(path, error)}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {text}: {error}") from error
    except (CheckpointError, DTypeError) as error:
        raise CheckpointError(f"cannot read the checkpoint {text}: {error}") from error
    except MemoryError:
        raise CheckpointError(
            f"cannot read the checkpoint {text}: it is larger than the memory that there is"
        ) from None
    except (TypeError, AttributeError) as error:  # a dtype that NumPy does not have
        raise CheckpointError(f"cannot read the checkpoint {text}: {error}; save it as float32 first") from error
    if KEY not in metadata:
        return arrays, None
    try:
        header = json.loads(metadata[KEY])
        version, digest, content = header["version"], header["sha256"], dict(header["content"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"the checkpoint {text} is damaged: its header cannot be read. {REMEDY}") from error
    if version != VERSION:
        raise CheckpointError(
            f"the checkpoint {text} has format version {version!r}, this gradengine reads {VERSION}; "
            "update gradengine, or use the version that saved it"
        )
    try:
        expected = _digest(arrays, content)
    except (RecursionError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {text} is damaged: its header cannot be read. {REMEDY}") from error
    if digest != expected:
        raise CheckpointError(f"the checkpoint {text} is damaged: its content does not match its checksum. {REMEDY}")
    return arrays, content


def _readable(file: Any, name: str) -> np.ndarray:
    """One of the arrays in a safetensors file. Raises CheckpointError for a shape that no array can have."""
    try:
        array = file.get_tensor(name)
    except (ValueError, OverflowError) as error:  # sizes whose product is 0, or fits, but not to NumPy
        shape = tuple(file.get_slice(name).get_shape())
        raise CheckpointError(f"{name!r} has shape {_short(shape)}, which no array can have ({error})") from error
    # NumPy goes by a bool's whole byte, of which another program may have set any bit.
    return np.not_equal(array.view(np.uint8), 0, out=array) if array.dtype == np.bool_ else array


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= 8 else f"({', '.join(map(str, shape[:8]))}, ... {len(shape)} axes)"


def _refuse_duplicates(path: StrPath) -> None:
    """Raise CheckpointError for a header that has a name twice: which of the two is meant?"""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise CheckpointError(f"its header has the name {twice!r} twice")
        return found

    json.loads(header, object_pairs_hook=unique)


def _restore(path: StrPath, arrays: dict[str, np.ndarray], tree: Any) -> Any:
    try:
        return unflatten_state(arrays, tree)
    except CheckpointError as error:
        raise CheckpointError(f"{_text(path)}: {error}") from error


def _digest(arrays: Mapping[str, np.ndarray], tree: Any) -> str:
    import hashlib  # here, as it takes 3 ms that a mere `import gradengine` need not pay

    digest = hashlib.sha256(_to_json(tree).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(_to_json([name, array.dtype.name, array.shape]).encode())
        plain = np.require(array, array.dtype.newbyteorder("<"), "C")
        digest.update((plain.view(np.uint16) if plain.dtype.kind == "V" else plain).data)
    return digest.hexdigest()


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _diagnose(path: StrPath, error: Exception) -> str:
    """What is wrong with a file that safetensors does not take, in the user's words, and what to do."""
    with open(path, "rb") as file:
        data = file.read(LONGEST_HEADER + 8)
        size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(data[:8], "little")
    if not data:
        return f"it is empty. {REMEDY}"
    if data.startswith((b"PK\x03\x04", b"\x80")) and not data[8:].startswith(b"{"):
        return (
            "it looks like a pickle file (torch.save), and pickle is never read. Where PyTorch is installed, save it "
            "again with safetensors.torch.save_file(state_dict, 'name.safetensors')"
        )
    if size < 8 or (size < 8 + length <= 8 + LONGEST_HEADER and data[8:9] in (b"{", b"")):
        return f"it is truncated, only {size} bytes are left. {REMEDY}"
    try:
        header = json.loads(data[8 : 8 + length])
        needed = 8 + length + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        if size < needed:
            return f"it is truncated, only {size} of {needed} bytes are left. {REMEDY}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        pass  # the header is no such table: what safetensors says is all there is to say
    return f"it is no safetensors file, or its header is damaged ({error}). {REMEDY}"


def _text(path: StrPath) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise CheckpointError(
            f"a checkpoint's path must be a str or Path, got a {type(path).__name__}; save takes (state, path), "
            "save_checkpoint (path, tensors, metadata)"
        ) from None


def _safetensors() -> ModuleType:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise CheckpointError(
            f"checkpoints need the package safetensors, which is not installed; {installing('io')}"
        ) from None
    return safetensors
