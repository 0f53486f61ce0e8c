"""Models in files and folders, read into one form: a state dict in LDM layout.

`model.diffusion_model.*` (UNet), `first_stage_model.*` (autoencoder), and the text encoders: `cond_stage_model.transformer.text_model.*`
(SD 1.x) or `conditioner.embedders.{0.transformer,1.model}.*` (SDXL). The host builds its model from this form, `networks.py` builds
diffusers' and transformers' modules from it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .files import CheckpointError, State, read_tensors, write_tensors
from .folders import read_folder
from .keys import is_diffusers_unet, vae_levels
from .layout import EMA, FIRST_CONV, TURN, UNET, VAE, convert_unet, part, prefixed

__all__ = [
    "EMBEDDED",
    "FIRST_CONV",
    "OWN",
    "UNET",
    "Checkpoint",
    "CheckpointError",
    "check_editor",
    "check_text_to_image",
    "located",
    "prediction",
    "read",
    "unet_in_channels",
    "vae_config",
    "write",
]

log = logging.getLogger(__name__)

EMBEDDED = Path(__file__).resolve().parent.parent / "models" / "embedded.safetensors"
PAINTER = EMBEDDED.with_name("painter.safetensors")
OWN = {"embedded": EMBEDDED, "painter": PAINTER}
"""The pack's own models by name: an editor, and a text-to-image model of the world's scenes."""
WEIGHTS = ("ema", "raw")


@dataclass(frozen=True)
class Checkpoint:
    """A model in LDM layout.

    `state` holds the chosen UNet weights under `model.diffusion_model.*` and nothing under `model_ema.*`. `family` is "sd15", "sdxl" or
    "cosxl"; `weights` is "ema", "raw" or "only" (there was one set). `settings` are the file's own `ip2p.*` notes, without the prefix:
    num_heads and text_heads (attention heads), size (pixels), text_scale and image_scale (guidance).
    """

    state: State
    family: str
    weights: str
    settings: dict[str, str]

    def part(self, prefix: str) -> State:
        """The tensors whose name begins with `prefix`, named without it."""
        return part(self.state, prefix)


def located(model: Path | str) -> Path:
    """The place of a model: one of `OWN` by its name, or a path as it is."""
    return OWN.get(str(model), Path(model))


def read(path: Path | str, weights: str = "ema", editor: bool = True) -> Checkpoint:
    """A model from a file (.safetensors, .ckpt, .pt, .bin) or a diffusers folder, with its EMA or raw UNet weights.

    `weights` is "ema" or "raw"; a model that has one set gives that one. With `editor` the UNet must take the 8 channels of
    InstructPix2Pix. A file whose note `rest` names another one beside it takes what it lacks besides the UNet from there.
    Raises CheckpointError with one sentence that names the cause and the cure.
    """
    if weights not in WEIGHTS:
        raise CheckpointError(f"Weights {weights!r} are unknown: choose ema or raw.")
    place = Path(path)
    if not place.exists():
        raise CheckpointError(f"There is no model at {place}: check the name.")
    if place.is_dir():
        state, taken, settings = read_folder(place.resolve(), weights)
    else:
        tensors, metadata = read_tensors(place)
        state, taken = choose_weights(to_ldm(tensors, place.name), weights, place.name)
        settings = {name.removeprefix("ip2p."): value for name, value in metadata.items() if name.startswith("ip2p.")}
        state = _completed(state, settings.pop("rest", ""), place)
    if editor:
        check_editor(state)
    found = Checkpoint(state, detect_family(state), taken, settings)
    log.info("%s: %s, %s", place.name, found.family, SAID[taken])
    return found


def _completed(state: State, rest: str, place: Path) -> State:
    """The state with what it lacks from the file `rest` beside it, so that networks can share an autoencoder and word embeddings."""
    if not rest:
        return state
    other = place.with_name(Path(rest).name)
    if not other.is_file():
        raise CheckpointError(f"{place.name} shares parts with {other.name}, which is not beside it: put both into one folder.")
    return {name: tensor for name, tensor in read_tensors(other)[0].items() if not name.startswith((UNET, EMA))} | state


SAID = {"ema": "the EMA weights were taken", "raw": "the raw weights were taken", "only": "it has one set of weights"}


def to_ldm(tensors: Mapping[str, Tensor], name: str) -> State:
    """Any single file's tensors in LDM layout: a whole checkpoint, or a UNet alone in LDM or diffusers names."""
    if any(key.startswith(UNET) for key in tensors):
        return dict(tensors)
    for prefix in ("", "diffusion_model.", "unet."):
        unet = part(tensors, prefix)
        if "input_blocks.0.0.weight" in unet:
            return prefixed(unet, UNET)
        if "conv_in.weight" in unet and is_diffusers_unet(unet) and "time_embedding.linear_1.weight" in unet:
            return prefixed(convert_unet(unet, name), UNET)
    raise CheckpointError(f"{name} is not a Stable Diffusion model (it has no UNet weights): {TURN}.")


def choose_weights(state: Mapping[str, Tensor], weights: str, name: str) -> tuple[State, str]:
    """(state with the chosen UNet and no `model_ema.*` left, which set it is). EMA names are the UNet's without their dots."""
    averaged = part(state, EMA)
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(EMA)}
    names = {key: key.removeprefix("model.").replace(".", "") for key in kept if key.startswith(UNET)}
    there = sum(flat in averaged for flat in names.values())
    if not there:
        return kept, "only"
    if weights == "raw":
        return kept, "raw"
    if there < len(names):
        raise CheckpointError(f"The EMA weights in {name} are incomplete ({there} of {len(names)}): choose the raw weights.")
    return kept | {key: averaged[flat] for key, flat in names.items()}, "ema"


def check_editor(state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError unless the UNet takes 8 channels: 4 of the noisy latent and 4 of the image."""
    if _is_sd2(state):
        raise CheckpointError("This is a Stable Diffusion 2 model: load an SD 1.5, SDXL or CosXL InstructPix2Pix checkpoint.")
    channels = unet_in_channels(state)
    if channels == 4:
        raise CheckpointError(f"This is a text-to-image model: {TURN}.")
    if channels == 9:
        raise CheckpointError(f"This is an inpainting model (its UNet takes 9 channels): {TURN}.")
    if channels != 8:
        raise CheckpointError(f"This UNet takes {channels} channels where InstructPix2Pix has 8: {TURN}.")


def check_text_to_image(state: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError unless text alone can drive the UNet: 4 channels, or an editor's 8, of which the image's may be zero."""
    if _is_sd2(state):
        raise CheckpointError("This is a Stable Diffusion 2 model: load an SD 1.x or SDXL text-to-image model, or an editor.")
    channels = unet_in_channels(state)
    if channels == 9:
        raise CheckpointError("This is an inpainting model (its UNet takes 9 channels): load the text-to-image model it was made from.")
    if channels not in (4, 8):
        raise CheckpointError(f"This UNet takes {channels} channels where a text-to-image model has 4: load an SD 1.x or SDXL model.")


def _is_sd2(state: Mapping[str, Tensor]) -> bool:
    """Its text encoder is OpenCLIP-H (1024 wide), without the size embedding that SDXL has."""
    widths = {tensor.shape[1] for key, tensor in state.items() if key.startswith(UNET) and key.endswith(".attn2.to_k.weight")}
    return widths == {1024} and UNET + "label_emb.0.0.weight" not in state


def unet_in_channels(state: Mapping[str, Tensor]) -> int:
    """How many channels the UNet's first conv takes: 8 for InstructPix2Pix."""
    if FIRST_CONV not in state:
        raise CheckpointError(f"This is not a Stable Diffusion model (it has no UNet weights): {TURN}.")
    return state[FIRST_CONV].shape[1]


def detect_family(state: Mapping[str, Tensor]) -> str:
    """ "cosxl" (says its EDM noise range), "sdxl" (a size and pooled-text embedding) or "sd15", which small networks are too."""
    if "edm_vpred.sigma_max" in state:
        return "cosxl"
    return "sdxl" if UNET + "label_emb.0.0.weight" in state else "sd15"


def prediction(state: Mapping[str, Tensor]) -> str:
    """What the UNet says: "epsilon" (the noise), or "v_prediction" where the state has the mark of it, or CosXL's noise range."""
    return "v_prediction" if "v_pred" in state or "edm_vpred.sigma_max" in state else "epsilon"


def vae_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The LDM `ddconfig` of an autoencoder, from the shapes of its weights (a whole state or the autoencoder's own names)."""
    vae = part(state, VAE) or dict(state)
    if "encoder.conv_in.weight" not in vae or "decoder.conv_in.weight" not in vae:
        raise CheckpointError("This model has no autoencoder (VAE): load one beside it.")
    levels, blocks, _ = vae_levels(vae)
    widths = [vae[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] for level in range(levels)]
    base = vae["encoder.conv_in.weight"].shape[0]
    return {
        "double_z": True,
        "z_channels": vae["decoder.conv_in.weight"].shape[1],
        "resolution": 256,
        "in_channels": vae["encoder.conv_in.weight"].shape[1],
        "out_ch": vae["decoder.conv_out.weight"].shape[0],
        "ch": base,
        "ch_mult": [width // base for width in widths],
        "num_res_blocks": blocks,
        "attn_resolutions": [],
        "dropout": 0.0,
    }


def write(path: Path | str, state: Mapping[str, Tensor], settings: Mapping[str, object] | None = None) -> None:
    """Write an LDM-layout state dict as safetensors, `settings` as its `ip2p.*` notes; beside its place first, then renamed in."""
    notes = {f"ip2p.{name}": str(value) for name, value in (settings or {}).items()}
    write_tensors(Path(path), state, {"format": "pt"} | notes)
