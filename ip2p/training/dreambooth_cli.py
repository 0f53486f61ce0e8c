"""``python -m ip2p dreambooth --base MODEL --instance DIR --identifier sks --class-noun dog --out DIR``: a model learns a subject."""

import argparse
from pathlib import Path
from typing import Any

from . import cli
from .config import changed, from_table, merged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``dreambooth``."""
    add = parser.add_argument
    add("--base", required=True, metavar="MODEL", help="a Stable Diffusion 1.x checkpoint or folder, or an editor (`embedded`)")
    add("--instance", type=Path, required=True, metavar="DIR", help="the folder with 3 to 5 pictures of the subject")
    add("--identifier", required=True, metavar="WORD", help="a rare word that will mean the subject, such as sks")
    add("--class-noun", required=True, metavar="NOUN", help="what the subject is, such as dog")
    add("--out", type=Path, required=True, metavar="DIR", help="the run's folder; what is there is continued")
    add(
        "--class-images", type=int, default=200, metavar="N", help="pictures of the class that the model makes first (default 200; 0: none)"
    )
    add("--class-folder", default="", metavar="DIR", help="where they are kept, or one's own are (default: in the run's folder)")
    add("--lora", action="store_true", help="train a LoRA instead of the whole network")
    add("--text-encoder", action="store_true", help="train the text encoder too")
    add("--steps", type=int, default=800, metavar="N", help="training steps (default 800)")
    add("--size", type=int, default=0, metavar="PX", help="pixels a side (default 0: the model's own)")
    add("--config", type=Path, metavar="FILE", help="further settings: a .yaml, .toml or .json file")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="a setting over all others, such as run.batch=4")
    add("--device", default="auto", help="auto (default), cpu, cuda or mps")
    add("--threads", type=int, default=0, help="processor threads to use (0: torch's own choice)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train; returns 0, or 130 where it was stopped. Raises ValueError with one sentence for what the user can mend."""
    from ..configs import read
    from .dreambooth import settings

    size = options.size or _size_of(options.base)
    table = settings(options.instance, options.identifier, options.class_noun, options.lora, size)
    own: dict[str, Any] = {
        "model": {"base": options.base},
        "run": {"steps": options.steps},
        "dreambooth": {
            "class_images": options.class_images,
            "class_folder": options.class_folder,
            "text_encoder": options.text_encoder,
        },
    }
    table = merged(table, own)
    table = merged(table, read(options.config)) if options.config else table
    return cli.train(from_table(merged(table, changed(options.changes))), options.out, options.device, options.threads)


def _size_of(base: str) -> int:
    """The size in pixels that a model says it was made for, or 512."""
    from .. import checkpoint

    found = checkpoint.read(checkpoint.located(base), editor=False)
    return int(found.settings.get("size", 512))
