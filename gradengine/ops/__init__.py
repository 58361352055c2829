"""Every op, declared once, in a file for each family.

`declare` is how an op is made; `spelling` in gradengine.core knows what PyTorch and NumPy call its arguments, and
`pytorch_forms` holds PyTorch's form where that means something else. `methods`, `method_forms` and `inplace` give
Tensor its operators and methods, `numpy_api` answers NumPy's functions. All functions are offered to the interpreter
`k`, which gradient rules speak to when they run on Tensors.
"""

from ..core.interpreter import k as _k
from .activations import *
from .arithmetic import *
from .classification import *
from .contractions import *
from .copying import *
from .counting import *
from .creation import *
from .differences import *
from .elementwise import *
from .floating import *
from .index import *
from .inplace import attach_in_place
from .joining import *
from .linalg import *
from .losses import *
from .matrix_products import *
from .methods import attach, attach_hints
from .namespace import attach as attach_namespace
from .nn import *
from .numpy_api import attach as attach_numpy
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
from .sliding import *
from .sorting import *
from .special import *
from .stacking import *
from .statistics import *
from .transcendental import *

_k.offer({name: value for name, value in globals().items() if name[0] != "_"})
attach()
attach_in_place()
attach_hints()
attach_numpy()
attach_namespace()
attach_hints()
