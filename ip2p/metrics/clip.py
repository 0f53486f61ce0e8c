"""Unit-length features of pictures and texts by any transformers CLIP (also SigLIP and whatever else AutoModel makes with both towers)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..devices import pick_device
from .pretrained import Colours, colours, device_of, from_pretrained, identity, model_from, normalised, squared

INPUT_RANGES = ("correct", "paper_compat")
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures CLIP was trained on; used where a model's folder says nothing of its own."""
LONGEST = 77
OWN = {"world": Path(__file__).resolve().parents[2] / "models" / "world_clip"}
"""The pack's own by name."""
PROBES = ("a red boat", "two cats at night")
"""Captions that any tokenizer tells apart."""


class Clip:
    """Features of pictures and of texts.

    ``correct``: pictures in [0, 1], antialiased bicubic to the model's size. ``paper_compat`` is what the evaluation of InstructPix2Pix
    did: pictures in [-1, 1] go to a wrapper that expects [0, 1], and are resized by bicubic interpolation without antialiasing; the
    paper's figures (Figure 8) can only be compared with those. ``crop`` cuts the middle square out of a longer picture, as CLIP's own
    preparation and MagicBrush do; otherwise the whole picture is squeezed into the square, as the authors do.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        mean: Colours = MEAN,
        deviation: Colours = DEVIATION,
        input_range: str = "correct",
        crop: bool = False,
    ) -> None:
        if input_range not in INPUT_RANGES:
            raise ValueError(f"The input range '{input_range}' is unknown; use one of {', '.join(INPUT_RANGES)}.")
        self.model, self.tokenizer, self.mean, self.deviation = model, tokenizer, mean, deviation
        self.input_range, self.crop = input_range, crop
        self.size = int(model.config.vision_config.image_size)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self._identity = ""

    @classmethod
    def load(cls, name: str, input_range: str = "correct", device: str = "auto", crop: bool = False) -> "Clip":
        """A model by its public name or folder; "world" is the pack's own. Raises ValueError for one that is missing or no CLIP."""
        from transformers import AutoTokenizer

        name, place = str(OWN.get(name, name)), pick_device(device)
        model = model_from(name, "a CLIP")
        if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
            raise ValueError(f"{name} is a {type(model).__name__}, not a CLIP: choose a model with a picture and a text tower.")
        tokenizer = from_pretrained(AutoTokenizer.from_pretrained, name, "a CLIP with its tokenizer")
        clip = cls(model.to(place), tokenizer, *colours(name, (MEAN, DEVIATION)), input_range, crop)
        clip.check_tokens(name)
        return clip

    def check_tokens(self, name: str) -> None:
        """Raise ValueError for a tokenizer that tells no texts apart (its files are missing) or that belongs to another model."""
        first, second = self.tokens(PROBES)["input_ids"]
        if first == second or max(first + second) >= self.model.config.text_config.vocab_size:
            raise ValueError(f"{name} comes without the tokenizer of its text tower: download the whole folder.")

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Unit-length features (B, D) of (B, H, W, 3) pictures in [0, 1]."""
        pictures = self._prepared(pictures.to(device_of(self.model), torch.float32).movedim(-1, 1))
        return F.normalize(_features(self.model.get_image_features(pixel_values=pictures)), dim=-1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit-length features (B, D) of texts; what is longer than the model reads is cut."""
        told = {name: torch.tensor(rows, device=device_of(self.model)) for name, rows in self.tokens(texts).items()}
        return F.normalize(_features(self.model.get_text_features(**told)), dim=-1)

    def tokens(self, texts: Sequence[str]) -> dict[str, list[list[int]]]:
        """`input_ids` and `attention_mask`, cut and padded to the longest the model reads, whatever the neighbours."""
        told = self.tokenizer(list(texts), padding="max_length", truncation=True, max_length=self._longest())
        names = ("input_ids",) if self._reads_padding() else ("input_ids", "attention_mask")
        return {name: told[name] for name in names}

    def _longest(self) -> int:
        positions = getattr(self.model.config.text_config, "max_position_embeddings", LONGEST)
        return int(min(positions, self.tokenizer.model_max_length))

    def _reads_padding(self) -> bool:
        """SigLIP was trained to read its padding, without a mask."""
        return str(self.model.config.model_type).startswith("siglip")

    def _prepared(self, pictures: Tensor) -> Tensor:
        if self.input_range == "paper_compat":
            planes = F.interpolate(pictures * 2 - 1, (self.size, self.size), mode="bicubic", align_corners=False)
        else:
            planes = squared(pictures, self.size, self.crop)
        return normalised(planes, self.mean, self.deviation)

    @property
    def identity(self) -> str:
        """What a feature depends on besides the picture: weights and preparation."""
        self._identity = self._identity or identity(self.model)
        return f"clip1 {self._identity} {self.input_range} {self.crop} {self.mean} {self.deviation}"

    def modules(self) -> dict[str, nn.Module]:
        """The networks, for whoever manages the device's memory."""
        return {"clip": self.model}

    def to(self, device: torch.device | str) -> "Clip":
        self.model.to(device)
        return self


def config_of(name: str) -> dict[str, Any]:
    """What the folder of a CLIP on this machine says of it; empty for a public name, for none, and where it says nothing."""
    if not name:
        return {}
    try:
        found = json.loads((Path(OWN.get(name, name)).expanduser() / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _features(out: Any) -> Tensor:
    """transformers 5 wraps the projected features, 4 returns them."""
    return out if isinstance(out, Tensor) else out.pooler_output
