"""Products that cuBLASLt does not do as their operands lie, done over copies without gaps, in order and aligned.

Which layouts cuBLASLt supports is not written down for all versions and devices: an answer of "not supported" is no
reason to fail where a copy helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..lazy_cupy import cp
from .product import ITEM_SIZES, Product

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = {2: "uint16", 4: "uint32", 8: "uint64"}  # elements are copied as bits


def plainest(product: Product) -> Product | None:
    """The same product of copies; None where it is one of such operands already."""
    plain = Product(product.dtype, product.m, product.n, product.k, product.batch, compute=product.compute)
    return None if plain == product else plain


class Copies:
    """Runs a product through the plan of the plainest one."""

    def __init__(self, product: Product, plain: Product, run: Callable[..., None]) -> None:
        self.product, self.plain, self.run_plain = product, plain, run
        self.scratch: dict[Any, Any] = {}  # of each stream, for graphs refer to it
        self.seen: list[Any] = []  # what captured copies refer to

    def run(
        self,
        a: int,
        b: int,
        d: int,
        bias: int = 0,
        aux: int = 0,
        alpha: float = 1.0,
        beta: float = 0.0,
        workspace: int = 0,
    ) -> None:
        """The same as a plan's `run`, without an epilogue: bias and aux are ignored."""
        stream = cp.cuda.get_current_stream()
        room = self.room(stream.ptr)
        operands = {name: self.view(name, at) for name, at in (("a", a), ("b", b), ("d", d))}
        if stream.is_capturing():
            self.seen.append(operands)
        for name in ("a", "b", "d") if beta else ("a", "b"):
            cp.copyto(room[name], operands[name])
        self.run_plain(*[room[name].data.ptr for name in "abd"], alpha=alpha, beta=beta, workspace=workspace)
        cp.copyto(operands["d"], room["d"])

    def room(self, stream: int) -> dict[str, Any]:
        """Where the copies of a stream are."""
        key = cp.cuda.runtime.getDevice(), stream
        found = self.scratch.get(key)
        if found is None:
            p, kind = self.plain, WORDS[ITEM_SIZES[self.plain.dtype]]
            shapes = {"a": (p.batch, p.m, p.k), "b": (p.batch, p.k, p.n), "d": (p.batch, p.m, p.n)}
            found = self.scratch[key] = {name: cp.zeros(shape, kind) for name, shape in shapes.items()}
        return found

    def view(self, name: str, address: int) -> Any:
        """An operand as it lies, as (batch, rows, columns) of the product."""
        p, item = self.product, ITEM_SIZES[self.product.dtype]
        strides = getattr(p, f"stride_{name}") * item, getattr(p, f"ld{name}") * item, item
        device = cp.cuda.runtime.getDevice()
        memory = cp.cuda.UnownedMemory(address, p.span(name), None, device)
        pointer = cp.cuda.MemoryPointer(memory, 0)
        found = cp.ndarray((p.batch, *p.stored(name)), WORDS[item], pointer, strides)
        return found.swapaxes(1, 2) if name != "d" and getattr(p, f"t{name}") else found
