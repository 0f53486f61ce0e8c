"""Edits in words: captions, triplets made of them, and files of triplets."""

from pathlib import Path
from typing import Any

import folder_paths

from ..ip2p.captions.filters import LONG, NEARLY, TWICE, UNSAFE, Filters, words_in
from ._api import io, say, schema
from ._data_types import Triplets
from ._places import DATA_SETS, folder_of

SOURCES = ("text", "file", "world")
FORMATS = {"jsonl": "ours", "jsonl, the authors' names": "authors", "parquet": "ours"}
CAPTIONS = """a large red ball on the left, on a beach on a sunny day in summer
a blue house in the middle and a green kite in the sky on the right, in a meadow on a cloudy day in spring
a large yellow boat on the right, by a lake at a sunny sunset in autumn
a white umbrella in the middle, in a city on a rainy night in winter
a purple balloon in the sky on the left and an orange tent on the right, in the mountains on a foggy day in summer"""


def place_of(source: str) -> Path:
    """A file or folder as the user names it, from the host's input folder on where it is not absolute. Raises ValueError for none."""
    if not source.strip():
        raise ValueError("No file is named: write its path, from the input folder on or absolute.")
    return Path(folder_paths.get_input_directory()) / Path(source.strip()).expanduser()


def changed(source: str) -> str:
    """Another text when the file or folder of that name has changed on the disk."""
    try:
        state = place_of(source).stat()
    except (OSError, ValueError):
        return source
    return f"{source} {state.st_mtime_ns} {state.st_size}"


def captions() -> io.String.Input:
    """The captions to edit."""
    return io.String.Input(
        "captions",
        multiline=True,
        default=CAPTIONS,
        tooltip="What the pictures before the edit show, one caption a line; from 'Captions', or written here.",
    )


def per_caption() -> io.Int.Input:
    """How many edits of each."""
    return io.Int.Input("per_caption", default=1, min=1, max=100, tooltip="How many different edits to make of each caption, at most.")


def edit_seed() -> io.Int.Input:
    """Which edits are made; it stays, so that a data set that is queued again goes on."""
    return io.Int.Input(
        "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=False, tooltip="Another seed makes other edits."
    )


def filtering() -> list[io.Input]:
    """Which triplets are thrown away, besides those that are empty, broken, unchanged or repeat the caption."""
    return [
        io.Boolean.Input("duplicates", default=True, tooltip="Throw away triplets that came before, word for word or nearly."),
        io.Float.Input(
            "likeness",
            default=0.8,
            min=0.05,
            max=1.0,
            step=0.05,
            round=0.01,
            tooltip="Near duplicates make the same change to captions that share so much of their words. 1: only the same words.",
        ),
        io.Boolean.Input("too_long", default=True, tooltip="Throw away triplets with a text longer than CLIP reads (77 tokens)."),
        io.Boolean.Input("unsafe", default=True, tooltip="Throw away triplets with unsafe words."),
        io.String.Input(
            "unsafe_words",
            default="",
            multiline=True,
            tooltip="Your own list of unsafe words or phrases, one a line, instead of the pack's. Empty: the pack's.",
        ),
    ]


def filters_of(duplicates: bool, likeness: float, too_long: bool, unsafe: bool, unsafe_words: str) -> Filters:
    """The filters that the inputs ask for. Raises ValueError."""
    switched = {TWICE: duplicates, NEARLY: duplicates, LONG: too_long, UNSAFE: unsafe}
    off = frozenset(reason for reason, on in switched.items() if not on)
    return Filters(off, likeness, unsafe=words_in(unsafe_words)) if unsafe_words.strip() else Filters(off, likeness)


def made_outputs() -> list[io.Output]:
    """Triplets, and what there is to read about them."""
    return [
        Triplets.Output("triplets", display_name="triplets", tooltip="For 'Make pairs', or another node of triplets."),
        io.String.Output("table", display_name="table", tooltip="The first 200 as a table, for 'Preview as Text'."),
        io.String.Output("report", display_name="report", tooltip="How many of which kind, and how many were thrown away and why."),
    ]


class IP2PCaptions(io.ComfyNode):
    """Captions from where they are."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PCaptions",
            display_name="Captions",
            category="InstructPix2Pix/data",
            description="Captions to make edits of: written here, from a file or a folder of pictures with a text each, or of the small "
            "world's scenes.",
            search_aliases=["prompts", "caption list", "load captions", "dataset"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Combo.Input(
                    "source",
                    options=list(SOURCES),
                    default="text",
                    tooltip="text: those written below. file: the file or folder named below. world: scenes that the small networks know.",
                ),
                io.String.Input("text", multiline=True, default=CAPTIONS, tooltip="For 'text': one caption a line."),
                io.String.Input(
                    "file",
                    default="",
                    tooltip="For 'file': a text file (one a line), .jsonl, .parquet or .tar, or a folder with a .txt beside each picture; "
                    "from the input folder on, or absolute.",
                ),
                io.Int.Input("count", default=100, min=0, max=100000000, tooltip="Only the first so many. 0: all of text or file."),
                io.Int.Input("first", default=0, min=0, max=0x7FFFFFFF, tooltip="For 'world': the number of the first scene."),
            ],
            outputs=[
                io.String.Output("captions", display_name="captions", tooltip="One caption a line, for 'Triplets'."),
                io.String.Output("report", display_name="report", tooltip="How many there are, and what could not be read."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Read again when the file has changed."""
        return changed(str(inputs.get("file", ""))) if inputs.get("source") == "file" else ""

    @classmethod
    def execute(cls, source: str, text: str, file: str, count: int, first: int) -> io.NodeOutput:
        from ..samplers.triplets import captions_from

        if source not in SOURCES:
            raise ValueError(f"The source '{source}' is unknown; choose {', '.join(SOURCES)}.")
        path = place_of(file) if source == "file" else None
        found, report = captions_from(path, text, (count or 100) if source == "world" else 0, first, count)
        say(report.split("\n")[0], cls)
        return io.NodeOutput("\n".join(found), report)


class IP2PTriplets(io.ComfyNode):
    """Edits of captions by a grammar, without any model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTriplets",
            display_name="Triplets by grammar",
            category="InstructPix2Pix/data",
            description="Makes edits of captions in words: an instruction and the caption of the edited picture. A grammar does it, so it "
            "needs no model; the same captions and seed always give the same edits.",
            search_aliases=["edit instructions", "caption edits", "prompt pairs", "dataset"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                captions(),
                io.String.Input(
                    "kinds",
                    default="",
                    tooltip="Kinds of edit with commas: replace, add, remove, recolour, material, season, weather, time, style, medium, "
                    "place. Empty: all.",
                ),
                per_caption(),
                edit_seed(),
                *filtering(),
            ],
            outputs=made_outputs(),
        )

    @classmethod
    def execute(cls, captions: str, kinds: str, per_caption: int, seed: int, **filters: Any) -> io.NodeOutput:
        from ..ip2p.captions.grammar.source import Grammar
        from ..samplers.triplets import made

        source = Grammar([kind.strip() for kind in kinds.split(",") if kind.strip()])
        out = made(captions, source, per_caption, seed, filters_of(**filters))
        say(out.gist, cls)
        return io.NodeOutput(*out[:3])


class IP2PLoadTriplets(io.ComfyNode):
    """Triplets from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PLoadTriplets",
            display_name="Load triplets",
            category="InstructPix2Pix/data",
            description="Reads edits in words from a file: your own, the authors' lists, or the ones written by hand for this pack.",
            search_aliases=["read triplets", "jsonl", "parquet", "human-written"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.String.Input(
                    "file",
                    default="",
                    tooltip="A .jsonl or .parquet file, or a folder, from the input folder on or absolute. Empty: those of this pack.",
                ),
                io.Int.Input("count", default=0, min=0, max=100000000, tooltip="Only the first so many. 0: all."),
                *filtering(),
            ],
            outputs=made_outputs(),
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Read again when the file has changed."""
        return changed(str(inputs.get("file", "")))

    @classmethod
    def execute(cls, file: str, count: int, **filters: Any) -> io.NodeOutput:
        from ..samplers.triplets import loaded

        out = loaded(place_of(file) if file.strip() else None, count, filters_of(**filters))
        say(out.gist, cls)
        return io.NodeOutput(*out[:3])


class IP2PSaveTriplets(io.ComfyNode):
    """Triplets into a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PSaveTriplets",
            display_name="Save triplets",
            category="InstructPix2Pix/data",
            description="Writes edits in words to a file in output/ip2p_data, to read them elsewhere or mend them by hand.",
            search_aliases=["write triplets", "export jsonl", "parquet"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                Triplets.Input("triplets", tooltip="From any node of triplets."),
                io.String.Input(
                    "name", default="my edits", tooltip="The file is output/ip2p_data/NAME with its ending; an older one is replaced."
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="jsonl",
                    tooltip="jsonl: a line of JSON each, to read and mend. The authors' names: input, edit, output. parquet: small.",
                ),
            ],
            outputs=[io.String.Output("file", display_name="file", tooltip="Where they are: for 'Load triplets', or the command line.")],
        )

    @classmethod
    def execute(cls, triplets: Any, name: str, format: str) -> io.NodeOutput:  # noqa: A002 - the input's name on the page
        from ..samplers.triplets import saved

        if format not in FORMATS:
            raise ValueError(f"The format '{format}' is unknown; choose {', '.join(FORMATS)}.")
        place = folder_of(DATA_SETS, name)
        path = saved(triplets, place.with_name(f"{place.name}.{format.split(',')[0]}"), FORMATS[format])
        say(f"Kept in output/{DATA_SETS}/{Path(path).name}", cls)
        return io.NodeOutput(path)


NODES = [IP2PCaptions, IP2PTriplets, IP2PLoadTriplets, IP2PSaveTriplets]
