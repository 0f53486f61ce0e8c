"""Questions with known answers: a drawn scene to edit, and the judge of the edit."""

from typing import Any

from torch import Tensor

from ..ip2p.worlds.edits import KINDS, LIMITS
from ._api import io, say, schema
from ._inputs import seed

Task = io.Custom("IP2P_TASK")
ANY = "any"


def _answers() -> list[io.Output]:
    """What is known of a scene and its edit."""
    return [
        io.Image.Output("source", display_name="image", tooltip="The scene to edit."),
        io.Image.Output("answer", display_name="right answer", tooltip="The scene edited as asked."),
        io.Mask.Output("mask", display_name="mask", tooltip="1 where the edit may change the picture."),
        io.String.Output("instruction", display_name="instruction", tooltip="What to change, in words."),
        io.String.Output("caption", display_name="caption", tooltip="What the scene shows."),
        io.String.Output("edited_caption", display_name="edited caption", tooltip="What the right answer shows; SDEdit's prompt."),
        Task.Output("task", display_name="task", tooltip="All that is known, for 'Judge edit'."),
    ]


class IP2PScene(io.ComfyNode):
    """A procedural scene, an instruction for it, and the right answer."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PScene",
            display_name="Scene with a known answer",
            category="InstructPix2Pix/evaluation",
            description="Draws a scene, asks for an edit of it in words, and gives the right answer with it: one question of the small "
            "world in which editors are measured. The same seed gives the same question.",
            search_aliases=["test image", "benchmark", "synthetic scene", "ground truth"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                seed(),
                io.Combo.Input(
                    "kind",
                    options=[ANY, *KINDS, *LIMITS],
                    default=ANY,
                    tooltip="What kind of edit to ask for. zoom, count and swap are what the paper finds the method unable to do.",
                ),
                io.Int.Input("size", default=256, min=64, max=512, step=8, tooltip="Side of the picture in pixels."),
            ],
            outputs=_answers(),
        )

    @classmethod
    def execute(cls, seed: int, kind: str, size: int) -> io.NodeOutput:
        from ..samplers.worlds import scene

        out = scene(seed, kind if kind != ANY else "", size)
        say(out.instruction, cls)
        return io.NodeOutput(*out)


class IP2PJudge(io.ComfyNode):
    """Was the edit made, and was all else kept?"""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PJudge",
            display_name="Judge edit",
            category="InstructPix2Pix/evaluation",
            description="Compares an edited scene with the right answer and with what else could have been made of it, and says whether "
            "the edit was made, whether all else was kept, and where it was not. Needs no network.",
            search_aliases=["verdict", "check edit", "benchmark"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("image", tooltip="The edited scene, or a batch of edits of it."),
                Task.Input("task", tooltip="From 'Scene with a known answer'."),
            ],
            outputs=[
                io.Boolean.Output("right", display_name="right", tooltip="The edit was made and all else was kept, in every picture."),
                io.String.Output("verdict", display_name="verdict", tooltip="In words, a line for each picture."),
                io.Mask.Output("where", display_name="where", tooltip="Where the picture differs wrongly from the right answer."),
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, task: Any) -> io.NodeOutput:
        from ..samplers.worlds import verdicts

        right, text, where = verdicts(image, task)
        say(text, cls)
        return io.NodeOutput(right, text, where)


NODES = [IP2PScene, IP2PJudge]
