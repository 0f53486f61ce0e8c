"""Features of pictures by any transformers ViT (DINO, DINOv2, ...): the class token, and the keys of the last layer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..devices import pick_device
from .pretrained import Colours, colours, device_of, identity, model_from, normalised, squared

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet; used where a model's folder says nothing of its own."""
MARGIN = 256 / 224
"""DINO's own preparation brings the short side to 256 pixels and cuts out the middle 224; MagicBrush does the same."""
LONGEST = 480
"""The long side never exceeds this for the keys (Splice, PnP Inversion), in pixels."""
DINOV2_SIZE = 224
"""What DINOv2 is used at, in pixels; its settings name the 518 of its last training stage."""
STRUCTURE_RANGES = ("correct", "pie_compat")


class Dino:
    """Class tokens and keys. MagicBrush's table uses DINO ViT-S/16's class token, PIE-Bench's structure distance DINO ViT-B/8's keys.

    ``structure_range``: the public evaluation of PIE-Bench gives pictures in [0, 255] to a network for [0, 1]; ``pie_compat`` does so
    too, for figures beside the published ones; ``correct`` does not. ``crop`` as MagicBrush; without it the whole picture is seen.
    """

    def __init__(
        self, model: Any, mean: Colours = MEAN, deviation: Colours = DEVIATION, crop: bool = True, structure_range: str = "correct"
    ) -> None:
        if structure_range not in STRUCTURE_RANGES:
            raise ValueError(f"The structure range '{structure_range}' is unknown; use one of {', '.join(STRUCTURE_RANGES)}.")
        self.model, self.mean, self.deviation, self.crop, self.structure_range = model, mean, deviation, crop, structure_range
        self.patch = int(model.config.patch_size)
        self.size = DINOV2_SIZE if str(model.config.model_type).startswith("dinov2") else int(model.config.image_size)
        self._identity = ""

    @classmethod
    def load(cls, name: str, device: str = "auto", crop: bool = True, structure_range: str = "correct") -> "Dino":
        """A model by its public name or folder. Raises ValueError for one that is missing, damaged or no ViT."""
        place = pick_device(device)
        model = model_from(name, "a DINO or other ViT")
        if not hasattr(model.config, "patch_size") or not _key_layers(model):
            raise ValueError(f"{name} is a {type(model).__name__}, not a ViT: choose a DINO, DINOv2 or other vision transformer.")
        return cls(model.to(place), *colours(name, (MEAN, DEVIATION)), crop, structure_range)

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Class tokens (B, D) after the last norm, of (B, H, W, 3) pictures in [0, 1]; not of unit length."""
        planes = pictures.to(device_of(self.model), torch.float32).movedim(-1, 1)
        planes = squared(planes, self.size, self.crop, MARGIN)
        return self._run(normalised(planes, self.mean, self.deviation)).last_hidden_state[:, 0]

    @torch.no_grad()
    def keys(self, pictures: Tensor) -> Tensor:
        """Keys (B, 1 + patches, D) of the last layer, heads side by side, the class token first; pictures (B, H, W, 3) in [0, 1].

        The short side is brought to the model's size, the long one to at most `LONGEST` pixels: nothing is cut off but what is left
        over of a patch.
        """
        planes = pictures.to(device_of(self.model), torch.float32).movedim(-1, 1)
        planes = F.interpolate(planes, self._key_size(*planes.shape[2:]), mode="bilinear", antialias=True, align_corners=False)
        if self.structure_range == "pie_compat":
            planes = planes * 255
        caught: list[Tensor] = []
        handle = _key_layers(self.model)[-1].register_forward_hook(lambda module, given, out: caught.append(out))
        try:
            self._run(normalised(planes, self.mean, self.deviation))
        finally:
            handle.remove()
        return caught[0].reshape(len(pictures), -1, caught[0].shape[-1])

    def _key_size(self, height: int, width: int) -> tuple[int, int]:
        """In whole patches; a side of less than one is enlarged to one."""
        factor = self.size / min(height, width)
        sides = (min(LONGEST, int(side * factor)) for side in (height, width))
        short, long = (max(1, side // self.patch) * self.patch for side in sides)
        return short, long

    def _run(self, planes: Tensor) -> Any:
        usual = planes.shape[2:] == (self.model.config.image_size,) * 2
        needs = not usual and str(self.model.config.model_type) in ("vit", "vit_msn", "vit_mae", "deit", "ijepa")
        return self.model(pixel_values=planes, **({"interpolate_pos_encoding": True} if needs else {}))

    @property
    def identity(self) -> str:
        """What a feature depends on besides the picture: weights and preparation."""
        self._identity = self._identity or identity(self.model)
        return f"dino1 {self._identity} {self.crop} {self.mean} {self.deviation}"

    def modules(self) -> dict[str, nn.Module]:
        """The networks, for whoever manages the device's memory."""
        return {"dino": self.model}

    def to(self, device: torch.device | str) -> "Dino":
        self.model.to(device)
        return self


def _key_layers(model: nn.Module) -> list[nn.Module]:
    """The key projections in the order of the layers; transformers 4 calls them `key`, 5 `k_proj`."""
    return [module for name, module in model.named_modules() if name.split(".")[-1] in ("key", "k_proj")]
