"""``python -m ip2p small CONFIG.toml --data DIR --out DIR [--stage NAME ...] [--resume]``."""

import argparse
from pathlib import Path

from .config import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``small``."""
    parser.add_argument("config", type=Path, help="TOML file of settings, such as models/embedded.toml")
    parser.add_argument("--data", type=Path, help="folder of photos, or of .tar files of .jpg and .txt (the stage clip needs none)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished embedded.safetensors")
    parser.add_argument(
        "--stage", action="append", metavar="NAME", help="run only this stage (repeatable); default: all of an editor's, in order"
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoints in --out")
    parser.add_argument("--threads", type=int, default=0, help="processor threads to use (0: torch's own choice)")


def run(args: argparse.Namespace) -> int:
    """Train; returns 0. Raises ValueError with one sentence for what the user can mend."""
    config = load(args.config)
    import torch

    from .stages import EDITOR, STAGES, Run

    unknown = [name for name in args.stage or () if name not in STAGES]
    if unknown:
        raise ValueError(f"There is no stage '{unknown[0]}'; the stages are {', '.join(STAGES)}.")
    if args.threads:
        torch.set_num_threads(args.threads)
    whole = Run(config, args.data, args.out, args.resume)
    for name in args.stage or EDITOR:
        STAGES[name](whole)
    return 0
