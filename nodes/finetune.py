"""A language model is taught to make edits in words."""

from pathlib import Path
from typing import Any

import folder_paths

from ._api import io, say, schema
from ._data_types import Triplets
from ._places import plain_name
from .language import FOLDER, chosen, place_of


def _learning() -> list[io.Input]:
    """How it learns, and where the result is kept."""
    return [
        io.Int.Input("epochs", default=1, min=1, max=1000, tooltip="How often it sees each of them. The paper's is 1."),
        io.Float.Input(
            "rate",
            default=0.0005,
            min=0.000001,
            max=1.0,
            step=0.0001,
            round=0.000001,
            tooltip="How fast it learns; lower it for large models, or when the loss jumps about.",
        ),
        io.Int.Input("rank", default=16, min=1, max=1024, tooltip="Size of what is added to the model: more can learn more."),
        io.Int.Input("batch", default=8, min=1, max=4096, tooltip="Edits of a step."),
        io.Boolean.Input("merge", default=False, tooltip="Write a whole model; the addition alone needs the first one."),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0x7FFFFFFF,
            control_after_generate=False,
            tooltip="Another seed learns from them in another order.",
        ),
        io.String.Input(
            "save_as",
            default="my writer",
            tooltip=f"Kept in models/{FOLDER}/SAVE_AS, where 'Triplets by language model' finds it. Cancelled, it goes on there.",
        ),
    ]


class IP2PTripletsFinetune(io.ComfyNode):
    """A language model taught to make edits."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTripletsFinetune",
            display_name="Fine-tune language model",
            category="InstructPix2Pix/data",
            description="Teaches a language model to make edits of captions, from edits written by hand, as the paper's authors taught "
            "theirs: with a small addition to it (LoRA), in one epoch. Cancel and queue again: it goes on.",
            search_aliases=["LLM", "LoRA", "train language model", "peft"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                *chosen(),
                Triplets.Input(
                    "triplets", optional=True, tooltip="Edits to learn from. Not wired: those written by hand for this pack, about 200."
                ),
                *_learning(),
            ],
            outputs=[io.String.Output("tuned", display_name="name", tooltip="For 'name' of 'Triplets by language model'.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Look again when its result has changed, or is gone."""
        try:
            return str((_kept(str(inputs.get("save_as", ""))) / "model").stat().st_mtime_ns)
        except (OSError, ValueError):
            return ""

    @classmethod
    def execute(cls, model: str, name: str, save_as: str, triplets: Any = None, **settings: Any) -> io.NodeOutput:
        from ..ip2p.captions import human
        from ..ip2p.captions.finetune import FineTuning
        from ..samplers.language import finetuned

        learnt, tuning = triplets or human.triplets(), FineTuning(**settings)
        done = finetuned(place_of(model, name), learnt, _kept(save_as), tuning, lambda text: say(text, cls))
        say(f"Kept in models/{FOLDER}/{plain_name(save_as)}", cls)
        return io.NodeOutput(done)


def _kept(name: str) -> Path:
    return Path(folder_paths.get_folder_paths(FOLDER)[0]) / plain_name(name)


NODES = [IP2PTripletsFinetune]
