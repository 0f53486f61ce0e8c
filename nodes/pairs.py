"""Pairs of pictures from edit triplets."""

from typing import Any

from ..ip2p.pairs.presets import PRESETS
from ._api import io, say, schema
from ._data_types import Thresholds, Triplets
from ._places import DATA_SETS, folder_of
from .measures import MeasuresType
from .training import Data

SHARE = {"min": 0.0, "max": 1.0, "step": 0.01, "round": 0.001}


def _drawing() -> list[io.Input]:
    """How many pairs are made, and what is drawn for each."""
    return [
        io.Int.Input("samples", default=100, min=1, max=100000, tooltip="Pairs of each triplet, at most; 100 are the paper's."),
        io.Combo.Input("preset", options=list(PRESETS), default="balanced", tooltip="Steps: paper 100, balanced 30, fast 12."),
        io.Int.Input("batch", default=4, min=1, max=1024, tooltip="Pairs that are made at once; more need more memory."),
        io.Int.Input("size", default=0, min=0, max=4096, step=8, tooltip="Side of the square pictures in pixels. 0: the model's own."),
        io.Float.Input("p_low", default=0.1, tooltip="The least share of steps in which the second picture follows the first.", **SHARE),
        io.Float.Input("p_high", default=0.9, tooltip="The greatest such share; each pair has one of its own in between.", **SHARE),
        *(
            io.Float.Input(
                f"guidance_{end}",
                default=value,
                min=0.0,
                max=100.0,
                step=0.05,
                round=0.001,
                tooltip=f"The {said} strength of the captions; each pair has one of its own in between.",
            )
            for end, value, said in (("low", 7.5, "least"), ("high", 15.0, "greatest"))
        ),
        io.Combo.Input(
            "mode",
            options=["self", "replace", "refine"],
            default="self",
            tooltip="self: InstructPix2Pix's own way, for any edit. replace: words in the place of others. refine: words added.",
        ),
    ]


def _stopping() -> list[io.Input]:
    """When to give up."""
    return [
        io.Boolean.Input(
            "early_stop", default=False, tooltip="Drop hopeless pairs midway, and end a triplet once it has enough good ones: much faster."
        ),
        io.Float.Input("at", default=0.65, optional=True, tooltip="After which share of the steps a rough picture is looked at.", **SHARE),
        io.Float.Input("slack", default=0.15, optional=True, tooltip="How far rough scores may miss the thresholds.", **SHARE),
        io.Int.Input("enough", default=4, min=1, max=1000, optional=True, tooltip="How many good pairs end a triplet."),
        io.Float.Input(
            "margin", default=0.05, optional=True, tooltip="By how much more than its threshold a good pair's direction must be.", **SHARE
        ),
        io.Int.Input(
            "patience",
            default=0,
            min=0,
            max=100000,
            optional=True,
            tooltip="End a triplet after so many pairs without a good one. 0: never.",
        ),
    ]


def _rated(kind: str, example: str) -> io.String.Input:
    return io.String.Input(
        kind,
        default="",
        optional=True,
        tooltip=f"Also rate pictures by a classifier's public name, such as {example}, or its folder. Empty: not rated.",
    )


class IP2PPairs(io.ComfyNode):
    """Pairs of pictures from edit triplets."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PPairs",
            display_name="Make pairs",
            category="InstructPix2Pix/data",
            description="Paints pairs of pictures for edits in words, before and after, with Prompt-to-Prompt, scores each pair by CLIP, "
            "and keeps them in output/ip2p_data/NAME. Shows the newest pair; can be cancelled, and goes on when queued again.",
            search_aliases=["dataset", "generate pairs", "prompt-to-prompt", "synthetic data", "before and after"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="A text-to-image model; the authors use Stable Diffusion 1.5."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                Triplets.Input("triplets", tooltip="Edits in words, from 'Triplets by grammar' or another node of triplets."),
                MeasuresType.Input("measures", tooltip="From 'Load measures', with the CLIP that scores; the paper's is ViT-L/14."),
                *_drawing(),
                *_stopping(),
                Thresholds.Input(
                    "thresholds", optional=True, tooltip="From 'Pair thresholds', for the early stop. Without: the CLIP's own."
                ),
                io.Sampler.Input("sampler", optional=True, tooltip="Any sampler of the host. Without: Euler ancestral, as the authors."),
                io.Sigmas.Input("sigmas", optional=True, tooltip="Steps from any scheduler, in the place of the preset's."),
                _rated("aesthetic", "cafeai/cafe_aesthetic"),
                _rated("nsfw", "Falconsai/nsfw_image_detection"),
                io.Combo.Input("format", options=["jpg", "png"], default="jpg", tooltip="jpg is smaller; png loses nothing."),
                io.String.Input("name", default="my pairs", tooltip="The pairs are kept in output/ip2p_data/NAME."),
            ],
            outputs=[
                Data.Output("pairs", display_name="pairs", tooltip="All pairs, for 'Filter pairs' and 'Browse pairs'."),
                io.String.Output("report", display_name="report", tooltip="What was made and what it cost, for 'Preview as Text'."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Run whenever it is queued: what is there costs nothing."""
        return float("nan")

    @classmethod
    def execute(cls, model: Any, clip: Any, vae: Any, triplets: Any, measures: Any, name: str, **inputs: Any) -> io.NodeOutput:
        from ..samplers import pairs

        out = folder_of(DATA_SETS, name)
        scorer = pairs.HostScorer(measures, inputs.get("aesthetic", ""), inputs.get("nsfw", ""))
        tally = pairs.make(pairs.Wired(model, clip, vae), triplets, scorer, out, _asked(inputs, scorer.own), lambda text: say(text, cls))
        return io.NodeOutput(str(out), pairs.report(out.name, tally))


def _asked(inputs: dict[str, Any], own: Any) -> Any:
    """How pairs are made, from what the node was given; ``own`` are the thresholds that go with the CLIP."""
    from ..ip2p.pairs.draws import Settings
    from ..ip2p.pairs.early_stop import EarlyStop
    from ..ip2p.pairs.prompt_to_prompt_control import PromptToPrompt
    from ..samplers.pairs import Asked

    ranges: dict[str, Any] = {name: (inputs[f"{name}_low"], inputs[f"{name}_high"]) for name in ("p", "guidance")}
    sizes: dict[str, Any] = {name: inputs[name] for name in ("samples", "size", "batch")}
    settings = Settings(steps=PRESETS[inputs["preset"]], **sizes, **ranges)
    given = {name: inputs[name] for name in ("at", "slack", "enough", "margin", "patience") if name in inputs}
    early = EarlyStop(inputs.get("thresholds") or own, **given) if inputs["early_stop"] else None
    more: dict[str, Any] = {"sampler": inputs.get("sampler"), "sigmas": inputs.get("sigmas"), "kind": inputs["format"]}
    return Asked(settings, PromptToPrompt(inputs["mode"]), early, **more)


NODES = [IP2PPairs]
