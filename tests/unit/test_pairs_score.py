"""Scores of pairs: the formulas, the world's right edits above wrong ones, and ratings by classifiers."""

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from ip2p.metrics.clip import Clip
from ip2p.pairs import rating
from ip2p.pairs.hashes import hashes
from ip2p.pairs.score import CLIP_SCORES, Scorer
from ip2p.pairs.thresholds import WORLD
from ip2p.worlds.chance import random_edit
from ip2p.worlds.drawing import draw
from ip2p.worlds.tasks import random_task

KINDS = ("recolour", "add", "remove", "background", "season", "weather", "time")
SIZE = 96


@pytest.fixture(scope="module")
def clip():
    return Clip.load("world", device="cpu")


def tasks(each=4):
    return [random_task(30_000_000 + number, (kind,), SIZE) for kind in KINDS for number in range(each)]


def another(task, number):
    """The same scene after an edit of another kind."""
    rng = np.random.default_rng(number)
    while True:
        edit = random_edit(task.scene, str(rng.choice([kind for kind in KINDS if kind != task.kind])), rng)
        if edit is not None:
            return draw(edit.apply(task.scene), SIZE).picture


def pairs_of(found, second):
    return torch.stack([torch.stack([torch.from_numpy(task.source()), torch.from_numpy(second(task))]) for task in found])


def test_scores_are_the_papers_cosines(clip):
    found = tasks(1)
    pictures, captions = pairs_of(found, lambda task: task.answer()), [(task.caption, task.edited_caption) for task in found]
    for pair, (before, after), scores in zip(pictures, captions, Scorer(clip)(pictures, captions), strict=True):
        (image_0, image_1), (text_0, text_1) = clip(pair).double(), clip.texts([before, after]).double()
        change, told = image_1 - image_0, text_1 - text_0
        expected = {
            "clip_sim_image": image_0 @ image_1,
            "clip_sim_0": image_0 @ text_0,
            "clip_sim_1": image_1 @ text_1,
            "clip_sim_dir": change @ told / (change.norm() * told.norm()),
        }
        assert {name: scores[name] for name in CLIP_SCORES} == pytest.approx({k: float(v) for k, v in expected.items()}, abs=2e-5)
        assert scores["hashes"] == hashes(pair)
        assert scores == Scorer(clip)(pair[None], [(before, after)])[0] | {
            name: pytest.approx(scores[name], abs=2e-5) for name in CLIP_SCORES
        }


@pytest.mark.whole
def test_directional_scores_rank_right_edits_above_wrong_ones(clip):
    """And so do the thresholds that go with this CLIP: of right edits most pass, of wrong, reversed and missing ones hardly any."""
    found = tasks()
    captions = [(task.caption, task.edited_caption) for task in found]
    right = pairs_of(found, lambda task: task.answer())
    wrong = torch.stack(
        [torch.stack([pair[0], torch.from_numpy(another(task, n))]) for n, (task, pair) in enumerate(zip(found, right, strict=True))]
    )
    scores = {
        name: Scorer(clip)(pictures, captions, rough=True)
        for name, pictures in {"right": right, "wrong": wrong, "back": right.flip(1), "none": right[:, :1].expand_as(right)}.items()
    }
    higher = [one["clip_sim_dir"] > other["clip_sim_dir"] for one, other in zip(scores["right"], scores["wrong"], strict=True)]
    assert np.mean(higher) > 0.9
    assert all(
        one["clip_sim_dir"] > other["clip_sim_dir"]
        for one, other in zip(scores["right"], scores["back"], strict=True)
        if one["clip_sim_dir"] > 0
    )
    passed = Counter(
        {name: sum(not WORLD.of(task.kind).failed(one) for task, one in zip(found, rows, strict=True)) for name, rows in scores.items()}
    )
    assert passed["right"] > 0.75 * len(found)
    assert passed["wrong"] < 0.2 * len(found)
    assert passed["back"] + passed["none"] < 0.1 * len(found)


def classifier(folder, labels, seed=0):
    """A tiny random picture classifier in a folder."""
    torch.manual_seed(seed)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 32,
        "patch_size": 8,
    }
    config = ViTConfig(**sizes, id2label=dict(enumerate(labels)), label2id={label: number for number, label in enumerate(labels)})
    model = ViTForImageClassification(config).eval()
    model.classifier.weight.data *= 50  # a random network is undecided otherwise
    model.save_pretrained(folder)
    return model, str(folder)


def test_a_classifier_rates_pictures_by_its_label(clip, tmp_path):
    model, name = classifier(tmp_path / "safe", ["normal", "nsfw"])
    pictures = torch.rand(3, 2, 40, 40, 3, generator=torch.Generator().manual_seed(0))
    found = rating.nsfw(name, "cpu")(pictures.flatten(0, 1))
    prepared = torch.nn.functional.interpolate(pictures.flatten(0, 1).movedim(-1, 1), (32, 32), mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        expected = model(pixel_values=prepared * 2 - 1).logits.softmax(-1)[:, 1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    scores = Scorer(clip, nsfw=rating.nsfw(name, "cpu"))(pictures, [("a", "b")] * 3)
    assert [one["nsfw"] for one in scores] == pytest.approx(expected.view(3, 2).amax(1).tolist(), abs=1e-5)
    assert "nsfw" not in Scorer(clip, nsfw=rating.nsfw(name, "cpu"))(pictures, [("a", "b")] * 3, rough=True)[0]


def test_aesthetics_by_a_label_or_by_a_single_output(clip, tmp_path):
    _, name = classifier(tmp_path / "both", ["not_aesthetic", "aesthetic"])
    assert rating.aesthetic(name, "cpu").columns == [1]
    model, single = classifier(tmp_path / "one", ["score"])
    picture = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(pixel_values=picture.movedim(-1, 1) * 2 - 1).logits[:, 0]
    torch.testing.assert_close(rating.aesthetic(single, "cpu")(picture), expected, atol=1e-4, rtol=0)
    pair = torch.rand(1, 2, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    scores = Scorer(clip, aesthetic=rating.aesthetic(single, "cpu"))(pair, [("a", "b")])[0]
    assert scores["aesthetic"] == pytest.approx(float(rating.aesthetic(single, "cpu")(pair[0]).min()), abs=1e-5)


def test_unsafe_labels_are_found_by_many_names(tmp_path):
    for number, labels in enumerate((["safe", "unsafe"], ["drawings", "hentai", "neutral", "porn", "sexy"], ["sfw", "NSFW"])):
        _, name = classifier(tmp_path / str(number), labels)
        expected = [n for n, label in enumerate(labels) if label.lower() in ("unsafe", "hentai", "porn", "sexy", "nsfw")]
        assert rating.nsfw(name, "cpu").columns == expected


def test_a_model_that_rates_something_else_is_refused(tmp_path):
    _, name = classifier(tmp_path / "pets", ["cat", "dog"])
    with pytest.raises(ValueError, match="cat, dog"):
        rating.nsfw(name, "cpu")
    with pytest.raises(ValueError, match="picture classifier"):
        rating.nsfw(str(tmp_path / "nowhere"), "cpu")
