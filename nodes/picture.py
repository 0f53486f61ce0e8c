"""Bring pictures to the network's size and back."""

from typing import Any

from torch import Tensor

from ..ip2p import fit as fitting
from ._api import io, say, schema

FitData = io.Custom("IP2P_FIT")


def _fitted() -> list[io.Output]:
    """What 'Fit image' gives."""
    return [
        io.Image.Output("fitted", display_name="image", tooltip="The picture at its new size."),
        io.Mask.Output("fitted_mask", display_name="mask", tooltip="The mask at its new size; all 1 if none was given."),
        FitData.Output("fit", display_name="fit", tooltip="For 'Restore image': how the picture was resized, and the original."),
        io.Int.Output("width", display_name="width", tooltip="The new width in pixels."),
        io.Int.Output("height", display_name="height", tooltip="The new height in pixels."),
    ]


class IP2PFitImage(io.ComfyNode):
    """Resize a picture to a size the network takes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PFitImage",
            display_name="Fit image",
            category="InstructPix2Pix/picture",
            description="Resizes a picture (or batch) to a size the network takes and remembers how, for 'Restore image'. Drops "
            "transparency.",
            search_aliases=["resize", "crop", "pad", "multiple of 64"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("image", tooltip="The picture, or a batch of pictures of one size."),
                io.Int.Input(
                    "size",
                    default=512,
                    min=0,
                    max=8192,
                    step=8,
                    tooltip="The long side in pixels: 512 for SD 1.5 editors, 256 for the embedded one, 1024 for SDXL. 0 keeps the "
                    "picture's.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(fitting.METHODS),
                    default=fitting.METHOD,
                    tooltip="scale: scale the long side, then stretch by a few pixels to multiples. pad, crop: extend or cut instead. "
                    "exact: the authors' resize, short side up and long side down to multiples, middle cropped. reference: the same with "
                    "the rounding errors of their code.",
                ),
                io.Combo.Input(
                    "multiple",
                    options=[str(multiple) for multiple in fitting.MULTIPLES],
                    default=str(fitting.MULTIPLE),
                    tooltip="Sides become multiples of this: 8, the least the network takes, or 64 as the authors do.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="A mask over the picture, to be fitted along with it."),
            ],
            outputs=_fitted(),
        )

    @classmethod
    def execute(cls, image: Tensor, size: int, method: str, multiple: str, mask: Tensor | None = None) -> io.NodeOutput:
        image = fitting.rgb(image)
        plan = fitting.plan(image.shape[2], image.shape[1], size, method, int(multiple))
        whole = image.new_ones(1, plan.target_height, plan.target_width)
        fitted_mask = whole if mask is None else fitting.apply_mask(mask, plan)
        say(str(plan), cls)
        return io.NodeOutput(fitting.apply(image, plan), fitted_mask, (plan, image), plan.target_width, plan.target_height)


class IP2PRestoreImage(io.ComfyNode):
    """Bring a result back to the original size and place."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PRestoreImage",
            display_name="Restore image",
            category="InstructPix2Pix/picture",
            description="Brings an edited picture back to the original's size and place. What 'Fit image' cut away, and what a mask "
            "protects, comes from the original pixel for pixel.",
            search_aliases=["resize back", "uncrop", "composite"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("image", tooltip="The edited picture; it may have been enlarged meanwhile."),
                FitData.Input("fit", tooltip="From the 'Fit image' node that made the picture fit."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where it is 0 the original stays as it was. Either the original's mask or the fitted one.",
                ),
            ],
            outputs=[io.Image.Output("restored", display_name="image", tooltip="The edit at the original's size.")],
        )

    @classmethod
    def execute(cls, image: Tensor, fit: tuple[Any, Tensor], mask: Tensor | None = None) -> io.NodeOutput:
        plan, original = fit
        say(f"{image.shape[2]} x {image.shape[1]} -> {plan.width} x {plan.height}", cls)
        return io.NodeOutput(fitting.restore(image, plan, original, mask))


NODES = [IP2PFitImage, IP2PRestoreImage]
