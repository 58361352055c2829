"""Initial values of parameters: functions that fill a Tensor in place, with PyTorch's names and formulas.

    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

They draw from the engine's generator (or the one given), so a seed gives the same weights on every backend, and are
not recorded. Raises ShapeError for a Tensor with too few axes, ArgumentError for an unknown mode or nonlinearity.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.tensor_class import Tensor, to_array
from ..core.views import set_value
from ..errors import ArgumentError, DTypeError, ShapeError, describe
from ..ops import random
from ..ops.arguments import checked
from ..validation import check_choice, check_integer, check_number, is_number

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


@checked
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with numbers that are uniform from `a` up to `b`.

    >>> import gradengine as ge
    >>> x = ge.nn.init.uniform_(ge.empty(100), -1, 1)
    >>> bool((x >= -1).all()) and bool((x < 1).all())
    True
    """
    check_tensor("uniform_", tensor)
    check_number("uniform_", "a", a)
    if check_number("uniform_", "b", b) < a:
        raise ArgumentError(f"uniform_: a must not be above b, got {a!r} and {b!r}")
    return fill(tensor, a + (b - a) * draw(random.rand, tensor, generator))


@checked
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers.

    >>> import gradengine as ge
    >>> x = ge.nn.init.normal_(ge.empty(1000), mean=5.0)
    >>> bool(abs(x.mean() - 5) < 1)
    True
    """
    check_tensor("normal_", tensor)
    check_number("normal_", "mean", mean)
    check_number("normal_", "std", std, 0)
    return fill(tensor, mean + std * draw(random.randn, tensor, generator))


@checked
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Fill with normal numbers that lie between `a` and `b`, by inverting the distribution function.

    >>> import gradengine as ge
    >>> x = ge.nn.init.trunc_normal_(ge.empty(100), std=0.02, a=-0.04, b=0.04)
    >>> bool((abs(x) <= 0.04).all())
    True
    """
    check_tensor("trunc_normal_", tensor)
    for name, value in (("mean", mean), ("a", a), ("b", b)):
        check_number("trunc_normal_", name, value)
    check_number("trunc_normal_", "std", std, 0, above=True)
    if a > b:
        raise ArgumentError(f"trunc_normal_: a must not be above b, got {a!r} and {b!r}")
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (a, b))
    # float64: near the ends, float32 would round the distribution function to 1 and its inverse to infinity.
    # On the CPU, for the inverse is not the same to the last bit on every device.
    u = random.rand(tensor.shape, dtype=np.float64, generator=generator, device="cpu")
    x = mean + std * math.sqrt(2) * (low + (high - low) * u).erfinv()
    return fill(tensor, x.clip(a, b))


@checked
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> import gradengine as ge
    >>> ge.nn.init.constant_(ge.empty(2), 0.5)
    tensor([0.5, 0.5])
    """
    check_tensor("constant_", tensor)
    if not is_number(val) and not isinstance(val, (bool, np.bool_)):
        raise DTypeError(f"constant_: val must be a number, got {describe(val)}")
    return fill(tensor, np.full(tensor.shape, val, tensor.dtype))


@checked
def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros.

    >>> import gradengine as ge
    >>> ge.nn.init.zeros_(ge.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


@checked
def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones.

    >>> import gradengine as ge
    >>> ge.nn.init.ones_(ge.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


@checked
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity, or as much of it as there is room for.

    >>> import gradengine as ge
    >>> ge.nn.init.eye_(ge.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    check_tensor("eye_", tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: needs a matrix, got shape {tensor.shape}")
    return fill(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


@checked
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight (out, in, *kernel) so that as many channels as there are pass unchanged.

    Each of `groups` parts of the outputs does so. Raises ShapeError unless there are 3 to 5 axes.

    >>> import gradengine as ge
    >>> ge.nn.init.dirac_(ge.empty(2, 2, 3))[0].tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    check_tensor("dirac_", tensor)
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: needs a weight with 3 to 5 axes, got shape {tensor.shape}")
    outputs, inputs, *kernel = tensor.shape
    if check_integer("dirac_", "groups", groups, 1) and outputs % groups:
        raise ShapeError(f"dirac_: {outputs} outputs cannot be cut into {groups} groups")
    made = np.zeros(tensor.shape, tensor.dtype)
    per_group = outputs // groups
    for group in range(groups):
        for channel in range(min(per_group, inputs)):
            made[(group * per_group + channel, channel, *[n // 2 for n in kernel])] = 1
    return fill(tensor, made)


@checked
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill a matrix with normal numbers, of which a share of `sparsity` in each column is 0 (Martens 2010).

    >>> import gradengine as ge
    >>> int((ge.nn.init.sparse_(ge.empty(10, 3), 0.3) == 0).sum())
    9
    """
    check_tensor("sparse_", tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: needs a matrix, got shape {tensor.shape}")
    check_number("sparse_", "sparsity", sparsity, 0, 1)
    check_number("sparse_", "std", std, 0)
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    values = (std * random.randn(tensor.shape, dtype=np.float64, generator=generator, device="cpu").numpy()).copy()
    for column in range(columns):
        order = random.randperm(rows, generator=generator, device="cpu").numpy()
        values[order[:zeros], column] = 0
    return fill(tensor, values)


@checked
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill uniformly between the bounds +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    >>> import gradengine as ge
    >>> x = ge.nn.init.xavier_uniform_(ge.empty(3, 5))
    >>> bool((abs(x) <= (6 / (3 + 5)) ** 0.5).all())
    True
    """
    check_number("xavier_uniform_", "gain", gain)
    fan_in, fan_out = fans(tensor, "xavier_uniform_")
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


@checked
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with normal numbers of deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010).

    >>> import gradengine as ge
    >>> x = ge.nn.init.xavier_normal_(ge.empty(100, 100))
    >>> bool(abs(x.std() - 0.1) < 0.01)
    True
    """
    check_number("xavier_normal_", "gain", gain, 0)
    fan_in, fan_out = fans(tensor, "xavier_normal_")
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


@checked
def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Fill uniformly between the bounds +-gain * sqrt(3 / fan) (He et al. 2015).

    `a` is the negative slope of a leaky ReLU, `mode` says which fan counts: "fan_in" keeps the size of the forward
    values, "fan_out" that of the gradients.

    >>> import gradengine as ge
    >>> x = ge.nn.init.kaiming_uniform_(ge.empty(3, 6), nonlinearity="relu")
    >>> bool((abs(x) <= 1).all())
    True
    """
    bound = math.sqrt(3.0) * kaiming_std(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(tensor, -bound, bound, generator)


@checked
def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Fill with normal numbers of deviation gain / sqrt(fan); arguments as for `kaiming_uniform_`.

    >>> import gradengine as ge
    >>> x = ge.nn.init.kaiming_normal_(ge.empty(100, 200), nonlinearity="relu")
    >>> bool(abs(x.std() - 0.1) < 0.01)
    True
    """
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity, "kaiming_normal_"), generator)


@checked
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill with `gain` times a random matrix whose rows or columns, whichever are fewer, are orthonormal.

    Axes after the first count as one. Saxe et al. 2014; uniform over orthogonal matrices (Mezzadri 2007).

    >>> import gradengine as ge
    >>> q = ge.nn.init.orthogonal_(ge.empty((2, 4)))
    >>> bool((abs(q @ q.T - ge.eye(2)) < 1e-5).all())
    True
    """
    check_tensor("orthogonal_", tensor)
    check_number("orthogonal_", "gain", gain)
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least two axes, got shape {tensor.shape}")
    if not tensor.size:
        return tensor
    rows, columns = tensor.shape[0], tensor.size // tensor.shape[0]
    tall = (max(rows, columns), min(rows, columns))
    normal = random.randn(tall, dtype=np.float64, generator=generator, device="cpu").numpy()
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diag(r))  # without it, the QR's own choice of signs would not be uniform
    return fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


@checked
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks the deviation of normal numbers; `param` is a leaky ReLU's slope.

    >>> import gradengine as ge
    >>> round(ge.nn.init.calculate_gain("relu"), 4)
    1.4142
    """
    if isinstance(nonlinearity, str) and nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"calculate_gain: the slope of leaky_relu must be a number, got {slope!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    if not isinstance(nonlinearity, str) or nonlinearity not in GAINS:
        known = ", ".join(sorted([*GAINS, "leaky_relu"]))
        raise ArgumentError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known are {known}")
    return GAINS[nonlinearity]


def kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str, name: str) -> float:
    """The deviation that keeps the size of values (or gradients) through a layer."""
    check_tensor(name, tensor)
    check_choice(name, "mode", mode, ("fan_in", "fan_out"))
    check_number(name, "a", a)
    if not tensor.size:
        return 0.0
    fan_in, fan_out = fans(tensor, name)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def fans(tensor: Tensor, name: str) -> tuple[int, int]:
    """How many values go into, and come out of, one unit of a weight (out, in, *kernel)."""
    check_tensor(name, tensor)
    if tensor.ndim < 2:
        raise ShapeError(f"{name}: a fan needs a weight with at least two axes, got shape {tensor.shape}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def check_tensor(name: str, tensor: Any) -> None:
    """Raise DTypeError for what cannot be filled."""
    if not isinstance(tensor, Tensor):
        raise DTypeError(f"{name}: needs a Tensor to fill, got {describe(tensor)}")


def draw(distribution: Any, tensor: Tensor, generator: Any) -> Any:
    """Random numbers of the Tensor's shape, dtype and device."""
    return distribution(tensor.shape, dtype=tensor.dtype, generator=generator, device=tensor.device)


def fill(tensor: Tensor, value: Any) -> Tensor:
    """Give the Tensor a new value, recording nothing; what shares its elements follows."""
    set_value(tensor, to_array(value, tensor.dtype, tensor.backend))
    return tensor


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from ..missing_names import missing

        raise missing(__name__, name)
