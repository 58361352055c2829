"""Tensor and Op: values that remember how they were computed. Knows no op and no backend by name.

A Tensor is its own graph node: `op` says which op made it, `inputs` from which Tensors, and `saved` holds the raw
arrays that those Tensors had at that moment. Arrays are values: once an array is inside a Tensor nobody writes to
it, unless the Tensor is all that can see it. In-place operators give the Tensor another array, and `saved` tells the
backward walk which version an op has read, so a gradient is that of what was computed, whatever happened since.

`dispatch` runs ops and records them, `autodiff` walks back over what was recorded, `views` keeps Tensors that share
elements equal, and `gradengine.ops` declares the ops and gives Tensor its operators.
"""

from __future__ import annotations

import itertools
import math
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..backend import devices
from ..backend.backend import Backend, home_of
from ..backend.device_names import device
from ..errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GradengineError,
    GraphError,
    ShapeError,
    SignatureError,
    describe,
)
from ..shapes.dtypes import check_dtype, get_default_dtype, is_floating, is_half
from ..validation import flag_or_raise, known_arguments, known_words
from .spelling import Spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

EMPTY: dict[str, Any] = {}
DTYPE_OF_ITS_OWN = ("dtype", "__array_interface__", "__cuda_array_interface__", "__dlpack__")
RETAIN = -1  # the key of the hook that keeps a result's gradient; it sees what all others have made of it


class GradMode(threading.local):
    """Whether ops are recorded, and what they are cast to; each thread has its own, and the settings to go back to."""

    recording = True

    def __init__(self) -> None:
        self.before: list[bool] = []
        self.differentiating = 0  # how many `ge.grad(f)` are running `f`
        self.casting: dict[str, Any] = {}  # by kind of device, the dtype that `autocast` casts to
        self.casts: dict[Any, Any] | None = None  # what has been cast in the region
        self.outer: list[Any] = []


mode = GradMode()
accumulating = threading.Lock()  # several threads may add to one gradient; no user code runs under it
order = itertools.count(0, -1)


class Op:
    """One operation: its name, gradient rules, shape rule, and (maybe) its meaning in simpler ops.

    `rules[i](k, g, y, *inputs, **params)` is the cotangent of input i, or None where there is none to have.
    `shape(name, *shapes, **params)` returns the output's shape or raises a ShapeError that says what does not fit.
    Facts that other parts of the engine ask for: `precision` under autocast is "low", "high", or "" for that of the
    operands; an op of `any_precision` moves elements and computes nothing, so its kernel takes half precision as it is;
    `checks_index` says that its kernel refuses an index or a label out of range, `boolean` that it gives truth values,
    `same_order` that the result has the same elements in the same order.
    """

    __slots__ = (
        "any_precision", "body", "boolean", "check", "checks_index", "defaults", "kind", "loop_form", "name", "names",
        "pair", "precision", "rules", "same_order", "shape", "shaped_by_data", "shown", "spelling", "view",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        kind: str = "primitive",
        rules: tuple[Callable[..., Any] | None, ...] = (),
        body: Callable[..., Any] | None = None,
        shape: Callable[..., Any] | None = None,
        defaults: Mapping[str, Any] = EMPTY,
        names: tuple[str, ...] = (),
        shown: str = "",
        spelling: Spelling | None = None,
        view: bool | str = False,
        check: Callable[[str, Mapping[str, Any]], None] | None = None,
        precision: str = "",
        any_precision: bool = False,
        checks_index: bool = False,
        boolean: bool = False,
        same_order: bool = False,
        loop_form: Callable[..., Any] | None = None,
    ) -> None:
        self.loop_form = loop_form  # what it is in terms of a compiler of loops
        self.precision, self.any_precision, self.checks_index = precision, any_precision, checks_index
        self.boolean, self.same_order = boolean, same_order
        self.check = check  # raises for settings that a kernel would take, though they make no sense
        self.view = view  # whether the result shares the elements of the operand, as far as a user can tell
        self.shown = shown or name  # what a user called, for error messages
        self.name, self.kind, self.rules, self.body, self.shape = name, kind, rules, body, shape
        self.defaults, self.names = dict(defaults), names
        self.spelling = spelling or Spelling(self.shown, names)  # what other words there are for its arguments
        # Says of metadata whether the output's shape depends on values: `jit` has no place for such a result.
        self.shaped_by_data: Callable[[Mapping[str, Any]], bool] | None = None
        # Two arrays with a rule each, no metadata, and no interest in how many axes of size 1 a cotangent has in front.
        self.pair = kind == "pointwise" and len(rules) == 2 and not names and all(rules)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


LEAF = Op("leaf", kind="leaf")


class seen_on_the_type:
    """A method that only its class has; asked for it, an instance gives None.

    NumPy looks for `__array_ufunc__` on the class. CuPy looks on the object, and leaves `cupy_array * tensor` to the
    Tensor where it finds None; else it would take the Tensor for an array of its own, and record nothing.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any] | None:
        return self.function if instance is None else None


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    `Tensor(data, dtype=None, device=None, requires_grad=False)` copies `data` as `gradengine.tensor` does: a NumPy
    array keeps its dtype, Python floats get the default dtype. As in PyTorch, lists of ints become floats, too, and
    `Tensor(2, 3)` is one of that shape with whatever was in memory. Raises DTypeError when gradients are asked of
    integers, SignatureError for other arguments.

    >>> import gradengine as ge
    >>> x = ge.Tensor([[1.0, 2.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.]])
    """

    __slots__ = (
        "__weakref__", "_grad", "array", "backend", "family", "hooks", "inputs", "op", "order", "params", "past",
        "saved", "view_of",
    )  # fmt: skip
    __hash__ = object.__hash__
    __array_priority__ = 1000
    printing: ClassVar[dict[str, Any]] = {"precision": 4}  # what `ge.set_printoptions` has set
    changed_in_place: ClassVar[bool] = False  # True once any recorded Tensor was; the walk looks for it only then

    array: Any
    backend: Backend
    op: Op | None
    inputs: tuple[Tensor, ...] | None
    saved: tuple[Any, ...] | None
    params: dict[str, Any]
    order: int  # falls with every recorded op, so that a heap gives the latest first
    _grad: Tensor | None  # what `grad` gives: ops set it, and need no check
    hooks: dict[int, Callable[[Tensor], Tensor | None]] | None
    # What shares elements with this Tensor: see gradengine.core.views. None or not set where nothing does.
    family: Any
    view_of: Any
    past: Tensor  # what a recorded result was before its last change in place

    if TYPE_CHECKING:
        # What gradengine.core.views attaches.
        data: Any

        def become(self, compute: Callable[[Tensor], Tensor], what: str) -> Tensor: ...
        def detach(self) -> Tensor: ...
        def __copy__(self) -> Tensor: ...
        def __deepcopy__(self, memo: dict[int, Any]) -> Tensor: ...

        # What gradengine.core.autodiff attaches.
        def backward(
            self,
            gradient: Tensor | None = None,
            retain_graph: bool | None = None,
            create_graph: bool = False,
            inputs: Any = None,
        ) -> None: ...

        # The operators and methods that gradengine.ops attaches.
        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __iadd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __isub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __imul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __itruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...

    @known_arguments
    def __init__(self, *given: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> None:
        if len(given) == 1 and type(given[0]) is not int:
            data = given[0]
            if dtype is None and isinstance(data, (list, tuple)) and not holds_arrays(data) and holds_ints(data):
                dtype = get_default_dtype()
        else:
            data = uninitialised(given, dtype)
        if device is not None or not isinstance(data, Tensor):
            self.backend = devices.for_device(home_of(data) if device is None else device)
        else:
            self.backend = data.backend
        self.array = to_array(data, dtype, self.backend, copy=True)
        self.op = self._grad = self.hooks = self.family = self.view_of = None
        if requires_grad is not False:
            self.become_leaf(requires_grad)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The size along each axis."""
        return getattr(self.array, "shape", ())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, a NumPy dtype."""
        return self.array.dtype if hasattr(self.array, "dtype") else np.asarray(self.array).dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def device(self) -> device:
        """Where the array lives: "cpu" or "cuda:0", a str that has a `type` and an `index`."""
        return self.backend.device

    @property
    def is_leaf(self) -> bool:
        """True when no recorded op made this Tensor."""
        return self.op is None or self.op is LEAF

    @property
    def requires_grad(self) -> bool:
        """True when gradients flow to or through this Tensor; settable on leaves."""
        return self.op is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @known_words
    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask (or stop asking) for this leaf's gradient; returns the Tensor itself.

        Raises DTypeError for integers and bools, GraphError for a Tensor that an op made.

        >>> import gradengine as ge
        >>> ge.ones(2).requires_grad_()
        tensor([1., 1.], requires_grad=True)
        """
        if self.op is not None and self.op is not LEAF:
            if requires_grad:
                return self
            raise GraphError(
                f"requires_grad_(False): this Tensor is the result of {self.op.shown}, not a leaf; use .detach() to "
                "get its value outside the graph"
            )
        new = requires_grad and self.op is None
        self.become_leaf(requires_grad)
        if getattr(self, "view_of", None) is not None and self.family is None:
            self.family = [weakref.ref(self)]  # so that optimizers need to ask one question only
        if new:
            self.order, Tensor.changed_in_place = next(order), True  # what was recorded before has read a constant
        return self

    def become_leaf(self, requires_grad: bool = True) -> Tensor:
        """`requires_grad_` for a Tensor that is new, so that no op can have read it."""
        if type(requires_grad) is not bool:
            requires_grad = flag_or_raise("requires_grad", "the flag", requires_grad)
        if requires_grad and not is_floating(self.dtype):
            raise DTypeError(
                f"requires_grad: only floating-point Tensors have gradients, this one is {self.dtype}; "
                "convert it first, for example with .to(ge.float32)"
            )
        self.op = LEAF if requires_grad else None
        self.inputs, self.saved, self.params, self.order = (), (), EMPTY, 1
        return self

    # -- gradients ----------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has added up, or None.

        Settable to None or a Tensor of the same shape, dtype and device; raises ShapeError, DTypeError or DeviceError
        for any other.
        """
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            self._check_grad(value)
        self._grad = value

    def _check_grad(self, value: Any) -> None:
        """Raise for what cannot be this Tensor's gradient."""
        if not isinstance(value, Tensor):
            raise DTypeError(f"grad: must be a Tensor or None, got {describe(value)}; use ge.tensor(...)")
        if value.shape != self.shape:
            raise ShapeError(
                f"grad: the Tensor has shape {self.shape}, its gradient must have it too, got {value.shape}"
            )
        if value.dtype != self.dtype:
            raise DTypeError(
                f"grad: the Tensor is {self.dtype}, its gradient must be too, got {value.dtype}; use .to(...)"
            )
        if value.device != self.device:
            raise DeviceError(f"grad: the Tensor is on {self.device!r}, its gradient on {value.device!r}; use .to(...)")

    @known_words
    def retain_grad(self) -> None:
        """Keep this intermediate result's gradient in `grad` too.

        >>> import gradengine as ge
        >>> x = ge.tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * 3
        >>> y.retain_grad()
        >>> (y * y).sum().backward()
        >>> y.grad
        tensor([ 6., 12.])
        """
        if self.op is None:
            raise GraphError("retain_grad: this Tensor needs no grad; set requires_grad on what it is computed from")
        if self.op is not LEAF:

            def keep(gradient: Tensor) -> None:
                with accumulating:
                    self.grad = gradient.clone() if self.grad is None else self.grad + gradient

            if self.hooks is None:
                self.hooks = {}
            self.hooks.setdefault(RETAIN, keep)

    @known_words
    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook(gradient)` when this Tensor's gradient is known; a returned Tensor takes its place.

        >>> import gradengine as ge
        >>> x = ge.tensor(2.0, requires_grad=True)
        >>> handle = x.register_hook(lambda gradient: gradient * 10)
        >>> (x * 3).backward()
        >>> x.grad
        tensor(30.)
        """
        if not callable(hook):
            raise ArgumentError(f"register_hook: takes a function of the gradient, got {describe(hook)}")
        if self.op is None:
            raise GraphError("register_hook: this Tensor needs no grad, so its gradient is never computed")
        if self.hooks is None:
            self.hooks = {}
        return HookHandle(self.hooks, hook)

    # -- out of the engine --------------------------------------------------------------------------------------

    @known_words
    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """A read-only NumPy view of the value, copied from the device when it lives on one.

        Raises GraphError when the Tensor requires grad, unless `force` is true: the graph cannot see NumPy.

        >>> import gradengine as ge
        >>> ge.tensor([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
        """
        if self.op is not None and not force:
            raise GraphError("numpy: this Tensor requires grad; use .detach().numpy() to leave the graph")
        view = self.backend.to_numpy(self.array).view()
        view.flags.writeable = False
        return view

    @known_words
    def item(self) -> Any:
        """The value of a one-element Tensor as a Python number. Raises ShapeError for any other size.

        >>> import gradengine as ge
        >>> ge.tensor([2.5]).item()
        2.5
        """
        if self.size != 1:
            raise ShapeError(f"item: needs a Tensor with one element, got shape {self.shape}; use .tolist() for more")
        return self.backend.to_numpy(self.array).item()

    @known_words
    def tolist(self) -> Any:
        """The value as nested Python lists.

        >>> import gradengine as ge
        >>> ge.tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return self.backend.to_numpy(self.array).tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False and self.device != "cpu":
            raise DeviceError(f"array: cannot take memory of {self.device!r} without a copy; leave out copy=False")
        view = self.numpy()
        if dtype is not None and np.dtype(dtype) != view.dtype:
            return view.astype(dtype)
        return view.copy() if copy else view

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.op is not None:
            raise GraphError("DLPack: this Tensor requires grad; export .detach() instead")
        if self.device == "cpu" and self.dtype.kind == "V":
            raise DTypeError("DLPack: NumPy cannot export bfloat16; export .to(ge.float32) instead")
        return self.backend.exportable(self.array).__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.backend.exportable(self.array).__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where the array is on its GPU, for CuPy, Numba, PyTorch and JAX; on the CPU there is no such attribute."""
        if self.device == "cpu":
            raise AttributeError("__cuda_array_interface__: this Tensor is on the CPU")
        if self.op is not None:
            raise GraphError("__cuda_array_interface__: this Tensor requires grad; export .detach() instead")
        return self.backend.interface(self)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            equal = ", and a.equal(b) for PyTorch's torch.equal(a, b)" if self.dtype == np.bool_ else ""
            raise ShapeError(f"bool: shape {self.shape} has no single truth value; use .any() or .all(){equal}")
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.size != 1:
            raise DTypeError(f"index: needs a Tensor with one integer, got {self.dtype} of shape {self.shape}")
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a 0-d Tensor has no length; use .size or .item()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise DTypeError("iter: a 0-d Tensor cannot be iterated; use .item()")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self.numpy(force=True) == np.asarray(value)))

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        if self.size != 1:
            raise ShapeError(
                f"format: {spec!r} needs one element, got shape {self.shape}; format t.tolist() or t.numpy()"
            )
        return format(self.item(), spec)

    def __repr__(self) -> str:
        array = self.backend.to_numpy(self.array)
        dtype = array.dtype
        if dtype.kind == "V":  # which NumPy prints as what it does not know
            array = array.astype(np.float32)
        large = bool(array.size) and array.dtype.kind == "f" and bool(np.any(np.abs(array) >= 1e-3))
        text = printed(array, large, self.printing)
        notes = [text if array.size or array.shape == (0,) else f"{text}, shape={array.shape}"]
        if dtype not in (np.float32, np.int64, np.bool_):
            notes.append(f"dtype={dtype}")
        if self.device != "cpu":
            notes.append(f"device={self.device!r}")
        if self.op is LEAF:
            notes.append("requires_grad=True")
        elif self.op is not None:
            notes.append(f"op={self.op.name}")
        return f"tensor({', '.join(notes)})"

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise GraphError("pickle: only leaves can be pickled; detach the Tensor first")
        return type(self), (np.array(self.backend.to_numpy(self.array)),), (self.requires_grad,)

    def __setstate__(self, state: tuple[bool]) -> None:
        self.become_leaf(state[0])

    def _like(self, array: Any) -> Tensor:
        """A leaf of this Tensor's own class around `array`."""
        out = type(self).__new__(type(self))
        out.array, out.backend = array, self.backend
        out.op = out._grad = out.hooks = out.family = out.view_of = None
        if self.op is LEAF:
            out.become_leaf()
        return out

    # -- in place -----------------------------------------------------------------------------------------------

    def is_exclusive(self) -> bool:
        """True when nothing but this Tensor can see its array, so that writing to it harms nobody."""
        array = self.array
        return sys.getrefcount(array) == EXCLUSIVE and self.backend.writable(array)


class HookHandle:
    """What register_hook returns: `remove()` takes the hook away again. `prepend` puts it before those there are."""

    # Never given twice, unlike an id: a handle that is dropped leaves its hook behind.
    keys = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.hooks, self.key = hooks, next(self.keys)
        later = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[self.key] = hook
        hooks.update(later)

    def remove(self) -> None:
        """Take the hook away; harmless when it is gone already."""
        self.hooks.pop(self.key, None)


def _count_references() -> int:
    """What `is_exclusive` sees for an array that only its Tensor holds (it differs between Python versions)."""
    probe = constant(np.empty(1), None)
    array = probe.array
    return sys.getrefcount(array)


def constant(array: Any, backend: Any) -> Tensor:
    """A Tensor around a raw array, outside any graph. The array is not copied."""
    out = Tensor.__new__(Tensor)
    out.array, out.backend = array, backend
    out.op = out._grad = out.hooks = out.family = out.view_of = None
    return out


EXCLUSIVE = _count_references()


def to_array(data: Any, dtype: Any, backend: Backend, copy: bool = False, what: str = "tensor") -> Any:
    """`data` as a raw array of `backend`: Python floats get the default dtype, arrays keep their dtype.

    An error begins with `what`, the op that is to take it.
    """
    if dtype is not None:
        dtype = check_dtype(dtype, what)
    if isinstance(data, Tensor):
        if data.device != backend.device:
            array = backend.receive(data.array, data.backend)
        else:
            array = data.array
            if dtype is not None:
                array = backend.cast(array, dtype)
            return backend.duplicate(array) if copy and array is data.array else array
        return array if dtype is None else backend.cast(array, dtype)
    if backend.device != "cpu" and home_of(data) is None:
        host = devices.for_device("cpu")
        return backend.receive(to_array(data, dtype, host, what=what), host)
    given = dtype is not None or any([hasattr(data, name) for name in DTYPE_OF_ITS_OWN])
    try:
        array = backend.asarray(data, dtype, copy)
    except GraphError:
        raise GraphError(
            f"{what}: the list holds a Tensor that requires grad, which a copy has no gradient to; use ge.stack([...]) "
            "to keep the graph, or give numbers (t.item()) or t.detach()"
        ) from None
    except GradengineError:
        raise
    except BufferError as error:  # such as that of a Tensor of another library that requires grad there
        raise DTypeError(f"{what}: cannot take {describe(data)}: {error}") from None
    except OverflowError as error:  # a number that the dtype does not have
        raise DTypeError(f"{what}: cannot make an array of {describe(data)}: {error}") from None
    except (ValueError, TypeError, RuntimeError) as error:
        kind = (
            DTypeError if str(error).startswith("cannot convert float") else ShapeError
        )  # NaN or infinity to integers
        raise kind(f"{what}: cannot make an array of {describe(data)}: {error}") from None
    if dtype is not None and not hasattr(data, "dtype"):
        check_numbers(data, array, what)
    if array.dtype.kind == "c":
        raise DTypeError(f"{what}: got {describe(data)}; complex numbers are not supported, only real ones")
    if array.dtype.kind == "O" and array.size and all([type(x) is int for x in array.flat]):
        raise DTypeError(f"{what}: {describe(data)} does not fit into 64 bits; write a float, such as 1e20")
    if array.dtype.kind not in "fiub" and not is_half(array.dtype):
        raise DTypeError(f"{what}: {describe(data)} is no array of numbers; give numbers, bools or an array of them")
    if not given and array.dtype == np.float64 and not holds_arrays(data):
        if array.size and np.abs(array).max() >= 2**63 and only_ints(data):
            raise DTypeError(
                f"{what}: no integer dtype holds all of {describe(data)}; write floats, or give dtype=ge.float64"
            )
        array = backend.cast(array, get_default_dtype())
    check_dtype(array.dtype, what)
    return array


def check_numbers(data: Any, array: Any, what: str) -> None:
    """Raise DTypeError for None and text, of which NumPy makes NaN and numbers where it is told the dtype."""
    leaf = data
    while isinstance(leaf, (list, tuple)) and leaf:
        leaf = leaf[0]
    if not isinstance(leaf, (str, bytes)) and leaf is not None:
        if array.dtype.kind != "f" or not isinstance(data, (list, tuple)) or not np.isnan(array).any():
            return
        if None not in np.asarray(data, dtype=object).reshape(-1):
            return
    raise DTypeError(f"{what}: {describe(data)} is no array of numbers; give numbers, bools or an array of them")


def printed(array: Any, plain: bool, options: Mapping[str, Any]) -> str:
    """The elements of an array in text; `plain` numbers have no exponents where the options do not ask for them."""
    words = {"threshold": options.get("threshold"), "edgeitems": options.get("edgeitems")}
    words["max_line_width"] = options.get("linewidth")
    asked = options.get("sci_mode")
    digits = options["precision"]
    if asked and array.dtype.kind == "f":
        words["formatter"] = {"float_kind": lambda x: f"{x:.{digits}e}"}
    given = {name: value for name, value in words.items() if value is not None}
    small = plain if asked is None else not asked
    return np.array2string(array, separator=", ", prefix="tensor(", precision=digits, suppress_small=small, **given)


def fresh(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new Tensor with a copy of `data`."""
    if device is not None or not isinstance(data, Tensor):
        backend = devices.for_device(home_of(data) if device is None else device)
    else:
        backend = data.backend
    out = constant(to_array(data, dtype, backend, copy=True), backend)
    return out.become_leaf() if requires_grad else out


def uninitialised(sizes: tuple[Any, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """What `Tensor(2, 3)` holds. Raises SignatureError for anything but sizes."""
    if not all([type(n) is int and n >= 0 for n in sizes]):
        shown = ", ".join([describe(n) for n in sizes])
        raise SignatureError(f"Tensor: takes data or sizes, got {shown}; use ge.tensor(data, dtype, device)")
    wanted = get_default_dtype() if dtype is None else check_dtype(dtype, "Tensor")
    try:
        return np.empty(sizes or (0,), wanted)
    except ValueError as error:
        raise ShapeError(f"Tensor: cannot make an array of shape {sizes}: {error}") from None


def holds_ints(data: Any) -> bool:
    """True when the first leaf of nested sequences is an int, or there is none."""
    while isinstance(data, (list, tuple)):
        if not data:
            return True
        data = data[0]
    return type(data) is int


def only_ints(data: Any) -> bool:
    """True when all leaves of nested sequences are ints or bools."""
    return all([only_ints(x) for x in data]) if isinstance(data, (list, tuple)) else isinstance(data, int)


def holds_arrays(data: Any) -> bool:
    """True when the first leaf of nested sequences is an array, whose dtype is then kept."""
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return hasattr(data, "dtype")


def wrap(value: Any, like: Any = None, what: str = "tensor") -> Tensor:
    """A constant Tensor for an operand that is none. A number, NumPy's too, stays one: it takes the other's dtype.

    A NumPy array is copied: its owner may write to it before a gradient reads it again.
    """
    if isinstance(value, Tensor):
        return value
    kind = type(value)
    if isinstance(like, Tensor):
        if kind is float or kind is int or kind is bool:
            return constant(value, like.backend)
        if isinstance(value, int):  # `x.size` is of a kind of its own
            return constant(int(value), like.backend)
        if isinstance(value, np.generic) and type(value.item()) in (float, int, bool):
            return constant(value.item(), like.backend)
        home = home_of(value)
        backend = like.backend if home is None or home == like.device else devices.for_device(home)
        return constant(to_array(value, None, backend, True, what), backend)
    if isinstance(like, np.ndarray) and (kind is float or kind is int or kind is bool):
        return constant(value, devices.for_device(None))  # the array becomes a Tensor, whose dtype it takes
    backend = devices.for_device(home_of(value))
    return constant(to_array(value, None, backend, True, what), backend)
