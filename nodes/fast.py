"""The same edit with fewer passes of the network, and what a run has cost."""

from typing import Any

from ..ip2p.presets import PRESETS
from ..ip2p.refresh import Refresh
from ._api import io, say, schema

CUSTOM = "custom"


def told() -> str:
    """The presets in a sentence."""
    return "; ".join(f"{name}: {preset.about} ({preset.steps} steps, {preset.passes} passes)" for name, preset in PRESETS.items())


def _numbers() -> list[io.Input]:
    """What the preset `custom` asks for."""
    return [
        io.Int.Input("steps", default=30, min=1, max=1000, tooltip="Only for custom: sampling steps."),
        io.Int.Input(
            "image_every",
            default=8,
            min=1,
            max=1000,
            tooltip="Only for custom: every so many steps the pull towards the picture is computed again: 4 to 8; 1 is exact.",
        ),
        io.Int.Input(
            "text_every",
            default=4,
            min=1,
            max=1000,
            tooltip="Only for custom: every so many steps the pull towards the instruction is computed again: 2 to 4; 1 is exact.",
        ),
        io.Float.Input(
            "until",
            default=100.0,
            min=0.0,
            max=100.0,
            step=0.05,
            round=0.01,
            tooltip="Only for custom: after this percentage of sampling nothing is computed again, what is held stays. 100: to the end.",
        ),
    ]


class IP2PFast(io.ComfyNode):
    """Leave out passes that change little."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PFast",
            display_name="Fast edit",
            category="InstructPix2Pix/guidance",
            description="Makes edits faster: what changes slowly in the guidance is computed every few steps and held in between. Put it "
            "between the model and the guider, 'Edit image by instruction' or any sampler, and wire sampler and sigmas, or steps, as the "
            "preset has them.",
            search_aliases=["speed up", "cache", "refresh", "preset", "lcm", "turbo"],
            inputs=[
                io.Model.Input("model", tooltip="An editor."),
                io.Combo.Input(
                    "preset",
                    options=[*PRESETS, CUSTOM],
                    default="balanced",
                    tooltip="; ".join(
                        f"{name}: {preset.about} ({preset.steps} steps, {preset.passes} passes)" for name, preset in PRESETS.items()
                    )
                    + "; custom: as set below.",
                ),
                *_numbers(),
            ],
            outputs=[
                io.Model.Output("fast", display_name="model", tooltip="The same editor, faster. The weights are untouched."),
                io.Sampler.Output("sampler", display_name="sampler", tooltip="The preset's sampler, for SamplerCustomAdvanced."),
                io.Sigmas.Output("sigmas", display_name="sigmas", tooltip="The preset's steps, for SamplerCustomAdvanced."),
                io.Int.Output("steps_out", display_name="steps", tooltip="The preset's number of steps, for other nodes."),
                io.Float.Output("text_scale", display_name="text_scale", tooltip="The preset's text scale, 7.5 where it has none."),
                io.Float.Output("image_scale", display_name="image_scale", tooltip="The preset's image scale, 1.5 where it has none."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, preset: str, steps: int, image_every: int, text_every: int, until: float) -> io.NodeOutput:
        from ..samplers.fast import custom, faster

        if preset == CUSTOM:
            return io.NodeOutput(*faster(model, custom(steps, Refresh(image_every, text_every, until / 100))))
        return io.NodeOutput(*faster(model, PRESETS[preset]))


class IP2PReport(io.ComfyNode):
    """What a run has cost."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PReport",
            display_name="Guidance report",
            category="InstructPix2Pix/guidance",
            description="Says how many passes of the network the last run of a guider, or of a model with our guidance, took, and how many "
            "were saved. Wire the sampler's latent through it.",
            search_aliases=["counter", "passes", "speed"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Latent.Input("latent", tooltip="The latent from the sampler that used the guider or the model; it comes out unchanged."),
                io.Guider.Input("guider", optional=True, tooltip="The guider that was used."),
                io.Model.Input("model", optional=True, tooltip="Or the model, where a sampler without a guider was used."),
            ],
            outputs=[
                io.Latent.Output("latent_out", display_name="latent", tooltip="The latent as it came in."),
                io.Int.Output("passes", display_name="passes", tooltip="Passes of the network, each over one picture."),
                io.Int.Output("saved", display_name="saved", tooltip="Passes that equation 3 asks for and that were left out."),
                io.String.Output("report", display_name="report", tooltip="The same in words."),
            ],
        )

    @classmethod
    def execute(cls, latent: dict, guider: Any = None, model: Any = None) -> io.NodeOutput:
        from ..samplers.fast import counted

        found = counted(guider if guider is not None else model)
        say(str(found), cls)
        return io.NodeOutput(latent, found.made, found.saved, str(found))


NODES = [IP2PFast, IP2PReport]
