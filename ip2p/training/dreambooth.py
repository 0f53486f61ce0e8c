"""The objective "dreambooth" (Ruiz et al. 2023): a text-to-image model learns a subject from 3 to 5 pictures and a rare word for it.

Half of each batch are the subject's pictures under a prompt with the word, half are pictures of its class, which the model made itself
before training, under the prompt of the class: the prior-preservation loss (section 3.2), so that the class is not forgotten. The base is
a Stable Diffusion 1.x model; an editor is shown an empty picture, and so works as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import networks, text
from ..checkpoint import Checkpoint
from ..configs import ConfigError
from ..data.example import DataError, Example
from ..data.opening import PICTURES, file_shape, picture_file
from ..data.pairs import PairSet
from ..edit import Editor
from ..layout import TEXT, prefixed
from ..text_keys import clip_to_ldm
from . import export, objective, trainable
from .class_pictures import class_pictures
from .config import DreamBoothConfig, TrainConfig
from .kinds import Place
from .objective import Batch
from .trainable import Trainable

INSTANCE, CLASS = "instance", "class"
ENCODER = "text_encoder."
KEPT = 1.0
"""A draw that drops no conditioning."""


@dataclass
class Personal(Trainable):
    """A model that learns a subject; its text encoder too, where there is one here."""

    encoder: nn.Module | None = None


def prompts(identifier: str, noun: str) -> tuple[str, str]:
    """The prompt of the subject's pictures and that of its class: "a photo of sks dog", "a photo of a dog". Raises ValueError."""
    identifier, noun = identifier.strip(), noun.strip()
    if not identifier or not noun:
        raise ValueError("A subject needs a rare word and a noun of its class: give both, such as sks and dog.")
    return f"a photo of {identifier} {noun}", f"a photo of {'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def settings(instance: Path | str, identifier: str, noun: str, lora: bool = False, size: int = 512) -> dict[str, Any]:
    """The tables of a config for a subject whose pictures are in a folder; ``size`` is that of the base model, in pixels.

    Half of each batch of two is the subject's; nothing is mirrored and nothing averaged. Any key may be overridden. Raises ValueError.
    """
    prompt, class_prompt = prompts(identifier, noun)
    return {
        "model": {"train": "lora" if lora else "full", "rank": 8},
        "data": {"source": str(instance), "crop": size, "sizes": [size, size], "flip": 0.0, "variants": 1},
        "objective": {"kind": "dreambooth"},
        "dreambooth": {"prompt": prompt, "class_prompt": class_prompt},
        "optimizer": {"rate": 1e-4 if lora else 5e-6, "clip": 1.0},
        "run": {"steps": 800, "batch": 2, "ema": 0.0, "save_every": 100},
        "validation": {"count": 0},
        "export": {"formats": ["lora"] if lora else ["ldm"]},
    }


def prepare(base: Checkpoint, config: TrainConfig, device: torch.device, dtype: torch.dtype) -> Personal:
    """The model in training, with as many input channels as the base has. Raises ValueError."""
    chosen = config.dreambooth
    if not chosen.prompt.strip() or (chosen.class_images and not chosen.class_prompt.strip()):
        raise ConfigError(
            "DreamBooth needs prompts: set dreambooth.prompt ('a photo of sks dog') and dreambooth.class_prompt ('a photo of a dog')."
        )
    made = trainable.prepare(base, config.model, device, dtype, picture=False)
    if config.model.train == "lora":  # the picture's channels, the reason to train the first conv, say nothing here
        made.unet.conv_in.requires_grad_(False)
        made.parameters = [(name, parameter) for name, parameter in made.parameters if parameter.requires_grad]
    personal = Personal(made.unet, made.parameters, made.prediction, base, made.scale)
    return _with_text_encoder(personal, config, device) if chosen.text_encoder else personal


def _with_text_encoder(model: Personal, config: TrainConfig, device: torch.device) -> Personal:
    if set(config.export.formats) & {"lora", "delta"}:
        raise ConfigError("A LoRA or delta carries no text encoder: set export.formats to [ldm], or dreambooth.text_encoder to false.")
    (encoder,) = networks.build_text_encoders(model.base)
    encoder = encoder.to(device).requires_grad_(True).train()
    for parameter in encoder.parameters():
        parameter.data = parameter.data.float().clone()
    named = [(ENCODER + name, parameter) for name, parameter in encoder.named_parameters()]
    return replace(model, encoder=encoder, parameters=[*model.parameters, *named])


def pairs(base: Checkpoint, config: TrainConfig, place: Place) -> PairSet:
    """Two groups, of which batches take turns: the subject's pictures and those of its class, which are made here where they are missing.

    Raises DataError for a folder without pictures; `loop.Stopped` where `place.should_stop` says so.
    """
    chosen = config.dreambooth
    groups = [_group(pictures_in(Path(config.data.source)), chosen.prompt, INSTANCE)]
    if chosen.class_images:
        folder = Path(chosen.class_folder) if chosen.class_folder else place.out / "class_pictures"
        groups.append(_group(class_pictures(base, config, folder, place.device, place.should_stop), chosen.class_prompt, CLASS))
    return PairSet("the subject's pictures", len(groups), groups.__getitem__, lambda number, pair: _key(groups[number][pair]))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name. Raises DataError where there is none."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not files:
        raise DataError(f"There are no pictures in {folder}: name the folder with 3 to 5 pictures of the subject.")
    return files


def _group(files: Sequence[Path], prompt: str, kind: str) -> tuple[Example, ...]:
    return tuple(_example(path, prompt, kind) for path in files)


def _example(path: Path, prompt: str, kind: str) -> Example:
    opened = picture_file(path)
    return Example(f"{kind}/{path}", prompt, opened, edited=opened, kind=kind, shape=lambda: file_shape(path))


def _key(example: Example) -> str:
    path = Path(example.id.partition("/")[2])
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"The picture {path} is gone: put it back, or begin a new run.") from error
    return f"{path.resolve()}|{found.st_size}|{found.st_mtime_ns}"


def losses(model: Personal, batch: Batch, config: TrainConfig) -> Tensor:
    """The loss (B,) of each sample: twice that of the paper's objective for the subject, twice the prior's weight times it for the class.

    Their mean over a batch of both halves is Ruiz et al.'s equation 2: the mean over the subject's plus the weight times the mean over the
    class's. Without class pictures it is the plain mean.
    """
    blank = replace(batch, image=torch.zeros_like(batch.image), draws=replace(batch.draws, r=torch.full_like(batch.draws.r, KEPT)))
    if model.encoder is not None:
        blank = replace(blank, text=_states(model.encoder, batch.ids, config.dreambooth))
    found = objective.losses(model.predict, blank, config.objective.snr, model.prediction)
    return found * weights(batch.ids, config.dreambooth).to(found)


def weights(ids: Sequence[str], config: DreamBoothConfig) -> Tensor:
    """How much each sample counts (B,)."""
    if not config.class_images:
        return torch.ones(len(ids))
    return torch.tensor([2.0 if name.startswith(INSTANCE) else 2.0 * config.prior for name in ids])


def _states(encoder: nn.Module, ids: Sequence[str], config: DreamBoothConfig) -> Tensor:
    """The text states (B, 77, C) of the samples' prompts, with the gradients of the encoder."""
    device = next(encoder.parameters()).device
    found = {kind: text.states(encoder, text.tokenize(prompt).to(device)) for kind, prompt in _prompts(ids, config).items()}
    return torch.cat([found[name.partition("/")[0]] for name in ids])


def _prompts(ids: Sequence[str], config: DreamBoothConfig) -> dict[str, str]:
    """The prompts that some samples have, by their kind."""
    here = {name.partition("/")[0] for name in ids}
    return {kind: prompt for kind, prompt in ((INSTANCE, config.prompt), (CLASS, config.class_prompt)) if kind in here}


def editor(plain: Editor) -> Editor:
    """What validation would edit with; a subject has no held-out pairs to validate on."""
    return plain


def write(model: Personal, average: Sequence[Tensor], config: TrainConfig, folder: Path) -> list[Path]:
    """The files that the config asks for (see `export.write`), the text encoder as trained."""
    return export.write(*_network(model, average, config), config.export, folder)


def whole(model: Personal, average: Sequence[Tensor], config: TrainConfig) -> Checkpoint:
    """The model as it has learnt the subject, with its text encoder and the base's autoencoder."""
    return export.model(*_network(model, average, config), "raw" if config.export.weights == "raw" else "ema")


def _network(model: Personal, average: Sequence[Tensor], config: TrainConfig) -> tuple[Trainable, list[Tensor]]:
    """The UNet alone with its averaged parameters, on a base that has the text encoder as trained."""
    named = list(zip(model.parameters, average, strict=True))
    unet = [(parameter, mean) for parameter, mean in named if not parameter[0].startswith(ENCODER)]
    base = model.base
    if model.encoder is not None:
        raw = config.export.weights == "raw"
        learnt = {name.removeprefix(ENCODER): value if raw else mean for (name, value), mean in named if name.startswith(ENCODER)}
        state = {name: tensor.detach().cpu() for name, tensor in {**model.encoder.state_dict(), **learnt}.items()}
        base = replace(base, state={**base.state, **prefixed(clip_to_ldm(state), TEXT)})
    plain = Trainable(model.unet, [parameter for parameter, _ in unet], model.prediction, base, model.scale)
    return plain, [mean for _, mean in unet]
