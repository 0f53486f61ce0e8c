"""The stages of a run, in order: each reads what earlier ones left in the run's folder and leaves its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from ..checkpoint import EMBEDDED
from ..data.photo_files import DataError, Photo, training_photos
from ..files import read_tensors, write_tensors
from ..keys import vae_to_diffusers, vae_to_ldm
from ..training.checkpoints import load_average
from ..training.schedule import Schedule
from ..worlds.asking import neutral
from . import autoencoder, export, latents, scenes, text, unet
from .config import Config, TextEncoder
from .fitting import Loss, fit, reporter
from .start import fill
from .teacher import Teacher

log = logging.getLogger(__name__)

JOINT, JOINT_FILE = "joint", "autoencoder.safetensors"
"""The stage of an autoencoder of the world, trained whole, and the file it leaves."""


@dataclass(frozen=True)
class Run:
    """A training run: its settings, where its photos are, where its results go, and whether it continues earlier ones."""

    config: Config
    data: Path | None
    out: Path
    resume: bool = False

    @cached_property
    def photos(self) -> list[Photo]:
        """The photos that may be trained on. Raises DataError."""
        if self.data is None:
            raise DataError("This stage trains on photos: name their folder with --data.")
        return training_photos(self.data)

    @cached_property
    def captions(self) -> list[str]:
        """Captions that ask for nothing."""
        return neutral([caption for photo in self.photos for caption in photo.captions])

    @property
    def crops(self) -> autoencoder.Crops:
        return autoencoder.Crops(self.photos, self.config.autoencoder, self.config.data.scales)

    def encoder(self) -> autoencoder.Encoder:
        """The trained encoder, or the one it starts from where it has no steps. Raises ResumeError where its stage has not run."""
        module = autoencoder.Encoder(autoencoder.build(self.config.autoencoder, self.config.autoencoder.start))
        if self.config.autoencoder.encoder.steps:
            load_average(self.out / "encoder", module)
        module.eval().requires_grad_(False)
        return module

    def decoder(self) -> autoencoder.Decoder:
        """The trained decoder, or the one it starts from where it has no steps. Raises ResumeError where its stage has not run."""
        module = autoencoder.Decoder(autoencoder.build(self.config.autoencoder, self.config.autoencoder.start))
        if self.config.autoencoder.decoder.steps:
            load_average(self.out / "decoder", module)
        module.eval().requires_grad_(False)
        return module

    def whole(self) -> AutoencoderKL:
        """The painter's, whole. Raises CheckpointError where its file is not there."""
        if self.config.painter.editor != JOINT:
            return autoencoder.build(self.config.autoencoder, self.config.painter.editor or str(EMBEDDED)).eval()
        whole = autoencoder.build(self.config.joint)
        fill(whole, vae_to_diffusers(read_tensors(self.out / JOINT_FILE)[0]), JOINT_FILE)
        return whole.eval()

    def reader(self) -> text.Reader:
        """The trained text encoder with its head. Raises ResumeError where its stage has not run."""
        module = text.Reader(self.config.text)
        load_average(self.out / "text", module)
        return module


def train_encoder(run: Run) -> None:
    config = run.config.autoencoder
    if config.encoder.steps:
        torch.manual_seed(config.encoder.seed)
        module = autoencoder.Encoder(autoencoder.build(config, config.start))
        _fit(run, "encoder", module, autoencoder.EncoderLoss(module, run.crops, Teacher(config.teacher)), config.encoder)


def train_decoder(run: Run) -> None:
    config = run.config.autoencoder
    if config.decoder.steps:
        torch.manual_seed(config.decoder.seed)
        module = autoencoder.Decoder(autoencoder.build(config, config.start))
        teacher = Teacher(config.teacher) if config.own < 1 else None
        _fit(run, "decoder", module, autoencoder.DecoderLoss(module, run.encoder(), run.crops, teacher), config.decoder)


def train_text(run: Run) -> None:
    torch.manual_seed(run.config.text.schedule.seed)
    module = text.Reader(run.config.text)
    _fit(run, "text", module, text.TextLoss(module, run.captions, run.config.text.schedule.batch), run.config.text.schedule)


def write_latents(run: Run) -> None:
    count = run.config.latents.count or len(run.photos)
    latents.write(run.photos[:count], run.encoder(), run.config.latents, run.out / "latents")


def write_scenes(run: Run) -> None:
    scenes.write(run.encoder(), run.config.scenes, run.out / "scenes")


def train_unet(run: Run) -> None:
    config = run.config.unet
    torch.manual_seed(config.schedule.seed)
    module = unet.build(config, run.config.text.width)
    encoder = export.text_encoder(run.reader(), run.captions)
    drawn = scenes.read(run.out / "scenes") if run.config.scenes.files else None
    loss = unet.UnetLoss(module, encoder, latents.read(run.out / "latents"), drawn, run.captions, config)
    _fit(run, "unet", module, loss, config.schedule)


def write_file(run: Run) -> None:
    module = unet.build(run.config.unet, run.config.text.width)
    load_average(run.out / "unet", module)
    encoder = export.text_encoder(run.reader(), run.captions)
    path = run.out / "embedded.safetensors"
    export.write(path, export.Parts(module, run.encoder(), run.decoder(), encoder), run.config)
    log.info("wrote %s, %.1f MB", path, path.stat().st_size / 1e6)


def train_clip(run: Run) -> None:
    from . import world_clip

    config = run.config.clip
    torch.manual_seed(config.schedule.seed)
    module, part = world_clip.build(config), run.config.world if config.part else None
    _fit(run, "clip", module, world_clip.ClipLoss(module, config, part), config.schedule)
    load_average(run.out / "clip", module)
    log.info("on new scenes: %s", world_clip.retrieval(module, seed=1, count=200, size=config.size, part=part))
    world_clip.save(module, run.out / "world_clip")


def train_joint(run: Run) -> None:
    from . import joint

    config = run.config.joint
    torch.manual_seed(config.schedule.seed)
    whole = joint.build(config)
    scenes = joint.Scenes(config, run.config.world)
    _fit(run, JOINT, whole, joint.JointLoss(whole, scenes, config), config.schedule)
    load_average(run.out / JOINT, whole)
    joint.normalise(whole, scenes, config)
    path = run.out / JOINT_FILE
    write_tensors(path, {name: tensor.detach().contiguous() for name, tensor in vae_to_ldm(whole.state_dict()).items()}, {"format": "pt"})
    log.info("wrote %s, round trip %.1f dB", path, joint.psnr(whole, scenes))


def write_captioned(run: Run) -> None:
    from . import captioned

    whole = run.whole()
    captioned.write(autoencoder.Encoder(whole).requires_grad_(False), run.config.captioned, run.out / "captioned", run.config.world)


def train_painter(run: Run) -> None:
    from . import captioned, painter

    config = run.config.painter
    torch.manual_seed(config.schedule.seed)
    alone = config.editor == JOINT
    network = painter.Network(config, run.config.text if alone else TextEncoder(start=config.editor or "embedded"))
    _fit(run, "painter", network, painter.PainterLoss(network, captioned.read(run.out / "captioned"), config), config.schedule)
    load_average(run.out / "painter", network)
    path = run.out / "painter.safetensors"
    painter.write(path, network, config, read_tensors(run.out / JOINT_FILE)[0] if alone else None)
    log.info("wrote %s, %.1f MB", path, path.stat().st_size / 1e6)


STAGES: dict[str, Callable[[Run], None]] = {
    "encoder": train_encoder,
    "decoder": train_decoder,
    "text": train_text,
    "latents": write_latents,
    "scenes": write_scenes,
    "unet": train_unet,
    "export": write_file,
    "clip": train_clip,
    JOINT: train_joint,
    "captioned": write_captioned,
    "painter": train_painter,
}
EDITOR = ("encoder", "decoder", "text", "latents", "scenes", "unet", "export")
"""The stages of an editor, in order; the world's CLIP and its text-to-image network are made by themselves."""


def _fit(run: Run, name: str, module: torch.nn.Module, loss: Loss, schedule: Schedule) -> None:
    fit(module, loss, schedule, run.out / name, run.resume, reporter(name))
