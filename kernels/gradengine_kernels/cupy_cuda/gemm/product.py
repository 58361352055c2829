"""Matrix products described: what is multiplied, how it lies in memory, what becomes of the result.

Epilogues carry cuBLASLt's names, and x is the bare product, alpha included:

    bias, relu, relu_bias       d = x + bias[n]; max(x, 0); max(x + bias, 0)
    gelu, gelu_bias             the tanh approximation of GELU, never the exact one
    relu_aux, relu_aux_bias     also one bit per element into aux: where the argument of relu was positive
    gelu_aux, gelu_aux_bias     also the argument of gelu into aux
    drelu, dgelu                d = x times the derivative that aux tells
    drelu_bgrad, dgelu_bgrad    also bias[n] = sum of d over its rows
    bgrad_a                     d = x, and bias[n] = sum over k of op(b)[k, n]  (cuBLASLt's A is b: it computes d.T)
    bgrad_b                     d = x, and bias[m] = sum over k of op(a)[m, k]  (the bias gradient beside d = g.T @ x)

`p.bias_length`, `p.aux_ld` and `p.aux_bytes` give the sizes. Safe everywhere: bias. Safe for finite values: relu and
relu_bias (NVIDIA does not say what relu makes of NaN).
"""

from __future__ import annotations

from dataclasses import dataclass

from .cublaslt import EPILOGUES, HAS_AUX, HAS_BIAS, OF_RELU

ITEM_SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
ALIGNED = 16  # bytes: no algorithm asks for more


@dataclass(frozen=True, slots=True)
class Product:
    """What a matrix product computes and how its operands lie in memory, in row-major terms.

    `a` is stored as (m, k), or (k, m) if `ta`; `b` as (k, n), or (n, k) if `tb`; `d` as (m, n). Leading dimensions
    (the distance of stored rows) and batch strides count elements; a leading dimension of 0 or a stride of -1 says that
    there are no gaps. A batch stride of 0 gives one matrix to the whole batch.

    >>> Product("float32", 2, 3, 4, ta=True)
    Product(dtype='float32', m=2, n=3, k=4, batch=1, ta=True, tb=False, lda=2, ldb=3, ldd=3,
            stride_a=0, stride_b=0, stride_d=0, epilogue='', compute='', align=16)
    """

    dtype: str
    m: int
    n: int
    k: int
    batch: int = 1
    ta: bool = False
    tb: bool = False
    lda: int = 0
    ldb: int = 0
    ldd: int = 0
    stride_a: int = -1
    stride_b: int = -1
    stride_d: int = -1
    epilogue: str = ""
    compute: str = ""  # "float32", "tf32" or "float64"; "" as set_tf32 has it when the plan is made
    align: int = ALIGNED  # bytes of which all addresses are multiples: a power of two up to 16

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_SIZES or self.epilogue not in EPILOGUES:
            raise ValueError(f"{self.dtype} product with epilogue {self.epilogue!r}: cuBLASLt has none")
        for name in "abd":
            rows, columns = self.stored(name)
            given, least = getattr(self, f"ld{name}"), max(columns, 1)
            if given and given < least:
                raise ValueError(f"{self}: ld{name} must be at least {least}")
            object.__setattr__(self, f"ld{name}", given or least)
            if self.batch == 1:
                object.__setattr__(self, f"stride_{name}", 0)
            elif getattr(self, f"stride_{name}") < 0:
                object.__setattr__(self, f"stride_{name}", rows * (given or least))

    def stored(self, name: str) -> tuple[int, int]:
        """Rows and columns of an operand as it lies in memory."""
        if name == "d":
            return self.m, self.n
        if name == "a":
            return (self.k, self.m) if self.ta else (self.m, self.k)
        return (self.n, self.k) if self.tb else (self.k, self.n)

    def span(self, name: str) -> int:
        """Bytes from an operand's first element to the end of its last."""
        rows, columns = self.stored(name)
        if not rows * columns * self.batch:
            return 0
        elements = (self.batch - 1) * getattr(self, f"stride_{name}") + (rows - 1) * getattr(self, f"ld{name}")
        return (elements + columns) * ITEM_SIZES[self.dtype]

    @property
    def bias_length(self) -> int:
        """Elements of `bias`, which has the product's dtype; 0 without one."""
        code = EPILOGUES[self.epilogue]
        return 0 if not code & HAS_BIAS else self.m if self.epilogue == "bgrad_b" else self.n

    @property
    def aux_ld(self) -> int:
        """Distance of the rows of `aux`: in bits for relu, in elements for gelu; 0 without aux."""
        code = EPILOGUES[self.epilogue]
        step = 128 if code & OF_RELU else 8
        return -(-self.n // step) * step if code & HAS_AUX else 0

    @property
    def aux_bytes(self) -> int:
        """Bytes of `aux`: an m by n matrix of bits for relu, of elements for gelu."""
        elements = self.m * self.aux_ld
        return elements // 8 if EPILOGUES[self.epilogue] & OF_RELU else elements * ITEM_SIZES[self.dtype]

    def __str__(self) -> str:
        a, b = ("({}, {}){}".format(*self.stored(name), ".T" * t) for name, t in (("a", self.ta), ("b", self.tb)))
        batch = f"{self.batch} times " if self.batch != 1 else ""
        lds = f" with leading dimensions {self.lda}, {self.ldb}, {self.ldd}"
        epilogue = f" and epilogue {self.epilogue}" if self.epilogue else ""
        return f"{self.dtype} product {batch}{a} @ {b}{lds}{epilogue}"
