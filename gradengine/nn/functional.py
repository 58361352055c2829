"""The functions of neural networks under PyTorch's names: activations, softmax, losses, dropout, embedding.

    import gradengine.nn.functional as F

Where PyTorch says `dim`, both `dim` and `axis` work. May import the ops.
"""

from __future__ import annotations

from ..ops.losses import *
from ..ops.nn import log_softmax, softmax
