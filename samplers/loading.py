"""Build the host's MODEL, CLIP and VAE from a model file that ``ip2p.checkpoint`` has read."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_detection
import comfy.model_management
import comfy.model_sampling
import comfy.sd
import comfy.supported_models
import comfy.utils
from comfy.model_patcher import ModelPatcher

from ..ip2p import checkpoint
from ..ip2p.checkpoint import Checkpoint
from ..ip2p.files import CheckpointError, State
from ..ip2p.keys import unet_widths
from ..ip2p.layout import TEXT, TEXT_SDXL, UNET, VAE, part
from .edit import ATTACHMENT

log = logging.getLogger(__name__)

FULL_SIZE = 320
"""First width of the full-size UNets, which the host detects by itself; others are built here."""


class Loaded(NamedTuple):
    """What a model file holds; clip and vae are None where it has none."""

    model: ModelPatcher
    clip: Any
    vae: Any


def load(path: Path, weights: str = "ema", embeddings: Any = None) -> Loaded:
    """Load an editor, or a text-to-image model to make one of, from a file or a diffusers folder. Raises CheckpointError, in a sentence.

    ``weights`` is "ema" or "raw"; ``embeddings`` are the host's folders of textual inversions.
    """
    found = checkpoint.read(path, weights, editor=False)
    checkpoint.check_text_to_image(found.state)
    return build(found, embeddings)


def build(found: Checkpoint, embeddings: Any = None) -> Loaded:
    """The same for a model that is already read, or was never in a file."""
    loaded = _detected(found, embeddings) if _is_full_size(found) else _small(found, embeddings)
    if found.family == "sd15" and checkpoint.prediction(found.state) == "v_prediction":
        _predicts_v(loaded.model)  # the host tells it by the file for SDXL only
    if "size" in found.settings:
        loaded.model.set_attachments(ATTACHMENT, int(found.settings["size"]))
    return loaded


def _predicts_v(model: ModelPatcher) -> None:
    """As the host's ModelSamplingDiscrete node does."""

    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
        pass

    model.add_object_patch("model_sampling", Sampling(model.model.model_config))


def _is_full_size(found: Checkpoint) -> bool:
    return found.state[checkpoint.FIRST_CONV].shape[0] == FULL_SIZE


def _detected(found: Checkpoint, embeddings: Any) -> Loaded:
    """A full-size model, which the host detects and builds by itself."""
    has_text, has_vae = bool(found.part(TEXT) or found.part(TEXT_SDXL)), bool(found.part(VAE))
    out = comfy.sd.load_state_dict_guess_config(dict(found.state), output_vae=has_vae, output_clip=has_text, embedding_directory=embeddings)
    if out is None or out[0] is None:
        raise CheckpointError("The host does not know this kind of model; load an SD 1.5, SDXL or CosXL InstructPix2Pix checkpoint.")
    return Loaded(out[0], out[1] if has_text else None, out[2] if has_vae else None)


def _small(found: Checkpoint, embeddings: Any) -> Loaded:
    """A network of any width in Stable Diffusion 1.x layout, such as the embedded one."""
    if found.family != "sd15":
        raise CheckpointError(f"This {found.family} network has a size that no released model has; load a full-size one.")
    state = dict(found.state)
    clip = _small_clip(state, found.settings, embeddings) if found.part(TEXT) else None
    vae = _small_vae(found) if found.part(VAE) else None
    return Loaded(_small_unet(state, found.settings), clip, vae)


class _Factor(float):
    """How many times as wide as the first a level is: the host multiplies the first width by it, and its own factors are whole."""

    def __mul__(self, width: float) -> int:
        return round(float(self) * width)

    __rmul__ = __mul__


def _small_unet(state: State, settings: dict[str, str]) -> ModelPatcher:
    base = checkpoint.unet_in_channels(state) == 4
    kind = comfy.supported_models.SD15 if base else comfy.supported_models.SD15_instructpix2pix
    config = kind(comfy.model_detection.detect_unet_config(state, UNET))
    widths = unet_widths(part(state, UNET))
    config.unet_config["channel_mult"] = [_Factor(width / widths[0]) for width in widths]
    config.unet_config["num_heads"] = int(settings.get("num_heads", 8))
    config.unet_config["num_head_channels"] = -1
    device = comfy.model_management.get_torch_device()
    weight_dtype = comfy.utils.weight_dtype(state, UNET)
    supported = list(config.supported_inference_dtypes)
    parameters = comfy.utils.calculate_parameters(state, UNET)
    dtype = comfy.model_management.unet_dtype(model_params=parameters, supported_dtypes=supported, weight_dtype=weight_dtype)
    config.set_inference_dtype(dtype, comfy.model_management.unet_manual_cast(dtype, device, supported))
    offload = comfy.model_management.unet_offload_device()
    model = config.get_model(state, UNET, device=offload)
    model.load_model_weights(state, UNET)
    return ModelPatcher(model, load_device=device, offload_device=offload)


def _small_vae(found: Checkpoint) -> Any:
    params = {"ddconfig": checkpoint.vae_config(found.state), "embed_dim": found.state[VAE + "post_quant_conv.weight"].shape[1]}
    return comfy.sd.VAE(sd=found.part(VAE), config={"params": params})


def _small_clip(state: State, settings: dict[str, str], embeddings: Any) -> Any:
    config = comfy.supported_models.SD15_instructpix2pix({})
    text = config.process_clip_state_dict({k: v for k, v in state.items() if k.startswith(TEXT)})
    prefix = "clip_l.transformer.text_model."
    layers = {key.removeprefix(prefix).split(".")[2] for key in text if key.startswith(prefix + "encoder.layers.")}
    width = text[prefix + "embeddings.token_embedding.weight"].shape[1]
    sizes = {
        "hidden_size": width,
        "intermediate_size": text[prefix + "encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_attention_heads": int(settings.get("text_heads", max(1, width // 64))),
        "num_hidden_layers": len(layers),
    }
    clip = comfy.sd.CLIP(
        config.clip_target(state_dict=text),
        embedding_directory=embeddings,
        tokenizer_data=text,
        parameters=comfy.utils.calculate_parameters(text),
        model_options={"clip_l_model_config": sizes},
    )
    missing, _ = clip.load_sd(text, full_model=True)
    missing = [key for key in missing if "logit_scale" not in key and "text_projection" not in key]
    if missing:
        raise CheckpointError(f"The text encoder in this file lacks {len(missing)} weights, the first is {missing[0]}; get the file again.")
    return clip
