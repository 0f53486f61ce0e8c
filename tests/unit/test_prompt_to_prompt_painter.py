"""Pairs of the pack's own small painter: what sharing does to pictures of a trained network."""

import pytest
import torch
import torch.nn.functional as F

from ip2p.captions.triplet import Triplet
from ip2p.metrics.clip import Clip
from ip2p.metrics.similarity import cosine, direction
from ip2p.pairs.draws import Sample, Settings
from ip2p.pairs.prompt_to_prompt import paint
from ip2p.text_to_image import TextToImage

pytestmark = pytest.mark.whole
THINGS = ("ball", "cube", "star", "house")
EDITS = (  # before, after, and another edit than the one that was painted; places are left open, so that sharing has something to decide
    ("a red {}", "a blue {}", "a yellow {}"),
    ("a green {} in a meadow", "a green {} in a desert", "a green {} on a beach"),
    ("a {} on a sunny day", "a {} on a rainy night", "a {} at a snowy sunset"),
    ("a yellow {} by a lake", "a purple {} by a lake", "a white {} by a lake"),
)
CAPTIONS = [tuple(one.format(thing) for one in edit) for thing in THINGS for edit in EDITS]
BATCH = 8


def painted(model, p):
    """(16, 2, 128, 128, 3): a pair of each line of captions, the same noise whatever ``p``."""
    samples = [Sample(Triplet(before, "", after), n, 100 + n, p, 5.0) for n, (before, after, _) in enumerate(CAPTIONS)]
    return torch.cat([paint(model, samples[at : at + BATCH], Settings(steps=8)) for at in range(0, len(samples), BATCH)])


def layout(pictures):
    """Unit-length maps of where brightness changes and which way, whatever the colours: (B, H, W, 3) to (B, D)."""
    grey = F.avg_pool2d(pictures.mean(dim=-1)[:, None], 4)
    right, down = grey[..., :-1, 1:] - grey[..., :-1, :-1], grey[..., 1:, :-1] - grey[..., :-1, :-1]
    return F.normalize(torch.cat([right, down], dim=1).flatten(1), dim=-1)


@pytest.fixture(scope="module")
def pairs():
    model = TextToImage.load("painter", device="cpu")
    return {p: painted(model, p) for p in (0.0, 1.0)}


@pytest.fixture(scope="module")
def features(pairs):
    clip = Clip.load("world", device="cpu")
    texts = [clip.texts([line[k] for line in CAPTIONS]) for k in range(3)]
    return {p: (clip(images[:, 0]), clip(images[:, 1]), *texts) for p, images in pairs.items()}


def test_shared_pairs_are_more_alike(pairs, features):
    """By their layout, by CLIP and by the pixels; more than chance would have it."""
    assert torch.equal(pairs[0.0][:, 0], pairs[1.0][:, 0])
    alike = {p: cosine(layout(images[:, 0]), layout(images[:, 1])) for p, images in pairs.items()}
    gain = alike[1.0] - alike[0.0]
    assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5
    assert gain.mean() > 0.03
    clip = {p: cosine(each[0], each[1]).mean() for p, each in features.items()}
    assert clip[1.0] > clip[0.0] + 0.02
    pixels = {p: (images[:, 0] - images[:, 1]).abs().mean() for p, images in pairs.items()}
    assert pixels[1.0] < pixels[0.0]


def test_directional_scores_rank_right_edits_above_wrong_ones(features):
    """The same pictures scored with the caption they were painted from, and with that of another edit."""
    for before, after, text, right, wrong in features.values():
        scores = direction(before, after, text, right)
        assert scores.mean() > 0.4
        assert (scores > direction(before, after, text, wrong)).float().mean() >= 0.8
        assert (scores > direction(after, before, text, right)).all(), "backwards is wrong"
