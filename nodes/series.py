"""Several edits in one node: variations by seed, instructions one after another, and the frames of a video."""

from typing import Any

import torch
from torch import Tensor

from ..ip2p.stages import BETWEEN, parse
from ._api import io, say, schema, ui
from ._inputs import image_scale, instruction, isolate, mask, negative, sampling, speed, text_scale

NOISES = ("one for all frames", "another for each frame")
ANIMATIONS = ("preview", "save", "off")
QUALITY, EFFORT = 90, 4
"""Of animated pictures, in WebP's own scales: 0..100 and 0..6."""


def _editor() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="An InstructPix2Pix model; schedules and other parts that it carries work here too."),
        io.Clip.Input("clip", tooltip="Its text encoder."),
        io.Vae.Input("vae", tooltip="Its autoencoder."),
    ]


def _at_once() -> io.Int.Input:
    return io.Int.Input(
        "at_once",
        default=0,
        min=0,
        max=256,
        tooltip="How many to sample together. 0: as many as there is memory for, at most 8. It changes the speed, not the pictures.",
    )


class IP2PVariations(io.ComfyNode):
    """One picture and one instruction under several seeds."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PVariations",
            display_name="Variations",
            category="InstructPix2Pix",
            description="Edits a picture several times, each with the next seed, so that you can choose. Each picture is the one that "
            "'Edit image by instruction' gives with its seed.",
            search_aliases=["seeds", "batch", "figure 12", "several versions", "contact sheet"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                *_editor(),
                io.Image.Input("image", tooltip="The picture to edit, of any size; of a batch, each gets its own variations."),
                instruction(),
                io.Int.Input("count", default=8, min=1, max=1000, tooltip="How many versions to make."),
                *sampling(text_scale(), image_scale()),
                negative(),
                _at_once(),
                speed(),
                isolate(),
                mask("Pixels where it is 0 stay exactly as they were."),
            ],
            outputs=[
                io.Image.Output("edited", display_name="images", tooltip="All versions as a batch, in the order of their seeds."),
                io.Image.Output(
                    "sheet", display_name="sheet", tooltip="All versions of the (first) picture on one sheet, with their seeds."
                ),
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, instruction: str, count: int, seed: int, **settings: Any) -> io.NodeOutput:
        from ..samplers.series import Editing, variations

        made = variations(Editing(**settings), image, instruction, count, seed)
        say(f"seeds {seed} to {(seed + count - 1) % 2**64}", cls)
        return io.NodeOutput(*made)


def _stages() -> list[io.Input]:
    """What a stage hands on, and how the stages are shown."""
    return [
        io.Combo.Input(
            "between",
            options=list(BETWEEN),
            default=BETWEEN[0],
            tooltip="What a stage hands on: its latent, which loses nothing, or its picture, encoded again, which keeps colours in "
            "range where strong edits pile up.",
        ),
        io.Combo.Input(
            "animation",
            options=list(ANIMATIONS),
            default=ANIMATIONS[0],
            tooltip="The stages as an animated picture (WebP): shown on the node, saved to the output folder as well, or none.",
        ),
        io.Float.Input(
            "seconds",
            default=1.0,
            min=0.05,
            max=60.0,
            step=0.05,
            round=0.01,
            tooltip="How long the animated picture shows each stage.",
        ),
    ]


class IP2PChain(io.ComfyNode):
    """Instructions one after another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PChain",
            display_name="Chain of edits",
            category="InstructPix2Pix",
            description="Applies instructions one after another, each to what the one before has made. In between the picture stays a "
            "latent, so that it loses nothing on the way. Shows all stages as an animated picture.",
            search_aliases=["sequence", "several edits", "story", "figure 11", "one after another", "animation"],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            inputs=[
                *_editor(),
                io.Image.Input("image", tooltip="The picture to edit, of any size; of a batch, each goes through the whole chain."),
                io.String.Input(
                    "instructions",
                    multiline=True,
                    default="make it autumn\nmake it night\nturn it into an oil painting",
                    dynamic_prompts=True,
                    tooltip="An instruction a line; empty lines are skipped. A line may end in its own scales and seed: "
                    "'make it night | text 5 image 1.2 seed 7'.",
                ),
                *sampling(text_scale(), image_scale()),
                negative(),
                *_stages(),
                speed(),
                isolate(),
                mask("Pixels where it is 0 stay exactly as they were."),
            ],
            outputs=[
                io.Image.Output("stages", display_name="stages", tooltip="What each stage made, as a batch."),
                io.Image.Output("last", display_name="last", tooltip="What the last stage made."),
                io.Image.Output("sheet", display_name="sheet", tooltip="The (first) picture and its stages, below their instructions."),
            ],
        )

    @classmethod
    def execute(
        cls, image: Tensor, instructions: str, seed: int, between: str, animation: str, seconds: float, **settings: Any
    ) -> io.NodeOutput:
        from ..samplers.edit import check_choice
        from ..samplers.series import Editing, chains

        check_choice("animation", animation, list(ANIMATIONS))
        found = chains(Editing(**settings), image, parse(instructions), seed, between, lambda text: say(text, cls))
        shown = None if animation == "off" else animated(torch.cat([one.film() for one in found]), seconds, animation == "save", cls)
        stages = torch.cat([one.all_stages for one in found])
        last = torch.cat([one.film()[-1:] for one in found])
        return io.NodeOutput(stages, last, found[0].sheet(), ui=shown)


def animated(film: Tensor, seconds: float, keep: bool, node: type[io.ComfyNode]) -> ui.SavedImages:
    """Save pictures (N, H, W, 3) as one animated WebP, in the output folder to ``keep`` it, else in temp; for the page to show."""
    folder = io.FolderType.output if keep else io.FolderType.temp
    helper = ui.ImageSaveHelper.save_animated_webp
    saved = helper(film, "chain", folder, node, fps=1 / seconds, lossless=False, quality=QUALITY, method=EFFORT)
    return ui.SavedImages([saved], is_animated=len(film) > 1)


class IP2PFrames(io.ComfyNode):
    """The frames of a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PFrames",
            display_name="Edit video frames",
            category="InstructPix2Pix",
            description="Edits the frames of a video, all with one noise, so that they agree with each other and flicker little. Any "
            "number of frames: a few at a time are in work. Between 'Get Video Components' and 'Create Video'.",
            search_aliases=["video", "batch", "animation", "temporal", "consistent", "flicker"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                *_editor(),
                io.Image.Input("images", tooltip="The frames, from 'Get Video Components' or any other batch."),
                instruction(),
                *sampling(text_scale(), image_scale()),
                negative(),
                io.Combo.Input(
                    "noise",
                    options=list(NOISES),
                    default=NOISES[0],
                    tooltip="One noise for all frames keeps them alike; another for each frame makes every frame a version of its own.",
                ),
                _at_once(),
                speed(),
                isolate(),
                mask("One for all frames, or one for each. Pixels where it is 0 stay exactly as they were."),
            ],
            outputs=[io.Image.Output("edited", display_name="images", tooltip="The edited frames, as many as came in, at their size.")],
        )

    @classmethod
    def execute(cls, images: Tensor, instruction: str, seed: int, noise: str, **settings: Any) -> io.NodeOutput:
        from ..samplers.edit import check_choice
        from ..samplers.series import Editing, frames

        check_choice("noise", noise, list(NOISES))
        return io.NodeOutput(frames(Editing(**settings), images, instruction, seed, noise == NOISES[1]))


NODES = [IP2PVariations, IP2PChain, IP2PFrames]
