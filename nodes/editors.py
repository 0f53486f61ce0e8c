"""Editors as files and from other models: export, merge."""

from pathlib import Path
from typing import Any

import folder_paths

from ._api import io, say, schema
from ._places import TRAINING, folder_of, plain_name

FORMATS = {"ldm": "checkpoints", "diffusers": "diffusers", "lora": "loras", "delta": "loras"}
"""What can be written, and which of the host's folders it belongs to."""


def place_of(form: str, name: str) -> Path:
    """Where a file of that form goes, so that the host's loaders list it. Raises ValueError for a name that is no plain one."""
    plain = plain_name(name)
    if form == "diffusers":
        return Path(folder_paths.get_folder_paths("diffusers")[0]) / plain
    return Path(folder_paths.get_output_directory()) / FORMATS[form] / f"{plain.removesuffix('.safetensors')}.safetensors"


class IP2PExportEditor(io.ComfyNode):
    """Write an editor as a file that others can load."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PExportEditor",
            display_name="Export editor",
            category="InstructPix2Pix/training",
            description="Writes a trained or merged editor where the host's loaders list it: a whole checkpoint, a diffusers folder, a "
            "LoRA, or the difference to the model that it began from.",
            search_aliases=["save checkpoint", "save lora", "convert", "diffusers"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.String.Input("run", default="my editor", tooltip="The training run's name; wire it from 'Train editor'."),
                io.Combo.Input(
                    "form",
                    options=list(FORMATS),
                    default="ldm",
                    tooltip="ldm: one file for 'Load Checkpoint' and all common programs. diffusers: a folder. lora: small, of runs that "
                    "trained a LoRA. delta: the difference to the base, which the host's LoRA loader adds.",
                ),
                io.Combo.Input(
                    "weights",
                    options=["ema", "raw", "both"],
                    default="ema",
                    tooltip="ema: the averaged weights, which edit best. raw: those of the last step. both: side by side, as in the "
                    "authors' file.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["fp16", "fp32"],
                    default="fp16",
                    tooltip="fp16: half the size, and what is used for editing anyway.",
                ),
                io.String.Input("name", default="", tooltip="What to call it. Empty: as the run. What has the name already is replaced."),
                io.Model.Input("model", optional=True, tooltip="Export this editor instead of a run's, for example a merged one."),
                io.Clip.Input("clip", optional=True, tooltip="Its text encoder, to go into the file."),
                io.Vae.Input("vae", optional=True, tooltip="Its autoencoder, to go into the file."),
                io.Model.Input("base", optional=True, tooltip="What that editor was made from; only for a delta of it."),
            ],
            outputs=[io.String.Output("path", display_name="path", tooltip="Where it was written.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Write whenever it is queued: the run may have gone on, or the file may have been removed."""
        return float("nan")

    @classmethod
    def execute(cls, run: str, form: str, weights: str, precision: str, name: str, model: Any = None, **parts: Any) -> io.NodeOutput:
        from ..samplers import exporting

        path = place_of(form, name.strip() or run)
        if model is not None:
            exporting.export_model(path, form, precision, model, **parts)
        else:
            exporting.export_run(path, form, precision, weights, folder_of(TRAINING, run))
        say(f"Written to {path}", cls)
        return io.NodeOutput(str(path))


class IP2PMergeEditor(io.ComfyNode):
    """Turn any Stable Diffusion 1.x model into an editor, without training."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PMergeEditor",
            display_name="Merge editor",
            category="InstructPix2Pix/model",
            description="Gives a custom Stable Diffusion 1.x model an editor's skill: custom + (editor - base), with the first layer's "
            "channels for the picture done right. No training. Merging with the base itself gives the editor back.",
            search_aliases=["model merge", "add difference", "turn into instruct pix2pix"],
            inputs=[
                io.Model.Input("custom", tooltip="A text-to-image model whose manner the edits should have, from 'Load Checkpoint'."),
                io.Model.Input("editor", tooltip="An InstructPix2Pix model."),
                io.Model.Input("base", tooltip="The text-to-image model that the editor was trained from: Stable Diffusion 1.5 usually."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    round=0.001,
                    tooltip="How much of the editor's skill to add: 1 is right for most.",
                ),
            ],
            outputs=[io.Model.Output("merged", display_name="model", tooltip="The custom model as an editor, ready for the guider.")],
        )

    @classmethod
    def execute(cls, custom: Any, editor: Any, base: Any, strength: float) -> io.NodeOutput:
        from ..samplers.merging import merged

        return io.NodeOutput(merged(custom, editor, base, strength))


NO_FILE = "none"


def lora_names() -> list[str]:
    """The LoRA and delta files in the host's folders."""
    return folder_paths.get_filename_list("loras") or [NO_FILE]


class IP2PLoadEditorLora(io.ComfyNode):
    """Turn any Stable Diffusion 1.x model into an editor by the LoRA of one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PLoadEditorLora",
            display_name="Load editor LoRA",
            category="InstructPix2Pix/model",
            description="Turns a Stable Diffusion 1.x model into an editor by a LoRA or delta that 'Export editor' wrote: its first layer "
            "gets the channels for the picture, which the host's own LoRA loader can't give it.",
            search_aliases=["lora loader", "turn into instruct pix2pix", "delta"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="A text-to-image model from 'Load Checkpoint', or an editor if the LoRA was trained on one."
                ),
                io.Combo.Input(
                    "lora",
                    options=lora_names(),
                    default=lora_names()[0],
                    tooltip="A LoRA or delta of an editor, in models/loras or output/loras.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    round=0.001,
                    tooltip="How much of the LoRA to add: 1 is as it was trained.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model as an editor, ready for the guider.")],
        )

    @classmethod
    def fingerprint_inputs(cls, lora: str, **inputs: Any) -> str:
        """Load again when the file has changed."""
        path = folder_paths.get_full_path("loras", lora)
        return f"{lora} {Path(path).stat().st_mtime_ns}" if path else lora

    @classmethod
    def execute(cls, model: Any, lora: str, strength: float) -> io.NodeOutput:
        from ..samplers.merging import with_change

        path = folder_paths.get_full_path("loras", lora)
        if path is None:
            raise ValueError(f"There is no LoRA '{lora}'; write one with 'Export editor' or put it into models/loras (press R to refresh).")
        return io.NodeOutput(with_change(model, Path(path), strength))


NODES = [IP2PExportEditor, IP2PMergeEditor, IP2PLoadEditorLora]
