"""Nested state taken apart into named arrays and a JSON tree, and put together again.

The arrays go into a checkpoint's data, the tree into its header. Nothing is rounded on the way: floats keep every bit,
ints may have any size, tuples stay tuples, and dict keys need not be strings (optimizers number their parameters).
What JSON has no word for stands in the tree as an object with one `$` key:

    {"$tensor": name}   a Tensor            {"$array": name}    a NumPy array     {"$scalar": name}  a NumPy scalar
    {"$tuple": [...]}   a tuple             {"$int": hex}       an int > 64 bits  {"$float": hex}    NaN or infinity
    {"$dict": [[key, value], ...]}          a dict with other keys than strings, or with one that begins with `$`
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tensor_class import Tensor, wrap
from ..errors import CheckpointError, GradengineError
from ..validation import known_words

if TYPE_CHECKING:
    from collections.abc import Callable

# What both safetensors and NumPy have. Anything else is refused when it is saved, not when it is needed again.
STORABLE = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    + ["float16", "bfloat16", "float32", "float64"]
)


@known_words
def flatten_state(state: object) -> tuple[dict[str, np.ndarray], Any]:
    """Take a nested state apart: its arrays by name, and a JSON-able tree that says where they belong.

    Parameters
    ----------
    state
        Dicts, lists and tuples, nested, of Tensors, NumPy arrays and scalars, str, int, float, bool and None. An array
        gets the path to it as its name: `{"fc": {"weight": t}}` gives `fc.weight`.

    Raises
    ------
    CheckpointError
        If a value is of another type or its dtype cannot be stored, naming the path to it.

    Examples
    --------
    >>> arrays, tree = flatten_state({"step": 3, "slots": {0: np.zeros(2)}, "betas": (0.9, 0.999)})
    >>> arrays
    {'slots.0': array([0., 0.])}
    >>> tree
    {'step': 3, 'slots': {'$dict': [[0, {'$array': 'slots.0'}]]}, 'betas': {'$tuple': [0.9, 0.999]}}
    >>> unflatten_state(arrays, tree)
    {'step': 3, 'slots': {0: array([0., 0.])}, 'betas': (0.9, 0.999)}
    """
    arrays: dict[str, np.ndarray] = {}
    return arrays, encode(state, (), arrays)


@known_words
def unflatten_state(arrays: Mapping[str, np.ndarray], tree: object) -> Any:
    """Put together again what `flatten_state` took apart.

    A Tensor comes back as a Tensor on the default device that needs no gradient, an array as an array.

    Raises
    ------
    CheckpointError
        If the tree names an array that is not there, or is not a tree that `flatten_state` makes.

    Examples
    --------
    >>> unflatten_state({}, [1, {"$tuple": ["a", None]}])
    [1, ('a', None)]
    """
    try:
        return _decode(tree, arrays)
    except (GradengineError, LookupError, TypeError, ValueError, AttributeError, RecursionError, struct.error) as error:
        raise CheckpointError(f"the state in this checkpoint cannot be put together: {error!r}") from error


def encode(value: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    """Turn `value` into its JSON tree, adding its arrays to `arrays` under names made from `path`."""
    try:
        return _encode(value, path, arrays)
    except RecursionError:
        raise CheckpointError("a state that contains itself, or is nested too deeply, cannot be saved") from None


def _encode(value: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Tensor):
        return {"$tensor": _store(value.numpy(force=True), path, arrays)}
    if isinstance(value, np.ndarray):
        return {"$array": _store(value, path, arrays)}
    if isinstance(value, np.generic):  # before float: np.float64 is one
        return {"$scalar": _store(np.asarray(value), path, arrays)}
    if isinstance(value, int):
        # Longer ones are legal JSON too, but Python refuses to write more than 4300 decimal digits.
        return int(value) if -(2**63) <= value < 2**63 else {"$int": hex(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
    if isinstance(value, Mapping):
        return _encode_mapping(value, path, arrays)
    if isinstance(value, (list, tuple)):
        items = [_encode(item, (*path, str(place)), arrays) for place, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise CheckpointError(
        f"{_name(path)} is a {type(value).__name__}, which a checkpoint cannot hold; it holds Tensors, NumPy arrays, "
        "str, int, float, bool and None, in dicts, lists and tuples"
    )


def _encode_mapping(value: Mapping[Any, Any], path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    items = [(key, _encode(item, (*path, str(key)), arrays)) for key, item in value.items()]
    if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
        return {str(key): item for key, item in items}
    for key, _ in items:
        if isinstance(key, (Tensor, np.generic)):
            raise CheckpointError(
                f"{_name(path)} has the key {key!r}; keys may be str, int, float, bool, None or tuples"
            )
    return {"$dict": [[_encode(key, (*path, "key"), arrays), item] for key, item in items]}


def _store(array: np.ndarray, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> str:
    if array.dtype.name not in STORABLE:
        raise CheckpointError(
            f"{_name(path)} has dtype {array.dtype}, which a checkpoint cannot hold; convert it to one of "
            f"{', '.join(sorted(STORABLE))}"
        )
    # Names go into the file as UTF-8, and the header keeps one of them for itself. The tree says which array belongs
    # where, so a name that is taken ("a.b" in {"a": {"b": ...}, "a.b": ...}) may become another.
    plain = _name(path).encode("utf-8", "backslashreplace").decode("utf-8")
    name, copies = plain, 1
    while name in arrays or name == "__metadata__":
        copies += 1
        name = f"{plain}~{copies}"
    arrays[name] = array
    return name


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path) or "state"


def _decode(node: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(node, list):
        return [_decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        ((tag, content),) = node.items()
        if tag.startswith("$"):
            return _DECODERS[tag](content, arrays)
    return {key: _decode(item, arrays) for key, item in node.items()}


_DECODERS: dict[str, Callable[[Any, Mapping[str, np.ndarray]], Any]] = {
    "$tensor": lambda name, arrays: wrap(arrays[name]),
    "$array": lambda name, arrays: arrays[name],
    "$scalar": lambda name, arrays: arrays[name][()],
    "$tuple": lambda items, arrays: tuple(_decode(item, arrays) for item in items),
    "$int": lambda digits, arrays: int(digits, 16),
    "$float": lambda digits, arrays: struct.unpack(">d", bytes.fromhex(digits))[0],
    "$dict": lambda pairs, arrays: {_decode(key, arrays): _decode(item, arrays) for key, item in pairs},
}
