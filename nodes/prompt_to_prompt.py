"""Pairs of pictures that differ by their captions, under any sampler of the graph."""

from typing import Any

from ._api import io, schema

MODES = ["self", "replace", "refine", "reweight"]


def _shares() -> list[io.Input]:
    """How long the second picture follows the first."""
    limits = {"min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001}
    return [
        io.Float.Input(
            "self_share",
            default=0.5,
            tooltip="For which share of the steps the second picture takes over the first one's layout: 0 not at all, 1 always. "
            "The paper draws it between 0.1 and 0.9 for each pair.",
            **limits,
        ),
        io.Float.Input(
            "cross_share",
            default=0.8,
            tooltip="For which share of the steps words keep the places they have in the first picture. Not used by 'self'.",
            **limits,
        ),
    ]


def _words() -> list[io.Input]:
    """What is said about single words."""
    return [
        io.String.Input(
            "weights",
            default="",
            optional=True,
            tooltip="How strongly words of the edited caption work, such as 'snow: 2, red car: 0.5'; 1 is as usual. 'reweight' needs some.",
        ),
        io.String.Input(
            "word_shares",
            default="",
            optional=True,
            tooltip="A cross share of their own for some words of the edited caption, such as 'dog: 0.4'.",
        ),
        io.String.Input(
            "blend",
            default="",
            optional=True,
            tooltip="Local blend: words whose places may change, with commas; everything else stays as in the first picture. 'changed' "
            "means the words that differ. Empty: everything may change.",
        ),
        io.Float.Input(
            "threshold",
            default=0.3,
            min=0.0,
            max=1.0,
            step=0.01,
            round=0.001,
            optional=True,
            tooltip="How sure a place must be to belong to the blend words: higher gives smaller places.",
        ),
    ]


class IP2PPromptToPrompt(io.ComfyNode):
    """A pair from two captions: attention of the second picture comes from the first."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PPromptToPrompt",
            display_name="Prompt-to-Prompt",
            category="InstructPix2Pix/data",
            description="Makes a text-to-image model paint two pictures that look alike but for what two captions say. Wire model, "
            "positive and latent into any sampler; its batch holds the pairs, the first picture and the second in turn.",
            search_aliases=["p2p", "attention sharing", "paired images", "before and after", "word swap", "local blend"],
            inputs=[
                io.Model.Input("model", tooltip="A text-to-image model with a U-Net, such as Stable Diffusion 1.5 or SDXL."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Latent.Input("latent", tooltip="An empty latent of the size you want; each of its rows becomes a pair."),
                io.String.Input("caption", multiline=True, default="a photo of a cat on a chair", tooltip="What the first picture shows."),
                io.String.Input(
                    "edited_caption",
                    multiline=True,
                    default="a photo of a dog on a chair",
                    tooltip="What the second picture shows; the fewer words differ, the more alike the pictures are.",
                ),
                io.Combo.Input(
                    "mode",
                    options=MODES,
                    default="self",
                    tooltip="self: InstructPix2Pix's own way, for any edit. replace: words in the place of others. refine: words added. "
                    "reweight: words stronger or weaker.",
                ),
                *_shares(),
                *_words(),
            ],
            outputs=[
                io.Model.Output("patched", display_name="model", tooltip="For the sampler of the pair."),
                io.Conditioning.Output("positive", display_name="positive", tooltip="Both captions, one for each picture of a pair."),
                io.Latent.Output("pairs", display_name="latent", tooltip="Two rows for each pair, which share all noise."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        latent: dict[str, Any],
        caption: str,
        edited_caption: str,
        mode: str,
        self_share: float,
        cross_share: float,
        weights: str = "",
        word_shares: str = "",
        blend: str = "",
        threshold: float = 0.3,
    ) -> io.NodeOutput:
        from ..ip2p.pairs.prompt_to_prompt_control import PromptToPrompt, numbers, phrases
        from ..samplers.prompt_to_prompt import paired

        edit = PromptToPrompt(mode, cross_share, numbers(word_shares), numbers(weights), phrases(blend), threshold)
        return io.NodeOutput(*paired(model, clip, latent, caption, edited_caption, edit, self_share))


class IP2PSplitPairs(io.ComfyNode):
    """A batch of pairs as two batches."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PSplitPairs",
            display_name="Split pairs",
            category="InstructPix2Pix/data",
            description="Takes the pictures of 'Prompt-to-Prompt' apart: all first ones, and all second ones.",
            search_aliases=["before after", "unzip batch"],
            inputs=[io.Image.Input("images", tooltip="Decoded pictures, the first and the second of each pair in turn.")],
            outputs=[
                io.Image.Output("before", display_name="before", tooltip="The pictures of the captions."),
                io.Image.Output("after", display_name="after", tooltip="The pictures of the edited captions, in the same order."),
            ],
        )

    @classmethod
    def execute(cls, images: Any) -> io.NodeOutput:
        if len(images) % 2:
            raise ValueError(f"{len(images)} pictures are no pairs; wire those that were made with 'Prompt-to-Prompt'.")
        return io.NodeOutput(images[::2], images[1::2])


NODES = [IP2PPromptToPrompt, IP2PSplitPairs]
