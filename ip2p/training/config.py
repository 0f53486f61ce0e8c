"""The settings of a training run: one table per part, every key known and checked. Written beside the run as config.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..configs import ConfigError, between, build, changed, merged, one_of, ordered, pair, read, to_table, write_yaml
from .placing import placed

OBJECTIVES = ("edit", "distil", "dreambooth")
TRAINED = ("full", "lora", "conv")
OPTIMIZERS = ("adamw", "adamw8bit")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("fp32", "bf16", "fp16")
FORMATS = ("ldm", "diffusers", "lora", "delta")


@dataclass(frozen=True)
class ModelConfig:
    """What is trained. ``base``: a checkpoint or diffusers folder, text-to-image (4 channels, turned into an editor) or an editor.

    ``weights``: "ema" or "raw", where the base has both. ``train``: "full" (everything), "lora" (low-rank updates and the whole first
    conv) or "conv" (the first conv alone). ``rank`` and ``alpha`` (0: the rank) of the LoRA; ``targets``: ends of the names of the
    layers that get one. ``gradient_checkpointing``: about a third slower, in much less memory.
    """

    base: str = ""
    weights: str = "ema"
    train: str = "full"
    rank: int = 16
    alpha: float = 0.0
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        one_of("model.weights", self.weights, ("ema", "raw"))
        one_of("model.train", self.train, TRAINED)
        between("model.rank", self.rank, 1, 1024)
        between("model.alpha", self.alpha, 0, 4096)
        if self.train == "lora" and not self.targets:
            raise ConfigError("The key 'model.targets' is empty, so the LoRA has no layers: name some, or leave the key out.")


@dataclass(frozen=True)
class DataConfig:
    """Where pairs come from and how they are cut. ``source``: what `ip2p.data.pairs.open_pairs` takes; ``split``: its part.

    ``count``: the first so many groups of pairs (0: all). ``size``: pixels a side at which made pictures are made (0: their own).
    ``crop``: pixels a side of a training picture (a multiple of 8; the area's root with ``buckets``). ``sizes``: the range of the short
    side, in pixels, to which pictures are resized before the crop. ``flip``: share of pairs that are mirrored, both pictures alike;
    where the instruction says left or right only with ``mirror_sides``.
    ``buckets``: pictures keep their shape, and batches hold one shape each. ``variants``: encoded crops and flips of a pair that are kept
    on disk; 0 encodes a fresh one every time and keeps nothing. ``cache``: folder of what is kept (empty: ``cache`` in the run's folder).
    ``misaligned``: share of pairs that get another pair's instruction. ``threads``: that open pictures ahead.
    """

    source: str = ""
    split: str = "train"
    count: int = 0
    size: int = 0
    crop: int = 256
    sizes: tuple[int, int] = (256, 288)
    flip: float = 0.5
    mirror_sides: bool = False
    buckets: bool = False
    variants: int = 4
    cache: str = ""
    misaligned: float = 0.0
    threads: int = 2

    def __post_init__(self) -> None:
        one_of("data.split", self.split, ("train", "val", "test", "all"))
        between("data.count", self.count, 0, 10**9)
        between("data.size", self.size, 0, 4096)
        between("data.crop", self.crop, 16, 2048)
        ordered("data.sizes", self.sizes)
        between("data.flip", self.flip, 0, 1)
        between("data.variants", self.variants, 0, 1000)
        between("data.misaligned", self.misaligned, 0, 1)
        between("data.threads", self.threads, 0, 64)
        if self.crop % 8:
            raise ConfigError(f"The value {self.crop} of 'data.crop' does not fit: use a multiple of 8.")
        if self.sizes[0] < self.crop and not self.buckets:
            raise ConfigError(f"Pictures of {self.sizes[0]} pixels hold no crop of {self.crop}: raise 'data.sizes' or lower 'data.crop'.")


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is learnt: "edit" (the paper's section 3.2), "distil" (one guided pass), "dreambooth". ``snr``: min-SNR's gamma, 0: none.
    ``offset``: share of noise that is the same everywhere, by channel (0: none, as in the paper; 0.1 helps colours in small latents)."""

    kind: str = "edit"
    snr: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        one_of("objective.kind", self.kind, OBJECTIVES)
        between("objective.snr", self.snr, 0, 1000)
        between("objective.offset", self.offset, 0, 1)


@dataclass(frozen=True)
class DistilConfig:
    """Guidance distillation: the ranges of the two scales that the adapter learns, drawn uniformly for each sample.

    ``of_each``: how many pairs of each prompt, scene or photo are used, so that their latents are encoded once and kept (0: all).
    ``start``: an adapter's file from which to begin, as that of the editor before it was trained further (empty: from nothing).
    """

    text_scales: tuple[float, float] = (1.0, 10.0)
    image_scales: tuple[float, float] = (1.0, 2.2)
    of_each: int = 0
    start: str = ""

    def __post_init__(self) -> None:
        ordered("distil.text_scales", self.text_scales)
        ordered("distil.image_scales", self.image_scales)
        between("distil.of_each", self.of_each, 0, 10_000)


@dataclass(frozen=True)
class DreamBoothConfig:
    """DreamBooth. ``prompt``: of the subject's pictures (the folder ``data.source``), with its rare word; ``class_prompt``: of its class.

    ``class_images``: how many pictures of the class the model makes itself (0: none, and no prior), in ``class_folder`` (empty:
    ``class_pictures`` in the run's folder), in ``class_steps`` steps at a guidance of ``class_scale``. ``prior``: the weight of their loss.
    ``text_encoder``: train it too.
    """

    prompt: str = ""
    class_prompt: str = ""
    class_images: int = 200
    class_folder: str = ""
    class_steps: int = 50
    class_scale: float = 7.5
    prior: float = 1.0
    text_encoder: bool = False

    def __post_init__(self) -> None:
        between("dreambooth.class_images", self.class_images, 0, 100_000)
        between("dreambooth.class_steps", self.class_steps, 1, 1000)
        between("dreambooth.class_scale", self.class_scale, 0, 1000)
        between("dreambooth.prior", self.prior, 0, 1000)


@dataclass(frozen=True)
class OptimizerConfig:
    """``name``: "adamw", or "adamw8bit" (needs bitsandbytes and a GPU). ``clip``: largest norm of the gradient, 0 for no clipping."""

    name: str = "adamw"
    rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    clip: float = 0.0

    def __post_init__(self) -> None:
        one_of("optimizer.name", self.name, OPTIMIZERS)
        between("optimizer.rate", self.rate, 0, 1)
        pair("optimizer.betas", self.betas)
        for beta in self.betas:
            between("optimizer.betas", beta, 0, 0.999999)
        between("optimizer.weight_decay", self.weight_decay, 0, 1)
        between("optimizer.clip", self.clip, 0, 1e6)


@dataclass(frozen=True)
class RunConfig:
    """How long and how. ``batch``: pairs a step, over all processes; ``micro_batch``: as many of them as are computed at once (0: all).

    ``schedule``: the rate stays ("constant") or falls along a cosine ("cosine"), after a linear rise of ``warmup`` steps.
    ``precision``: of the computation; trained weights are kept in fp32. ``ema``: decay of the averaged weights, 0 for none.
    ``floor``: the share of the rate at which the cosine ends. ``save_every``: steps between checkpoints, the last ``keep`` of which stay,
    and the best. ``log_every``: steps between lines of the log. ``nonfinite``: what a loss that is no number does: "skip" the step or
    "stop". ``tensorboard``: write its files too.
    """

    steps: int = 10_000
    batch: int = 32
    micro_batch: int = 0
    schedule: str = "constant"
    warmup: int = 0
    floor: float = 0.0
    precision: str = "fp32"
    ema: float = 0.9999
    seed: int = 0
    save_every: int = 500
    keep: int = 2
    log_every: int = 10
    nonfinite: str = "skip"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        between("run.steps", self.steps, 1, 10**8)
        between("run.batch", self.batch, 1, 10**6)
        between("run.micro_batch", self.micro_batch, 0, 10**6)
        one_of("run.schedule", self.schedule, SCHEDULES)
        between("run.warmup", self.warmup, 0, 10**8)
        between("run.floor", self.floor, 0, 1)
        one_of("run.precision", self.precision, PRECISIONS)
        between("run.ema", self.ema, 0, 0.9999999)
        between("run.seed", self.seed, 0, 2**62)
        between("run.save_every", self.save_every, 1, 10**8)
        between("run.keep", self.keep, 1, 10**6)
        between("run.log_every", self.log_every, 1, 10**6)
        one_of("run.nonfinite", self.nonfinite, ("skip", "stop"))


@dataclass(frozen=True)
class ValidationConfig:
    """Held-out pairs that are edited while training. ``source``: as in data (empty: the same), of its part ``split``.

    ``count``: pairs; 0 for no validation. ``every``: steps between two validations. ``text_scales``, ``image_scales``: each of the one with
    each of the other. ``steps``: of sampling. ``size``: pixels of the long side (0: that of the training crop). ``lpips`` and ``clip``:
    the networks that measure, as in `evaluate` (empty: none). ``best``: the number by which the best checkpoint is chosen (empty:
    success, else LPIPS or L1 to the right answer).
    """

    source: str = ""
    split: str = "val"
    count: int = 8
    every: int = 500
    text_scales: tuple[float, ...] = (7.5,)
    image_scales: tuple[float, ...] = (1.5,)
    steps: int = 20
    size: int = 0
    lpips: str = ""
    clip: str = ""
    seed: int = 0
    best: str = ""

    def __post_init__(self) -> None:
        one_of("validation.split", self.split, ("train", "val", "test", "all"))
        between("validation.count", self.count, 0, 10_000)
        between("validation.every", self.every, 1, 10**8)
        between("validation.steps", self.steps, 1, 1000)
        between("validation.size", self.size, 0, 4096)
        if not self.text_scales or not self.image_scales:
            raise ConfigError("Validation needs at least one of 'validation.text_scales' and of 'validation.image_scales'.")


@dataclass(frozen=True)
class ExportConfig:
    """What is written at the end. ``formats``: "ldm" (one file that the host loads), "diffusers" (a folder), "lora", "delta".

    ``weights``: "ema", "raw" or "both" (both sets side by side, in the authors' names). ``precision``: "fp16" or "fp32".
    """

    formats: tuple[str, ...] = ("ldm",)
    weights: str = "ema"
    precision: str = "fp16"

    def __post_init__(self) -> None:
        for name in self.formats:
            one_of("export.formats", name, FORMATS)
        one_of("export.weights", self.weights, ("ema", "raw", "both"))
        one_of("export.precision", self.precision, ("fp16", "fp32"))


@dataclass(frozen=True)
class TrainConfig:
    """A whole run, one table of the file per field. ``preset``: the preset that the other keys override (see `presets.py`)."""

    preset: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    dreambooth: DreamBoothConfig = field(default_factory=DreamBoothConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)


def load(path: Path | str, preset: str = "", changes: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML, TOML or JSON file over its preset; ``changes`` are "table.key=value" texts over both.

    Relative places of the base and of data are looked for beside the file first, then where the command runs. Raises ConfigError.
    """
    return placed(from_table(merged(read(path), changed(changes)), preset), Path(path).resolve().parent)


def save(config: TrainConfig, path: Path) -> None:
    """Write a config as YAML, every key of it, so that `load` gives it back whatever presets become."""
    write_yaml(path, to_table(config))


def from_table(table: Mapping[str, Any], preset: str = "") -> TrainConfig:
    """A config from nested tables, over ``preset`` or the preset that they name. Raises ConfigError."""
    from .presets import preset_table

    name = preset or str(table.get("preset", ""))
    return build(TrainConfig, merged(preset_table(name), table) | {"preset": name}, "the config")
