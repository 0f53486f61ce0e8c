"""Where an instruction works: Otsu's threshold, and the map that a run leaves behind."""

import numpy as np
import pytest
import tiny
import torch
from scipy import ndimage

from ip2p.checkpoint import Checkpoint
from ip2p.edit import Editor
from ip2p.engine import Engine, Step
from ip2p.guidance import Passes, Predictions
from ip2p.refresh import Refresh
from ip2p.relevance import UNTIL, Relevance, difference, otsu, smoothed

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


@pytest.fixture(scope="module")
def editor():
    return Editor.build(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS), torch.device("cpu"))


@pytest.fixture(scope="module")
def photo():
    return torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(3))


def brute_force(values):
    """(threshold, share of variance between the classes), by trying every parting."""
    ordered = np.sort(values)
    best = 0.0, ordered[0]
    for k in range(1, len(ordered)):
        low, high = ordered[:k], ordered[k:]
        between = len(low) * len(high) / len(ordered) ** 2 * (high.mean() - low.mean()) ** 2
        if ordered[k] > ordered[k - 1] and between > best[0]:
            best = between, (ordered[k - 1] + ordered[k]) / 2
    return best[1], best[0] / ordered.var()


@pytest.mark.parametrize("seed", range(6))
def test_otsu_is_the_best_of_all_partings(seed):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, size=60)
    values[:20] += rng.uniform(0, 6)
    values[30:40] = values[30]  # ties are never parted
    threshold, share = brute_force(values)
    split = otsu(torch.from_numpy(values)[None])
    assert split.threshold.item() == pytest.approx(threshold, rel=1e-12)
    assert split.separability.item() == pytest.approx(share, rel=1e-9)
    assert split.area.item() == pytest.approx((values > threshold).mean())
    assert split.ratio.item() == pytest.approx(values[values > threshold].mean() / values[values <= threshold].mean())


def test_otsu_of_each_picture_by_itself():
    maps = torch.zeros(3, 1, 8, 8)
    maps[0, 0, :2] = 1
    maps[1, 0, :, :4] = 5
    maps[1, 0, :, 4:] = 4
    split = otsu(maps)
    assert split.threshold.tolist() == [0.5, 4.5, 0.0]
    assert split.area.tolist() == [0.25, 0.5, 0.0]
    assert split.separability.tolist() == pytest.approx([1.0, 1.0, 0.0])
    assert split.ratio[1:].tolist() == [1.25, 1.0]


def test_otsu_of_one_value_has_no_upper_class():
    assert otsu(torch.ones(1, 1, 1, 1)).area.item() == 0


@pytest.mark.parametrize("wrong", [torch.zeros(1, 0), torch.tensor([[1.0, float("nan")]]), torch.tensor([[1.0, float("inf")]])])
def test_maps_without_finite_values_are_named(wrong):
    with pytest.raises(ValueError, match="finite values"):
        otsu(wrong)


def test_smoothing_is_a_binomial_blur():
    values = torch.rand(2, 1, 9, 7, generator=torch.Generator().manual_seed(1))
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for ours, one in zip(smoothed(values), values, strict=True):
        assert np.allclose(ours[0].numpy(), ndimage.convolve(one[0].numpy(), kernel, mode="nearest"), atol=1e-6)
    assert torch.allclose(smoothed(torch.full((1, 1, 3, 3), 2.0)), torch.full((1, 1, 3, 3), 2.0))


def told(part, progress, text, image, fresh=True):
    """One step of a run, as the engine asks a part."""
    step = Step(text, 2.0, progress)
    part.computes(step, Passes(True, fresh, True))
    part.complete(step, Predictions(text, image, None), Passes(True, True, True))


def test_the_map_is_the_mean_of_fresh_early_differences():
    x = [torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in range(6)]
    part = Relevance().begin()
    told(part, 0.0, x[0], x[1])
    told(part, 0.3, x[2], x[3], fresh=False)  # held from an earlier step
    told(part, UNTIL, x[4], x[5])
    told(part, 0.9, x[0], x[5])  # too late
    expected = (difference(x[0], x[1], 2.0) + difference(x[4], x[5], 2.0)) / 2
    assert torch.allclose(part.map(), smoothed(expected))
    assert part.begin().map() is None


def test_a_run_that_begins_late_counts_all_its_steps():
    x = [torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    part = Relevance().begin()
    told(part, 0.8, x[0], x[1])
    told(part, 0.9, x[2], x[3])
    assert torch.allclose(part.map(), smoothed((difference(x[0], x[1], 2.0) + difference(x[2], x[3], 2.0)) / 2))


def run(editor, photo, *parts, text_scale=5.0, image_scale=1.5, steps=4):
    engine = Engine(parts)
    edited = editor.edit(photo, "make it night", engine=engine, steps=steps, text_scale=text_scale, image_scale=image_scale)
    return edited, engine


def seen(engine):
    """The relevance part of a run."""
    (part,) = (part for part in engine.parts if isinstance(part, Relevance))
    return part


def test_it_changes_nothing_and_takes_no_further_pass(editor, photo):
    plain, before = run(editor, photo)
    edited, after = run(editor, photo, Relevance())
    assert torch.equal(edited, plain)
    assert after.counted == before.counted
    assert seen(after).map().shape == (2, 1, 8, 8)
    assert not torch.equal(seen(after).map()[0], seen(after).map()[1]), "each picture has its own"


def test_the_collapse_of_equal_scales_does_not_lose_it(editor, photo):
    plain, before = run(editor, photo, text_scale=2.0, image_scale=2.0)
    edited, after = run(editor, photo, Relevance(), text_scale=2.0, image_scale=2.0)
    assert before.counted.made == 2 * 4 * 2
    assert after.counted.made == 3 * 4 * 2
    assert torch.allclose(edited, plain, atol=1e-4)
    assert seen(after).map() is not None


def test_held_terms_do_not_count(editor, photo):
    """Of five steps the last two are late; of the first three, the text term of the second is held."""
    _, held = run(editor, photo, Relevance(), Refresh(2, 2), steps=5)
    _, exact = run(editor, photo, Relevance(), steps=5)
    assert (seen(held)._steps, seen(exact)._steps) == (2, 3)
