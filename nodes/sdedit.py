"""SDEdit, the baseline that the paper compares with, in one node."""

from typing import Any

from ._api import io, schema
from ._inputs import negative, sampling


def _strength() -> io.Float.Input:
    return io.Float.Input(
        "strength",
        default=0.6,
        min=0.01,
        max=1.0,
        step=0.01,
        round=0.001,
        tooltip="How far to noise the picture before it is drawn again: 0.3 keeps most of it, 0.9 little; at 1 it gives only its size.",
    )


def _cfg() -> io.Float.Input:
    return io.Float.Input(
        "cfg", default=7.5, min=0.0, max=100.0, step=0.01, round=0.001, tooltip="How closely to follow the caption: 5 to 10 usually."
    )


class IP2PSDEdit(io.ComfyNode):
    """Picture and caption in, the picture brought nearer to the caption out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PSDEdit",
            display_name="SDEdit (baseline)",
            category="InstructPix2Pix/evaluation",
            description="Noises the picture part of the way and denoises it under a caption of the edited picture: what one does without "
            "an editor, and the paper's baseline. The same as VAE Encode and KSampler with denoise set to the strength.",
            search_aliases=["img2img", "image to image", "denoise strength", "baseline"],
            inputs=[
                io.Model.Input("model", tooltip="A text-to-image model (SD 1.x, SDXL), or an editor, which is shown an empty picture."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                io.Image.Input("image", tooltip="The picture to start from, of any size, or a batch of pictures of one size."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="a photo of a cat in the snow",
                    dynamic_prompts=True,
                    tooltip="A caption of the edited picture, not an instruction: 'a photo of a cat in the snow'.",
                ),
                _strength(),
                *sampling(_cfg()),
                negative(),
            ],
            outputs=[io.Image.Output("edited", display_name="image", tooltip="The new picture, at the size it came in.")],
        )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..samplers.sdedit import sdedit

        return io.NodeOutput(sdedit(**inputs))


NODES = [IP2PSDEdit]
