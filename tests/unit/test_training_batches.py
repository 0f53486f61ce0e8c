"""Batches of encoded pairs: the same however a step is split, cut alike for both pictures, kept on disk, robust against bad pairs."""

import json
import logging
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
import training_sets as sets
from PIL import Image

from ip2p.checkpoint import Checkpoint
from ip2p.data.example import DataError, Example
from ip2p.data.pairs import PairSet, open_pairs
from ip2p.training.batches import Batches, pairs_of
from ip2p.training.config import DataConfig
from ip2p.training.cutting import Cut, bucket_of, bucket_sizes, cut_pair, names_a_side
from ip2p.training.encoders import Encoders
from ip2p.training.order import Order

SMALL = DataConfig(crop=32, sizes=(32, 36), variants=0)


@pytest.fixture(scope="module")
def encode():
    return Encoders(Checkpoint(tiny.ldm(), "sd15", "only", {name: str(value) for name, value in tiny.SETTINGS.items()}))


@pytest.fixture
def folder(tmp_path):
    return sets.authors(tmp_path / "data", prompts=7, size=(48, 40))


def batches(folder, encode, config=SMALL, seed=3, batch=4, **more):
    return Batches(open_pairs(str(folder), "all"), encode, config, seed, batch, **more)


def equal(first, second):
    parts = ("mean", "deviation", "image", "text", "empty")
    draws = ("t", "noise", "posterior", "r")
    return (
        all(torch.equal(getattr(first, name), getattr(second, name)) for name in parts)
        and all(torch.equal(getattr(first.draws, name), getattr(second.draws, name)) for name in draws)
        and first.ids == second.ids
    )


def taken(batch, indices):
    """Some samples of a batch."""
    rows = {name: getattr(batch, name)[indices] for name in ("mean", "deviation", "image", "text")}
    draws = type(batch.draws)(*(getattr(batch.draws, name)[indices] for name in ("t", "noise", "posterior", "r")))
    return replace(batch, **rows, draws=draws, ids=tuple(batch.ids[index] for index in indices))


@pytest.mark.parametrize(
    "change", [{}, {"variants": 2}, {"buckets": True, "crop": 128, "sizes": (128, 128)}, {"misaligned": 0.5}, {"threads": 0}]
)
def test_a_step_is_the_same_however_it_is_split(folder, encode, tmp_path, change):
    config = replace(SMALL, **change)
    with batches(folder, encode, config, cache=tmp_path / "one") as whole, batches(folder, encode, config, cache=tmp_path / "two") as split:
        for step in (0, 1, 9, 2):
            all_of_it = whole(step, range(4))
            for indices in ([2, 3], [0], [1]):
                assert equal(split(step, indices), taken(all_of_it, indices))


def test_an_epoch_meets_every_prompt_once_and_the_next_in_another_order():
    order = Order(7, seed=1, batch=3)
    met = [order.group(*divmod(place, 3)) for place in range(21)]
    epochs = [met[:7], met[7:14], met[14:]]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [Order(7, 2, 3).group(0, index) for index in range(3)] != met[:3] or Order(7, 2, 3).group(1, 0) != met[3]


def test_both_pictures_get_one_crop_and_one_flip():
    rng = np.random.default_rng(0)
    picture = torch.from_numpy(rng.random((50, 70, 3), dtype=np.float32))
    for _ in range(20):
        left, top, zoom = rng.random(), rng.random(), 1 + rng.random() / 8
        cut = Cut(32, 32, zoom, left, top, bool(rng.integers(2)))
        first, second = cut_pair(picture, 1 - picture, cut, "a pair")
        assert first.shape == (32, 32, 3)
        assert np.abs(first.astype(int) + second - 255).max() <= 2
        mirrored = cut_pair(picture, picture, replace(cut, flip=not cut.flip), "a pair")[0]
        assert np.array_equal(mirrored, first[:, ::-1])


def test_resize_and_crop_are_pillows():
    """The crop of the resized picture, up to the rounding of a resampled box."""
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)).resize((480, 320))
    cut = Cut(64, 64, 72 / 64, 0.5, 0.999, False)
    resized = picture.resize((108, 72), Image.Resampling.LANCZOS)
    wanted = np.asarray(resized.crop((22, 8, 86, 72))).astype(int)
    assert np.abs(cut(picture).astype(int) - wanted).max() <= 2


def test_crops_and_flips_are_spread(encode, folder):
    with batches(folder, encode) as made:
        rngs = [np.random.default_rng(seed) for seed in range(2000)]
        cuts = [made._cut("key", (32, 32), "make it red", rng, 0)[0] for rng in rngs]
    zooms = Counter(round(cut.zoom * 32) for cut in cuts)
    assert sorted(zooms) == [32, 33, 34, 35, 36]
    assert min(zooms.values()) > 300
    assert 900 < sum(cut.flip for cut in cuts) < 1100
    assert abs(np.mean([cut.left for cut in cuts]) - 0.5) < 0.03


def test_instructions_that_name_a_side_are_not_mirrored(encode, folder):
    assert names_a_side("turn the LEFT tree red")
    assert not names_a_side("make it bright, leftover food")
    for mirrored, expected in ((False, 0), (True, 100)):
        with batches(folder, encode, replace(SMALL, flip=1.0, mirror_sides=mirrored)) as made:
            cuts = [made._cut("key", (32, 32), "the right one", np.random.default_rng(seed), 0)[0] for seed in range(100)]
        assert sum(cut.flip for cut in cuts) == expected


def test_buckets_keep_the_shapes_of_pictures(tmp_path, encode):
    for number in range(12):
        wide = number % 2
        sets.lone_pair(tmp_path, number, (96, 48) if wide else (48, 96), number)
    config = replace(SMALL, crop=192, sizes=(192, 192), buckets=True)
    with batches(tmp_path, encode, config, batch=3) as made:
        shapes = {}
        for step in range(8):
            batch = made(step, range(3))
            shapes[step] = tuple(batch.mean.shape[2:])
    assert set(shapes.values()) == {(16, 32), (32, 16)}
    assert sorted(bucket_sizes(256))[0][0] < 256 < sorted(bucket_sizes(256))[-1][0]
    assert all(wide % 64 == high % 64 == 0 and 0.7 < wide * high / 256**2 < 1.3 for wide, high in bucket_sizes(256))
    assert bucket_of(1.0, bucket_sizes(256)) == (256, 256)


def test_latents_and_texts_are_encoded_once(folder, encode, tmp_path, monkeypatch):
    """A later run, with another seed, asks neither network anything once all variants are kept."""
    config = replace(SMALL, variants=2)
    with batches(folder, encode, config, cache=tmp_path / "cache") as made:
        before = [made(step, range(4)) for step in range(80)]
    fresh = Encoders(encode.checkpoint)
    monkeypatch.setattr(fresh, "latent", None)
    monkeypatch.setattr(fresh, "text", None)
    with batches(folder, fresh, config, cache=tmp_path / "cache") as made:
        assert all(equal(made(step, range(4)), before[step]) for step in (0, 7, 79))
    with batches(folder, fresh, config, seed=11, cache=tmp_path / "cache") as made:
        assert made(5, range(4)).mean.shape == (4, 4, 4, 4)


def test_what_is_kept_equals_what_is_encoded(folder, encode, tmp_path):
    config = replace(SMALL, variants=3)
    with batches(folder, encode, config, cache=tmp_path / "cache") as kept, batches(folder, encode, config) as plain:
        first = [kept(step, range(4)) for step in range(6)]
        assert all(equal(plain(step, range(4)), first[step]) for step in range(6))


def test_a_changed_picture_crop_or_autoencoder_is_encoded_anew(folder, encode, tmp_path):
    config = replace(SMALL, variants=1)
    other = Encoders(Checkpoint(tiny.ldm(autoencoder=tiny.vae(seed=5)), "sd15", "only", encode.checkpoint.settings))
    assert other.latent_identity != encode.latent_identity
    assert other.text_identity == encode.text_identity
    with batches(folder, encode, config, cache=tmp_path / "cache") as made:
        before = made(0, [0])
    with batches(folder, other, config, cache=tmp_path / "cache") as made:
        assert not torch.equal(made(0, [0]).mean, before.mean)
    prompt, seed = before.ids[0].split("/")
    Image.new("RGB", (48, 40), "red").save(folder / prompt / f"{seed}_1.jpg")
    with batches(folder, encode, config, cache=tmp_path / "cache") as made:
        assert not torch.equal(made(0, [0]).mean, before.mean)


def test_a_damaged_entry_is_made_again(folder, encode, tmp_path, caplog):
    config = replace(SMALL, variants=1)
    with batches(folder, encode, config, cache=tmp_path / "cache") as made:
        before = made(0, range(4))
    files = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    for number, file in enumerate(files):
        data = bytearray(file.read_bytes())
        file.write_bytes(data[: len(data) // 2] if number % 2 else data[:-3] + b"abc")
    with batches(folder, encode, config, cache=tmp_path / "cache") as made:
        assert equal(made(0, range(4)), before)
    assert "is damaged and is made again" in caplog.text
    caplog.clear()
    with batches(folder, encode, config, cache=tmp_path / "cache") as made:
        assert equal(made(0, range(4)), before)
    assert caplog.text == ""


def test_training_goes_on_where_nothing_can_be_kept(folder, encode, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with (
        batches(folder, encode, replace(SMALL, variants=1), cache=tmp_path / "cache") as made,
        batches(folder, encode, replace(SMALL, variants=1)) as plain,
    ):
        assert equal(made(0, range(4)), plain(0, range(4)))
    told = [record.getMessage() for record in caplog.records if "kept in" in record.getMessage()]
    assert len(told) == 2, "once for latents and once for texts"
    assert "name another folder" in told[0]


def test_pairs_that_can_not_be_used_are_told_once_and_replaced(folder, encode, caplog):
    (folder / "0000002" / "11_1.jpg").unlink()
    (folder / "0000002" / "12_0.jpg").write_bytes(b"no picture")
    Image.new("RGB", (90, 20)).save(folder / "0000003" / "11_1.jpg")
    Image.new("RGB", (90, 20)).save(folder / "0000003" / "12_1.jpg")
    (folder / "0000004" / "prompt.json").write_text(json.dumps({"edit": " "}))
    with caplog.at_level(logging.WARNING), batches(folder, encode) as made:
        ids = {name for step in range(20) for name in made(step, range(4)).ids}
        reasons = sorted(made.left_out)
    assert {name.split("/")[0] for name in ids} == {"0000000", "0000001", "0000005", "0000006"}
    assert len(reasons) == len([record for record in caplog.records if "left out" in record.getMessage()]) == 6
    assert any("0000004/11 has an empty instruction: write one, or take the pair out." in reason for reason in reasons)
    assert any("are 48 x 40 and 90 x 20 pixels: make both one size." in reason for reason in reasons)
    assert any("11_1.jpg is not there" in reason for reason in reasons)


def test_a_set_without_a_usable_pair_ends_in_a_sentence(folder, encode):
    for file in folder.rglob("*_1.jpg"):
        file.unlink()
    with batches(folder, encode) as made, pytest.raises(DataError, match="100 pairs of data after one another can't be used; the last:"):
        made(0, range(2))


def test_pictures_of_two_sizes_but_one_shape_fit(encode):
    small, large = torch.rand(40, 40, 3), torch.rand(80, 80, 3)
    assert cut_pair(small, large, Cut(32, 32, 1.0, 0, 0, False), "a pair").shape == (2, 32, 32, 3)


def test_misaligned_pairs_get_anothers_words(encode):
    def group(number):
        return (Example(f"{number}", f"edit {number}", lambda: torch.zeros(32, 32, 3), edited=lambda: torch.ones(32, 32, 3)),)

    pairs = PairSet("many", 500, group, lambda number, pair: f"{number}")
    with Batches(pairs, encode, replace(SMALL, misaligned=0.3), 0, 1000) as made:
        said = [(s.id, s.instruction) for s in (made._prepare(0, index) for index in range(1000))]
    assert 240 < sum(instruction != f"edit {name}" for name, instruction in said) < 360


def test_of_countless_made_pairs_none_is_kept(encode, tmp_path):
    def made(length, ask):
        example = Example("one", "edit", lambda: torch.zeros(32, 32, 3), edited=lambda: torch.ones(32, 32, 3), ask=ask)
        return PairSet("made", length, lambda number: (example,), lambda number, pair: f"{number}")

    def files(pairs, name):
        with Batches(pairs, encode, replace(SMALL, variants=1), 0, 4, tmp_path / name) as batches:
            batches(0, range(4))
        return len(list((tmp_path / name / "latents").rglob("*.features")))

    assert files(made(2_000_000, lambda rng: "edit"), "countless") == 0
    assert files(made(1000, lambda rng: "edit"), "few") == files(made(2_000_000, None), "stored") == 4


def test_latents_of_files_whose_names_are_no_utf8_are_kept(folder, encode, tmp_path):
    pairs = open_pairs(str(folder), "all")
    odd = replace(pairs, key=lambda number, pair: f"caf\udce9 {number} {pair}")
    with Batches(odd, encode, replace(SMALL, variants=1), 0, 4, tmp_path / "cache") as made:
        before = made(0, range(4))
        assert equal(made(0, range(4)), before)
        assert not made.left_out


def test_no_thread_outlives_a_run(folder, encode):
    def ours():
        return [thread for thread in threading.enumerate() if thread.name.startswith("ip2p-batches")]

    made = batches(folder, encode, replace(SMALL, threads=3))
    made(0, range(4))
    assert ours()
    made.close()
    assert not ours()
    assert made(0, range(4)).mean.shape == (4, 4, 4, 4), "after it is closed it goes on by itself"


def test_encoders_are_built_when_needed_and_given_back(encode):
    made = Encoders(encode.checkpoint)
    assert made._vae is None
    mean, deviation = made.latent(torch.rand(2, 32, 48, 3))
    assert mean.shape == deviation.shape == (2, 4, 4, 6)
    assert (deviation > 0).all()
    assert made.text(["one", "two"]).shape == (2, 77, 32)
    made.release()
    assert made._vae is None
    assert torch.equal(made.text(["two"]), encode.text(["one", "two"])[1:])


def test_the_set_of_a_config(folder):
    config = replace(SMALL, source=str(folder), split="all")
    assert pairs_of(config).length == 7
    assert pairs_of(replace(config, count=2)).length == 2
    world = pairs_of(replace(SMALL, source="world:add", crop=64, sizes=(72, 80)))
    assert world.group(0)[0].image().shape == (72, 72, 3)
