"""Which pairs are kept: thresholds, the filter, and a sheet to look at."""

from pathlib import Path
from typing import Any

from ..ip2p.data.layouts import LAYOUTS
from ._api import io, say, schema
from ._data_types import Thresholds
from ._places import DATA_SETS, folder_of
from .measures import MeasuresType
from .training import Data

COSINE = {"min": -1.0, "max": 1.0, "step": 0.01, "round": 0.001}


class IP2PThresholds(io.ComfyNode):
    """What a pair must reach to be kept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PThresholds",
            display_name="Pair thresholds",
            category="InstructPix2Pix/data",
            description="What a pair of pictures must reach to be kept: how alike the two are, how well each shows its caption, and "
            "whether the change in the pictures is the change in the captions. The values are the paper's, for CLIP ViT-L/14.",
            search_aliases=["clip filter", "directional similarity", "quality"],
            inputs=[
                io.Float.Input("image", default=0.75, tooltip="How alike the two pictures must be, at least.", **COSINE),
                io.Float.Input("caption", default=0.2, tooltip="How well the first picture must show its caption, at least.", **COSINE),
                io.Float.Input("edited_caption", default=0.2, tooltip="How well the second picture must show its caption.", **COSINE),
                io.Float.Input(
                    "direction", default=0.2, tooltip="How well the change must be the one that the captions tell, at least.", **COSINE
                ),
                io.String.Input(
                    "kinds",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="Other thresholds for kinds of edit, a line each: 'style: image=0.5, direction=0.15'; 'none' switches one off.",
                ),
                io.Float.Input(
                    "nsfw",
                    default=1.0,
                    optional=True,
                    tooltip="How likely unsafe a picture may be, where that is rated. 1: any.",
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    round=0.001,
                ),
                io.Float.Input(
                    "aesthetic",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.01,
                    round=0.001,
                    optional=True,
                    tooltip="How pleasing both pictures must be, where that is rated. 0: any.",
                ),
            ],
            outputs=[Thresholds.Output("thresholds", display_name="thresholds", tooltip="For 'Make', 'Filter' and 'Browse pairs'.")],
        )

    @classmethod
    def execute(cls, kinds: str = "", nsfw: float = 1.0, aesthetic: float = 0.0, **least: float) -> io.NodeOutput:
        from ..ip2p.pairs import thresholds

        general = thresholds.Thresholds(**least, nsfw=nsfw if nsfw < 1 else None, aesthetic=aesthetic or None)
        return io.NodeOutput(thresholds.parse(kinds, thresholds.Rules(general)))


def _choosing() -> list[io.Input]:
    """What is chosen of which pairs."""
    return [
        Data.Input("pairs", tooltip="From 'Make pairs'."),
        Thresholds.Input("thresholds", optional=True, tooltip="From 'Pair thresholds'. Without: those that go with the CLIP."),
        MeasuresType.Input(
            "measures",
            optional=True,
            tooltip="From 'Load measures': its CLIP scores pairs that have no scores yet, such as those of 'Save pairs'. Pairs of 'Make "
            "pairs' have theirs.",
        ),
        io.Int.Input("keep", default=4, min=1, max=100000, tooltip="How many pairs of a triplet to keep, at most; 4 are the paper's."),
        io.Int.Input(
            "near",
            default=3,
            min=-1,
            max=3,
            tooltip="Pairs count as the same where their pictures' hashes differ in so few of 64 bits. -1: look-alikes stay.",
        ),
    ]


def _wish(pairs: str, thresholds: Any, keep: int, near: int, measures: Any) -> Any:
    from ..ip2p.pairs.filter_run import Wish
    from ..samplers.pairs import HostScorer

    return Wish(pairs, thresholds, keep, near if near >= 0 else None, scorer=HostScorer(measures) if measures else None)


class IP2PFilterPairs(io.ComfyNode):
    """The best pairs as a data set."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PFilterPairs",
            display_name="Filter pairs",
            category="InstructPix2Pix/data",
            description="Keeps the best pairs of each triplet by the paper's rules, leaves look-alikes out, and writes a data set that "
            "'Train editor' can learn from. Says of every pair that is left out why.",
            search_aliases=["clip filter", "dataset", "best pairs", "dedupe"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                *_choosing(),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default="authors",
                    tooltip="authors: a folder for each triplet. webdataset: tar files. parquet: as on the hub. plain: files and a list.",
                ),
                io.Boolean.Input("replace", default=True, tooltip="Write the data set anew where it was filtered in another way before."),
                io.String.Input("name", default="my dataset", tooltip="The data set goes to output/ip2p_data/NAME."),
            ],
            outputs=[
                Data.Output("dataset", display_name="pairs", tooltip="The data set, for 'Train editor'."),
                io.String.Output("report", display_name="report", tooltip="What was kept, and why the others were not."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Run whenever it is queued: there may be more pairs."""
        return float("nan")

    @classmethod
    def execute(
        cls, pairs: str, keep: int, near: int, layout: str, replace: bool, name: str, thresholds: Any = None, measures: Any = None
    ) -> io.NodeOutput:
        from ..samplers.pairs import keep_best

        out = folder_of(DATA_SETS, name)
        if out == Path(pairs):
            raise ValueError("The data set can't have the name of the pairs that it is made from; give it another name.")
        found = keep_best(_wish(pairs, thresholds, keep, near, measures), out, layout, replace)
        say(f"{found.kept} of {found.candidates} pairs kept", cls)
        return io.NodeOutput(str(out), str(found).replace("\n  ", "  \n"))  # line breaks of Markdown, as the page shows it


class IP2PBrowsePairs(io.ComfyNode):
    """Pairs on a sheet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PBrowsePairs",
            display_name="Browse pairs",
            category="InstructPix2Pix/data",
            description="Lays pairs out on a sheet: what the filter keeps, marked green, and what it leaves out, marked red and with the "
            "reason, with captions and scores. For finding thresholds by eye.",
            search_aliases=["contact sheet", "preview dataset", "rejected"],
            inputs=[
                *_choosing(),
                io.Combo.Input("show", options=["both", "kept", "left out"], default="both", tooltip="Which pairs to show."),
                io.Int.Input("first", default=0, min=0, max=100000000, tooltip="With which triplet to begin, counted from 0."),
                io.Int.Input("count", default=4, min=1, max=100, tooltip="Of how many triplets to show pairs."),
                io.Int.Input("each", default=4, min=1, max=100, tooltip="Pairs of each, at most; the best first."),
                io.Int.Input("cell", default=160, min=64, max=1024, step=8, tooltip="Longest side of a picture on the sheet, in pixels."),
            ],
            outputs=[
                io.Image.Output("sheet", display_name="sheet", tooltip="The pairs, each picture left of its edited one."),
                io.String.Output("report", display_name="report", tooltip="Every pair with its scores and its reason."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Look again whenever it is queued: there may be more pairs."""
        return float("nan")

    @classmethod
    def execute(
        cls,
        pairs: str,
        keep: int,
        near: int,
        show: str,
        first: int,
        count: int,
        each: int,
        cell: int,
        thresholds: Any = None,
        measures: Any = None,
    ) -> io.NodeOutput:
        from ..samplers.pairs import browsed

        return io.NodeOutput(*browsed(_wish(pairs, thresholds, keep, near, measures), show, first, count, each, cell))


NODES = [IP2PThresholds, IP2PFilterPairs, IP2PBrowsePairs]
