"""Lets torchvision's wheel import on a CPU build of torch. Copied into an environment's site-packages, and started there by a .pth file.

The wheel registers fake kernels for two compiled operators that only its CUDA build brings, and fails with "operator torchvision::nms
does not exist". Declaring the two before torchvision is imported is enough; nothing else of it changes, and torch is not imported earlier.
"""

import sys
from collections.abc import Sequence
from types import ModuleType


class DeclareOperators:
    """A finder that finds nothing: the first time torchvision is looked for, it declares the operators and leaves the import path."""

    declared: object = None  # torch forgets the declarations when nothing holds them

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(cls)
        from torch import library

        operators = library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        cls.declared = operators


sys.meta_path.insert(0, DeclareOperators)
