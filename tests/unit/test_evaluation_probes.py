"""Probes of the known limits and of bias: what is asked, and that the numbers say what they are said to say."""

import layouts
import metric_models
import numpy as np
import pytest
import torch

from ip2p.data.example import DataError
from ip2p.evaluation import probes
from ip2p.evaluation.editors import answer, nothing
from ip2p.evaluation.run import evaluate
from ip2p.evaluation.settings import Setting
from ip2p.metrics.clip import Clip
from ip2p.metrics.measures import Measures

SETTINGS = [Setting("nothing"), Setting("answer")]
EDITORS = {"nothing": nothing, "answer": answer}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clip.load(metric_models.clip_folder(tmp_path_factory.mktemp("clip")), device="cpu")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for number in range(3):
        layouts.save(folder / f"{number}.png", layouts.pixels(number))
    layouts.save(folder / "1_mask.png", (layouts.region() * 255).astype(np.uint8))
    return folder


@pytest.mark.whole
def test_limits_on_the_world_are_judged(tmp_path):
    data = probes.world_limits(count=1, size=64)
    assert [example.kind for example in data] == ["view", "count", "swap", "isolate"] == [probe.name for probe in probes.LIMITS]
    assert len({example.id for example in probes.world_limits(count=4, size=64)}) == 16
    rows = evaluate(data, SETTINGS[1:], EDITORS, Measures(), tmp_path) + evaluate([data[0]], SETTINGS[:1], EDITORS, Measures(), tmp_path)
    found = probes.limits_table(rows)
    rights = {(line.name, line.kind): line.cells["right"].value for line in found.lines}
    assert rights["Right answer", ""] == 1
    assert rights["Nothing done", ""] == 0
    assert {kind for _, kind in rights} == {"", "view", "count", "swap", "isolate"}
    assert found.columns[:3] == ("right", "done", "kept")
    assert "Figure 13" in found.text()


def test_limits_on_a_users_pictures_measure_resemblance(pictures, clip, tmp_path):
    data = probes.picture_limits(pictures)
    asked = sum(len(probe.asks) for probe in probes.LIMITS)
    assert len(data) == 3 * asked
    assert [example.mask is None for example in list(data)[::asked]] == [True, False, True]
    assert all(example.caption and example.edited_caption for example in data)
    found = probes.limits_table(evaluate(data, SETTINGS[:1], EDITORS, Measures(clip=clip), tmp_path))
    assert found.lines[0].cells["clip_image"].value == pytest.approx(1, abs=1e-5)
    assert found.lines[0].cells["l1_source_outside"].n == asked
    assert "right" not in found.columns


def test_bias_asks_for_professions_without_naming_a_gender(pictures):
    data = probes.bias_examples(pictures)
    kinds = list(dict.fromkeys(example.kind for example in data))
    assert kinds == [*probes.PROFESSIONS, "control"]
    assert len(data) == 3 * (len(probes.PROFESSIONS) + len(probes.CONTROLS))
    words = {word for example in data for word in example.instruction.lower().split()}
    assert not words & {"man", "woman", "he", "she", "him", "her", "his", "male", "female", "boy", "girl"}
    assert "make them an engineer" in {example.instruction for example in data}


def test_the_association_is_clips_own_zero_shot_division(clip):
    source, result = (torch.from_numpy(layouts.pixels(seed) / 255).float() for seed in (0, 1))
    measure = probes.Association(clip, sharpness=30.0)
    found = measure(source, result)
    assert found["shift"] == pytest.approx(found["after"] - found["before"])
    assert found["moved"] == pytest.approx(abs(found["shift"]))
    assert measure(source, source)["shift"] == 0
    words = clip.tokenizer([text for pair in probes.GENDERED for text in pair], padding=True, return_tensors="pt")
    with torch.no_grad():
        texts = clip.model(**words, pixel_values=torch.zeros(1, 3, metric_models.SIZE, metric_models.SIZE)).text_embeds
    logits = 30 * (clip(source[None]) @ texts.T).reshape(-1, 2)
    assert found["before"] == pytest.approx(float(logits.softmax(1)[:, 1].mean()), abs=1e-5)


def test_a_shift_of_a_whole_set_is_seen_and_a_control_is_beside_it(pictures, tmp_path):
    """An editor that moves every picture towards one side for one profession only, under a tower that reads brightness."""

    class Brightness:
        """Unit features in the plane: the brighter a picture, the nearer to the second caption of each pair."""

        def __call__(self, pictures):
            angle = pictures.mean((1, 2, 3)) * torch.pi / 2
            return torch.stack([angle.cos(), angle.sin()], 1)

        def texts(self, texts):
            return torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(len(texts) // 2, 1)

    def edit(example, setting):
        return (example.image() + 0.3).clamp(0, 1) if example.kind == "nurse" else example.image()

    data = probes.bias_examples(pictures, professions=("nurse", "doctor"))
    rows = evaluate(data, SETTINGS[:1], {"nothing": edit}, probes.Association(Brightness(), 4.0), tmp_path)
    found = probes.bias_table(rows)
    shifts = {line.kind: line.cells["shift"] for line in found.lines}
    assert set(shifts) == {"nurse", "doctor", "control"}
    assert shifts["nurse"].low > 0.1
    assert shifts["doctor"].value == shifts["control"].value == 0
    assert shifts["control"].n == 9
    text = found.text()
    assert text.splitlines()[0].split() == ["kind", "before", "after", "shift", "moved", "n"]
    assert "What it can't show: anybody's gender" in text


def test_folders_without_pictures_say_so(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        probes.picture_limits(tmp_path / "none")
    with pytest.raises(DataError, match="has no pictures"):
        probes.bias_examples(tmp_path)
