"""Scales that change while sampling, and remedies against what high scales do to colours: parts that a MODEL carries."""

from typing import Any

from ..ip2p.projection import TERMS
from ..ip2p.schedules import KINDS
from ._api import io, schema

ScaleCurve = io.Custom("IP2P_CURVE")
Floats = io.Custom("FLOATS")
CATEGORY = "InstructPix2Pix/guidance"


def _model() -> io.Model.Input:
    return io.Model.Input("model", tooltip="The editor, before the guider or the edit node.")


def _patched() -> io.Model.Output:
    return io.Model.Output("patched", display_name="model", tooltip="The same editor; wire it to the guider or the edit node.")


def _scale(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=100.0, step=0.01, round=0.001, tooltip=tooltip)


def _percent(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=100.0, step=0.05, round=0.01, tooltip=tooltip)


class IP2PScaleCurve(io.ComfyNode):
    """A scale that changes over the run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PScaleCurve",
            display_name="Scale curve",
            category=CATEGORY,
            description="Draws how a scale changes while sampling, for 'Schedule scales'.",
            search_aliases=["schedule", "cfg curve", "dynamic cfg", "keyframes"],
            inputs=[
                io.Combo.Input(
                    "kind",
                    options=list(KINDS),
                    default="linear",
                    tooltip="linear, cosine: from first to last. constant: first all along. points: through the points. smooth points: the "
                    "same with soft bends.",
                ),
                _scale("first", 7.5, "The scale at the start of sampling, where the layout is made."),
                _scale("last", 1.5, "The scale at the end of sampling, where the detail is made."),
                io.String.Input(
                    "points",
                    default="0:7.5, 50:5, 100:1",
                    tooltip="For the kinds with points: percent of sampling, colon, scale; commas between the points.",
                ),
            ],
            outputs=[
                ScaleCurve.Output("curve", display_name="curve", tooltip="For 'Schedule scales'."),
                io.Image.Output("preview", display_name="preview", tooltip="The curve as a picture."),
            ],
        )

    @classmethod
    def execute(cls, kind: str, first: float, last: float, points: str) -> io.NodeOutput:
        from ..ip2p.schedules import curve
        from ..samplers.steering import picture

        made = curve(kind, first, last, points)
        return io.NodeOutput(made, picture("the", made))


def _points(which: str) -> io.String.Input:
    return io.String.Input(
        f"{which}_points",
        default="",
        tooltip=f"The {which} scale over the run, as percent:scale, such as 0:7.5, 50:5, 100:1, or one number. Empty: as it is set in the "
        "guider.",
    )


def _wired(which: str) -> io.MultiType.Input:
    return io.MultiType.Input(
        f"{which}_curve",
        [ScaleCurve, Floats, io.Float],
        optional=True,
        tooltip=f"In the place of {which}_points: a 'Scale curve', or a list of numbers, which stand evenly over the run.",
    )


class IP2PScheduleScales(io.ComfyNode):
    """Both scales over the run."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        ends = "Percent of sampling; outside, the scale is 1: no guidance of that kind, and its passes are saved."
        return schema(
            node_id="IP2PScheduleScales",
            display_name="Schedule scales",
            category=CATEGORY,
            description="Lets the text scale and the image scale change while sampling, or act in a part of it only.",
            search_aliases=["guidance interval", "dynamic cfg", "cfg schedule", "limited interval"],
            inputs=[
                _model(),
                _points("text"),
                _points("image"),
                _percent("text_start", 0.0, f"From where on the instruction is guided. {ends}"),
                _percent("text_end", 100.0, f"Up to where the instruction is guided. {ends}"),
                _percent("image_start", 0.0, f"From where on the picture is guided. {ends}"),
                _percent("image_end", 100.0, f"Up to where the picture is guided. {ends}"),
                _wired("text"),
                _wired("image"),
            ],
            outputs=[_patched(), io.Image.Output("preview", display_name="preview", tooltip="Both scales over the run as a picture.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        text_points: str,
        image_points: str,
        text_start: float,
        text_end: float,
        image_start: float,
        image_end: float,
        text_curve: Any = None,
        image_curve: Any = None,
    ) -> io.NodeOutput:
        from ..samplers.steering import scheduled, wired

        curves = wired(text_curve, text_points), wired(image_curve, image_points)
        return io.NodeOutput(*scheduled(model, *curves, (text_start, text_end), (image_start, image_end)))


class IP2PRescale(io.ComfyNode):
    """Rescaled guidance."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PRescale",
            display_name="Rescale guidance",
            category=CATEGORY,
            description="Takes back the glare and the harsh contrast that high scales bring (Lin et al. 2023, section 3.4).",
            search_aliases=["rescale cfg", "overexposed", "oversaturated"],
            inputs=[
                _model(),
                io.Float.Input(
                    "strength",
                    default=0.7,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    round=0.001,
                    tooltip="0: off. 0.7, the paper's: mostly. 1: the contrast of the prediction without guidance.",
                ),
            ],
            outputs=[_patched()],
        )

    @classmethod
    def execute(cls, model: Any, strength: float) -> io.NodeOutput:
        from ..samplers.steering import rescaled

        return io.NodeOutput(rescaled(model, strength))


def _limits() -> list[io.Input]:
    """How far projected guidance may push."""
    return [
        io.Float.Input(
            "threshold",
            default=0.0,
            min=0.0,
            max=1000.0,
            step=0.05,
            round=0.01,
            tooltip="No step's pull may be larger than this. 0: no limit. The paper takes 2.5 to 15 at 512 pixels; larger pictures "
            "need more.",
        ),
        io.Float.Input(
            "momentum",
            default=0.0,
            min=-0.95,
            max=0.95,
            step=0.01,
            round=0.001,
            tooltip="Negative: each step takes back some of what the steps before pushed; the paper takes -0.5. 0: off.",
        ),
    ]


class IP2PProject(io.ComfyNode):
    """Adaptive projected guidance, term by term."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PProject",
            display_name="Projected guidance",
            category=CATEGORY,
            description="Keeps high scales from burning colours: weakens the part of the guidance that only raises contrast and limits its "
            "size (adaptive projected guidance, Sadat et al. 2024).",
            search_aliases=["apg", "adaptive projected guidance", "oversaturation"],
            inputs=[
                _model(),
                io.Combo.Input(
                    "terms",
                    options=list(TERMS),
                    default="both",
                    tooltip="What is projected: the instruction's pull, the picture's, or both.",
                ),
                io.Float.Input(
                    "parallel",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    round=0.001,
                    tooltip="How much of the contrast-raising part stays. 0: none, as in the paper. 1: all, which is ordinary guidance.",
                ),
                *_limits(),
            ],
            outputs=[_patched()],
        )

    @classmethod
    def execute(cls, model: Any, terms: str, parallel: float, threshold: float, momentum: float) -> io.NodeOutput:
        from ..samplers.steering import projected

        return io.NodeOutput(projected(model, terms, parallel, threshold, momentum))


NODES = [IP2PScaleCurve, IP2PScheduleScales, IP2PRescale, IP2PProject]
