"""The measuring networks, and what they say of an edit."""

import json
from pathlib import Path
from typing import Any

import folder_paths
from torch import Tensor

from ._api import io, schema

MeasuresType = io.Custom("IP2P_MEASURES")
FOLDER = "ip2p_metrics"
NONE = "none"
OWN = Path(__file__).resolve().parents[1] / "models"
BACKBONES = ("alex", "vgg", "squeeze")

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def folders(text_too: bool) -> dict[str, Path]:
    """transformers folders of the pack and under models/ip2p_metrics by name: those that read text too (CLIP), or others (DINO, ViT)."""
    found = {}
    for root in (OWN, *map(Path, folder_paths.get_folder_paths(FOLDER))):
        for pattern in ("*/config.json", "*/*/config.json", "*/snapshots/*/config.json"):
            for config in sorted(root.glob(pattern)):
                if _reads_text(config) == text_too:
                    found[config.parent.relative_to(root).as_posix()] = config.parent
    return found


def _reads_text(config: Path) -> bool:
    try:
        known = json.loads(config.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and bool({"text_config", "text_config_dict"} & known.keys())


def lpips_files() -> dict[str, Path]:
    """LPIPS weights in models/ip2p_metrics by name."""
    roots = map(Path, folder_paths.get_folder_paths(FOLDER))
    return {path.name: path for root in roots for path in sorted(root.glob("*.safetensors"))}


def chosen(choice: str, name: str, there: dict[str, Path]) -> str:
    """The model meant by a list's choice and a typed name, which goes first; "" for none. Raises ValueError for one that is gone."""
    if name.strip() or choice == NONE:
        return name.strip()
    if choice not in there:
        raise ValueError(f"There is no '{choice}' in models/{FOLDER}; choose another (press R to refresh), or type its public name.")
    return str(there[choice])


def _typed(kind: str, example: str) -> io.String.Input:
    return io.String.Input(
        f"{kind}_name",
        default="",
        optional=True,
        tooltip=f"Instead of the list: a public name such as {example}, which is downloaded once, or a folder anywhere.",
    )


class IP2PMeasures(io.ComfyNode):
    """Load the networks that measure edits."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PMeasures",
            display_name="Load measures",
            category="InstructPix2Pix/evaluation",
            description="Loads the networks that measure edits: CLIP (was the edit made, was the picture kept), DINO (the same subject, "
            "the same structure), LPIPS (looks the same). All are optional; pixel measures need none. They share the host's memory.",
            search_aliases=["metrics", "clip score", "lpips", "dino", "evaluation"],
            inputs=[
                io.Combo.Input(
                    "clip",
                    options=[NONE, *folders(text_too=True)],
                    default=NONE,
                    tooltip="A CLIP as a transformers folder in models/ip2p_metrics. The paper uses ViT-L/14.",
                ),
                io.Combo.Input(
                    "dino",
                    options=[NONE, *folders(text_too=False)],
                    default=NONE,
                    tooltip="A DINO or other ViT as a transformers folder in models/ip2p_metrics. MagicBrush uses DINO ViT-S/16.",
                ),
                io.Combo.Input(
                    "lpips",
                    options=[NONE, *BACKBONES, *lpips_files()],
                    default=NONE,
                    tooltip="LPIPS on AlexNet, VGG16 or SqueezeNet, if its weights are installed, or a file in models/ip2p_metrics.",
                ),
                io.Combo.Input(
                    "input_range",
                    options=["correct", "paper_compat"],
                    default="correct",
                    tooltip="paper_compat prepares pictures for CLIP as the authors' script does, by which only the paper's figures can be "
                    "compared.",
                ),
                _typed("clip", "openai/clip-vit-large-patch14"),
                _typed("dino", "facebook/dino-vits16"),
            ],
            outputs=[MeasuresType.Output("measures", display_name="measures", tooltip="For 'Measure edit', 'Compare edits', 'Evaluate'.")],
        )

    @classmethod
    def execute(cls, clip: str, dino: str, lpips: str, input_range: str, clip_name: str = "", dino_name: str = "") -> io.NodeOutput:
        from ..samplers.measuring import load

        perceptual = lpips if lpips in BACKBONES else chosen(lpips, "", lpips_files())
        towers = chosen(clip, clip_name, folders(text_too=True))
        return io.NodeOutput(load(towers, chosen(dino, dino_name, folders(text_too=False)), perceptual, input_range))


class IP2PMeasure(io.ComfyNode):
    """Numbers for one edit."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PMeasure",
            display_name="Measure edit",
            category="InstructPix2Pix/evaluation",
            description="Measures an edit against its original, and against the right answer where there is one; inside and outside a "
            "mask where there is one. A batch of edits gives the mean, and each one's numbers in the JSON.",
            search_aliases=["metrics", "clip score", "lpips", "psnr", "ssim", "compare images"],
            inputs=[
                io.Image.Input("before", tooltip="The original, one for all edits or one for each."),
                io.Image.Input("after", tooltip="The edited picture, or a batch of them."),
                io.Image.Input("answer", optional=True, tooltip="The right answer, if it is known."),
                io.Mask.Input("mask", optional=True, tooltip="Where the picture may change (1); measured inside and outside it."),
                MeasuresType.Input("measures", optional=True, tooltip="From 'Load measures'. Without it: L1, L2, PSNR and SSIM."),
                io.String.Input("caption", default="", optional=True, tooltip="What the original shows; CLIP's direction needs it."),
                io.String.Input("edited_caption", default="", optional=True, tooltip="What the edit should show; CLIP needs it."),
            ],
            outputs=[
                io.String.Output("table", display_name="table", tooltip="The numbers for people, to be shown by 'Preview as Text'."),
                io.String.Output("numbers", display_name="numbers", tooltip="The numbers as JSON: the mean, and each picture's own."),
            ],
        )

    @classmethod
    def execute(
        cls,
        before: Tensor,
        after: Tensor,
        answer: Tensor | None = None,
        mask: Tensor | None = None,
        measures: Any = None,
        caption: str = "",
        edited_caption: str = "",
    ) -> io.NodeOutput:
        from ..samplers.measuring import measure, numbers_json, numbers_text

        rows = measure(measures, before, after, answer, mask, caption, edited_caption)
        return io.NodeOutput(numbers_text(rows), numbers_json(rows))


NODES = [IP2PMeasures, IP2PMeasure]
