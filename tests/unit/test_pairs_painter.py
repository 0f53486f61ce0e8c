"""The small network trained on the world's scenes: pairs that it paints are scored as what they are."""

import numpy as np
import pytest
import torch

from ip2p.captions.triplet import Triplet
from ip2p.pairs.build import ModelPaint
from ip2p.pairs.draws import Settings, draw
from ip2p.pairs.early_stop import Midway
from ip2p.pairs.score import Scorer
from ip2p.text_to_image import TextToImage
from ip2p.worlds import language
from ip2p.worlds.edits import Recolour, Remove, Whole
from ip2p.worlds.scene import Scene, Thing

pytestmark = pytest.mark.whole
SCENES = (
    Scene("meadow", "summer", "sunny", "day", things=(Thing("ball", "red", size="large", side="middle"),)),
    Scene("beach", "spring", "cloudy", "day", things=(Thing("house", "yellow", size="large", side="middle"),)),
)
THING = (False, "middle")
EDITS = (Recolour(THING, "blue"), Remove(THING), Whole("background", "city"), Whole("time", "night"), Whole("season", "winter"))
SETTINGS = Settings(steps=12, guidance=(3.0, 6.0), p=(0.2, 0.6))


@pytest.fixture(scope="module")
def painted():
    """Pairs by scene and edit (scenes, edits, samples, 2, H, W, 3), and their triplets."""
    model = TextToImage.load("painter", device="cpu")
    paint, found, triplets = ModelPaint(model, SETTINGS), [], []
    for scene in SCENES:
        edits = [Triplet(language.caption(scene), "", language.caption(edit.apply(scene)), kind=edit.kind) for edit in EDITS]
        samples = [draw(triplet, number, SETTINGS) for triplet in edits for number in range(2)]
        pairs = paint(samples, Midway(samples, None, paint.decode, lambda *_: []))
        found.append(pairs.unflatten(0, (len(EDITS), 2)))
        triplets.append(edits)
    return torch.stack(found), triplets


def test_directional_scores_rank_right_edits_above_wrong_ones(painted):
    """Of all edits of its scene, a pair's score is highest for the one that it was painted for, nearly always."""
    pairs, triplets = painted
    scorer, first, margins = Scorer.load("world", device="cpu"), [], []
    for scene, edits in zip(pairs, triplets, strict=True):
        for right, samples in enumerate(scene):
            for pair in samples:
                captions = [(edit.caption, edit.edited_caption) for edit in edits]
                scores = [one["clip_sim_dir"] for one in scorer(pair[None].expand(len(edits), *pair.shape), captions, rough=True)]
                first.append(int(np.argmax(scores)) == right)
                margins.append(scores[right] - np.mean([score for number, score in enumerate(scores) if number != right]))
    assert np.mean(first) >= 0.75, first
    assert np.mean(margins) > 0.3, margins


def test_pairs_turned_round_are_not_the_edit(painted):
    pairs, triplets = painted
    scorer = Scorer.load("world", device="cpu")
    flat = pairs.flatten(0, 2)
    captions = [(edit.caption, edit.edited_caption) for edits in triplets for edit in edits for _ in range(2)]
    right, back = ([one["clip_sim_dir"] for one in scorer(which, captions, rough=True)] for which in (flat, flat.flip(1)))
    assert np.mean(right) > 0.3
    assert np.mean(back) < 0.0
