"""The data of a reproduction: triplets within a part of the world, samples in shards, thresholds, and the data sets of each condition."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from pair_runs import WORLD_CLIP, files, plan

from ip2p.data.authors import INDEX
from ip2p.data.encoded import encoded
from ip2p.data.pairs import open_pairs
from ip2p.data.records import records
from ip2p.data.samples import Samples
from ip2p.ids import seed_of
from ip2p.pairs.calibrate import SORTS, lowest, youden
from ip2p.pairs.loop import name_of
from ip2p.pairs.score import DIRECTION, IMAGE, Scorer
from ip2p.pairs.thresholds import Rules
from ip2p.reproduction import painted, places, prompts, samples, sets, thresholds
from ip2p.reproduction.config import Config, Pairs, Prompts, load
from ip2p.small.config import Painter
from ip2p.worlds import language
from ip2p.worlds.edits import Add, Remove
from ip2p.worlds.scene import Scene, Thing
from ip2p.worlds.subset import Subset

FULL = load("full")
SMALL = Config(
    world=replace(FULL.world, places=("meadow", "beach"), styles=("plain",)),
    painter=Painter(editor="joint", size=64),
    prompts=Prompts(count=6, each=2, kinds=("time", "season", "recolour")),
    pairs=Pairs(samples=4, steps=2, batch=2, shards=2, keep=2),
)


@pytest.fixture(scope="module")
def triplets():
    return prompts.made(FULL.world, replace(FULL.prompts, count=45))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run whose painter is a tiny random one, with all its samples."""
    out = tmp_path_factory.mktemp("painted")
    _begun(out)
    for shard in range(SMALL.pairs.shards):
        samples.samples(out, SMALL, shard)
    return out


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run whose samples are drawn: of each prompt two right answers, one where nothing was done, and another scene; and its sets."""
    out = tmp_path_factory.mktemp("drawn")
    _begun(out)
    made, scorer = Samples(places.samples(out), {"made_by": "test"}), Scorer.load(str(places.clip(out)), device="cpu")
    for triplet in prompts.read(out):
        name, captions = name_of(triplet), [(triplet.caption, triplet.edited_caption)]
        made.prompt(name, triplet)
        for number, edited in enumerate((triplet.edited_caption, triplet.edited_caption, triplet.caption, "")):
            seed = seed_of(triplet.id, number)
            words = (triplet.caption, edited or _elsewhere(triplet.caption))
            pair = torch.from_numpy(np.stack([prompts.drawn(one, seed, 64) for one in words]))
            made.add(
                name,
                seed,
                scorer(pair[None], captions)[0] | {"number": number, "p2p_threshold": number / 4},
                *(encoded(one, "png") for one in pair),
            )
        made.finish(name)
    sets.sets(out, SMALL)
    return out


def _begun(out):
    places.networks(out).mkdir(parents=True)
    shutil.copy(plan(out / "tiny").model, places.painter(out))
    shutil.copytree(WORLD_CLIP, places.clip(out))
    prompts.triplets(out, SMALL)


def _elsewhere(caption):
    scene = prompts.pictured(caption)
    other = {"meadow": "beach", "beach": "meadow"}[scene.place]
    return language.caption(replace(scene, place=other, time="night" if scene.time == "day" else "day", things=(Thing("tent", "white"),)))


def test_triplets_stay_within_the_part(triplets):
    for triplet in triplets:
        before, after = prompts.pictured(triplet.caption), prompts.pictured(triplet.edited_caption)
        assert FULL.world.holds(before)
        assert FULL.world.holds(after)
        assert before != after
        assert (language.caption(before), language.caption(after)) == (triplet.caption, triplet.edited_caption)


def test_kinds_of_triplets_are_about_equally_often(triplets):
    counts = Counter(triplet.kind for triplet in triplets)
    assert set(counts) == set(FULL.prompts.kinds)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert max(Counter(triplet.caption for triplet in triplets).values()) == FULL.prompts.each
    assert len(triplets) == 45 * FULL.prompts.each == len({triplet.id for triplet in triplets})


def test_triplets_depend_on_their_seed_alone(triplets):
    assert prompts.made(FULL.world, replace(FULL.prompts, count=45)) == triplets
    other = prompts.made(FULL.world, replace(FULL.prompts, count=45, seed=8))
    assert not {triplet.caption for triplet in triplets} & {triplet.caption for triplet in other}


def test_a_part_without_edits_is_told(tmp_path):
    one = replace(FULL.world, times=("day",))
    with pytest.raises(ValueError, match=r"allows any of 'prompts\.kinds': name other kinds"):
        prompts.triplets(tmp_path, replace(FULL, world=one, prompts=Prompts(count=2, kinds=("time",))))
    with pytest.raises(ValueError, match=r"'paint' of 'prompts\.kinds' is unknown"):
        prompts.triplets(tmp_path, replace(FULL, prompts=Prompts(count=2, kinds=("paint",))))


@pytest.mark.parametrize("seed", range(5))
def test_a_caption_is_read_as_the_scene_that_it_was_made_of(seed):
    scene = Subset().scene(np.random.default_rng(seed))
    assert prompts.pictured(language.caption(scene), scene.seed) == scene


@pytest.mark.parametrize(
    "caption",
    [
        "a red ball on the left",
        "a red ball, in a meadow on a sunny day in summer",
        "a red ball on the left, in a meadow on a day in summer",
        "two red balls, in a meadow on a sunny day in summer",
        "a close view of a red ball on the left, in a meadow on a sunny day in summer",
        "a dog in a garden",
    ],
)
def test_a_caption_that_leaves_something_out_is_no_scene(caption):
    assert prompts.pictured(caption) is None
    with pytest.raises(ValueError, match="doesn't say all that a scene shows"):
        prompts.drawn(caption, 0, 64)


def test_a_part_holds_as_many_things_as_its_scenes_have():
    part, ball, kite = Subset(things=1), Thing("ball", side="left"), Thing("kite", side="right")
    scene = Scene(things=(ball,))
    assert part.holds(scene)
    assert not part.holds(Add(kite).apply(scene))
    assert not part.holds(Remove(ball.slot).apply(scene))


def test_shards_share_out_all_prompts():
    found = prompts.made(SMALL.world, SMALL.prompts)
    shards = [samples.part_of(found, shard, 3) for shard in range(3)]
    assert sorted(triplet.id for shard in shards for triplet in shard) == sorted(triplet.id for triplet in found)
    assert samples.part_of(found[::-1], 1, 3) == shards[1][::-1]  # whatever the order
    with pytest.raises(ValueError, match=r"no shard 3 .* use 0 to 2"):
        samples.part_of(found, 3, 3)


@pytest.mark.whole
def test_samples_are_painted_and_scored(made):
    there = Samples(places.samples(made))
    assert there.names() == sorted(triplet.id for triplet in prompts.read(made))
    for name in there.names():
        assert there.finished(name)
        facts = there.known(name).values()
        assert [one["number"] for one in facts] == [0, 1, 2, 3]
        assert all(0.1 <= one["p2p_threshold"] <= 0.9 and -1 <= one[DIRECTION] <= 1 for one in facts)
        assert all(record.image[:4] == b"\x89PNG" for record in there.records(name))


@pytest.mark.whole
def test_samples_are_the_same_in_other_shards_and_after_a_stop(made, tmp_path):
    other = replace(SMALL, pairs=replace(SMALL.pairs, shards=1))
    for place in (places.painter, places.clip, places.triplets):
        place(tmp_path).parent.mkdir(exist_ok=True)
        place(tmp_path).symlink_to(place(made))
    first = prompts.read(made)[0].id
    shutil.copytree(places.samples(made) / first, places.samples(tmp_path) / first)
    lines = places.samples(tmp_path) / first / "metadata.jsonl"
    lines.with_name("metadata.jsonl.part").write_bytes(lines.read_bytes()[:-40])  # as a kill leaves it, in the midst of a line
    lines.unlink()
    samples.samples(tmp_path, other, 0)
    assert files(places.samples(tmp_path)) == files(places.samples(made))


@pytest.mark.whole
def test_thresholds_tell_right_from_wrong(drawn):
    rules = Rules.of_told(json.loads(places.pairs(drawn, thresholds.FILE).read_text()))
    assert set(rules.kinds) == set(SMALL.prompts.kinds)
    made = Samples(places.samples(drawn))
    passed = Counter()
    for name in made.names():
        kind = made.triplet(name).kind
        passed.update(facts["number"] for facts in made.known(name).values() if not rules.of(kind).failed(facts))
    assert passed[0] + passed[1] > 0.7 * 2 * len(made.names())
    assert passed[2] == passed[3] == 0


@pytest.mark.whole
def test_the_full_set_is_filtered(drawn):
    kept = list(records(str(places.pairs(drawn, "full"))))
    assert kept
    assert {record.facts["number"] for record in kept} == {0, 1}
    assert max(Counter(record.prompt for record in kept).values()) <= SMALL.pairs.keep


@pytest.mark.whole
def test_the_other_sets(drawn):
    full, tenth, unfiltered, true = (list(records(str(places.pairs(drawn, name)))) for name in ("full", "tenth", "unfiltered", "true"))
    assert len({record.prompt for record in tenth}) == 1
    assert tenth == [record for record in full if record.prompt == tenth[0].prompt]
    assert len(unfiltered) == len(full) == len(true)
    assert {record.facts["number"] for record in unfiltered} >= {2, 3}  # what the filter refuses
    for record, ours in zip(true, full, strict=True):
        assert (record.prompt, record.sample, record.instruction) == (ours.prompt, ours.sample, ours.instruction)
        assert (record.image, record.edited) == (ours.image, ours.edited)  # which here were drawn as well, of the same seeds


@pytest.mark.whole
@pytest.mark.parametrize("name", ["full", "tenth", "unfiltered", "true"])
def test_training_opens_every_set(drawn, name):
    pairs = open_pairs(str(places.pairs(drawn, name)), "all")
    texts = {triplet.id: triplet.texts for triplet in prompts.read(drawn)}
    for number in range(len(pairs)):
        example = pairs.group(number)[0]
        assert (example.caption, example.instruction, example.edited_caption) == texts[example.id.split("/")[0]]
        assert example.image().shape == example.edited().shape == (64, 64, 3)


@pytest.mark.whole
def test_sets_go_on_after_a_stop(drawn, tmp_path, monkeypatch):
    for place in (places.samples, places.clip, places.triplets):
        place(tmp_path).parent.mkdir(exist_ok=True)
        place(tmp_path).symlink_to(place(drawn))
    real, calls = prompts.drawn, Counter()

    def stopping(caption, seed, size):
        calls["drawn"] += 1
        if calls["drawn"] == 363:  # after those for the thresholds, in the midst of the last set
            raise KeyboardInterrupt
        return real(caption, seed, size)

    monkeypatch.setattr(prompts, "drawn", stopping)
    with pytest.raises(KeyboardInterrupt):
        sets.sets(tmp_path, SMALL)
    sets.sets(tmp_path, SMALL)
    assert {name: data for name, data in files(drawn / places.SETS).items() if INDEX not in name} == files(tmp_path / places.SETS)


@pytest.mark.whole
def test_without_a_pair_that_passes_it_is_told(made, drawn):
    places.pairs(made, "").mkdir()
    shutil.copy(places.pairs(drawn, thresholds.FILE), places.pairs(made, thresholds.FILE))
    with pytest.raises(ValueError, match="No sample passes the filter: train"):
        sets.sets(made, SMALL)


def test_the_direction_is_set_where_right_and_wrong_are_furthest_apart():
    rows = {sort: [{DIRECTION: value} for value in (0.0, 0.1)] for sort in SORTS}
    rows["right"] = [{DIRECTION: value} for value in (0.31, 0.6, 0.9)]
    assert youden(rows) == 0.15
    rows["right"][0] = {DIRECTION: -0.2}  # one right pair that none of the wrong ones is worth
    assert youden(rows) == 0.15


def test_nearly_all_right_pairs_reach_what_pictures_must():
    rows = [{IMAGE: number / 100} for number in range(41)]
    assert lowest(rows, IMAGE) == 0.01


def test_how_p_and_similarity_go_together_is_measured_within_prompts():
    rng = np.random.default_rng(0)
    p, level = rng.random((60, 5)), rng.normal(size=(60, 1))
    together = painted.correlation([np.stack([one, one + high, one], axis=1) for one, high in zip(p, level, strict=True)])
    assert (together.value, together.n) == (pytest.approx(1), 300)
    apart = painted.correlation([np.stack([one, rng.random(5) - one.mean(), one], axis=1) for one in p])
    assert apart.low < 0 < apart.high
    assert 0.1 < apart.high - apart.low < 0.5  # about 4 / sqrt(60 x 4)


@pytest.mark.whole
def test_the_share_that_passes_is_that_of_all_samples(drawn):
    prompt, other = np.zeros((4, 3)), np.ones((1, 3))
    assert painted.passing([prompt, other]).value == 0.2
    found = painted.scores(drawn, SMALL)
    assert sum(map(len, found)) == 4 * len(prompts.read(drawn))
    [_, passed] = [claim.found({}) for claim in painted.claims(drawn, SMALL)]
    assert passed["verdict"] == "measured"
    assert passed["low"] < passed["estimate"] == sum(each[:, 2].sum() for each in found) / passed["n"] <= 0.5
