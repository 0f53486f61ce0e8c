"""A small CLIP (Radford et al. 2021) that knows the world: scenes and their captions, told apart by contrast.

It makes the paper's image, text and directional similarities measurable where no released CLIP is at hand, on the world's pictures only.
Saved as a transformers folder, it is loaded like any other.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, PreTrainedTokenizerFast

from ..training.chance import Randomness
from ..worlds import language
from ..worlds.chance import random_edit, random_scene
from ..worlds.drawing import draw
from ..worlds.edits import KINDS, LIMITS
from ..worlds.scene import Scene
from ..worlds.subset import Subset
from .config import Clip

BEGIN, END, PAD, UNKNOWN = "<begin>", "<end>", "<pad>", "<unknown>"
LENGTH = 96
"""Longest caption in tokens."""
HARVEST = 4000
"""Scenes whose captions give the vocabulary: many times more than it takes to meet every word."""


def build(config: Clip) -> CLIPModel:
    """The two towers with random weights."""
    words = vocabulary()
    tower = {"num_attention_heads": config.heads, "projection_dim": config.projection, "hidden_size": config.width}
    more = {"intermediate_size": 4 * config.width, "hidden_act": "gelu"}
    text = {"vocab_size": len(words), "num_hidden_layers": config.text_layers, "max_position_embeddings": LENGTH}
    marks = {"bos_token_id": words[BEGIN], "eos_token_id": words[END], "pad_token_id": words[PAD]}
    vision = {"image_size": config.size, "patch_size": config.patch, "num_hidden_layers": config.image_layers}
    return CLIPModel(
        CLIPConfig(
            text_config={**tower, **more, **text, **marks},
            vision_config={**tower, **more, **vision},
            projection_dim=config.projection,
        )
    )


@cache
def vocabulary() -> dict[str, int]:
    """Every word of the world's captions with its token id."""
    rng = np.random.default_rng(0)
    words = {word for _ in range(HARVEST) for scene in _pair(rng) for word in re.findall(r"\w+|[^\w\s]", language.caption(scene))}
    return {word: number for number, word in enumerate([PAD, UNKNOWN, BEGIN, END, *sorted(words)])}


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words as tokens, lower-cased, between a begin and an end mark."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = vocabulary()
    made = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, words[BEGIN]), (END, words[END])]
    )
    marks = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=LENGTH, **marks)


def _pair(rng: np.random.Generator, part: Subset | None = None) -> tuple[Scene, Scene]:
    """A scene and the same after a random edit: the finest differences that the network must tell apart."""
    scene, edit = part.scene(rng) if part else random_scene(rng), None
    drawn = part.edit if part else random_edit
    while edit is None:
        edit = drawn(scene, str(rng.choice((*KINDS, *LIMITS))), rng)
    return scene, edit.apply(scene)


class ClipLoss:
    """The symmetric contrastive loss on scenes and their captions.

    Pair number n is made from the seed and n alone, of the whole world or of a part. A step chooses from the newest ``pool`` numbers, of
    which ``fresh`` are new, so that most pictures are drawn once and used many times, and a resumed run meets the same ones.
    """

    def __init__(self, model: CLIPModel, config: Clip, part: Subset | None = None) -> None:
        self.model, self.config, self.part, self.tokenizer = model, config, part, tokenizer()
        self.drawn: dict[int, tuple[list[np.ndarray], list[str]]] = {}

    def __call__(self, chance: Randomness) -> Tensor:
        pictures, captions = self._batch(chance.numpy, chance.step)
        pixels = torch.stack([normalised(_disturbed(picture, chance.numpy)) for picture in pictures])
        words = self.tokenizer(captions, padding=True, truncation=True, return_tensors="pt")
        out = self.model(input_ids=words["input_ids"], attention_mask=words["attention_mask"], pixel_values=pixels)
        alike = torch.tensor([[one == other for one in captions] for other in captions]).float()
        target = alike / alike.sum(1, keepdim=True)  # a caption may stand for two pictures
        return (F.cross_entropy(out.logits_per_image, target) + F.cross_entropy(out.logits_per_text, target)) / 2

    def _batch(self, rng: np.random.Generator, step: int) -> tuple[list[np.ndarray], list[str]]:
        """Pictures (H, W, 3) in bytes and their captions: first all sources, then all edited ones."""
        half = self.config.schedule.batch // 2
        newest = half + step * self.config.fresh
        oldest = max(0, newest - self.config.pool)
        for number in [number for number in self.drawn if number < oldest]:
            del self.drawn[number]
        chosen = [self._drawn(int(number)) for number in oldest + rng.permutation(newest - oldest)[:half]]
        return [one[0][side] for side in (0, 1) for one in chosen], [one[1][side] for side in (0, 1) for one in chosen]

    def _drawn(self, number: int) -> tuple[list[np.ndarray], list[str]]:
        if number not in self.drawn:
            scenes = _pair(np.random.default_rng([self.config.schedule.seed, number]), self.part)
            pictures = [(draw(scene, self.config.size).picture * 255).round().astype(np.uint8) for scene in scenes]
            self.drawn[number] = pictures, [language.caption(scene) for scene in scenes]
        return self.drawn[number]


def _disturbed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As an editor may leave it: a little blurred, noisy, brighter or darker. Values in [0, 1]."""
    sigma = rng.uniform(0, 0.8)
    soft = ndimage.gaussian_filter(picture.astype(np.float32) / 255, (sigma, sigma, 0)) if sigma > 0.3 else picture.astype(np.float32) / 255
    noisy = soft + rng.normal(0, rng.uniform(0, 0.03), soft.shape).astype(np.float32)
    return np.clip(noisy * rng.uniform(0.92, 1.08), 0, 1)


def normalised(picture: np.ndarray) -> Tensor:
    """A picture (H, W, 3) in [0, 1] as the vision tower takes it, (3, H, W)."""
    processor = CLIPImageProcessor()
    mean, std = (np.array(values, dtype=np.float32) for values in (processor.image_mean, processor.image_std))
    return torch.from_numpy(((picture - mean) / std).astype(np.float32)).permute(2, 0, 1)


def save(model: CLIPModel, folder: Path) -> None:
    """A transformers folder: half-precision weights, tokenizer, and how pictures are prepared."""
    model.config.ip2p = "world"  # by which its thresholds are known
    model.half().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    size = model.config.vision_config.image_size
    CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}).save_pretrained(folder)


@torch.no_grad()
def retrieval(model: CLIPModel, seed: int, count: int, size: int, part: Subset | None = None) -> dict[str, float]:
    """How often, on new scenes (of a part of the world), the caption is nearest to its picture (`caption_of`, among `count`), and how often
    an edit's direction in pictures agrees more with its own direction in captions than with another's (`direction_of`)."""
    rng = np.random.default_rng(seed)
    pairs = [_pair(rng, part) for _ in range(count)]
    (i0, t0), (i1, t1) = (_embedded(model, [pair[side] for pair in pairs], size) for side in (0, 1))
    direction = F.normalize(i1 - i0, dim=-1) @ F.normalize(t1 - t0, dim=-1).T
    right = torch.arange(count)
    return {
        "caption_of": float(((i0 @ t0.T).argmax(1) == right).float().mean()),
        "direction_of": float((direction.diag() > direction[right, (right + 1) % count]).float().mean()),
        "direction": float(direction.diag().mean()),
    }


def _embedded(model: CLIPModel, scenes: Sequence[Scene], size: int) -> tuple[Tensor, Tensor]:
    """Normalised features (B, d) of scenes' pictures and of their captions."""
    pixels = torch.stack([normalised(draw(scene, size).picture) for scene in scenes])
    words = tokenizer()([language.caption(scene) for scene in scenes], padding=True, truncation=True, return_tensors="pt")
    out = model(input_ids=words["input_ids"], attention_mask=words["attention_mask"], pixel_values=pixels)
    return out.image_embeds, out.text_embeds
