"""From samples to a batch: what `default_collate` makes of Tensors, arrays, numbers and what holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..core.tensor_class import Tensor, wrap
from ..errors import DataError, DTypeError, GradengineError, describe
from ..validation import known_words

UNORDERED = (str, bytes, set, frozenset)  # no lists of samples, though one can go through them


@known_words
def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: Tensors and arrays are stacked, numbers become a Tensor, tuples, lists, dicts, named
    tuples and dataclasses are gone into, strings stay as they are.

    As in PyTorch, Python floats become float64 and a tuple becomes a list. Raises DataError for samples of different
    kinds or shapes, DTypeError for what it does not know.

    >>> import gradengine as ge
    >>> ge.data.default_collate([(1, {"x": ge.zeros(2)}), (2, {"x": ge.ones(2)})])
    [tensor([1, 2]), {'x': tensor([[0., 0.],
            [1., 1.]])}]
    """
    samples = list(batch) if hasattr(batch, "__iter__") and not isinstance(batch, UNORDERED) else []
    if not samples:
        raise DataError(f"default_collate: needs a list of samples, got {describe(batch)}")
    return collated(samples, "")


@known_words
def default_convert(data: Any) -> Any:
    """Arrays in a sample as Tensors; the rest stays as it is, except that a tuple becomes a list, as in PyTorch.

    >>> import numpy as np
    >>> import gradengine as ge
    >>> ge.data.default_convert({"x": np.arange(2), "name": "a"})
    {'x': tensor([0, 1]), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "fiub":
        return wrap(data)
    if not is_container(data):
        return data
    parts = [default_convert(value) for value in parts_of(data)]
    return parts if type(data) is tuple else rebuilt(data, parts)


def collated(samples: Sequence[Any], path: str) -> Any:
    """The batch of some samples, which are found at `path` in those of the dataset."""
    first = samples[0]
    if isinstance(first, (Tensor, np.ndarray)):
        return stacked(samples, path)
    if isinstance(first, (bool, int, np.bool_, np.integer, float, np.floating)):
        if not all(isinstance(x, (bool, int, float, np.generic)) for x in samples):
            raise unlike(samples, path)
        array = np.array(samples)  # Python floats become float64, as in PyTorch
        return wrap(array)
    if isinstance(first, (str, bytes)):
        return samples
    if not is_container(first):
        raise DTypeError(
            f"default_collate: cannot make a batch of {describe(first)}{path}; return Tensors, arrays, numbers, "
            "strings, or tuples, lists, dicts, named tuples and dataclasses of them, or give the loader a collate_fn"
        )
    if any(type(sample) is not type(first) for sample in samples):
        raise unlike(samples, path)
    if isinstance(first, Mapping):
        keys = list(first)
        for sample in samples:
            if set(sample) != set(keys):
                raise DataError(f"default_collate: samples{path} have different keys, {keys} and {list(sample)}")
        return rebuilt(first, [collated([s[key] for s in samples], f"{path}[{key!r}]") for key in keys])
    places = [parts_of(sample) for sample in samples]
    if len({len(parts) for parts in places}) > 1:
        lengths = sorted({len(parts) for parts in places})
        raise DataError(f"default_collate: samples{path} have different lengths, {lengths}; each needs the same parts")
    names = field_names(first)
    made = [
        collated(tuple(parts[i] for parts in places), f"{path}.{names[i]}" if names else f"{path}[{i}]")
        for i in range(len(places[0]))
    ]
    return made if type(first) is tuple else rebuilt(first, made)


def stacked(samples: Sequence[Any], path: str) -> Tensor:
    """Tensors or arrays as one."""
    if not all(isinstance(x, (Tensor, np.ndarray, np.generic)) for x in samples):
        raise unlike(samples, path)
    if isinstance(samples[0], np.ndarray) and samples[0].dtype.kind not in "fiub":
        raise DTypeError(f"default_collate: cannot make a batch of arrays of {samples[0].dtype}{path}; use numbers")
    shapes = sorted({tuple(x.shape) for x in samples})
    if len(shapes) > 1:
        raise DataError(
            f"default_collate: samples{path} have different shapes, {' and '.join(map(str, shapes[:3]))}; make them "
            "equal, or give the loader a collate_fn that pads them"
        )
    try:
        return ops.stack([wrap(x) if not isinstance(x, Tensor) else x for x in samples])
    except GradengineError as error:
        raise DataError(f"default_collate: samples{path} do not go together: {error.message}") from None


def unlike(samples: Sequence[Any], path: str) -> DataError:
    """The error for samples of several kinds."""
    kinds = ", ".join(sorted({type(sample).__name__ for sample in samples}))
    return DataError(f"default_collate: samples{path} are of different kinds: {kinds}; give all the same")


# -- what holds others --------------------------------------------------------------------------------------------


def is_container(value: Any) -> bool:
    """Whether a sample is one that holds others."""
    if isinstance(value, (str, bytes)):
        return False
    is_instance = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return isinstance(value, (Mapping, tuple, list)) or is_instance


def field_names(value: Any) -> list[str]:
    """The names of the parts of a named tuple or dataclass."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(getattr(value, "_fields", ()))


def parts_of(value: Any) -> list[Any]:
    """What a container holds."""
    if isinstance(value, Mapping):
        return list(value.values())
    if dataclasses.is_dataclass(value):
        return [getattr(value, name) for name in field_names(value)]
    return list(value)


def rebuilt(like: Any, parts: list[Any]) -> Any:
    """A container like another one, with other parts."""
    names = field_names(like)
    if names:
        return type(like)(**dict(zip(names, parts, strict=True)))
    if isinstance(like, Mapping):
        pairs = dict(zip(like, parts, strict=True))
        try:
            return type(like)(pairs)  # type: ignore[call-arg]
        except TypeError:
            return pairs
    try:
        return type(like)(parts)
    except TypeError:
        return parts


def mapped(function: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """A batch whose Tensors went through a function."""
    if isinstance(batch, Tensor):
        return function(batch)
    return rebuilt(batch, [mapped(function, part) for part in parts_of(batch)]) if is_container(batch) else batch
