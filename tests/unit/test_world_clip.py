"""The world's small CLIP: how it is trained, and that the one shipped tells right edits from wrong ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from ip2p.metrics.clip import Clip
from ip2p.metrics.measures import Measures
from ip2p.small import world_clip
from ip2p.small.config import Clip as Config
from ip2p.small.fitting import fit
from ip2p.training.schedule import Schedule
from ip2p.worlds import language
from ip2p.worlds.chance import random_scene
from ip2p.worlds.drawing import draw
from ip2p.worlds.tasks import random_task

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "world_clip"
TINY = Config(
    size=64,
    patch=16,
    width=32,
    heads=2,
    image_layers=1,
    text_layers=1,
    projection=16,
    pool=12,
    fresh=1,
    schedule=Schedule(steps=6, batch=8, rate=1e-3, warmup=1, save_every=3),
)


def trained(path, config, resume=False):
    torch.manual_seed(0)
    model = world_clip.build(config)
    fit(model, world_clip.ClipLoss(model, config), config.schedule, path, resume)
    return model.state_dict()


@pytest.mark.whole
def test_a_resumed_training_is_the_same_to_the_bit(tmp_path):
    whole = trained(tmp_path / "whole", TINY)
    torch.manual_seed(0)
    model = world_clip.build(TINY)
    loss, count = world_clip.ClipLoss(model, TINY), [0]

    def until_three(chance):
        count[0] += 1
        if count[0] > 3:
            raise KeyboardInterrupt
        return loss(chance)

    with pytest.raises(KeyboardInterrupt):
        fit(model, until_three, TINY.schedule, tmp_path / "cut")
    resumed = trained(tmp_path / "cut", TINY, resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_every_word_of_a_caption_has_a_token():
    tokens = world_clip.tokenizer()
    rng = np.random.default_rng(1)
    for _ in range(500):
        ids = tokens(language.caption(random_scene(rng)))["input_ids"]
        assert world_clip.vocabulary()[world_clip.UNKNOWN] not in ids
        assert len(ids) <= world_clip.LENGTH


def test_it_is_saved_as_any_clip_is(tmp_path):
    model = world_clip.build(TINY).eval()
    picture, text = draw(random_task(0, size=64).scene, 64).picture, "a red ball in a meadow"
    words = world_clip.tokenizer()(text, return_tensors="pt")
    with torch.no_grad():
        expected = model.half().float()(
            input_ids=words["input_ids"], attention_mask=words["attention_mask"], pixel_values=world_clip.normalised(picture)[None]
        )
    world_clip.save(model, tmp_path / "clip")
    loaded = Clip.load(str(tmp_path / "clip"), device="cpu")
    torch.testing.assert_close(loaded(torch.from_numpy(picture)[None]), expected.image_embeds, atol=1e-4, rtol=0)
    torch.testing.assert_close(loaded.texts([text]), expected.text_embeds, atol=1e-4, rtol=0)


@pytest.mark.whole
def test_the_shipped_one_tells_right_captions_and_edits_from_wrong_ones():
    model = CLIPModel.from_pretrained(SHIPPED).float().eval()
    found = world_clip.retrieval(model, seed=2, count=50, size=model.config.vision_config.image_size)
    assert found["caption_of"] > 0.8, found
    assert found["direction_of"] > 0.8, found
    assert found["direction"] > 0.4, found


def test_the_shipped_one_measures():
    task = random_task(5, ("time",), 128)
    measures = Measures.load(clip=str(SHIPPED), device="cpu")
    source, answer = torch.from_numpy(task.source()), torch.from_numpy(task.answer())
    right = measures(source, answer, caption=task.caption, edited_caption=task.edited_caption)
    nothing = measures(source, source, caption=task.caption, edited_caption=task.edited_caption)
    assert right["clip_direction"] > 0.3
    assert abs(nothing["clip_direction"]) < 0.05
    assert right["clip_text"] > nothing["clip_text"]
    assert nothing["clip_image"] > right["clip_image"]
