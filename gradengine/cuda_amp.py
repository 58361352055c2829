"""`torch.cuda.amp`: `amp` as older programs ask for it, with no device to name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import amp
from .validation import known_words

__all__ = ["GradScaler", "autocast"]


@known_words
def autocast(enabled: bool = True, dtype: Any = "float16", cache_enabled: bool = True) -> amp.autocast:
    """`amp.autocast("cuda")`: what runs inside on a GPU is computed in half precision where that is safe.

    >>> import gradengine as ge
    >>> with ge.cuda.amp.autocast(enabled=False):
    ...     ge.ones(2) * 2
    tensor([2., 2.])
    """
    return amp.autocast("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


@known_words
def GradScaler(
    init_scale: float = 2.0**16,
    growth_factor: float = 2.0,
    backoff_factor: float = 0.5,
    growth_interval: int = 2000,
    enabled: bool = True,
) -> amp.GradScaler:
    """`amp.GradScaler("cuda")`, which scales losses so that gradients in half precision do not vanish.

    Without a GPU it does nothing, as in PyTorch.

    >>> import gradengine as ge
    >>> ge.cuda.amp.GradScaler(enabled=False).is_enabled()
    False
    """
    from .cuda import is_available

    on = enabled and is_available()
    return amp.GradScaler("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled=on)


if not TYPE_CHECKING:  # to a type checker, other names are simply missing

    def __getattr__(name: str) -> Any:
        from .missing_names import missing

        raise missing("gradengine.amp", name)
