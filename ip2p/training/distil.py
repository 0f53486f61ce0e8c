"""The objective "distil", guidance distillation (Meng et al. 2023, section 3.1): one pass learns to say what equation 3 says.

The editor is frozen. What learns is a LoRA and an embedding of the two scales (`one_pass.ScaleEmbedding`); with these switched off, the
network is its own teacher.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import changes, one_pass
from ..checkpoint import UNET, Checkpoint, check_editor
from ..configs import ConfigError
from ..data.pairs import Group, Lazily, PairSet
from ..edit import Editor
from ..noising import add_noise
from ..one_pass import OnePass, ScaleEmbedding
from ..sigmas import alphas_cumprod
from . import lora
from .batches import pairs_of
from .config import DistilConfig, TrainConfig
from .kinds import Place
from .objective import EPSILON, Batch, target_latent
from .trainable import Trainable
from .trainable import prepare as prepare_lora

log = logging.getLogger(__name__)

NAME = "one_pass.safetensors"
EMBEDDING = "class_embedding."
"""Where diffusers' UNet has room for an embedding that is added to the time's."""
LEVELS = 4096
"""A uniform number of 24 bits is cut into two of 12."""


def prepare(base: Checkpoint, config: TrainConfig, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Trainable:
    """The editor with an adapter that changes nothing yet; only the adapter is trained.

    Raises CheckpointError for a model that is no editor, ValueError for LoRA targets that it hasn't.
    """
    check_editor(base.state)
    made = prepare_lora(base, replace(config.model, train="lora"), device, dtype)
    made.unet.conv_in.requires_grad_(False)
    width = made.unet.time_embedding.linear_2.out_features
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        embedding = ScaleEmbedding(width, config.distil.text_scales, config.distil.image_scales)
    made.unet.class_embedding = embedding.to(device)
    named = [(name, parameter) for name, parameter in made.unet.named_parameters() if parameter.requires_grad]
    model = replace(made, parameters=named)
    if config.distil.start:
        begin(model, one_pass.read(config.distil.start, base.state))
    return model


@torch.no_grad()
def begin(model: Trainable, adapter: OnePass) -> None:
    """Let training go on from an adapter, which may be of an earlier editor. Raises ConfigError for one of other layers or another rank."""
    layers = {theirs: ours for ours, theirs in changes.layers(model.base.state).items()}
    learnt = dict(model.parameters)
    values = {EMBEDDING + name: tensor for name, tensor in adapter.embedding.state_dict().items()}
    for name in (name.removesuffix(lora.DOWN) for name in learnt if name.endswith(lora.DOWN)):
        piece = adapter.change.get(f"{UNET}{layers[name]}.weight")
        if isinstance(piece, changes.LowRank):
            values |= {name + lora.DOWN: piece.down, name + lora.UP: piece.scale / model.scale * piece.up}
    if {name: value.shape for name, value in values.items()} != {name: parameter.shape for name, parameter in learnt.items()}:
        raise ConfigError("The adapter in distil.start has other layers or another rank: set model.targets and model.rank as it has them.")
    for name, value in values.items():
        learnt[name].copy_(value)


def pairs(base: Checkpoint, config: TrainConfig, place: Place) -> PairSet:
    """What is learnt from. Raises DataError."""
    found = pairs_of(config.data, place.cache)
    return some_of_each(found, config.distil.of_each, config.run.seed) if config.distil.of_each else found


def some_of_each(whole: PairSet, count: int, seed: int) -> PairSet:
    """A set with at most ``count`` pairs of each group, drawn by lot; the same ones for the same seed."""

    def places(number: int) -> list[int]:
        order = np.random.default_rng([seed, number]).permutation(len(whole.group(number)))
        return [int(pair) for pair in order[:count]]

    def group(number: int) -> Group:
        pairs, chosen = whole.group(number), places(number)
        return Lazily(len(chosen), lambda pair: pairs[chosen[pair]])

    return replace(whole, group=group, key=lambda number, pair: whole.key(number, places(number)[pair]))


def editor(plain: Editor) -> Editor:
    """What validation edits with: it makes one pass where its network has an adapter."""
    return plain


def losses(trainable: Trainable, batch: Batch, config: TrainConfig) -> Tensor:
    """The mean squared difference (B,), float32, of one pass to equation 3 with the frozen editor's three, at scales of the sample's own.

    It is that of the noise, whatever the network predicts, so that the small sigmas, at which a picture gets its final look, have weight.
    """
    draws = batch.draws
    scales = scales_of(draws.r, config.distil)
    noisy = add_noise(target_latent(batch), draws.noise, draws.t)
    goal = guided(trainable, noisy, draws.t, batch, scales)
    said = trainable.unet(torch.cat([noisy, batch.image], dim=1), draws.t, batch.text, class_labels=scales).sample
    error = (said.float() - goal).pow(2)
    if batch.weight is not None:
        error = error * batch.weight
    return error.mean((1, 2, 3)) * weight(draws.t, trainable.prediction)


def scales_of(r: Tensor, config: DistilConfig) -> Tensor:
    """The two scales (B, 2) of each sample, uniform in their ranges, from one uniform number in [0, 1): its first and its last 12 bits."""
    parts = torch.stack([(r * LEVELS).floor() / LEVELS, (r * LEVELS).frac()], dim=1)
    low, high = torch.tensor([config.text_scales, config.image_scales], device=r.device).unbind(1)
    return low + (high - low) * parts


def weight(t: Tensor, prediction: str = EPSILON) -> Tensor:
    """What makes the squared error (B,) of a prediction at timesteps (B,) that of the noise: 1, or for v the signal's share of variance."""
    return torch.ones(t.shape, device=t.device) if prediction == EPSILON else alphas_cumprod()[t.cpu()].float().to(t.device)


@torch.no_grad()
def guided(trainable: Trainable, noisy: Tensor, t: Tensor, batch: Batch, scales: Tensor) -> Tensor:
    """Equation 3 (B, 4, h, w), float32, with the frozen editor: its three passes in one call."""
    text = torch.cat([batch.text, batch.empty.expand(2 * len(noisy), -1, -1)])
    image = torch.cat([batch.image, batch.image, torch.zeros_like(batch.image)])
    with frozen(trainable.unet):
        said = trainable.predict(noisy.repeat(3, 1, 1, 1), t.repeat(3), text, image)
    d_text, d_image, d_null = said.float().chunk(3)
    more_text, more_image = (scales - 1).view(-1, 2, 1, 1, 1).unbind(1)
    return d_text + more_text * (d_text - d_image) + more_image * (d_image - d_null)


@contextmanager
def frozen(unet: Any) -> Iterator[None]:
    """The editor as it was before it got an adapter, which is back afterwards."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in unet.modules() if isinstance(module, BaseTunerLayer)]
    embedding, unet.class_embedding = unet.class_embedding, None
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        unet.class_embedding = embedding
        for layer in layers:
            layer.enable_adapters(True)


def adapter(trainable: Trainable, average: Sequence[Tensor] | None = None) -> OnePass:
    """What was trained; ``average`` are the averaged parameters, in the order of the trainable's (none: the raw ones)."""
    values = [parameter for _, parameter in trainable.parameters] if average is None else average
    named = {name: value.detach().cpu().float() for (name, _), value in zip(trainable.parameters, values, strict=True)}
    layers = {theirs: ours for ours, theirs in changes.layers(trainable.base.state).items()}
    pieces = lora.pieces({name: value for name, value in named.items() if not name.startswith(EMBEDDING)}, trainable.scale)
    change: changes.Change = {f"{UNET}{layers[name.removesuffix('.weight')]}.weight": piece for name, piece in pieces.items()}
    learnt = trainable.unet.class_embedding
    embedding = ScaleEmbedding(learnt.linear_2.out_features, *learnt.ranges)
    embedding.load_state_dict({name.removeprefix(EMBEDDING): value for name, value in named.items() if name.startswith(EMBEDDING)})
    return OnePass(change, embedding.eval().requires_grad_(False), one_pass.fingerprint(trainable.base.state))


def write(trainable: Trainable, average: Sequence[Tensor], config: TrainConfig, folder: Path) -> list[Path]:
    """Write the adapter's file (see `one_pass.write`): of the averaged parameters, or of the raw ones where the config asks for these."""
    path = folder / NAME
    one_pass.write(path, adapter(trainable, None if config.export.weights == "raw" else average), trainable.base.state)
    log.info("wrote %s", path)
    return [path]
