"""The settings of small networks: one table of a TOML file per part."""

from dataclasses import dataclass, field
from pathlib import Path

from ..configs import build, read
from ..training.schedule import Schedule
from ..worlds.subset import Subset


@dataclass(frozen=True)
class Data:
    """``scales``: the range of the short side, in pixels, to which photos are resized before a crop."""

    scales: tuple[int, int] = (144, 256)


@dataclass(frozen=True)
class Autoencoder:
    """A KL autoencoder whose encoder learns the teacher's latent space and whose decoder learns to reconstruct from it.

    ``start``: an editor's file whose autoencoder is trained on (an encoder of 0 steps stays as it is), or empty for a new one.
    ``teacher``: folder with the teacher's weights. ``perceptual``: file of LPIPS weights, or empty for none. ``widths``: channels from
    fine to coarse; the first should be 64 or more, since a norm of 32 groups would otherwise wipe out each channel's mean, and with it
    a picture's overall colour. ``crop``: pixels. ``edited``: share of training crops that an edit was applied to. ``own``: share of
    the decoder's crops that our own encoder encodes. ``world``: share of crops of the world's scenes, from ``scenes`` of them.
    """

    start: str = ""
    teacher: str = ""
    perceptual: str = ""
    widths: tuple[int, ...] = (64, 64, 128, 128)
    blocks: int = 1
    crop: int = 64
    edited: float = 0.5
    own: float = 0.5
    world: float = 0.0
    scenes: int = 400
    gradient_weight: float = 0.5
    perceptual_weight: float = 0.25
    log_variance: float = -12.0
    encoder: Schedule = field(default_factory=Schedule)
    decoder: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Joint:
    """An autoencoder of the world, trained whole: ``start``, ``widths`` and ``blocks`` as above ("embedded": the pack's), ``crop`` pixels a
    side of ``scenes`` scenes of ``size`` pixels, and ``noise`` on latents whose mean square is 1."""

    start: str = ""
    widths: tuple[int, ...] = (64, 64, 128, 128)
    blocks: int = 1
    size: int = 128
    crop: int = 64
    scenes: int = 2000
    noise: float = 0.1
    gradient_weight: float = 0.5
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class TextEncoder:
    """A CLIP text transformer, taught to read what an instruction asks for. ``hidden``: width inside its layers (0: four times);
    ``start``: the editor whose transformer and words a painter's is or goes on from, in place of these sizes ("embedded" is the pack's
    own); ``learns``: whether a painter's changes with its UNet."""

    start: str = ""
    learns: bool = True
    width: int = 64
    hidden: int = 0
    layers: int = 2
    heads: int = 4
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Latents:
    """The latents to train on: ``crop`` pixels a side, ``edits`` random edits a photo, ``photos`` photos a file, ``passes`` over the first
    ``count`` photos (0: all)."""

    crop: int = 192
    scales: tuple[int, int] = (192, 240)
    edits: int = 5
    photos: int = 100
    count: int = 0
    passes: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Scenes:
    """The world's scenes to train on: ``files`` of ``scenes`` each, ``size`` pixels a side, ``edits`` edits of single things a scene;
    no files: none."""

    files: int = 0
    scenes: int = 100
    size: int = 256
    edits: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Unet:
    """The denoiser, in LDM layout.

    ``attention``: the levels that have it (0 is the finest; leaving that out halves the cost of a step). ``sides``: latents a side of
    a training crop, one of them at random each step; larger crops come in smaller batches, so that every step costs the same. ``snr``:
    min-SNR's gamma, 0 for none. ``misaligned``: share of photos' pairs that come with an instruction for another edit. Generated pairs,
    the paper's too, are as unreliable; it is what text scales of 5 to 10 sharpen, and a network that always saw the right instruction
    exaggerates at them. ``world``: share of steps on the world's scenes, ``whole`` of them on whole ones and the others on windows
    a quarter the size; ``misaligned_world``: the same share for them; ``focus``: how much more than the rest the places count that
    change. ``start``: an editor's file whose denoiser is trained on, or empty for a new one.
    """

    widths: tuple[int, ...] = (64, 128, 192)
    blocks: int = 1
    attention: tuple[int, ...] = (1, 2)
    heads: int = 4
    sides: tuple[int, ...] = (12, 16, 24)
    snr: float = 5.0
    misaligned: float = 0.6
    world: float = 0.5
    whole: float = 0.4
    misaligned_world: float = 0.2
    focus: float = 4.0
    start: str = ""
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Clip:
    """The world's small CLIP: pictures of ``size`` pixels in patches, two transformers, and the pool of ``pool`` pairs of scenes from which
    batches are drawn, ``fresh`` new ones a step; with ``part`` they are of the world's part that is configured, else of the whole."""

    size: int = 96
    patch: int = 12
    width: int = 128
    heads: int = 4
    image_layers: int = 6
    text_layers: int = 3
    projection: int = 64
    pool: int = 10000
    fresh: int = 12
    part: bool = False
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Captioned:
    """Scenes for a text-to-image network: ``files`` of ``scenes`` each, ``size`` pixels a side."""

    files: int = 60
    scenes: int = 500
    size: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Painter:
    """A text-to-image network of the world. ``editor``: the file whose autoencoder and word embeddings it shares; "joint": the autoencoder
    of that stage, and words that it learns itself. ``widths``, ``blocks``,
    ``attention``, ``heads`` and ``snr`` as of the denoiser; ``offset``: how much of each channel's noise is common to all places, so
    that the mean of a small latent's noise doesn't decide the picture's colours; ``size``, ``steps`` and ``text_scale``: how it is
    sampled."""

    editor: str = ""
    widths: tuple[int, ...] = (64, 64, 96)
    blocks: int = 1
    attention: tuple[int, ...] = (0, 1, 2)
    heads: int = 4
    snr: float = 5.0
    offset: float = 0.1
    size: int = 128
    steps: int = 30
    text_scale: float = 5.0
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Export:
    """Sampling settings that the released file carries."""

    size: int = 256
    steps: int = 30
    text_scale: float = 5.0
    image_scale: float = 1.5


@dataclass(frozen=True)
class Config:
    """A whole run, one table of the file per field; ``world`` is the part of it that the stages joint and captioned draw."""

    world: Subset = field(default_factory=Subset)
    data: Data = field(default_factory=Data)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    joint: Joint = field(default_factory=Joint)
    text: TextEncoder = field(default_factory=TextEncoder)
    latents: Latents = field(default_factory=Latents)
    scenes: Scenes = field(default_factory=Scenes)
    unet: Unet = field(default_factory=Unet)
    export: Export = field(default_factory=Export)
    clip: Clip = field(default_factory=Clip)
    captioned: Captioned = field(default_factory=Captioned)
    painter: Painter = field(default_factory=Painter)


def load(path: Path | str) -> Config:
    """Read a TOML (or YAML or JSON) file. Raises ConfigError."""
    return build(Config, read(path), "the config")
