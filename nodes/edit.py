"""A whole edit in one node."""

from typing import Any

from torch import Tensor

from ._api import io, say, schema
from ._inputs import image_scale, instruction, isolate, mask, negative, sampling, speed, text_scale


class IP2PEdit(io.ComfyNode):
    """Picture and instruction in, edited picture out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PEdit",
            display_name="Edit image by instruction",
            category="InstructPix2Pix",
            description="Edits a picture (or batch) as the instruction says and returns it at its own size. The same code as the graph of "
            "single nodes, and the same picture.",
            search_aliases=["instruct pix2pix", "ip2p", "edit photo", "img2img instruction"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input("model", tooltip="An InstructPix2Pix model."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                io.Image.Input("image", tooltip="The picture to edit, of any size, or a batch of pictures of one size."),
                instruction(),
                *sampling(text_scale(), image_scale()),
                negative(),
                mask("Pixels where it is 0 stay exactly as they were."),
                speed(),
                isolate(),
            ],
            outputs=[io.Image.Output("edited", display_name="image", tooltip="The edited picture, at the size it came in.")],
        )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        from ..samplers.edit import edit

        edited: Tensor = edit(**inputs, report=lambda found: say(found, cls))
        if inputs.get("mask") is not None and not inputs["mask"].any():
            say("The mask is empty, so nothing may change: paint where the picture may change (Open in MaskEditor).", cls)
        return io.NodeOutput(edited)


NODES = [IP2PEdit]
