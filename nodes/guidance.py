"""Tell the network what to do, and guide it with two scales."""

from typing import Any

from torch import Tensor

from ._api import io, schema
from ._inputs import image_scale, instruction, mask, negative, text_scale


class IP2PInstruction(io.ComfyNode):
    """Encode instruction and picture as conditioning."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PInstruction",
            display_name="InstructPix2Pix instruction",
            category="InstructPix2Pix/conditioning",
            description="Encodes the instruction and the picture. The outputs are plain conditionings, so ControlNet, area and LoRA-hook "
            "nodes can sit between here and the guider. The third conditioning of dual guidance is made where it is needed.",
            search_aliases=["instruct pix2pix conditioning", "edit instruction", "ip2p"],
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of the editor."),
                io.Vae.Input("vae", tooltip="The autoencoder of the editor."),
                io.Image.Input("image", tooltip="The picture to edit, with sides that are multiples of 8: put 'Fit image' before it."),
                instruction(),
                negative(),
                io.Combo.Input(
                    "encoding",
                    options=["auto", "whole", "tiled"],
                    default="auto",
                    tooltip="auto encodes pictures of more than 1024 x 1024 in tiles, which takes less memory; whole and tiled force one "
                    "way.",
                ),
                mask("The latent outside it is the picture's own."),
            ],
            outputs=[
                io.Conditioning.Output("positive", display_name="positive", tooltip="Picture and instruction."),
                io.Conditioning.Output("negative_out", display_name="negative", tooltip="Picture and empty (or negative) text."),
                io.Latent.Output("latent", display_name="latent", tooltip="Where sampling starts, with the mask if there is one."),
            ],
        )

    @classmethod
    def execute(
        cls, clip: Any, vae: Any, image: Tensor, instruction: str, negative: str, encoding: str, mask: Tensor | None = None
    ) -> io.NodeOutput:
        from ..samplers.conditioning import instruct

        return io.NodeOutput(*instruct(clip, vae, image, instruction, negative, mask, encoding))


class IP2PGuider(io.ComfyNode):
    """Dual guidance as a GUIDER for the host's custom sampling."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PGuider",
            display_name="InstructPix2Pix guider",
            category="InstructPix2Pix/guidance",
            description="Guides sampling with two scales, one for the instruction and one for the picture (equation 3 of the paper). Wire "
            "it to SamplerCustomAdvanced.",
            search_aliases=["dual cfg guider", "image cfg", "ip2p"],
            inputs=[
                io.Model.Input("model", tooltip="An InstructPix2Pix model, or another editor such as Flux Kontext."),
                io.Conditioning.Input("positive", tooltip="From the instruction node, or from ReferenceLatent for another editor."),
                io.Conditioning.Input("negative", tooltip="From the instruction node."),
                text_scale(),
                image_scale(),
            ],
            outputs=[io.Guider.Output("guider", display_name="guider", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, model: Any, positive: list, negative: list, text_scale: float, image_scale: float) -> io.NodeOutput:
        from ..samplers.guidance import guider

        return io.NodeOutput(guider(model, positive, negative, text_scale, image_scale))


class IP2PGuidance(io.ComfyNode):
    """Dual guidance as a model patch, for any sampler node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PGuidance",
            display_name="InstructPix2Pix guidance for any sampler",
            category="InstructPix2Pix/guidance",
            description="After this node the stock KSampler, and any other sampler node, guides with two scales: its cfg is the text "
            "scale (7.5), the image scale is set here.",
            search_aliases=["image cfg", "dual cfg", "ip2p ksampler"],
            inputs=[io.Model.Input("model", tooltip="An InstructPix2Pix model, or another editor such as Flux Kontext."), image_scale()],
            outputs=[io.Model.Output("patched", display_name="model", tooltip="The same model, guided by picture and text.")],
        )

    @classmethod
    def execute(cls, model: Any, image_scale: float) -> io.NodeOutput:
        from ..samplers.guidance import patch

        return io.NodeOutput(patch(model, image_scale))


NODES = [IP2PInstruction, IP2PGuider, IP2PGuidance]
