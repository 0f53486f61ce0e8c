"""What was trained, as files: a model in LDM layout, a diffusers folder, a LoRA, a delta against the base."""

import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from .. import changes, checkpoint
from ..changes import Change
from ..checkpoint import Checkpoint
from ..files import CheckpointError, State, write_tensors
from ..layout import EMA, FIRST_CONV, TEXT, UNET, VAE, with_picture_input
from ..sigmas import BETA_END, BETA_START
from . import lora
from .config import ExportConfig
from .trainable import Trainable

log = logging.getLogger(__name__)

PRECISIONS = {"fp16": torch.float16, "fp32": torch.float32}
NAMES = {"ldm": "editor.safetensors", "diffusers": "editor", "lora": "editor_lora.safetensors", "delta": "editor_delta.safetensors"}


def write(trainable: Trainable, average: Sequence[Tensor] | None, config: ExportConfig, folder: Path) -> list[Path]:
    """Write every form that the config names into a folder; returns their paths. Raises ValueError for a form that it can't have.

    ``average`` are the averaged parameters, in the order of the trainable's; without them the raw ones are written.
    """
    places = [folder / NAMES[form] for form in config.formats]
    for form, path in zip(config.formats, places, strict=True):
        write_form(path, form, trainable, average, config.weights, config.precision)
        log.info("wrote %s", path)
    return places


def write_form(
    path: Path, form: str, trainable: Trainable, average: Sequence[Tensor] | None = None, weights: str = "ema", precision: str = "fp16"
) -> None:
    """Write one form: "ldm", "diffusers", "lora" or "delta". Only the first can hold "both" sets of weights, the others then take EMA."""
    one = "raw" if weights == "raw" else "ema"
    if form == "ldm":
        write_ldm(path, model(trainable, average, weights), precision)
    elif form == "diffusers":
        write_diffusers(path, model(trainable, average, one), precision)
    elif form == "lora":
        write_lora(path, trainable, average if one == "ema" else None, precision)
    else:
        write_delta(path, model(trainable, average, one), trainable.base, precision)


def of_run(folder: Path, path: Path, form: str = "ldm", weights: str = "ema", precision: str = "fp16", which: str | int = "last") -> None:
    """Write a training run as its checkpoint has it ("last", "best" or a step); one that distilled guidance gives its adapter, whatever
    the form. Raises ValueError."""
    from . import run
    from .config import load
    from .kinds import kind_of

    _check_place(path, form)
    config = replace(load(folder / run.CONFIG), export=ExportConfig((form,), weights, precision))
    trained = run.open_run(folder, which)
    with _beside(path) as scratch:
        (written,) = kind_of(config).write(trained.trainable, trained.average, config, scratch)
        _put(written, path)


def model(trainable: Trainable, average: Sequence[Tensor] | None = None, weights: str = "ema") -> Checkpoint:
    """The trained model, whole: the base's autoencoder, text encoder and settings, and the UNet as it is now."""
    return replace(trainable.base, state=editor_state(trainable, average, weights), weights=weights if average is not None else "only")


def editor_state(trainable: Trainable, average: Sequence[Tensor] | None = None, weights: str = "ema") -> State:
    """The trained model's state in LDM layout.

    ``weights``: "ema" (the averaged parameters, where they are given), "raw", or "both": raw under `model.diffusion_model.*` and
    averaged under `model_ema.*`, the authors' way (an EMA name is the UNet's without its dots).
    """
    raw = _state(trainable, [parameter for _, parameter in trainable.parameters])
    if average is None or weights == "raw":
        return raw
    averaged = _state(trainable, average)
    if weights == "ema":
        return averaged
    unet = {name: tensor for name, tensor in averaged.items() if name.startswith(UNET)}
    return raw | {EMA + name.removeprefix("model.").replace(".", ""): tensor for name, tensor in unet.items()}


def _state(trainable: Trainable, values: Sequence[Tensor]) -> State:
    start = _start(trainable)
    whole, low = _parts(trainable, values, start)
    return changes.apply({**start, **whole}, low)


def _start(trainable: Trainable) -> State:
    """The state from which training began: the base's, with the picture's channels where the UNet got them."""
    wider = trainable.unet.config.in_channels > checkpoint.unet_in_channels(trainable.base.state)
    return with_picture_input(trainable.base.state) if wider else dict(trainable.base.state)


def _parts(trainable: Trainable, values: Sequence[Tensor], start: Mapping[str, Tensor]) -> tuple[State, Change]:
    """(weights that were trained whole, low-rank updates), by their names in LDM layout."""
    named = {name: value.detach().cpu() for (name, _), value in zip(trainable.parameters, values, strict=True)}
    layers = {theirs: ours for ours, theirs in changes.layers(start).items()}

    def ldm(name: str) -> str:
        layer, _, role = name.rpartition(".")
        return f"{UNET}{layers[layer]}.{role}"

    low: Change = {ldm(name): piece for name, piece in lora.pieces(named, trainable.scale).items()}
    return {ldm(name): value for name, value in named.items() if not name.endswith((lora.DOWN, lora.UP))}, low


def lora_change(trainable: Trainable, average: Sequence[Tensor] | None = None) -> Change:
    """What training added, as low-rank pieces; the first conv's difference is one of so high a rank that it is exact.

    Raises ValueError where other weights were trained whole.
    """
    start = _start(trainable)
    whole, low = _parts(trainable, [parameter for _, parameter in trainable.parameters] if average is None else average, start)
    if not set(whole) <= {FIRST_CONV}:
        raise ValueError("This model was trained whole, which no LoRA can carry: export it as ldm, diffusers or delta.")
    first: Change = {name: changes.exact(weight - start[name].float()) for name, weight in whole.items()}
    return {**first, **low}


def write_ldm(path: Path, trained: Checkpoint, precision: str = "fp16") -> None:
    """One file in LDM layout, with the model's settings as notes: the host's loaders and ours take it."""
    checkpoint.write(path, in_precision(trained.state, precision), trained.settings)


def write_lora(path: Path, trainable: Trainable, average: Sequence[Tensor] | None = None, precision: str = "fp16") -> None:
    """A LoRA that the host's LoRA loader and diffusers' `load_lora_weights` add to a model of 8 input channels, and `changes.applied` to
    a text-to-image model too, which it turns into the editor."""
    rank = next((parameter.shape[0] for name, parameter in trainable.parameters if name.endswith(lora.DOWN)), 0)
    notes = {"ip2p.form": "lora", "ss_base_model_version": "sd_v1", "ss_network_dim": str(rank), "ss_network_alpha": str(rank)}
    state = changes.as_lora(lora_change(trainable, average), _start(trainable))
    write_tensors(path, in_precision(state, precision), {"format": "pt"} | notes)


def write_delta(path: Path, editor: Checkpoint, base: Checkpoint, precision: str = "fp32") -> None:
    """The weights' differences to the base's, of those that differ. The host's LoRA loader adds them to a base of 8 channels; `merge` and
    `changes.applied` to any. Raises CheckpointError where there is none."""
    change = changes.difference(editor.state, base.state)
    if not change:
        raise CheckpointError("The two models' UNets are equal, so there is no delta: name the base that the editor was made from.")
    write_tensors(path, in_precision(changes.as_delta(change), precision), {"format": "pt", "ip2p.form": "delta"})


def in_precision(state: Mapping[str, Tensor], precision: str) -> State:
    """Floating-point weights as "fp16" or "fp32", or as they are for "same"; others are left."""
    if precision == "same":
        return dict(state)
    dtype = PRECISIONS[precision]
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def write_diffusers(folder: Path, trained: Checkpoint, precision: str = "fp16") -> None:
    """A folder that diffusers' `StableDiffusionInstructPix2PixPipeline.from_pretrained` takes, written beside its place and renamed in.

    Raises CheckpointError for a model without autoencoder or text encoder, and where the folder holds something else.
    """
    _check_place(folder, "diffusers")
    if not trained.part(VAE) or not trained.part(TEXT):
        raise CheckpointError("A diffusers folder needs the autoencoder and the text encoder: start from a whole model.")
    with _beside(folder) as scratch:
        _save_pipeline(scratch / "new", trained, precision)
        _put(scratch / "new", folder)


def _check_place(path: Path, form: str) -> None:
    """Raise CheckpointError where something else would be replaced."""
    if form == "diffusers" and path.exists() and not (path / "model_index.json").is_file():
        raise CheckpointError(f"{path} is there already and is no diffusers folder: choose a new name.")
    if form != "diffusers" and path.is_dir():
        raise CheckpointError(f"{path} is a folder: choose a new name.")


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A folder for a while, on the same disk as `path`."""
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put(written: Path, path: Path) -> None:
    """Rename a file or folder into its place; what was there goes, last, with the scratch folder."""
    if path.is_dir():
        path.rename(written.with_name("old"))
    written.replace(path)


def _save_pipeline(folder: Path, trained: Checkpoint, precision: str) -> None:
    import diffusers

    from .. import networks
    from ..text import tokenizer

    dtype = PRECISIONS.get(precision, torch.float32)
    unet, vae = networks.build_unet(trained, dtype), networks.build_vae(trained, dtype)
    unet.register_to_config(sample_size=int(trained.settings.get("size", 512)) // 8)
    scheduler = diffusers.EulerAncestralDiscreteScheduler(
        beta_start=BETA_START, beta_end=BETA_END, beta_schedule="scaled_linear", prediction_type=checkpoint.prediction(trained.state)
    )
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        text_encoder=networks.build_text_encoders(trained, dtype)[0],
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
