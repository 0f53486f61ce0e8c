"""Draws, thresholds, hashes and the filter: what is kept, what is not, and why."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from pair_runs import TRIPLETS, files
from store_sets import made_record, picture, write

from ip2p.data.collect import collect
from ip2p.data.convert import UNSTORABLE
from ip2p.data.example import DataError
from ip2p.data.record import Record
from ip2p.data.records import records
from ip2p.data.writers import open_writer
from ip2p.metrics.clip import OWN
from ip2p.pairs.draws import Settings, chunks, draw
from ip2p.pairs.early_stop import EarlyStop
from ip2p.pairs.filter import DUPLICATE, NO_PICTURES, Prompt, choose, filtered
from ip2p.pairs.filter_run import Wish, filter_into
from ip2p.pairs.hashes import Seen, distance, perceptual_hash
from ip2p.pairs.thresholds import PAPER, REASONS, UNSCORED, WORLD, Rules, Thresholds, own, parse

GOOD = {"clip_sim_image": 0.9, "clip_sim_0": 0.3, "clip_sim_1": 0.3, "clip_sim_dir": 0.4}


def facts(number=0, **scores):
    """A good sample's facts, with other scores; each number has hashes that are far from all others'."""
    chance = np.random.default_rng(number)
    return {**GOOD, "hashes": [chance.bytes(8).hex(), chance.bytes(8).hex()], "passes": 40, **scores}


def prompt(found, kind=""):
    def read(place):
        return Record("one", str(place), "a cat", "make it a dog", "a dog", b"first", b"second", facts=found[place])

    return Prompt("one", kind, found, read)


def test_draws_depend_on_the_triplet_and_the_number_alone():
    settings = Settings(samples=10, batch=4)
    drawn = [sample for chunk in chunks(TRIPLETS[0], settings) for sample in chunk]
    assert [len(chunk) for chunk in chunks(TRIPLETS[0], settings)] == [4, 4, 2]
    assert drawn == [draw(TRIPLETS[0], number, replace(settings, samples=99, batch=3, steps=7)) for number in range(10)]
    assert len({sample.seed for triplet in TRIPLETS for sample in [draw(triplet, 0), draw(triplet, 1)]}) == 8
    first = drawn[0]
    assert (first.seed, first.p, first.guidance) == (590388130175977, 0.595109, 8.215486)  # on every machine, in every version


def test_draws_fill_their_ranges_evenly():
    drawn = [draw(TRIPLETS[0], number) for number in range(2000)]
    for values, (low, high) in (([one.p for one in drawn], (0.1, 0.9)), ([one.guidance for one in drawn], (7.5, 15.0))):
        assert low <= min(values) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < max(values) <= high
        assert np.histogram(values, bins=8, range=(low, high))[0].min() > 200
    assert all(0 <= one.seed < 2**53 for one in drawn)
    assert abs(np.corrcoef([one.p for one in drawn], [one.guidance for one in drawn])[0, 1]) < 0.07


@pytest.mark.parametrize(
    "wrong",
    [
        *({"samples": 0}, {"steps": 0}, {"batch": 0}, {"size": 100}, {"size": 8}, {"sampler": "dpm"}),
        *({"p": (0.9, 0.1)}, {"p": (0, 2)}, {"guidance": (1, float("nan"))}),
    ],
)
def test_settings_that_no_sample_can_have_are_refused(wrong):
    with pytest.raises(ValueError, match="use"):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("score", "reason"),
    [("clip_sim_image", "image"), ("clip_sim_0", "caption"), ("clip_sim_1", "edited_caption"), ("clip_sim_dir", "direction")],
)
def test_the_papers_thresholds(score, reason):
    least = {"image": 0.75, "caption": 0.2, "edited_caption": 0.2, "direction": 0.2}[reason]
    assert Thresholds().failed({**GOOD, score: least}) == ""
    assert Thresholds().failed({**GOOD, score: least - 1e-6}) == REASONS[reason][1]
    assert Thresholds().failed({**GOOD, score: least - 0.05}, slack=0.1) == ""
    assert Thresholds().failed({name: value for name, value in GOOD.items() if name != score}) == UNSCORED
    assert Thresholds(**{reason: None}).failed({**GOOD, score: -1.0}) == ""


def test_optional_ratings_count_where_they_are_asked_for():
    asked = Thresholds(aesthetic=5.0, nsfw=0.5)
    assert asked.failed({**GOOD, "aesthetic": 5.5, "nsfw": 0.1}) == ""
    assert asked.failed({**GOOD, "aesthetic": 4.9, "nsfw": 0.1}, slack=1.0) == REASONS["aesthetic"][1]
    assert asked.failed({**GOOD, "aesthetic": 5.5, "nsfw": 0.6}, slack=1.0) == REASONS["nsfw"][1]
    assert asked.failed(GOOD) == UNSCORED


def test_thresholds_of_single_kinds():
    rules = parse("style: image=.5, direction=none\ntime: edited-caption=0.1", Rules())
    assert rules.of("recolour") == Thresholds()
    assert rules.of("style") == Thresholds(image=0.5, direction=None)
    far = facts(clip_sim_image=0.6)
    assert choose(prompt([far], "style"), rules).kept == [0]
    assert choose(prompt([far], "time"), rules).rejected == {0: REASONS["image"][1]}


def test_a_clip_comes_with_its_own_thresholds(tmp_path):
    from ip2p.metrics.clip import Clip, config_of

    world = Clip.load("world", device="cpu")
    assert own(world.model.config) == own(config_of("world")) == own(config_of(str(OWN["world"]))) == WORLD
    assert own(config_of("openai/clip-vit-large-patch14")) == own({}) == PAPER
    assert PAPER.of("style") == Thresholds(0.75, 0.2, 0.2, 0.2)
    assert Rules.of_told(json.loads(json.dumps(WORLD.told()))) == WORLD
    stricter = WORLD.changed(direction=0.9)
    assert {stricter.of(kind).direction for kind in ("", *WORLD.kinds)} == {0.9}
    assert stricter.of("weather").image == WORLD.of("weather").image


@pytest.mark.parametrize("text", ["style", "style: image", "style: picture=.5", "style: image=high", "style: image=3", ": image=.5"])
def test_thresholds_that_say_nothing_are_refused(text):
    with pytest.raises(ValueError, match=r"threshold|number"):
        parse(text, Rules())


def test_the_best_four_by_direction_are_kept_and_every_other_one_has_its_reason():
    found = [facts(number, clip_sim_dir=value) for number, value in enumerate((0.3, 0.5, 0.1, 0.4, 0.6, 0.35, 0.45))]
    found += [facts(7, clip_sim_image=0.7), {"dropped": "hopeless midway: x", "passes": 20}, {**found[4], "clip_sim_dir": 0.55}]
    choice = choose(prompt(found), Rules())
    assert choice.kept == [4, 1, 6, 3]
    assert choice.rejected == {
        0: "not among the best 4 of its prompt",
        2: REASONS["direction"][1],
        5: "not among the best 4 of its prompt",
        7: REASONS["image"][1],
        8: "hopeless midway: x",
        9: DUPLICATE,
    }
    assert sorted([*choice.kept, *choice.rejected]) == list(range(10))
    assert choose(prompt(found), Rules(), keep=1).kept == [4]


def test_the_report_counts_all_candidates_and_their_passes():
    found = [facts(number, clip_sim_dir=0.1 * number) for number in range(6)]
    report = filtered(iter([prompt(found, "style"), prompt([facts(99, clip_sim_0=0.0)])]), Rules())
    told = report.told()
    assert (told["prompts"], told["prompts_with_pairs"], told["candidates"], told["kept"]) == (2, 1, 7, 4)
    assert told["passes"] == 280
    assert told["passes_per_kept"] == 70.0
    assert told["mean_direction"] == pytest.approx(0.35)
    assert told["kinds"] == {"style": 4}
    assert sum(told["rejected"].values()) == 3
    assert "70 network passes per kept pair (10,000 at least by the authors' procedure)" in str(report)


def test_look_alikes_of_other_prompts_are_left_out_too():
    same = facts(1)
    report = filtered(iter([prompt([same]), prompt([same]), prompt([facts(2)])]), Rules())
    assert (report.kept, report.reasons) == (2, Counter({DUPLICATE: 1}))
    assert filtered(iter([prompt([same]), prompt([same])]), Rules(), near=None).kept == 2


def test_a_pair_whose_pictures_are_gone_is_left_out_with_its_reason(tmp_path):
    def gone(place):
        raise DataError("one lacks 5_0.jpg.")

    with open_writer(tmp_path / "out", "plain", {}) as writer:
        report = filtered(iter([Prompt("one", "", [facts()], gone)]), Rules(), writer=writer)
    assert (report.kept, report.reasons) == (0, Counter({NO_PICTURES: 1}))


def test_a_pair_that_can_not_be_stored_is_left_out_when_the_filter_goes_on_too(tmp_path):
    candidates = [facts(1, clip_sim_dir=0.9), facts(2, clip_sim_dir=0.8), facts(3)]

    def read(place):
        image = b"no picture" if place == 1 else picture(place)
        return Record("one", str(place), "a cat", "make it a dog", "a dog", image, picture(9), facts=candidates[place])

    def stop(*_):
        raise KeyboardInterrupt

    for on_prompt in (stop, None):
        with suppress(KeyboardInterrupt), open_writer(tmp_path / "out", "plain", {}) as writer:
            report = filtered(iter([Prompt("one", "", candidates, read)]), Rules(), writer=writer, on_prompt=on_prompt)
    assert (report.kept, report.reasons) == (2, Counter({UNSTORABLE: 1}))
    assert len(list(records(str(tmp_path / "out")))) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", None])
def test_a_score_that_is_no_number_is_none(value):
    assert PAPER.general.failed({**GOOD, "clip_sim_dir": value}) == UNSCORED


def test_a_filter_removes_neither_its_source_nor_anything_for_data_that_is_not_there(tmp_path):
    source = write(tmp_path / "set", [made_record("one", "1", facts=facts())], settings={"made_by": "ip2p filter"})
    before = files(source)
    with pytest.raises(DataError, match="lie in each other"):
        filter_into(Wish(str(source)), source, replace=True)
    with pytest.raises(DataError, match="There is no data at"):
        filter_into(Wish(str(tmp_path / "misspelt")), source, replace=True)
    assert files(source) == before


def test_a_data_set_that_has_grown_is_filtered_anew(tmp_path):
    for count in (1, 2):
        collect(tmp_path / "set", made_record("one", "1", count, facts=facts(count)))
        assert filter_into(Wish(str(tmp_path / "set")), tmp_path / "out", "plain", replace=True).kept == count
        assert len(list(records(str(tmp_path / "out")))) == count


def test_a_data_set_is_filtered_again_by_the_thresholds_that_it_was_made_with(tmp_path):
    source = write(tmp_path / "set", [made_record("one", "1", facts=facts(clip_sim_image=0.5))])
    mild = Rules(Thresholds(0.4, 0.2, 0.2, 0.2))
    assert filter_into(Wish(str(source), mild), tmp_path / "first").kept == 1
    assert Wish(str(tmp_path / "first")).rules == mild
    assert filter_into(Wish(str(tmp_path / "first")), tmp_path / "second").kept == 1
    assert Wish(str(source)).rules == PAPER
    assert filter_into(Wish(str(source)), tmp_path / "third").kept == 0


def scene(seed):
    """A smooth random picture (64, 64, 3)."""
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)[0].movedim(0, -1)


def test_a_perceptual_hash_knows_a_picture_again():
    for seed in range(8):
        one = perceptual_hash(scene(seed))
        assert len(one) == 16
        noisy = (scene(seed) + 0.01 * torch.randn(64, 64, 3, generator=torch.Generator().manual_seed(9))).clamp(0, 1)
        small = torch.nn.functional.interpolate(scene(seed).movedim(-1, 0)[None], (48, 48), mode="area")[0].movedim(0, -1)
        assert distance(one, perceptual_hash(noisy)) <= 3
        assert distance(one, perceptual_hash(small)) <= 3
        assert distance(one, perceptual_hash(scene(seed) * 0.8 + 0.05)) <= 3
        assert all(distance(one, perceptual_hash(scene(other))) > 10 for other in range(8) if other != seed)


def test_seen_finds_what_a_search_through_all_finds():
    chance, seen = np.random.default_rng(3), Seen(3)
    there = [(chance.bytes(8).hex(), chance.bytes(8).hex()) for _ in range(200)]
    for pair in there:
        seen.add(pair)
    for number in range(400):
        pair = there[number % 200]
        flips = [sum(1 << int(bit) for bit in chance.choice(64, int(chance.integers(0, 6)), replace=False)) for _ in range(2)]
        moved = [f"{int(one, 16) ^ flip:016x}" for one, flip in zip(pair, flips, strict=True)]
        assert seen.has(moved) == any(all(distance(a, b) <= 3 for a, b in zip(moved, other, strict=True)) for other in there)
    with pytest.raises(ValueError, match="0 to 3"):
        Seen(4)


def test_enough_good_pairs_end_a_prompt():
    early = EarlyStop(enough=2, margin=0.1)
    good = {number: facts(number) for number in range(2)}
    assert early.has_enough("", good)
    assert not early.has_enough("", {0: good[0]})
    assert not early.has_enough("", {0: good[0], 1: facts(1, clip_sim_dir=0.29)})  # passes, but without the margin
    assert not early.has_enough("", {0: good[0], 1: {**good[1], "hashes": good[0]["hashes"]}})
    assert not early.has_enough("", {0: good[0], 1: {"dropped": "hopeless midway: x"}})
    for wrong in ({"patience": -1}, {"at": 2.0}, {"slack": -1.0}, {"margin": float("nan")}, {"enough": 0}):
        with pytest.raises(ValueError, match="use"):
            EarlyStop(**wrong)


def test_patience_ends_a_prompt_without_hope():
    bad = {number: facts(number, clip_sim_dir=0.0) for number in range(3)}
    assert EarlyStop(patience=3).ends("", bad)
    assert not EarlyStop(patience=4).ends("", bad)
    assert not EarlyStop().ends("", bad)
    assert not EarlyStop(patience=3).ends("", {**bad, 9: facts(9, clip_sim_dir=0.2)})
    assert EarlyStop(enough=1).ends("", {0: facts(0)})
