"""Optional ratings of single pictures by published classifiers: how pleasing one is, and how likely it is not safe for work."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..devices import pick_device
from ..metrics.pretrained import Colours, colours, device_of, from_pretrained, identity, normalised, squared

UNSAFE = ("nsfw", "unsafe", "porn", "hentai", "sexy", "explicit", "nude")
PLEASING = ("aesthetic", "pleasing", "beautiful", "good", "high")
NOT = ("not", "non", "un")
HALF: tuple[Colours, Colours] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""How pictures are prepared where a model's folder doesn't say."""


class Rating:
    """A transformers picture classifier as one number a picture: the probability of the labels that are asked for, or, of a model with a
    single output (a predictor of aesthetics), that output."""

    def __init__(self, model: Any, columns: Sequence[int], mean: Colours = HALF[0], deviation: Colours = HALF[1]) -> None:
        self.model, self.columns, self.mean, self.deviation = model, list(columns), mean, deviation
        size = getattr(model.config, "image_size", 224)
        self.size = int(size[0] if isinstance(size, list | tuple) else size)

    @classmethod
    def load(cls, name: str, wanted: Sequence[str], device: str = "auto") -> "Rating":
        """A model by its public name or folder. Raises ValueError for one that is missing, damaged, or has no label of the wanted."""
        from transformers import AutoModelForImageClassification

        load = partial(AutoModelForImageClassification.from_pretrained, output_loading_info=True)
        model, told = from_pretrained(load, name, "a picture classifier")
        if told["missing_keys"]:
            raise ValueError(f"{name} lacks {len(told['missing_keys'])} of its weights: download the whole folder of a picture classifier.")
        model = model.float().eval().requires_grad_(False).to(pick_device(device))
        return cls(model, _columns(model.config.id2label, wanted, name), *colours(name, HALF))

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """(B,) numbers of (B, H, W, 3) pictures in [0, 1]."""
        planes = squared(pictures.to(device_of(self.model), torch.float32).movedim(-1, 1), self.size, False)
        logits = self.model(pixel_values=normalised(planes, self.mean, self.deviation)).logits
        return (logits if logits.shape[1] == 1 else logits.softmax(-1))[:, self.columns].sum(-1)

    @property
    def identity(self) -> str:
        """What the numbers depend on besides the picture."""
        return f"{identity(self.model)} {self.columns} {self.mean} {self.deviation}"

    def modules(self) -> dict[str, nn.Module]:
        """The network, for whoever manages the device's memory."""
        return {"rating": self.model}


def aesthetic(name: str, device: str = "auto") -> Rating:
    """How pleasing a picture is, by a model that says so; higher is better, the range is the model's own."""
    return Rating.load(name, PLEASING, device)


def nsfw(name: str, device: str = "auto") -> Rating:
    """How likely a picture is not safe for work, 0 to 1."""
    return Rating.load(name, UNSAFE, device)


def _columns(labels: dict[int, str], wanted: Sequence[str], name: str) -> list[int]:
    """The outputs whose labels are wanted; the only one of a model that has one."""
    if len(labels) == 1:
        return [0]
    plain = {int(number): label.lower().replace("-", "_") for number, label in labels.items()}
    found = [number for number, label in plain.items() if any(word in label for word in wanted) and not label.startswith(NOT)]
    if wanted is UNSAFE:  # "unsafe" begins with "un", and is meant
        found = sorted({*found, *(number for number, label in plain.items() if label.startswith("unsafe"))})
    if not found:
        raise ValueError(f"{name} has the labels {', '.join(labels.values())}, of which none is {' or '.join(wanted[:3])}: choose another.")
    return found
