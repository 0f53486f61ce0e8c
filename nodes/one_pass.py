"""One pass in the place of three: the adapter's loading, and its training."""

from pathlib import Path
from typing import Any

import folder_paths

from ..ip2p.one_pass import EMBEDDED
from ._api import io, say, schema
from ._places import TRAINING, folder_of
from .training import Data, changed, how_long, watching

EMBEDDED_NAME = "embedded"
FOLDER = "loras"


def names() -> list[str]:
    """The adapters that can be loaded: that of the embedded editor, and the files of the host."""
    return [EMBEDDED_NAME, *folder_paths.get_filename_list(FOLDER)]


def locate(name: str) -> Path:
    """The path of one of :func:`names`. Raises ValueError for a name that is not there."""
    path = EMBEDDED if name == EMBEDDED_NAME else folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise ValueError(
            f"There is no adapter '{name}'; put the file into models/{FOLDER} and choose it from the list (press R to refresh)."
        )
    return Path(path)


class IP2POnePass(io.ComfyNode):
    """Both scales with one pass of the network."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2POnePass",
            display_name="One-pass guidance",
            category="InstructPix2Pix/guidance",
            description="Adds an adapter that says in one pass of the network what guidance needs three for: edits take a third of the "
            "time, and both scales still work. Put it before the guider, or before 'Edit image by instruction'.",
            search_aliases=["guidance distillation", "fast", "speed up", "lora"],
            inputs=[
                io.Model.Input("model", tooltip="The editor that the adapter was made for."),
                io.Combo.Input(
                    "adapter",
                    options=names(),
                    default=EMBEDDED_NAME,
                    tooltip="'embedded' is that of the embedded editor. Others are files in models/loras and output/loras, from 'Distil "
                    "guidance' and 'Export editor'.",
                ),
            ],
            outputs=[io.Model.Output("fast", display_name="model", tooltip="The same editor, guided in one pass.")],
        )

    @classmethod
    def fingerprint_inputs(cls, adapter: str, **inputs: Any) -> str:
        """Load again when the file has changed."""
        try:
            state = locate(adapter).stat()
        except (OSError, ValueError):
            return adapter
        return f"{adapter} {state.st_mtime_ns} {state.st_size}"

    @classmethod
    def execute(cls, model: Any, adapter: str) -> io.NodeOutput:
        from ..samplers.one_pass import attach

        return io.NodeOutput(attach(model, locate(adapter)))


class IP2PDistilGuidance(io.ComfyNode):
    """Train the adapter of an editor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PDistilGuidance",
            display_name="Distil guidance",
            category="InstructPix2Pix/training",
            description="Trains a small adapter for an editor, so that one pass of the network gives what guidance needs three for, at any "
            "of the two scales. The editor itself stays as it is. Can be cancelled and queued again.",
            search_aliases=["guidance distillation", "speed up", "one pass", "adapter"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The editor to make an adapter for."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                Data.Input("pairs", tooltip="From 'Training pairs': pictures and instructions as the editor will get them."),
                *(one for one in how_long() if one.id != "train"),
                io.Int.Input(
                    "rank", default=32, min=1, max=1024, tooltip="How much the adapter can hold; larger files, closer to three passes."
                ),
                *watching(),
            ],
            outputs=[
                io.Model.Output("fast", display_name="model", tooltip="The editor with the adapter, guided in one pass."),
                io.Image.Output("plot", display_name="plot", tooltip="The loss, and the numbers of the edits, over the steps."),
                io.Image.Output("validation", display_name="validation", tooltip="The last edits, made in one pass."),
                io.String.Output("report", display_name="report", tooltip="What was done, in words, for 'Preview as Text'."),
                io.String.Output("run", display_name="run", tooltip="The run's name, for 'Export editor' (as lora) and 'Training curves'."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Look again when the run has changed on the disk since."""
        return changed(str(inputs.get("name", "")))

    @classmethod
    def execute(cls, model: Any, clip: Any, vae: Any, pairs: str, name: str, rank: int, **settings: Any) -> io.NodeOutput:
        from ..samplers import training
        from ..samplers.distilling import distil

        out = folder_of(TRAINING, name)
        objective = {"objective": {"kind": "distil"}, "model": {"train": "lora", "rank": rank}}
        config = training.config_of(pairs, **settings, objective=objective)
        found = distil(training.Wired(model, clip, vae), config, out, lambda text: say(text, cls))
        return io.NodeOutput(*found, out.name)


NODES = [IP2POnePass, IP2PDistilGuidance]
