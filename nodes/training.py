"""Make an editor: pairs to learn from, training, its curves."""

from typing import Any

from ..ip2p.training.presets import PRESETS
from ._api import io, say, schema
from ._places import TRAINING, folder_of, spec_of

Data = io.Custom("IP2P_TRAINING_DATA")
DATA = ("world", "photos", "folder")
AS_PRESET = "as the preset"


def _pairs() -> list[io.Input]:
    """Where pairs come from."""
    return [
        io.Combo.Input(
            "data",
            options=list(DATA),
            default="world",
            tooltip="world: drawn scenes, made as they are needed. photos: your photos, edited by formulas (night, snow, sketch). "
            "folder: your own pairs, or a public dataset.",
        ),
        io.String.Input(
            "source",
            default="",
            tooltip="world: kinds of edit, such as 'weather, style'; empty: all. photos, folder: a path, from the input folder on "
            "or absolute.",
        ),
        io.Int.Input("check", default=50, min=0, max=10000000, tooltip="How many prompts to open and check before training. 0: none."),
        io.Float.Input(
            "share",
            default=0.5,
            min=0.01,
            max=0.99,
            step=0.01,
            round=0.001,
            tooltip="Where other pairs are wired in: the share of these here. 0.5: as many of these as of the others.",
        ),
        Data.Input("others", optional=True, tooltip="From another 'Training pairs' node, to learn from both."),
    ]


class IP2PTrainingData(io.ComfyNode):
    """Pairs to learn from: pictures, instructions and edited pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTrainingData",
            display_name="Training pairs",
            category="InstructPix2Pix/training",
            description="Names the pairs (picture, instruction, edited picture) that an editor learns from, shows some of them and says "
            "what is wrong with them: missing halves, unreadable pictures, empty or repeated instructions, sizes that differ.",
            search_aliases=["dataset", "training data", "image pairs", "finetune"],
            hidden=[io.Hidden.unique_id],
            inputs=_pairs(),
            outputs=[
                Data.Output("pairs", display_name="pairs", tooltip="For 'Train editor'."),
                io.Image.Output("sheet", display_name="sheet", tooltip="Some of the pairs with their instructions."),
                io.String.Output("report", display_name="report", tooltip="What is there and what is wrong, for 'Preview as Text'."),
            ],
        )

    @classmethod
    def execute(cls, data: str, source: str, check: int, share: float, others: str | None = None) -> io.NodeOutput:
        from ..samplers.training_data import mixed, shown

        spec = mixed(spec_of(data, source, DATA), share, others)
        sheet, report, gist = shown(spec, check)
        say(gist, cls)
        return io.NodeOutput(spec, sheet, report)


def changed(name: str) -> str:
    """Another text when the run of that name has gone on, or is gone."""
    from ..samplers.runs import fingerprint

    try:
        return fingerprint(folder_of(TRAINING, name))
    except ValueError:
        return ""


def how_long() -> list[io.Input]:
    """What is trained, and for how long."""
    return [
        io.Combo.Input(
            "preset",
            options=list(PRESETS),
            default="small",
            tooltip="Settings for a small network, for Stable Diffusion 1.x on a card with so many GB of memory, or those of the paper.",
        ),
        io.Combo.Input(
            "train",
            options=[AS_PRESET, "full", "lora", "conv"],
            default=AS_PRESET,
            tooltip="full: everything. lora: small additions to the attention layers, in much less memory. conv: only the first layer.",
        ),
        io.Int.Input("steps", default=500, min=0, max=100000000, tooltip="Training steps in all. 0: as the preset has it."),
        io.Int.Input("batch", default=0, min=0, max=1000000, tooltip="Pairs of a step. 0: as the preset has it."),
        io.Float.Input(
            "rate",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.000001,
            round=0.0000001,
            tooltip="How fast it learns: 0.0001 is the paper's; too fast spoils the model. 0: as the preset has it.",
        ),
        io.Int.Input(
            "size", default=256, min=64, max=1024, step=8, tooltip="Side of the training pictures in pixels; the paper trains at 256."
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0x7FFFFFFF,
            control_after_generate=False,
            tooltip="Another seed learns from the pairs in another order.",
        ),
    ]


def watching() -> list[io.Input]:
    """What is looked at and kept meanwhile."""
    return [
        io.Int.Input("save_every", default=100, min=1, max=100000000, tooltip="Steps between two checkpoints. Cancelling saves one too."),
        io.Int.Input(
            "validate_every",
            default=100,
            min=0,
            max=100000000,
            tooltip="Steps between two looks at edits of pairs that are never learnt from. 0: none.",
        ),
        io.Int.Input("validate_on", default=4, min=1, max=10000, tooltip="How many such pairs."),
        io.String.Input("text_scales", default="7.5", tooltip="Text scales of those edits: one number, or several with commas."),
        io.String.Input("image_scales", default="1.5", tooltip="Image scales of those edits: one number, or several with commas."),
        io.String.Input(
            "more",
            default="",
            multiline=True,
            tooltip="Any other setting of the run, a line each: TABLE.KEY=VALUE, such as optimizer.clip=1 or run.ema=0.999. The help page "
            "names them.",
        ),
        io.String.Input(
            "name",
            default="my editor",
            tooltip="The run is kept in output/ip2p_training/NAME. Cancel whenever you like: queued again, it goes on where it stopped. "
            "Its config.yaml trains the same on a cluster: python -m ip2p train --config.",
        ),
    ]


class IP2PTrain(io.ComfyNode):
    """Train an editor inside the host."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTrain",
            display_name="Train editor",
            category="InstructPix2Pix/training",
            description="Turns a Stable Diffusion 1.x model into an editor, or trains an editor further, from pairs of pictures with an "
            "instruction. Shows the loss and edits of pairs that it never learns from; can be cancelled and queued again. The run's "
            "folder can move to a cluster: python -m ip2p train --config config.yaml.",
            search_aliases=["finetune", "fine-tune", "lora training", "trainer"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="A Stable Diffusion 1.x model, or an editor made from one, of any size."),
                io.Clip.Input("clip", tooltip="Its text encoder; it stays as it is."),
                io.Vae.Input("vae", tooltip="Its autoencoder; it stays as it is."),
                Data.Input("pairs", tooltip="From 'Training pairs'."),
                *how_long(),
                *watching(),
            ],
            outputs=[
                io.Model.Output(
                    "trained", display_name="model", tooltip="The trained editor, ready for the guider; use it with the same CLIP and VAE."
                ),
                io.Image.Output("plot", display_name="plot", tooltip="The loss, and the numbers of the edits, over the steps."),
                io.Image.Output("validation", display_name="validation", tooltip="The last edits of pairs that it never learns from."),
                io.String.Output("report", display_name="report", tooltip="What was done, in words, for 'Preview as Text'."),
                io.String.Output("run", display_name="run", tooltip="The run's name, for 'Export editor' and 'Training curves'."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Look again when the run has changed on the disk since: it may have been continued elsewhere, or deleted."""
        return changed(str(inputs.get("name", "")))

    @classmethod
    def execute(cls, model: Any, clip: Any, vae: Any, pairs: str, name: str, **settings: Any) -> io.NodeOutput:
        from ..samplers import training

        out = folder_of(TRAINING, name)
        settings["train"] = "" if settings["train"] == AS_PRESET else settings["train"]
        found = training.train(training.Wired(model, clip, vae), training.config_of(pairs, **settings), out, lambda text: say(text, cls))
        return io.NodeOutput(*found, out.name)


class IP2PTrainingCurves(io.ComfyNode):
    """The curves of a run, whether it is finished, under way elsewhere or cancelled."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTrainingCurves",
            display_name="Training curves",
            category="InstructPix2Pix/training",
            description="Draws the loss and the numbers of the edits of a training run from its folder, with the last sheet of edits: of a "
            "run that is finished, was cancelled, or is under way on another machine.",
            search_aliases=["loss plot", "validation plot", "training log"],
            hidden=[io.Hidden.unique_id],
            inputs=[io.String.Input("run", default="my editor", tooltip="The run's name: its folder in output/ip2p_training.")],
            outputs=[
                io.Image.Output("plot", display_name="plot", tooltip="The loss, and the numbers of the edits, over the steps."),
                io.Image.Output("validation", display_name="validation", tooltip="The last edits of pairs that it never learns from."),
                io.String.Output("report", display_name="report", tooltip="How far it is, in words, for 'Preview as Text'."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Draw again when the run has gone on."""
        return changed(str(inputs.get("run", "")))

    @classmethod
    def execute(cls, run: str) -> io.NodeOutput:
        from ..samplers.runs import shown

        return io.NodeOutput(*shown(folder_of(TRAINING, run)))


NODES = [IP2PTrainingData, IP2PTrain, IP2PTrainingCurves]
