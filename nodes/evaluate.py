"""Measure an editor over a dataset, and put edits side by side."""

from typing import Any

import comfy.samplers
from torch import Tensor

from ._api import io, say, schema
from ._places import EVALUATIONS, folder_of, spec_of
from .measures import MeasuresType
from .world import Task

DATA = ("world", "photos", "probes", "folder")
PICTURES = 6


def _data() -> list[io.Input]:
    """What to measure on."""
    return [
        io.Combo.Input(
            "data",
            options=list(DATA),
            default="photos",
            tooltip="world: drawn scenes with known answers. photos: edits of photos with known answers. probes: the known limits. folder: "
            "MagicBrush, Emu Edit, PIE-Bench, or your own.",
        ),
        io.String.Input(
            "source",
            default="",
            tooltip="world: kinds of edit, such as 'weather, style'. photos, folder: a path, from the input folder on or absolute. Empty: "
            "all kinds, the bundled photos.",
        ),
        io.Int.Input("count", default=12, min=0, max=1000000, tooltip="Only the first so many examples. 0: all."),
    ]


def _settings() -> list[io.Input]:
    """What to try."""
    several = "One number, several with commas, or first:last:step."
    return [
        io.String.Input("text_scales", default="7.5", tooltip=f"Text scales to try. {several}"),
        io.String.Input("image_scales", default="1.0:2.2:0.4", tooltip=f"Image scales to try. {several} Empty: only SDEdit."),
        io.String.Input("sdedit_strengths", default="", tooltip=f"SDEdit's strengths to try, such as 0.3:0.9:0.2. {several} Empty: none."),
        io.Boolean.Input("baselines", default=True, tooltip="Also measure the original itself and the right answer."),
        io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Sampling steps of every edit."),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0x7FFFFFFF,
            control_after_generate=False,  # another seed would begin the run anew
            tooltip="Another seed gives other noise to every edit.",
        ),
        io.Combo.Input(
            "sampler", options=comfy.samplers.SAMPLER_NAMES, default="euler_ancestral", tooltip="euler_ancestral is the authors'."
        ),
        io.Combo.Input("scheduler", options=comfy.samplers.SCHEDULER_NAMES, default="normal", tooltip="'normal' is the authors'."),
        io.Int.Input("size", default=0, min=0, max=8192, step=8, tooltip="The long side to edit at, in pixels. 0: the model's own."),
        io.String.Input(
            "name",
            default="my editor",
            tooltip="Results go to output/ip2p_evaluations/NAME. Queue the same again and it goes on where it stopped.",
        ),
    ]


class IP2PEvaluate(io.ComfyNode):
    """An editor measured over a dataset and many scales."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PEvaluate",
            display_name="Evaluate editor",
            category="InstructPix2Pix/evaluation",
            description="Edits every example of a dataset with every combination of scales and measures the results: a plot with the "
            "paper's axes, a sheet of pictures and a table. Can be cancelled and queued again: what is done is kept.",
            search_aliases=["benchmark", "metrics", "sweep", "figure 8", "xy plot"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input("model", tooltip="An InstructPix2Pix model."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                *_data(),
                *_settings(),
                MeasuresType.Input("measures", optional=True, tooltip="From 'Load measures'. Without it: pixels, and the judge if any."),
                io.Model.Input("base_model", optional=True, tooltip="A text-to-image model for SDEdit. Without it: the editor itself."),
                io.Clip.Input("base_clip", optional=True, tooltip="Its text encoder. Without it: the editor's."),
                io.Vae.Input("base_vae", optional=True, tooltip="Its autoencoder. Without it: the editor's."),
            ],
            outputs=[
                io.Image.Output("plot", display_name="plot", tooltip="The edit against the picture, as curves over the scales."),
                io.Image.Output("sheet", display_name="sheet", tooltip="Some examples with every setting's edit."),
                io.String.Output(
                    "table",
                    display_name="table",
                    tooltip="Means with 95% intervals as Markdown, which 'Preview as Text' shows; the files have more.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Run whenever it is queued: edits that failed or were cancelled are tried again, and the others cost nothing."""
        return float("nan")

    @classmethod
    def execute(cls, model: Any, clip: Any, vae: Any, name: str, data: str, source: str, count: int, **inputs: Any) -> io.NodeOutput:
        from ..samplers import evaluating

        out = folder_of(EVALUATIONS, name)
        sampling = {key: inputs[key] for key in ("sampler", "scheduler", "size")}
        scales = (inputs["text_scales"], inputs["image_scales"], inputs["sdedit_strengths"])
        settings = evaluating.settings_of(*scales, inputs["steps"], inputs["seed"], inputs["baselines"])
        base = inputs.get("base_model")
        general = None if base is None else evaluating.Wired(base, inputs.get("base_clip") or clip, inputs.get("base_vae") or vae)
        editor = evaluating.Wired(model, clip, vae)
        found = evaluating.run(editor, general, spec_of(data, source, DATA), count, settings, inputs.get("measures"), out, **sampling)
        say(f"Kept in output/{EVALUATIONS}/{out.name}", cls)
        return io.NodeOutput(*found)


def _pictures() -> list[io.Input]:
    """The pictures and what to call them."""
    pictures = [
        io.Image.Input(f"image_{number}", optional=number > 1, tooltip="An edit of the source, by any editor.")
        for number in range(1, PICTURES + 1)
    ]
    labels = [
        io.String.Input(f"label_{number}", default=f"edit {number}", tooltip=f"What to call image_{number}.")
        for number in range(1, PICTURES + 1)
    ]
    return [*pictures, *labels]


class IP2PCompare(io.ComfyNode):
    """Edits side by side on one sheet, with their numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PCompare",
            display_name="Compare edits",
            category="InstructPix2Pix/evaluation",
            description="Puts up to six edits of one picture side by side, by whatever editors, with their names above and their numbers "
            "below. The first picture of each batch counts.",
            search_aliases=["side by side", "contact sheet", "grid", "metrics"],
            inputs=[
                io.Image.Input("source", tooltip="The picture that was edited."),
                *_pictures(),
                io.String.Input("instruction", default="", tooltip="What was asked: the sheet's heading."),
                io.String.Input("caption", default="", tooltip="What the source shows; CLIP's direction needs it."),
                io.String.Input("edited_caption", default="", tooltip="What the edit should show; CLIP needs it."),
                io.Int.Input("cell", default=256, min=64, max=1024, step=8, tooltip="Longest side of a picture on the sheet, in pixels."),
                Task.Input("task", optional=True, tooltip="From 'Scene with a known answer': its texts, right answer and judge."),
                io.Image.Input("answer", optional=True, tooltip="The right answer, if it is known."),
                io.Mask.Input("mask", optional=True, tooltip="Where the picture may change (1)."),
                MeasuresType.Input("measures", optional=True, tooltip="From 'Load measures'. Without it: pixel measures."),
            ],
            outputs=[
                io.Image.Output("sheet", display_name="sheet", tooltip="Source, edits, and the right answer if there is one."),
                io.String.Output(
                    "table",
                    display_name="table",
                    tooltip="The most telling numbers of each edit, for 'Preview as Text'.",
                ),
            ],
        )

    @classmethod
    def execute(cls, source: Tensor, cell: int, measures: Any = None, **inputs: Any) -> io.NodeOutput:
        from ..samplers.comparing import compared, example_of, named

        there = [number for number in range(1, PICTURES + 1) if inputs.get(f"image_{number}") is not None]
        pictures = named([(inputs[f"label_{number}"], inputs[f"image_{number}"]) for number in there])
        known: dict[str, Any] = {name: inputs.get(name) for name in ("task", "answer", "mask")}
        known |= {name: inputs[name] for name in ("instruction", "caption", "edited_caption")}
        return io.NodeOutput(*compared(example_of(source, **known), pictures, measures, cell))


NODES = [IP2PEvaluate, IP2PCompare]
