from .tensor import Tensor, no_grad, enable_grad, set_grad_enabled, is_grad_enabled
from . import ops
from .ops.declare import elementwise, primitive, composite
from .autodiff import grad
from .backend import backends, set_cpu_backend, get_cpu_backend
