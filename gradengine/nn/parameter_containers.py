"""Lists and dicts of parameters: ParameterList and ParameterDict."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.tensor_class import Tensor
from ..errors import DTypeError, IndexRangeError, describe
from .module import Module
from .parameter import Parameter, is_uninitialized


def as_parameter(value: Any) -> Any:
    """A Tensor as a Parameter; anything else as it is."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value.detach())
    return value


def shown(value: Any) -> str:
    """A parameter in a list of them."""
    if isinstance(value, Tensor) and not is_uninitialized(value):
        kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
        return f"{kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"
    return f"Object of type: {type(value).__name__}"


class ParameterList(Module):
    """A list of parameters that are registered, so that they are found; Tensors become Parameters.

    Other objects may be among them, as in PyTorch. Raises IndexRangeError for an index out of range.

    >>> import gradengine as ge
    >>> weights = ge.nn.ParameterList([ge.ones(2), ge.zeros(3)])
    >>> len(weights), weights[-1].shape, len(list(weights.parameters()))
    (2, (3,), 2)
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _place(self, index: Any) -> str:
        try:
            place = operator.index(index)
        except TypeError:
            raise DTypeError(f"ParameterList: an index must be an int or a slice, got {describe(index)}") from None
        if not -self._size <= place < self._size:
            raise IndexRangeError(f"ParameterList: index {place} is out of range for {self._size} parameters")
        return str(place % self._size)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(self._size))])
        return getattr(self, self._place(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._place(index), as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value: Any) -> ParameterList:
        """Add one at the end."""
        self._size += 1
        try:
            self[self._size - 1] = value
        except Exception:
            self._size -= 1
            raise
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several at the end."""
        if isinstance(values, (Tensor, str)) or not hasattr(values, "__iter__"):
            raise DTypeError(f"ParameterList: needs a list of parameters, got {describe(values)}")
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(f"({i}): {shown(value)}" for i, value in enumerate(self))


class ParameterDict(Module):
    """A dict of parameters that are registered, so that they are found; Tensors become Parameters.

    Raises KeyError for a key that is not there, ArgumentError for one that is an attribute of every module.

    >>> import gradengine as ge
    >>> weights = ge.nn.ParameterDict({"left": ge.ones(2), "right": ge.zeros(3)})
    >>> weights["left"].shape, [name for name, _ in weights.named_parameters()]
    ((2,), ['left', 'right'])
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        found = as_parameter(value)
        if isinstance(key, str) and key in self._keys:
            setattr(self, key, found)
            return
        self._register(key, found if isinstance(found, Parameter) else None, "parameter", Parameter)
        if not isinstance(found, Parameter):
            delattr(self, key)
            setattr(self, key, found)
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        self[key]
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._keys))

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: Any) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: Any) -> ParameterDict:
        made = ParameterDict(other)
        made.update(self)
        return made

    def __ior__(self, other: Any) -> ParameterDict:
        self.update(other)
        return self

    def keys(self) -> list[str]:
        """The names of the parameters."""
        return list(self._keys)

    def values(self) -> list[Any]:
        """The parameters."""
        return [self[key] for key in self._keys]

    def items(self) -> list[tuple[str, Any]]:
        """Names and parameters."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, or the default."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, which is set to the default if there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a parameter out. Raises KeyError where there is none of that name."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the parameter out that was put in last. Raises KeyError where there is none."""
        if not self._keys:
            raise KeyError("popitem: the ParameterDict is empty")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all parameters out."""
        for key in self.keys():
            del self[key]

    def copy(self) -> ParameterDict:
        """Another dict of the same parameters."""
        return ParameterDict(dict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another dict with these keys, all with one value."""
        return ParameterDict(dict.fromkeys(keys, default))

    def update(self, parameters: Any) -> None:
        """Add the parameters of a mapping, or of pairs of name and parameter."""
        pairs = parameters.items() if hasattr(parameters, "items") else parameters
        try:
            named = [(name, value) for name, value in pairs]
        except (TypeError, ValueError):
            raise DTypeError(
                f"ParameterDict: needs a mapping or pairs of name and parameter, got {describe(parameters)}"
            ) from None
        for name, value in named:
            self[name] = value

    def extra_repr(self) -> str:
        return "\n".join(f"({key}): {shown(value)}" for key, value in self.items())
