"""Validation while training, on tiny random networks: what it edits is what the editor edits, and its numbers are those of the pictures."""

import pytest
import tiny
import torch

from ip2p.checkpoint import Checkpoint
from ip2p.data.example import Example
from ip2p.edit import Editor
from ip2p.metrics.perceptual import Perceptual
from ip2p.networks import build_unet
from ip2p.training.validation import Validation

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()} | {"text_scale": "5.0", "image_scale": "1.3", "steps": "3"}


@pytest.fixture(scope="module")
def editor():
    return Editor.build(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS), torch.device("cpu"))


def pictures(number, height=64, width=64):
    return torch.rand(2, height, width, 3, generator=torch.Generator().manual_seed(number))


def example(number, height=64, width=64, **more):
    source, answer = pictures(number, height, width)
    return Example(f"e{number}", f"make it number {number}", lambda: source, edited=lambda: answer, **more)


def test_an_edit_is_the_editors_own_with_its_own_seed(editor):
    judged = {}

    def judge_of(number):
        def judge(result):
            judged[number] = result
            return {"right": float(number == 1)}

        return judge

    sizes = ((64, 64), (48, 64), (64, 64))
    examples = [example(number, *size, judge=judge_of(number)) for number, size in enumerate(sizes)]
    found = Validation(examples, editor, seed=7)(editor.unet)
    l1 = []
    for number, one in enumerate(examples):
        alone = editor.edit(one.image()[None], one.instruction, seed=7 + number)[0]
        assert torch.allclose(judged[number], alone, atol=1e-4)
        l1.append(float((alone - one.edited()).abs().mean()))
    assert found.numbers["l1_target"] == pytest.approx(sum(l1) / 3, abs=1e-4)
    assert found.numbers["right"] == pytest.approx(1 / 3)
    assert found.score == found.numbers["right"]


def test_every_pair_of_scales_is_edited_measured_and_shown(editor):
    weights = {f"features.{i}.weight": torch.rand(8, 3 if i == 0 else 8, 3, 3) for i in range(5)}
    weights |= {f"features.{i}.bias": torch.zeros(8) for i in range(5)} | {f"linear.{i}": torch.ones(8) for i in range(5)}
    from ip2p.metrics.measures import Measures

    validation = Validation([example(0)], editor, (1.0, 7.5), (1.0, 1.5), steps=2, measures=Measures(lpips=Perceptual(weights)))
    found = validation(editor.unet, step=40)
    pairs = ("1/1", "1/1.5", "7.5/1", "7.5/1.5")
    values = [found.numbers[f"lpips_target {pair}"] for pair in pairs]
    assert len(set(values)) == 4
    assert found.numbers["lpips_target"] == pytest.approx(sum(values) / 4)
    assert found.score == -found.numbers["lpips_target"]
    one = Validation([example(0)], editor, (1.0,), (1.0,), steps=2)(editor.unet)
    assert found.picture.shape[1] > one.picture.shape[1] + 3 * 160


def test_it_follows_the_network_it_is_given_and_leaves_it_training(editor):
    validation = Validation([example(0)], editor, steps=2)
    other = build_unet(Checkpoint(tiny.ldm(tiny.unet(seed=5)), "sd15", "only", SETTINGS)).train()
    first, second, again = validation(editor.unet), validation(other), validation(editor.unet)
    assert first.numbers == again.numbers != second.numbers
    assert other.training
    assert not editor.unet.training
    assert torch.equal(first.picture, again.picture)


def test_sampling_can_be_stopped_from_outside(editor):
    class Stop(Exception):  # noqa: N818
        pass

    def stop(done, total, _):
        if done == 2:
            raise Stop

    unet = build_unet(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS)).train()
    with pytest.raises(Stop):
        Validation([example(0)], editor)(unet, on_step=stop)
    assert unet.training


def test_nothing_to_validate_on_is_refused(editor):
    with pytest.raises(ValueError, match="no examples"):
        Validation([], editor)
