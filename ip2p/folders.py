"""diffusers folders (unet/, vae/, text_encoder/, text_encoder_2/) as one LDM-layout state dict."""

import json
import logging
from pathlib import Path
from typing import Any

import torch

from .files import CheckpointError, State, read_tensors
from .keys import vae_to_ldm
from .layout import SECOND_TEXT_SDXL, TEXT, TEXT_SDXL, TURN, UNET, VAE, convert_unet, prefixed
from .text_keys import clip_to_ldm, transformers_to_openclip

log = logging.getLogger(__name__)

MODEL_STEM = "diffusion_pytorch_model"
TEXT_STEMS = {"safetensors": "model", "bin": "pytorch_model"}
GROUPS = 32  # the group normalisation of every Stable Diffusion UNet; LDM files can't say another


def read_folder(folder: Path, weights: str) -> tuple[State, str, dict[str, str]]:
    """(LDM-layout state, which UNet weights: "ema", "raw" or "only", settings from the configs). Raises CheckpointError.

    EMA weights are the folder `unet_ema`, or the unmarked file where there is a `non_ema` one beside it. An autoencoder or a text
    encoder may be absent (the state then lacks its part); a UNet may not.
    """
    unet, taken, config = _unet(folder, weights)
    state = prefixed(unet, UNET)
    settings = _settings(config)
    wide = UNET + "label_emb.0.0.weight" in state
    if (folder / "vae").is_dir():
        state |= _converted(_component(folder, "vae", MODEL_STEM), vae_to_ldm, VAE, folder, "vae")
    if (folder / "text_encoder").is_dir():
        prefix = TEXT_SDXL if wide else TEXT
        state |= _converted(_component(folder, "text_encoder", TEXT_STEMS), clip_to_ldm, prefix, folder, "text_encoder")
        heads = _config(folder / "text_encoder").get("num_attention_heads")
        settings |= {"text_heads": str(heads)} if heads else {}
    if (folder / "text_encoder_2").is_dir():
        second = _component(folder, "text_encoder_2", TEXT_STEMS)
        state |= _converted(second, transformers_to_openclip, SECOND_TEXT_SDXL, folder, "text_encoder_2")
    return state | _noise(folder), taken, settings


def _unet(folder: Path, weights: str) -> tuple[State, str, dict[str, Any]]:
    if not (folder / "unet").is_dir():
        alone = _files(folder, MODEL_STEM)  # the folder of a UNet alone
        if not alone:
            raise CheckpointError(
                f"{folder.name or folder} has no folder `unet`, so it is no diffusers model: choose the folder that holds `unet`."
            )
        return convert_unet(_read_all(alone), folder.name), "only", _config(folder)
    if (folder / "unet_ema").is_dir():
        name = "unet_ema" if weights == "ema" else "unet"
        return convert_unet(_component(folder, name, MODEL_STEM), f"{folder.name}/{name}"), weights, _config(folder / name)
    raw = _files(folder / "unet", MODEL_STEM, (".non_ema",))
    averaged = _files(folder / "unet", MODEL_STEM)
    files = raw if raw and (weights == "raw" or not averaged) else averaged
    if not files:
        raise _missing(folder, "unet")
    taken = weights if raw and averaged else "only"
    return convert_unet(_read_all(files), f"{folder.name}/unet"), taken, _config(folder / "unet")


def _component(folder: Path, name: str, stems: str | dict[str, str]) -> State:
    files = _files(folder / name, stems)
    if not files:
        raise _missing(folder, name)
    return _read_all(files)


def _missing(folder: Path, name: str) -> CheckpointError:
    return CheckpointError(f"{folder.name}/{name} has no weights file: download the whole folder, weights included.")


def _files(folder: Path, stems: str | dict[str, str], variants: tuple[str, ...] = ("", ".fp16")) -> list[Path]:
    """The weights of one component: safetensors before .bin, full precision before fp16, the shards where it is in pieces."""
    for kind in ("safetensors", "bin"):
        stem = stems if isinstance(stems, str) else stems[kind]
        for variant in variants:
            single = folder / f"{stem}{variant}.{kind}"
            if single.is_file():
                return [single]
            for index in (folder / f"{stem}.{kind}.index{variant}.json", folder / f"{stem}{variant}.{kind}.index.json"):
                if index.is_file():
                    return sorted({folder / shard for shard in _json(index).get("weight_map", {}).values()})
    return []


def _read_all(files: list[Path]) -> State:
    state: State = {}
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"{file.parent.name} lacks its piece {file.name}: download the whole folder again.")
        state |= read_tensors(file)[0]
    return state


def _converted(state: State, convert: Any, prefix: str, folder: Path, name: str) -> State:
    try:
        return prefixed(convert(state), prefix)
    except KeyError as error:
        raise CheckpointError(
            f"{folder.name}/{name} is of another kind than Stable Diffusion's (its weight {error.args[0]} is unknown): {TURN}."
        ) from error


def _settings(config: dict[str, Any]) -> dict[str, str]:
    """What shapes can't tell. `attention_head_dim` is, by an old slip of diffusers, the number of heads where it is one number."""
    groups = config.get("norm_num_groups", GROUPS)
    if groups != GROUPS:
        raise CheckpointError(f"This UNet normalises in {groups} groups where Stable Diffusion has {GROUPS}: {TURN}.")
    heads = config.get("num_attention_heads") or config.get("attention_head_dim")
    size = config.get("sample_size")
    settings = {"num_heads": str(heads)} if isinstance(heads, int) else {}
    return settings | ({"size": str(size * 8)} if isinstance(size, int) else {})


def _noise(folder: Path) -> State:
    """What single files say by a name's presence, from the folder's scheduler: v-prediction, zero terminal SNR, CosXL's noise range."""
    config = _config(folder / "scheduler")
    marks = {"v_pred": config.get("prediction_type") == "v_prediction", "ztsnr": bool(config.get("rescale_betas_zero_snr"))}
    if marks["v_pred"] and str(config.get("_class_name", "")).startswith("EDM"):
        ends = {"sigma_max": 120.0, "sigma_min": 0.002}
        return {f"edm_vpred.{name}": torch.tensor(float(config.get(name, value))) for name, value in ends.items()}
    return {name: torch.zeros(0) for name, there in marks.items() if there}


def _config(folder: Path) -> dict[str, Any]:
    for name in ("config.json", "scheduler_config.json"):
        if (folder / name).is_file():
            return _json(folder / name)
    return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.parent.name}/{path.name} is not readable JSON: download the folder again.") from error
    return loaded if isinstance(loaded, dict) else {}
