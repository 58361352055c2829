"""PyTorch's place for `data`, as in `from gradengine.utils.data import DataLoader`; see `gradengine.data`."""

from typing import Any

__all__ = ["data"]


def __getattr__(name: str) -> Any:
    if name == "data":
        import importlib

        return importlib.import_module(f"{__name__}.data")
    from ..missing_names import missing

    raise missing(__name__, name)
