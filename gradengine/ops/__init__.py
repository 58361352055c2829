"""Every op, declared once: this package's public names are those of its files, family by family.

What rules and bodies call enters the interpreter `k` of Tensors as it is declared; functions that are no ops enter it
here. `declare` is how an op is made; `pytorch_forms` has PyTorch's form of a function where that means something else;
`methods`, `method_forms` and `inplace` give Tensor its operators and methods, `numpy_api` answers NumPy's functions.
"""

from typing import Any as _Any

from ..core.interpreter import k as _k
from . import (
    activations,
    arithmetic,
    classification,
    contractions,
    copying,
    counting,
    creation,
    differences,
    elementwise,
    floating,
    index,
    joining,
    linalg,
    losses,
    matrix_products,
    nn,
    powers,
    predicates,
    random,
    rearranging,
    reduce,
    sampling,
    scans,
    scattering,
    sets,
    shape,
    sliding,
    sorting,
    special,
    stacking,
    statistics,
    transcendental,
)
from .activations import *
from .arithmetic import *
from .contractions import *
from .copying import *
from .counting import *
from .creation import *
from .differences import *
from .elementwise import *
from .floating import *
from .index import *
from .inplace import attach_in_place as _attach_in_place
from .joining import *
from .linalg import *
from .matrix_products import *
from .methods import attach as _attach
from .methods import attach_hints as _attach_hints
from .namespace import attach as _attach_namespace
from .nn import *
from .numpy_api import attach as _attach_numpy
from .powers import *
from .predicates import *
from .random import *
from .rearranging import *
from .reduce import *
from .sampling import *
from .scans import *
from .scattering import *
from .sets import *
from .shape import *
from .sorting import *
from .special import *
from .stacking import *
from .statistics import *
from .transcendental import *

__all__: list[str] = []
__all__ += activations.__all__
__all__ += arithmetic.__all__
__all__ += classification.__all__
__all__ += contractions.__all__
__all__ += copying.__all__
__all__ += counting.__all__
__all__ += creation.__all__
__all__ += differences.__all__
__all__ += elementwise.__all__
__all__ += floating.__all__
__all__ += index.__all__
__all__ += joining.__all__
__all__ += linalg.__all__
__all__ += losses.__all__
__all__ += matrix_products.__all__
__all__ += nn.__all__
__all__ += powers.__all__
__all__ += predicates.__all__
__all__ += random.__all__
__all__ += rearranging.__all__
__all__ += reduce.__all__
__all__ += sampling.__all__
__all__ += scans.__all__
__all__ += scattering.__all__
__all__ += sets.__all__
__all__ += shape.__all__
__all__ += sliding.__all__
__all__ += sorting.__all__
__all__ += special.__all__
__all__ += stacking.__all__
__all__ += statistics.__all__
__all__ += transcendental.__all__

_k.offer({name: globals()[name] for name in __all__})
_k.offer({"getitem": index.getitem, "setitem": index.setitem, "dropout_mask": random.dropout_mask})
_attach()
_attach_in_place()
_attach_hints()
_attach_numpy()
_attach_namespace()
_attach_hints()


def __getattr__(name: str) -> _Any:
    """An op that is not public."""
    return getattr(_k, name)
