"""Network passes per kept pair, ours and by the authors' procedure: `python bench/pairs.py [--prompts 8] [--samples 8] [--out DIR]`.

Both make pairs of the same captions with the same model and filter them by the same thresholds. The authors': 100 steps, one pair at a
time, every sample to its end. Ours: the preset's steps, several pairs at once, hopeless samples dropped midway, a prompt ended once it has
enough good pairs. A pass is one picture through the network once, with its caption or without. The authors take 100 samples of every
prompt; with fewer (`--samples`) their procedure looks better than it is, as ours stops by itself. With `--out` the samples are kept,
and the bench goes on where it was stopped. The last line is one JSON object; `kept` and `mean_direction` are [ours, the authors'].
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.captions.triplet import Triplet  # noqa: E402
from ip2p.pairs.build import Plan, build, opened  # noqa: E402
from ip2p.pairs.draws import Settings  # noqa: E402
from ip2p.pairs.early_stop import EarlyStop  # noqa: E402
from ip2p.pairs.filter import Filtered, filtered, prompts_of  # noqa: E402
from ip2p.pairs.generate import Generate  # noqa: E402
from ip2p.pairs.loop import Watch, name_of, run  # noqa: E402
from ip2p.pairs.presets import PRESETS  # noqa: E402
from ip2p.pairs.thresholds import Rules, own  # noqa: E402
from ip2p.small.captioned import some_scene  # noqa: E402
from ip2p.worlds import language  # noqa: E402
from ip2p.worlds.chance import random_edit  # noqa: E402

KINDS = ("recolour", "remove", "background", "season", "weather", "time", "add", "replace")
FIRST_SEED = 7_000_000
"""Scenes that no network was trained on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="painter", help="a text-to-image model (default: the pack's small one)")
    parser.add_argument("--clip", default="world", help="the CLIP that scores (default: the pack's small one)")
    parser.add_argument("--prompts", type=int, default=8, help="captions, of as many kinds of edit in turn")
    parser.add_argument("--samples", type=int, default=8, help="samples of a prompt, at most; the authors' 100 take hours on a CPU")
    parser.add_argument("--preset", default="fast", choices=tuple(PRESETS), help="our steps")
    parser.add_argument("--guidance", type=float, nargs=2, default=(3.0, 7.0), help="range of guidance scales, of both")
    parser.add_argument("--at", type=float, default=EarlyStop.at, help="our early stop: after which share of the steps")
    parser.add_argument("--slack", type=float, default=EarlyStop.slack, help="and by how much rough scores may miss")
    parser.add_argument("--out", type=Path, help="keep the samples here, and go on")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        print(json.dumps(compared(options, options.out or Path(kept))))


def compared(options: argparse.Namespace, out: Path) -> dict[str, object]:
    """Both procedures, one after the other."""
    triplets = some_triplets(options.prompts)
    settings = Settings(samples=options.samples, guidance=tuple(options.guidance))
    theirs = Plan(out / "authors", options.model, clip=options.clip, settings=replace(settings, steps=100, batch=1))
    generate, told = build(theirs)
    rules = own(generate.score.clip.model.config)  # type: ignore[attr-defined]
    early = EarlyStop(rules, options.at, options.slack)
    ours = replace(theirs, out=out / "ours", settings=replace(settings, steps=PRESETS[options.preset]), early=early)
    found = [procedure(*build(ours), ours, triplets, rules), procedure(generate, told, theirs, triplets, rules)]
    each = [one.passes / one.kept if one.kept else float("nan") for one in found]
    return {
        "passes_per_kept_over_authors": round(each[0] / each[1], 4),
        "kept": [one.kept for one in found],
        "mean_direction": [round(one.direction / max(1, one.kept), 4) for one in found],
        "passes_per_kept": [round(one, 1) for one in each],
        "passes": [one.passes for one in found],
        "prompts": len(triplets),
        "samples": options.samples,
        "steps": [PRESETS[options.preset], 100],
    }


def procedure(generate: Generate, told: dict[str, object], plan: Plan, triplets: list[Triplet], rules: Rules) -> Filtered:
    """Make the pairs of a plan, filter them, and say what came out."""
    begun = time.monotonic()
    samples = opened(plan, told)
    watch = Watch(on_prompt=lambda triplet, tally: print(f"{plan.out.name}: {triplet.kind}, {tally}", file=sys.stderr))
    run(triplets, generate, samples, plan.kind, watch)
    names = {name_of(triplet) for triplet in triplets}
    found = filtered((prompt for prompt in prompts_of(str(plan.out)) if prompt.name in names), rules)
    print(f"{plan.out.name}, {time.monotonic() - begun:.0f} s:\n{found}", flush=True)
    return found


def some_triplets(count: int) -> list[Triplet]:
    """Edits of scenes of the world, of every kind in turn, in the world's words."""
    found: list[Triplet] = []
    seed = FIRST_SEED
    while len(found) < count:
        rng, seed = np.random.default_rng(seed), seed + 1
        scene, kind = some_scene(rng), KINDS[len(found) % len(KINDS)]
        edit = random_edit(scene, kind, rng)
        if edit is not None:
            instructions = language.instructions(scene, edit)
            words = language.caption(scene), str(rng.choice(instructions)), language.caption(edit.apply(scene))
            found.append(Triplet(*words, kind=kind, source="world"))
    return found


if __name__ == "__main__":
    main()
