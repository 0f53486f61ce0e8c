"""Data sets on the disk: pairs saved by hand, made from photos, put into another layout, looked through and mended."""

from typing import Any

from ..ip2p.data.layouts import LAYOUTS
from ._api import io, say, schema
from ._places import DATA_SETS, folder_of, spec_of
from .training import Data

FORMATS = ["png", "jpg", "webp"]


def _layout() -> io.Combo.Input:
    return io.Combo.Input(
        "layout",
        options=list(LAYOUTS),
        default="authors",
        tooltip="authors: a folder for each prompt. webdataset: tar files. parquet: as on the hub. plain: files and a list.",
    )


def _format() -> io.Combo.Input:
    return io.Combo.Input("format", options=FORMATS, default="png", tooltip="png and webp lose nothing; jpg is smaller.")


def _replace() -> io.Boolean.Input:
    return io.Boolean.Input(
        "replace", default=True, tooltip="Write the data set anew where this node wrote other data of that name before. Nothing else is."
    )


def _name(default: str) -> io.String.Input:
    return io.String.Input("name", default=default, tooltip="The data set is output/ip2p_data/NAME.")


def _pairs_out(tooltip: str) -> io.Output:
    return Data.Output("dataset", display_name="pairs", tooltip=tooltip)


def _report_out(tooltip: str) -> io.Output:
    return io.String.Output("report", display_name="report", tooltip=tooltip)


class IP2PSavePairs(io.ComfyNode):
    """Add pairs from any graph to a data set."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PSavePairs",
            display_name="Save pairs",
            category="InstructPix2Pix/data",
            description="Adds pairs of pictures, before and after, with what was done to a data set of your own in output/ip2p_data/NAME. "
            "Queue it as often as you like: a pair that is there already is not stored twice.",
            search_aliases=["dataset", "save image pair", "before and after", "collect", "training data"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The pictures before the edit."),
                io.Image.Input("edited", tooltip="The pictures after it, as many."),
                io.String.Input(
                    "instruction",
                    default="make it snow",
                    multiline=True,
                    tooltip="What was done: one line for all pairs, or a line for each.",
                ),
                io.String.Input(
                    "caption", default="", multiline=True, optional=True, tooltip="What the first pictures show; lines as for instruction."
                ),
                io.String.Input(
                    "edited_caption", default="", multiline=True, optional=True, tooltip="What the edited pictures show; lines as above."
                ),
                io.Mask.Input("mask", optional=True, tooltip="Where the edit may change the picture (1); it is kept beside the pair."),
                _format(),
                _name("my pairs by hand"),
            ],
            outputs=[_pairs_out("All pairs of the data set, for 'Train editor'."), _report_out("How many pairs were new.")],
        )

    @classmethod
    def execute(cls, image: Any, edited: Any, instruction: str, name: str, **others: Any) -> io.NodeOutput:
        from ..samplers.store import Pairs, saved

        out = folder_of(DATA_SETS, name)
        kind = others.pop("format")
        new, count = saved(Pairs(image, edited, instruction, **others), kind, out)
        report = f"{new} of {count} pairs are new in {out.name}" + ("" if new == count else "; the others were there already")
        say(report, cls)
        return io.NodeOutput(str(out), report)


class IP2PPhotoPairs(io.ComfyNode):
    """Pairs from photos by formulas."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PPhotoPairs",
            display_name="Pairs from photos",
            category="InstructPix2Pix/data",
            description="Makes a data set from a folder of photos: formulas turn each photo into night, snow, a pencil sketch and more, "
            "asked for in many wordings. Needs no model. The same photos always give the same pairs.",
            search_aliases=["dataset", "augment", "real images", "procedural edits"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.String.Input("source", default="", tooltip="A folder of photos or tar files; it may begin at ComfyUI's input folder."),
                io.String.Input(
                    "kinds", default="", tooltip="Which edits, with commas, such as 'night, snow, snow+night'. Empty: all of them."
                ),
                io.Int.Input("each", default=4, min=1, max=1000, tooltip="Edits of each photo, all of different kinds."),
                io.Int.Input("size", default=256, min=64, max=4096, step=8, tooltip="Short side of the pictures in pixels."),
                _format(),
                _layout(),
                _replace(),
                _name("my photo pairs"),
            ],
            outputs=[_pairs_out("The data set, for 'Train editor'."), _report_out("How many pairs there are.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Run whenever it is queued: there may be more photos, and what is there costs nothing."""
        return float("nan")

    @classmethod
    def execute(cls, source: str, kinds: str, layout: str, replace: bool, name: str, **made: Any) -> io.NodeOutput:
        from ..samplers.store import Made, converted

        spec = spec_of("photos", source, ("photos",))
        spec = f"{spec}|{kinds}" if kinds.strip() else spec
        wish = Made(made["each"], made["size"], made["format"])
        found = converted(spec, folder_of(DATA_SETS, name), layout, 1000, 0, replace, wish)
        say(f"{found.counts.pairs} pairs", cls)
        return io.NodeOutput(str(found.folder), str(found))


class IP2PConvertPairs(io.ComfyNode):
    """A data set in another layout."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PConvertPairs",
            display_name="Convert pairs",
            category="InstructPix2Pix/data",
            description="Writes a data set in another layout: the authors' folders, tar files for training on many machines, tables as on "
            "the hub, or plain files. Pictures stay as they are, to the bit, and texts, masks and scores go with them.",
            search_aliases=["export dataset", "webdataset", "parquet", "hugging face", "shards"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                Data.Input("pairs", tooltip="From 'Training pairs', 'Filter pairs', 'Save pairs' or 'Pairs from photos'."),
                _layout(),
                io.Int.Input("count", default=0, min=0, max=100000000, tooltip="Only the first so many. 0: all; 'world' needs a number."),
                io.Int.Input("shard_mb", default=1000, min=1, max=100000, tooltip="Megabytes of each tar or Parquet file, at most."),
                io.Int.Input(
                    "check", default=100, min=0, max=100000, tooltip="Prompts to look at afterwards, as 'Check pairs' does. 0: none."
                ),
                _replace(),
                _name("my converted pairs"),
            ],
            outputs=[_pairs_out("The data set in its new layout."), _report_out("How many pairs there are, and what is wrong with them.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Run whenever it is queued: there may be more pairs, and what is there costs nothing."""
        return float("nan")

    @classmethod
    def execute(cls, pairs: str, layout: str, count: int, shard_mb: int, check: int, replace: bool, name: str) -> io.NodeOutput:
        from ..samplers.store import converted, linted

        found = converted(pairs, folder_of(DATA_SETS, name), layout, shard_mb, count, replace)
        say(f"{found.counts.pairs} pairs", cls)
        faults = [str(linted(str(found.folder), False, True, check))] if check and found.counts.pairs else []
        return io.NodeOutput(str(found.folder), "\n\n".join([str(found), *faults]))


class IP2PCheckPairs(io.ComfyNode):
    """What is wrong with a data set, and how to mend it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PCheckPairs",
            display_name="Check pairs",
            category="InstructPix2Pix/data",
            description="Looks through a data set for pictures without their other half, lists that name what is not there, damaged files, "
            "empty or repeated instructions and more, and names each fault with its cure. Can mend the set; nothing is deleted.",
            search_aliases=["lint dataset", "repair dataset", "validate", "verify"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                Data.Input("pairs", tooltip="From any node with pairs."),
                io.Boolean.Input(
                    "repair",
                    default=False,
                    tooltip="Mend the folder in place. What is taken out goes to .set-aside in it, nothing is deleted.",
                ),
                io.Boolean.Input("hashes", default=True, tooltip="Read every file and see whether it is as it was written."),
                io.Int.Input(
                    "check", default=500, min=0, max=100000000, tooltip="Prompts whose pictures are opened, from anywhere. 0: all."
                ),
            ],
            outputs=[
                _pairs_out("The same pairs, mended where that was asked for."),
                _report_out("Every kind of fault with its cure, for 'Preview as Text'."),
                io.Boolean.Output("clean", display_name="clean", tooltip="Whether nothing is wrong."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Look again whenever it is queued."""
        return float("nan")

    @classmethod
    def execute(cls, pairs: str, repair: bool, hashes: bool, check: int) -> io.NodeOutput:
        from ..samplers.store import linted

        found = linted(pairs, repair, hashes, check)
        say("no fault found" if found.clean else "look at the report", cls)
        return io.NodeOutput(pairs, str(found), found.clean)


NODES = [IP2PSavePairs, IP2PPhotoPairs, IP2PConvertPairs, IP2PCheckPairs]
