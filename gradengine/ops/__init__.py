"""Every op, declared once. The module itself is the interpreter `k` that rules speak to when they run on Tensors."""

from .elementwise import *
from .clone import *
from .reduce import *
from .shape import *
from .index import *
from .linalg import *
from .nn import *
from . import methods

methods.attach()
methods.attach_more()
