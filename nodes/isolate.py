"""Keep an edit where it belongs: by itself, or by masks."""

from typing import Any

from torch import Tensor

from ._api import io, say, schema, ui
from .picture import FitData


def strength(tooltip: str) -> io.Float.Input:
    """The slider from off to strict."""
    return io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.01, round=0.001, tooltip=tooltip)


class IP2PIsolate(io.ComfyNode):
    """Find the place of an edit while sampling, and keep the latent elsewhere."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PIsolate",
            display_name="Isolate edit",
            category="InstructPix2Pix/guidance",
            description="Keeps an edit where the instruction means it: the model finds that place while it samples, at no cost, and leaves "
            "the rest of the picture as it was. Put it between the model and 'Edit image by instruction' or the guider. In a graph of "
            "single nodes 'Relevance mask' then gives the mask for 'Restore image'. Edits of the whole picture are left alone.",
            search_aliases=["local edit", "keep background", "relevance", "automatic mask"],
            inputs=[
                io.Model.Input("model", tooltip="An editor."),
                strength("0: off; 0.5: the edit has room around its place; 1: strictly its place, with a soft edge."),
            ],
            outputs=[io.Model.Output("isolating", display_name="model", tooltip="The same editor; the weights are untouched.")],
        )

    @classmethod
    def execute(cls, model: Any, strength: float) -> io.NodeOutput:
        from ..samplers.isolating import isolating

        return io.NodeOutput(isolating(model, strength))


class IP2PSpatial(io.ComfyNode):
    """Scales of each place."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PSpatial",
            display_name="Spatial scales",
            category="InstructPix2Pix/guidance",
            description="Sets the two scales differently in different places: each mask multiplies its scale. White leaves a scale as it "
            "is, black takes it to 0, grey lies between. Put it between the model and 'Edit image by instruction' or the guider.",
            search_aliases=["mask scale", "regional guidance", "spatial guidance", "gradient mask"],
            inputs=[
                io.Model.Input("model", tooltip="An editor."),
                io.Mask.Input(
                    "text_mask",
                    optional=True,
                    tooltip="How much the instruction counts in each place: white as the text scale says, black not at all.",
                ),
                io.Mask.Input(
                    "image_mask",
                    optional=True,
                    tooltip="How much the picture counts in each place: white as the image scale says, grey less, so that more may change.",
                ),
            ],
            outputs=[io.Model.Output("spatial", display_name="model", tooltip="The same editor; the weights are untouched.")],
        )

    @classmethod
    def execute(cls, model: Any, text_mask: Tensor | None = None, image_mask: Tensor | None = None) -> io.NodeOutput:
        from ..ip2p.spatial import Spatial
        from ..samplers.guidance import with_part

        return io.NodeOutput(with_part(model, "spatial", Spatial(text_mask, image_mask)))


class IP2PRelevance(io.ComfyNode):
    """Where the edit belongs, as a mask and a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PRelevance",
            display_name="Relevance mask",
            category="InstructPix2Pix/picture",
            description="Shows where the instruction meant to work, as the last run found it, over the picture and as masks at its size. "
            "The mask is for 'Restore image', whose unmasked pixels are then the input's own. A batch gives a mask for each picture.",
            search_aliases=["automatic mask", "attention map", "heat map", "edit region"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.Latent.Input("latent", tooltip="From the sampler that used the guider or the model; it comes out unchanged."),
                FitData.Input("fit", tooltip="From the 'Fit image' node that made the picture fit."),
                strength("1: the mask is the edit's place with a soft edge; lower leaves more room around it; 0: everything."),
                io.Guider.Input("guider", optional=True, tooltip="The guider that was used; its model comes from 'Isolate edit'."),
                io.Model.Input("model", optional=True, tooltip="Or the model, where a sampler without a guider was used."),
            ],
            outputs=[
                io.Latent.Output("latent_out", display_name="latent", tooltip="The latent as it came in."),
                io.Mask.Output(
                    "mask", display_name="mask", tooltip="Where the edit belongs; all of a picture whose edit is one of the whole."
                ),
                io.Mask.Output(
                    "relevance", display_name="relevance", tooltip="How much the instruction means each place; from 0.5 on, its own."
                ),
                io.Image.Output("preview", display_name="preview", tooltip="The relevance in colours over the picture."),
                io.String.Output("report", display_name="report", tooltip="What was found, a line for each picture."),
            ],
        )

    @classmethod
    def execute(
        cls, latent: dict[str, Any], fit: tuple[Any, Tensor], strength: float, guider: Any = None, model: Any = None
    ) -> io.NodeOutput:
        from ..samplers.isolating import shown

        if guider is None and model is None:
            raise ValueError("Nothing says which run this is about; wire the guider, or the model of the sampler.")
        mask, relevance, preview, report = shown(guider if guider is not None else model, *fit, strength)
        say(report, cls)
        return io.NodeOutput(latent, mask, relevance, preview, report, ui=ui.PreviewImage(preview, cls=cls))


NODES = [IP2PIsolate, IP2PSpatial, IP2PRelevance]
