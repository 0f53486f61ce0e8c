"""Every pair of both scales over one picture, and the pair that suits it."""

from typing import Any

import comfy.samplers

from ._api import io, say, schema
from ._inputs import image_scale, instruction, negative, seed, text_scale
from .measures import MeasuresType

SEVERAL = "One number, several with commas, or first:last:step."


def _asked(steps: int) -> list[io.Input]:
    """What is edited and how, in every cell."""
    return [
        io.Model.Input("model", tooltip="An InstructPix2Pix model; schedules and other parts that it carries join every cell."),
        io.Clip.Input("clip", tooltip="Its text encoder."),
        io.Vae.Input("vae", tooltip="Its autoencoder."),
        io.Image.Input("image", tooltip="The picture to edit, of any size; of a batch, the first."),
        instruction(),
        seed(),
        io.Int.Input("steps", default=steps, min=1, max=1000, tooltip="Sampling steps of every cell; few are enough to compare."),
        io.Combo.Input(
            "sampler", options=comfy.samplers.SAMPLER_NAMES, default="euler_ancestral", tooltip="The sampler that you will edit with."
        ),
        io.Combo.Input("scheduler", options=comfy.samplers.SCHEDULER_NAMES, default="normal", tooltip="'normal' is the authors'."),
        io.Int.Input("size", default=0, min=0, max=8192, step=8, tooltip="The long side to work at, in pixels. 0: the model's own."),
        negative(),
    ]


def _measuring() -> list[io.Input]:
    """What the cells are measured by."""
    return [
        MeasuresType.Input("measures", optional=True, tooltip="From 'Load measures'. Without it: how many pixels changed."),
        io.String.Input("caption", default="", optional=True, tooltip="What the picture shows; CLIP's direction needs it."),
        io.String.Input("edited_caption", default="", optional=True, tooltip="What the edit should show; CLIP needs it."),
        io.Int.Input("cell", default=256, min=64, max=1024, step=8, optional=True, tooltip="Longest side of a picture on the sheet."),
    ]


class IP2PSweep(io.ComfyNode):
    """A grid of text scales and image scales."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PSweep",
            display_name="Sweep scales",
            category="InstructPix2Pix",
            description="Edits a picture with every pair of a text scale and an image scale and lays them out on one labelled sheet. "
            "Cells share the noise, the encoding and the passes that are the same.",
            search_aliases=["xy plot", "grid", "figure 4", "compare scales", "sweep"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                *_asked(steps=20),
                io.String.Input("text_scales", default="3, 5, 7.5, 10", tooltip=f"Text scales, from left to right. {SEVERAL}"),
                io.String.Input("image_scales", default="1, 1.25, 1.5, 2", tooltip=f"Image scales, from top to bottom. {SEVERAL}"),
                *_measuring(),
            ],
            outputs=[
                io.Image.Output("sheet", display_name="sheet", tooltip="All cells with their scales, beside the source."),
                io.Image.Output("cells", display_name="cells", tooltip="The cells as a batch, row by row."),
                io.String.Output("table", display_name="table", tooltip="The numbers of each cell, for 'Preview as Text'."),
                io.String.Output("report", display_name="report", tooltip="How many network passes it took, and single edits would."),
            ],
        )

    @classmethod
    def execute(
        cls,
        text_scales: str,
        image_scales: str,
        measures: Any = None,
        caption: str = "",
        edited_caption: str = "",
        cell: int = 256,
        **asked: Any,
    ) -> io.NodeOutput:
        from ..ip2p.sweep import grid
        from ..samplers.sweeping import Asked, shown, sweep

        scales, one = grid(text_scales, image_scales), Asked(**asked)
        found = shown(one, sweep(one, scales), measures, caption, edited_caption, cell)
        say(found.report, cls)
        return io.NodeOutput(*found)


class IP2PAutoScales(io.ComfyNode):
    """The scales that suit a picture and an instruction."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PAutoScales",
            display_name="Auto scales",
            category="InstructPix2Pix",
            description="Tries nine pairs of scales around the usual one in few steps, and gives out the pair that suits this "
            "picture and instruction, as numbers to wire or to keep.",
            search_aliases=["automatic cfg", "find scales", "best scales"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                *_asked(steps=6),
                text_scale(),
                image_scale(),
                *_measuring(),
            ],
            outputs=[
                io.Float.Output("text", display_name="text_scale", tooltip="The chosen text scale."),
                io.Float.Output("picture", display_name="image_scale", tooltip="The chosen image scale."),
                io.String.Output("report", display_name="report", tooltip="The choice, the reason, and what it cost."),
                io.Image.Output("sheet", display_name="sheet", tooltip="All nine, the chosen one framed in green."),
            ],
        )

    @classmethod
    def execute(
        cls,
        text_scale: float,
        image_scale: float,
        measures: Any = None,
        caption: str = "",
        edited_caption: str = "",
        cell: int = 256,
        **asked: Any,
    ) -> io.NodeOutput:
        from ..samplers.sweeping import Asked, picked

        found = picked(Asked(**asked), text_scale, image_scale, measures, caption, edited_caption, cell)
        say(found.report, cls)
        return io.NodeOutput(*found)


NODES = [IP2PSweep, IP2PAutoScales]
