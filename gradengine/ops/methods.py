"""Operators and methods of Tensor: each is an op, attached by name.

`Tensor.__matmul__` is `ops.matmul` itself, so an operator costs what the op costs. Array methods follow NumPy and
the array API standard; the aliases at the end are what PyTorch users type.
"""

from __future__ import annotations

from typing import Any

from ..backend import devices
from ..core.copies import copied, copied_with_views
from ..core.interpreter import k as ops
from ..core.operators import BINARY, COMPARISONS, UNARY
from ..core.tensor_class import RETAIN, Op, Tensor, constant, mode, order, to_array, wrap
from ..errors import DeviceError
from ..migration_hints import METHODS as ABSENT
from ..shapes.dtypes import check_dtype
from ..validation import check_ignored, known_words
from . import method_forms, tensor_facts
from .arguments import checked
from .index import item
from .powers import power_of
from .tensor_methods import METHODS

EXAMPLE = "\n\n>>> import gradengine as ge\n>>> "
FOREIGN = (str, bytes, dict, set, type(None))  # operands that are not arrays: Python's own TypeError fits them


class Absent:
    """An attribute that is not there, and says what to do instead. (`__getattr__` would slow all attributes down.)"""

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}; {self.hint}")


def reflected(op: Any) -> Any:
    """`scalar - t`, from the op for `t - scalar`."""

    def call(self: Tensor, other: Any) -> Any:
        return NotImplemented if isinstance(other, FOREIGN) else op(other, self)

    return call


def direct(op: Any) -> Any:
    """A comparison that answers NotImplemented for anything that is not an array, so that `t == None` is False."""

    def call(self: Tensor, other: Any) -> Any:
        return NotImplemented if isinstance(other, FOREIGN) else op(self, other)

    return call


def in_place(op: Any, symbol: str) -> Any:
    """`t += other`: the Tensor keeps its identity and gets another value."""

    def call(self: Tensor, other: Any) -> Tensor:
        if other is self:
            return self.become(lambda old: op(old, old), symbol)
        return self.become(lambda old: op(old, other), symbol)

    return call


def attach() -> None:
    """Give Tensor its operators and methods."""
    for dunder, name in BINARY.items():
        op = power_of if name == "pow" else getattr(ops, name)
        setattr(Tensor, f"__{dunder}__", op)
        setattr(Tensor, f"__r{dunder}__", reflected(op))
        setattr(Tensor, f"__i{dunder}__", in_place(op, f"{name} in place"))
    for dunder, name in COMPARISONS.items():
        setattr(Tensor, f"__{dunder}__", direct(getattr(ops, name)))
    for dunder, name in UNARY.items():
        setattr(Tensor, f"__{dunder}__", getattr(ops, name))
    for name, method in METHODS.items():
        setattr(Tensor, name, method.function)
    attach_methods()
    devices.BUILT_IN.update(devices.ALL_OPS)


@known_words
def clone(self: Tensor) -> Tensor:
    """A copy that gradients flow through.

    >>> import gradengine as ge
    >>> x = ge.ones(2)
    >>> y = x.clone()
    >>> _ = y.zero_()
    >>> x
    tensor([1., 1.])
    """
    return ops.clone(self)


@known_words
def to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False,
    memory_format: Any = None, other: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """This Tensor in another dtype or on another device; itself when nothing changes.

    Takes a dtype, a device, both, or another Tensor to be like. Gradients flow through. Nobody waits for a move to a
    GPU, `non_blocking` or not. Raises DeviceError for an unknown device and DTypeError for an unknown dtype.

    >>> import gradengine as ge
    >>> ge.tensor([1, 2]).to(ge.float64)
    tensor([1., 2.], dtype=float64)
    """
    if memory_format is not None:
        check_ignored("to", "memory_format", memory_format)
    for value in args if other is None else (*args, other):
        if isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, bool):
            continue  # PyTorch's non_blocking, which changes nothing
        elif is_device(value):
            device = value
        else:
            dtype = value
    out = self
    if dtype is not None:
        wanted = check_dtype(dtype, "to")
        if wanted != self.dtype:
            out = ops.astype(out, dtype=wanted)
    if device is not None and device != self.device:
        target = devices.for_device(device)
        if target.device != self.device:
            out = moved(out, target)
    return ops.clone(out) if copy and out is self else out


def moved(x: Tensor, target: Any) -> Tensor:
    """`x` on another device, recorded where it requires grad."""
    out = constant(to_array(x, None, target), target)
    if x.op is not None and mode.recording:
        out.op, out.inputs, out.saved, out.order = MOVE, (x,), (x.array,), next(order)
        out.params = {"origin": x.device}
    return out


def move_back(k: Any, g: Any, y: Any, x: Any, origin: str) -> Any:
    """The gradient of a move: the cotangent moved the other way."""
    return g.to(device=origin) if isinstance(g, Tensor) else devices.for_device(origin).receive(g, k)


MOVE = Op("to", rules=(move_back,), names=("origin",), shown="to")


@known_words
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """This Tensor on a GPU, given by number or name; "cuda" by default. Nobody waits, `non_blocking` or not.

    Raises DeviceError for a device that is no GPU or that there is not.

    >>> import gradengine as ge
    >>> x = ge.ones(2)
    >>> x = x.cuda() if ge.cuda.is_available() else x
    """
    return to(self, device=cuda_name(device))


def cuda_name(device: Any) -> str:
    """The GPU that `.cuda(device)` means: its number, its name, or None for the first."""
    name = "cuda" if device is None else f"cuda:{device}" if devices.is_ordinal(device) else str(device)
    if not name.startswith("cuda"):
        raise DeviceError(f"cuda: {name!r} is no GPU; use .cuda(), .cuda(0), or .to({name!r}) if that is meant")
    return name


def is_device(value: Any) -> bool:
    """Whether `to` is given a device, not a dtype: a name other than a dtype's, a number, or a foreign device."""
    if isinstance(value, str):
        return value.startswith(("cpu", "cuda")) or not is_dtype_name(value)
    return devices.is_ordinal(value) or isinstance(getattr(value, "type", None), str)


def is_dtype_name(name: str) -> bool:
    """Whether `name` is that of a dtype, such as "float32"."""
    return name in ("bool", "float", "int", "half", "double", "bfloat16") or name.rstrip("0123456789") in (
        "float",
        "int",
        "uint",
    )


def assign(self: Tensor, value: Any, what: str) -> Tensor:
    """Replace the value by `value`, broadcast to this shape."""
    other = wrap(value, self, what)
    if other.device != self.device:
        raise DeviceError(
            f"{what}: this Tensor lives on {self.device!r}, the other on {other.device!r}; move that one with "
            f".to({self.device!r})"
        )
    return self.become(lambda old: ops.overwrite(old, other), what)


@checked
def copy_(self: Tensor, other: Any) -> Tensor:
    """Take over another Tensor's value, broadcast to this shape and cast to this dtype.

    >>> import gradengine as ge
    >>> ge.zeros(2).copy_(ge.tensor([1, 2]))
    tensor([1., 2.])
    """
    return assign(self, other, "copy_")


@checked
def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to `value`.

    >>> import gradengine as ge
    >>> ge.zeros(2).fill_(3)
    tensor([3., 3.])
    """
    return assign(self, value, "fill_")


@known_words
def zero_(self: Tensor) -> Tensor:
    """Set every element to 0.

    >>> import gradengine as ge
    >>> ge.ones(2).zero_()
    tensor([0., 0.])
    """
    return assign(self, 0, "zero_")


@known_words
def cpu(self: Tensor) -> Tensor:
    """This Tensor on the CPU; itself when it is there.

    >>> import gradengine as ge
    >>> ge.ones(2).cpu().device
    'cpu'
    """
    return to(self, "cpu")


def reversed_axes(self: Tensor) -> Tensor:
    """The axes in reverse order."""
    return ops.permute_dims(self, axes=tuple(reversed(range(self.ndim))))


def in_dtype(name: str, dtype: str) -> Any:
    """`t.float()` and the like."""

    def call(self: Tensor, memory_format: Any = None) -> Tensor:
        if memory_format is not None:
            check_ignored(name, "memory_format", memory_format)
        return to(self, dtype)

    call.__name__ = name
    shown = "" if dtype == "bfloat16" else f"{EXAMPLE}ge.ones(1).{name}().dtype\ndtype('{dtype}')\n"
    call.__doc__ = f"This Tensor in {dtype}; itself when it is that.{shown}"
    return known_words(call)


def names_there(self: Tensor) -> list[str]:
    """What `dir` lists: no name that is absent."""
    return [name for name in object.__dir__(self) if name not in ABSENT]


def attach_methods() -> None:
    """The methods that are more than an op under its own name."""
    for function in (clone, to, cpu, cuda, copy_, fill_, zero_):
        setattr(Tensor, function.__name__, function)
    for module in (method_forms, tensor_facts):
        for name in module.__all__:
            function = getattr(module, name)
            setattr(Tensor, name, function if hasattr(function, "__wrapped__") else known_words(function))
    names = {"float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "byte": "uint8"}
    names |= {"long": "int64", "int": "int32", "short": "int16", "char": "int8", "bool": "bool"}
    for name, dtype in names.items():
        setattr(Tensor, name, in_dtype(name, dtype))
    for name, attribute in {
        "size": property(tensor_facts.element_count, doc=tensor_facts.element_count.__doc__),
        "nbytes": property(lambda self: self.size * self.dtype.itemsize, doc="How many bytes the elements take."),
        "itemsize": property(lambda self: int(self.dtype.itemsize), doc="How many bytes an element takes."),
        "real": property(ops.real, doc="The Tensor itself: there are no complex numbers."),
        "is_cpu": property(lambda self: self.device == "cpu", doc="Whether this Tensor is on the CPU."),
        **dict.fromkeys(
            (
                "is_meta",
                "is_sparse",
                "is_quantized",
                "is_nested",
                "is_mps",
                "is_xla",
                "is_xpu",
                "is_mkldnn",
                "is_sparse_csr",
            ),
            property(lambda self: False, doc="False: there is no such kind of Tensor."),
        ),
        "retains_grad": property(
            lambda self: self.hooks is not None and RETAIN in self.hooks,
            doc="Whether `retain_grad` was called on this result.",
        ),
        "mH": property(ops.matrix_transpose, doc="Each matrix transposed, as `mT`: there are no complex numbers."),
        "H": property(ops.t, doc="A matrix transposed: there are no complex numbers."),
        "T": property(reversed_axes),
        "mT": property(ops.matrix_transpose),
        "__dir__": names_there,
        "__copy__": copied,
        "__deepcopy__": copied_with_views,
        "__getitem__": item,
        "__setitem__": ops.setitem,
        "is_cuda": property(lambda self: self.device != "cpu", doc="Whether this Tensor is on a GPU."),
    }.items():
        setattr(Tensor, name, attribute)


def attach_hints() -> None:
    """Let names that PyTorch's Tensors have and these have not say what to do instead."""
    for name, hint in ABSENT.items():
        if not hasattr(Tensor, name):
            setattr(Tensor, name, Absent(name, hint))
