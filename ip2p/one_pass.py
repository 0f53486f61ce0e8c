"""One pass in the place of three: an adapter on a frozen editor that says at once what equation 3 says (Meng et al. 2023, section 3).

The adapter is a LoRA on the UNet and an embedding of the two scales, which is added to the embedding of the time; so one network serves
all scales within the ranges that it was trained for. Its file is a LoRA file with the embedding's tensors (`one_pass.*`) beside the LoRA's
and notes on what it is for. Any negative text has no place in one pass: the empty one is learnt.
"""

import copy
import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import changes
from .changes import Change
from .checkpoint import FIRST_CONV, UNET
from .engine import Engine, Step, checked
from .files import CheckpointError, State, read_tensors, write_tensors
from .guidance import Predictions
from .keys import unet_to_diffusers, unet_to_ldm
from .layout import part, prefixed
from .sampling import Conditions, Denoise, Progress, Text
from .sigmas import progress_of

log = logging.getLogger(__name__)

KIND = "one_pass"
PREFIX = KIND + "."
EMBEDDED = Path(__file__).resolve().parent.parent / "models" / "one_pass.safetensors"
WAVES = 4
HIDDEN = 64
Range = tuple[float, float]
TEXT_RANGE, IMAGE_RANGE = (1.0, 10.0), (1.0, 2.2)


class ScaleEmbedding(nn.Module):
    """What a text scale and an image scale add to the embedding of the time; nothing before training.

    Each scale, brought from its range to [-1, 1], and its sines and cosines go through two layers. Scales outside their range count as
    its nearest end.
    """

    def __init__(self, width: int, text_range: Range = TEXT_RANGE, image_range: Range = IMAGE_RANGE) -> None:
        """``width`` is that of the embedding of the time."""
        super().__init__()
        self.ranges = (text_range, image_range)
        self.linear_1 = nn.Linear(2 * (1 + 2 * WAVES), HIDDEN)
        self.linear_2 = nn.Linear(HIDDEN, width)
        nn.init.zeros_(self.linear_2.weight)
        nn.init.zeros_(self.linear_2.bias)

    def check(self, text_scale: float, image_scale: float) -> None:
        """Log a warning where a scale is out of the range that was learnt."""
        for name, scale, (low, high) in zip(("text", "image"), (text_scale, image_scale), self.ranges, strict=True):
            if not low <= scale <= high:
                log.warning("The one-pass adapter has learnt %s scales of %g to %g; %g counts as the nearest.", name, low, high, scale)

    def forward(self, scales: Tensor) -> Tensor:
        """(B, width) of pairs of scales (B, 2), the text's first."""
        low, high = torch.tensor(self.ranges, dtype=torch.float32, device=scales.device).unbind(1)
        place = ((scales.float() - low) / (high - low).clamp(min=1e-6)).clamp(0, 1) * 2 - 1
        angles = [place * (wave * math.pi / 2) for wave in range(1, WAVES + 1)]
        read = torch.cat([place, *(angle.sin() for angle in angles), *(angle.cos() for angle in angles)], dim=1)
        out: Tensor = self.linear_2(nn.functional.silu(self.linear_1(read.to(self.linear_1.weight.dtype))))
        return out


@dataclass(frozen=True)
class OnePass:
    """An adapter: the change of the UNet's weights (LDM names), the embedding of the scales, and the fingerprint of its editor."""

    change: Change
    embedding: ScaleEmbedding
    base: str

    def check(self, state: Mapping[str, Tensor], name: str = "The adapter") -> None:
        """Log a warning where the editor (its state in LDM layout) is another one than the adapter was trained on."""
        if self.base != fingerprint(state):
            log.warning("%s was trained on another editor; its edits may differ from those of three passes.", name)


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """Which editor this is, from the ends of its UNet (LDM layout), the same in every precision of 16 bits or more that is not bfloat16."""
    digest = hashlib.blake2b(digest_size=8)
    for name in (FIRST_CONV, f"{UNET}time_embed.0.weight", f"{UNET}out.2.weight"):
        digest.update(state[name].detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write(path: Path | str, adapter: OnePass, state: Mapping[str, Tensor], settings: Mapping[str, object] | None = None) -> None:
    """Write an adapter's file in half precision; ``state`` is its editor's, LDM layout, ``settings`` further notes (`ip2p.*`)."""
    tensors = changes.as_lora(adapter.change, state) | prefixed(adapter.embedding.state_dict(), PREFIX)
    text, image = adapter.embedding.ranges
    notes: dict[str, object] = {
        "kind": KIND,
        "base": adapter.base,
        "text_scales": f"{text[0]:g} {text[1]:g}",
        "image_scales": f"{image[0]:g} {image[1]:g}",
        "ranks": " ".join(
            sorted({str(len(piece.down)) for piece in adapter.change.values() if isinstance(piece, changes.LowRank)}, key=int)
        ),
    }
    told = {f"ip2p.{name}": str(value) for name, value in (notes | dict(settings or {})).items()}
    write_tensors(Path(path), {name: tensor.half() for name, tensor in tensors.items()}, {"format": "pt"} | told)


def read(path: Path | str, state: Mapping[str, Tensor]) -> OnePass:
    """The adapter in a file ("embedded": the pack's own), for editors like ``state`` (LDM layout).

    Raises CheckpointError, in a sentence, for a file that is no such adapter, or is for another kind of network.
    """
    place = EMBEDDED if str(path) == "embedded" else Path(path)
    if not place.is_file():
        raise CheckpointError(f"There is no adapter file at {place}: check the name.")
    tensors, notes = read_tensors(place)
    own = part(tensors, PREFIX)
    if notes.get("ip2p.kind") != KIND or not own:
        raise CheckpointError(f"{place.name} is no one-pass adapter: choose a file that guidance distillation has made.")
    embedding = _embedding(own, notes, place.name)
    if embedding.linear_2.out_features != state[f"{UNET}time_embed.2.weight"].shape[0]:
        raise CheckpointError(f"{place.name} is an adapter for another kind of editor: choose the editor that it was made for.")
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)}
    return OnePass(changes.of_tensors(rest, state, place.name), embedding, notes.get("ip2p.base", ""))


def _embedding(own: State, notes: Mapping[str, str], name: str) -> ScaleEmbedding:
    try:
        text, image = (tuple(map(float, notes[f"ip2p.{side}_scales"].split())) for side in ("text", "image"))
        module = ScaleEmbedding(own["linear_2.weight"].shape[0], (text[0], text[1]), (image[0], image[1]))
        module.load_state_dict({key: tensor.float() for key, tensor in own.items()})
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"The adapter {name} is damaged or of another version: get it again.") from error
    return module.eval().requires_grad_(False)


def adapted(unet: Any, path: Path | str) -> Any:
    """A copy of a diffusers UNet with the adapter in a file worked in; it takes the scales (B, 2) as its `class_labels`.

    Raises CheckpointError, in a sentence, for a file that doesn't fit.
    """
    state = prefixed(unet_to_ldm({name: tensor.cpu() for name, tensor in unet.state_dict().items()}), UNET)
    adapter = read(path, state)
    adapter.check(state, Path(path).name)
    changed = copy.deepcopy(unet)
    changed.load_state_dict(unet_to_diffusers(part(changes.apply(state, adapter.change), UNET)))
    changed.class_embedding = adapter.embedding.to(next(unet.parameters()).device)
    return changed


def is_adapted(unet: Any) -> bool:
    """Whether a UNet guides in one pass."""
    return isinstance(getattr(unet, "class_embedding", None), ScaleEmbedding)


def guided(
    predict: Callable[..., Tensor],
    conditions: Conditions,
    text_scale: float,
    image_scale: float,
    denoised: Callable[..., Tensor],
    engine: Engine | None = None,
    source: Tensor | None = None,
    progress: Progress = progress_of,
) -> Denoise:
    """Equation 3 in one pass: `sampling.guided` for a network with an adapter, whose ``predict`` also takes the scales (B, 2).

    Raises ValueError for a scale that is not a finite number of at least 0.
    """
    given, run = checked(text_scale, image_scale), engine or Engine()
    text = conditions.text.expand(len(conditions.image))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        step = Step(x, float(sigma), progress(float(sigma)), source=source)
        scales = torch.tensor([run.begin_single(step, *given)], device=conditions.image.device)

        def network(z_t: Tensor, t: Tensor, text: Text, image: Tensor) -> Tensor:
            return predict(z_t, t, text, image, scales.expand(len(z_t), -1))

        found = denoised(network, x, sigma, text, conditions.image)
        return run.guided(run.complete(Predictions(found, None, None)))

    return denoise
