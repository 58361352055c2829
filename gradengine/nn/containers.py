"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from ..errors import DTypeError, IndexRangeError, describe
from .module import MODULE, Module, indent

S = TypeVar("S", bound="Numbered")


class Numbered(Module):
    """Modules in a row, registered as "0", "1", ...: what Sequential and ModuleList have in common."""

    slices_keep_names = False  # those of a Sequential do, as in PyTorch

    def _names(self) -> list[str]:
        return [name for name, kind in self._registered.items() if kind == MODULE]

    def _name(self, index: int) -> str:
        names = self._names()
        try:
            return names[operator.index(index)]
        except IndexError:
            raise IndexRangeError(
                f"{self._get_name()}: index {index} is out of range for {len(names)} modules"
            ) from None
        except TypeError:
            raise DTypeError(f"{self._get_name()}: an index must be an int or a slice, got {describe(index)}") from None

    def _replace(self, modules: Iterable[Module]) -> None:
        """Replace the modules by these, numbered from 0."""
        kept = list(modules)
        for name in self._names():
            delattr(self, name)
        for i, module in enumerate(kept):
            self.add_module(str(i), module)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self: S, index: slice) -> S: ...
    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self.__dict__[self._name(index)]
        part = type(self)()
        for i, name in enumerate(self._names()[index]):
            part.add_module(name if self.slices_keep_names else str(i), self.__dict__[name])
        return part

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = self._names()[index] if isinstance(index, slice) else [self._name(index)]
        self._replace([self.__dict__[name] for name in self._names() if name not in names])

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Any]:
        values = self.__dict__
        return iter([values[name] for name in self._names()])

    def append(self: S, module: Module) -> S:
        """Add a module at the end."""
        number = len(self)
        while str(number) in self._registered:  # after a slice, numbers may run ahead of positions
            number += 1
        self.add_module(str(number), module)
        return self

    def extend(self: S, modules: Iterable[Module]) -> S:
        """Add several modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: S, index: int, module: Module) -> S:
        """Put a module before the one at `index`."""
        held = list(self)
        held.insert(index, module)
        self._replace(held)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take a module out, the last one unless told otherwise."""
        module = self[index]
        del self[index]
        return module


class Sequential(Numbered):
    """Modules applied one after the other, each to the result of the one before.

    `Sequential(first, second, ...)`, or a dict of name to module. Indexing gives a module, a slice gives a
    Sequential of the same modules. Raises DTypeError for what is no Module.

    >>> import gradengine as ge
    >>> net = ge.nn.Sequential(ge.nn.Linear(4, 3), ge.nn.ReLU(), ge.nn.Linear(3, 2))
    >>> net(ge.zeros((5, 4))).shape
    (5, 2)
    >>> net
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """

    slices_keep_names = True

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = list(modules[0].items())
        else:
            named = [(str(i), module) for i, module in enumerate(modules)]
        for name, module in named:
            self.add_module(name, module)

    def _replace(self, modules: Iterable[Module]) -> None:
        # Named modules keep their names; numbers follow the position.
        names = {id(self.__dict__[name]): name for name in self._names() if not name.isdigit()}
        kept = list(modules)
        for name in self._names():
            delattr(self, name)
        for i, module in enumerate(kept):
            self.add_module(names.get(id(module), str(i)), module)

    def forward(self, input: Any) -> Any:
        values = self.__dict__
        for name, kind in self._registered.items():
            if kind == MODULE:
                input = values[name](input)
        return input


class ModuleList(Numbered):
    """A list of modules that are registered, so that their parameters are found; it has no forward.

    >>> import gradengine as ge
    >>> layers = ge.nn.ModuleList([ge.nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules if modules is not None else ())

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __add__(self, modules: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *modules])

    def __repr__(self) -> str:
        """As PyTorch prints it: equal neighbours are written once, with their range and number."""
        runs: list[tuple[int, int, str]] = []
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], i, text)
            else:
                runs.append((i, i, text))
        if not runs:
            return f"{self._get_name()}()"
        lines = [
            f"({first}): {indent(text)}" if first == last else f"({first}-{last}): {last - first + 1} x {indent(text)}"
            for first, last, text in runs
        ]
        return "\n  ".join([f"{self._get_name()}(", *lines]) + "\n)"


class ModuleDict(Module):
    """A dict of modules that are registered, so that their parameters are found; it has no forward.

    Raises ArgumentError for a key that is an attribute of every module, such as "train".

    >>> import gradengine as ge
    >>> heads = ge.nn.ModuleDict({"digit": ge.nn.Linear(8, 10), "sign": ge.nn.Linear(8, 2)})
    >>> heads["sign"](ge.zeros((1, 8))).shape
    (1, 2)
    """

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        self.update(modules if modules is not None else ())

    def __getitem__(self, key: str) -> Any:
        if self._registered.get(key) != MODULE:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._own(MODULE))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> list[str]:
        """The names of the modules."""
        return [name for name, _ in self._own(MODULE)]

    def values(self) -> list[Any]:
        """The modules."""
        return [module for _, module in self._own(MODULE)]

    def items(self) -> list[tuple[str, Any]]:
        """Names and modules."""
        return self._own(MODULE)

    def pop(self, key: str) -> Any:
        """Take a module out. Raises KeyError where there is none of that name."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in self.keys():
            del self[key]

    def update(self, modules: Any) -> None:
        """Add the modules of a mapping, or of pairs of name and module."""
        pairs = modules.items() if hasattr(modules, "items") else modules
        try:
            named = [(name, module) for name, module in pairs]
        except (TypeError, ValueError):
            raise DTypeError(
                f"ModuleDict: needs a mapping or pairs of name and module, got {describe(modules)}"
            ) from None
        for name, module in named:
            self.add_module(name, module)
