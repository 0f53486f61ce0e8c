"""What editors are asked, the edits themselves by tiny random networks, and the judge's verdicts on them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from pair_runs import WORLD_CLIP, files

from ip2p import checkpoint
from ip2p.edit import Editor
from ip2p.ids import seed_of
from ip2p.reproduction import edits, judged, places, tasks
from ip2p.reproduction.config import Config, Editors, Evaluation, load
from ip2p.small.config import Painter
from ip2p.text_to_image import TextToImage
from ip2p.worlds.drawing import draw
from ip2p.worlds.edits import LIMITS, touched
from ip2p.worlds.judge import tellable

FULL = load("full")
SMALL = Config(
    world=replace(FULL.world, places=("meadow", "beach"), styles=("plain",), shapes=("ball", "car"), things=1),
    painter=Painter(editor="joint", size=64),
    editors=Editors(conditions=("full", "true"), seeds=(1, 2)),
    evaluation=Evaluation(
        tasks=3,
        kinds=("time", "season", "recolour"),
        steps=2,
        image_scales=(1.0, 1.6, 2.2),
        strengths=(0.5, 0.9),
        grid_text=(2.0, 7.5),
        grid_image=(1.0, 2.0),
        grid_tasks=2,
        chains=1,
        limits=1,
        limit_kinds=("zoom",),
        shards=2,
    ),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of tiny random networks, all of whose edits are made."""
    out = tmp_path_factory.mktemp("run")
    places.networks(out).mkdir(parents=True)
    shutil.copytree(WORLD_CLIP, places.clip(out))
    checkpoint.write(places.painter(out), tiny.ldm(tiny.unet(in_channels=4)), tiny.SETTINGS)
    for condition in SMALL.editors.conditions:
        for seed in SMALL.editors.seeds:
            path = places.editor(out, condition, seed)
            path.parent.mkdir(parents=True)
            checkpoint.write(path, tiny.ldm(tiny.unet(seed=seed)), tiny.SETTINGS)
    for job in edits.jobs(SMALL):
        edits.edits(out, SMALL, job.name, job.seed)
    return out


def test_tasks_stay_what_they_are_however_many_there_are():
    fewer = replace(FULL, evaluation=replace(FULL.evaluation, tasks=9))
    assert tasks.tasks(fewer) == tasks.tasks(replace(FULL, evaluation=replace(FULL.evaluation, tasks=12)))[:9]
    assert [task.kind for task in tasks.tasks(fewer)] == list(FULL.evaluation.kinds)
    other = replace(fewer, evaluation=replace(fewer.evaluation, seed=fewer.evaluation.seed + 1))
    assert not {task.scene for task in tasks.tasks(fewer)} & {task.scene for task in tasks.tasks(other)}


def test_tasks_and_their_answers_are_of_the_part_and_can_be_told():
    few = replace(FULL, evaluation=replace(FULL.evaluation, tasks=9, limits=1))
    for task in tasks.tasks(few):
        assert few.world.holds(task.scene)
        assert few.world.holds(task.answers[0])
        assert tellable(task.scene, task.edit)
    assert [task.kind for task in tasks.limits(few)] == list(LIMITS)
    assert len({task.id for task in tasks.every(few)}) == len(tasks.every(few))


def test_edits_of_a_chain_leave_each_other_alone_and_all_show_at_its_end():
    for chain in tasks.chains(replace(FULL, evaluation=replace(FULL.evaluation, chains=2))):
        one, other, last = chain.edits
        assert not touched(one) & touched(other)
        assert not (touched(one) | touched(other)) & touched(last)
        scene = chain.scene
        for edit in chain.edits:
            scene = edit.apply(scene)
        for number in range(3):
            task = chain.task(number, range(3))
            assert task.answers[0] == chain.shown(range(3)) == scene
            assert tellable(task.scene, task.edit)


def test_what_a_part_does_not_allow_is_told_with_the_cure(tmp_path):
    part = replace(SMALL.world, times=("day",))
    with pytest.raises(ValueError, match="allows an edit of the kind 'time': enlarge 'world'"):
        tasks.tasks(replace(SMALL, world=part))
    with pytest.raises(ValueError, match="no edits 'sketch' with the seed 1: use full, true, own, grid"):
        edits.edits(tmp_path, SMALL, "sketch", 1)
    with pytest.raises(ValueError, match="run the stage 'edits/full/1' again"):
        edits.pictures(tmp_path, "full", 1, "time-0")


def test_nothing_is_edited_twice_where_the_painters_text_scale_is_that_of_all():
    alike = replace(SMALL, painter=replace(SMALL.painter, text_scale=SMALL.evaluation.text_scale))
    apart = replace(SMALL, painter=replace(SMALL.painter, text_scale=SMALL.evaluation.text_scale + 1))
    assert {job.name for job in edits.jobs(apart)} - {job.name for job in edits.jobs(alike)} == {"own", "sdedit-own"}


@pytest.mark.whole
def test_every_job_has_a_picture_for_each_setting(run):
    for job in edits.jobs(SMALL):
        for task in edits.asked_of(job.name, SMALL):
            found = edits.read(run, job.name, job.seed, task.id)
            assert found.pictures.shape == (len(edits.settings_of(job.name, SMALL)), 64, 64, 3)
            assert found.numbers.shape == (len(found.pictures), 5)
            assert np.isfinite(found.numbers).all()


@pytest.mark.whole
def test_pictures_are_those_of_the_plain_editor(run):
    task = tasks.tasks(SMALL)[1]
    source, noise = torch.from_numpy(task.source())[None], seed_of("edit", task.id, 2)
    editor = Editor.load(places.editor(run, "true", 2))
    for place, (text, image) in enumerate(edits.settings_of("true", SMALL)):
        alone = editor.edit(source, task.instruction, steps=2, seed=noise, text_scale=text, image_scale=image)[0]
        assert np.abs(alone.numpy() * 255 - edits.pictures(run, "true", 2, task.id)[place]).max() <= 1
    text, image = edits.settings_of("own", SMALL)[0]
    assert text == SMALL.painter.text_scale
    editor = Editor.load(places.editor(run, "full", 2))
    alone = editor.edit(source, task.instruction, steps=2, seed=noise, text_scale=text, image_scale=image)[0]
    assert np.abs(alone.numpy() * 255 - edits.pictures(run, "own", 2, task.id)[0]).max() <= 1
    painter = TextToImage.load(places.painter(run))
    alone = painter.sdedit(source, task.edited_caption, 0.9, steps=2, scale=7.5, seed=noise)[0]
    assert np.abs(alone.numpy() * 255 - edits.pictures(run, "sdedit", 2, task.id)[1]).max() <= 1
    own = painter.sdedit(source, task.edited_caption, 0.9, steps=2, scale=SMALL.painter.text_scale, seed=noise)[0]
    assert np.abs(own.numpy() * 255 - edits.pictures(run, "sdedit-own", 2, task.id)[1]).max() <= 1


@pytest.mark.whole
def test_other_instructions_are_other_pictures(run):
    task, place = tasks.tasks(SMALL)[0], edits.settings_of("full", SMALL).index(edits.settings_of("other", SMALL)[0])
    assert (edits.pictures(run, "other", 1, task.id)[0] != edits.pictures(run, "full", 1, task.id)[place]).any()


@pytest.mark.whole
def test_anchors_are_the_source_the_answer_and_its_round_trip(run):
    task = tasks.tasks(SMALL)[0]
    found = edits.read(run, "anchors", 0, task.id)
    direction, similarity, distance, *_ = found.numbers.T
    assert np.abs(task.answer() * 255 - found.pictures[1]).max() <= 0.51
    assert (direction[0], distance[1]) == (0, pytest.approx(0, abs=1e-6))
    assert similarity[0] == pytest.approx(1, abs=1e-5)
    assert distance[0] > 0
    assert distance[2] > 0


@pytest.mark.whole
@pytest.mark.parametrize("name", ["full", "sdedit", "chains"])
def test_edits_that_were_stopped_go_on_to_the_same_files(run, name, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(run, again)
    before = files(places.edits(run, name, 1))
    lost = sorted(places.edits(again, name, 1).iterdir())[-1]
    lost.unlink()
    edits.edits(again, SMALL, name, 1)
    assert files(places.edits(again, name, 1)) == before


@pytest.mark.whole
def test_verdicts_of_all_shards_are_whole_and_the_same_after_a_stop(run):
    for shard in range(2):
        judged.judged(run, SMALL, shard)
    rows = judged.rows(run, SMALL)
    per_job = {"grid": 2 * 4, "chains": 1 * 6, "limits": 1, "other": 3, "sdedit": 3 * 2, "sdedit-own": 3 * 2, "anchors": (3 + 1) * 3}
    for job in edits.jobs(SMALL):
        mine = [row for row in rows if (row.name, row.seed) == (job.name, job.seed)]
        assert len(mine) == per_job.get(job.name, 3 * 3), job
    answers = [row for row in rows if row.at == ("answer",)]
    assert all(row.right for row in answers)
    assert not any(row.done for row in rows if row.at == ("nothing",))
    lost = sorted(places.judged(run).glob("*/*.jsonl"))[0]
    before = files(places.judged(run))
    lost.unlink()
    for shard in range(2):
        judged.judged(run, SMALL, shard)
    assert files(places.judged(run)) == before


def test_a_chain_is_judged_by_the_edits_that_its_pictures_have():
    """The right pictures of all stages, then one where the first edit is gone at the end."""
    chain = tasks.chains(replace(FULL, evaluation=replace(FULL.evaluation, chains=1)))[0]
    for made, stage, expected in (((0,), 1, [1]), ((0, 1), 2, [1, 1]), ((0, 1, 2), 3, [1, 1, 1]), ((1, 2), 3, [0, 1, 1])):
        verdicts = judged.of_chain(chain, draw(chain.shown(made), chain.size).picture, (stage,))
        assert [int(done) for _, done, _ in verdicts] == expected
        assert [kept for _, done, kept in verdicts if done] == [True] * sum(expected)
        assert [at for at, _, _ in verdicts] == [(stage, number + 1) for number in range(stage)]
    spoilt = np.random.default_rng(0).random((chain.size, chain.size, 3)).astype(np.float32)
    assert not any(done and kept for _, done, kept in judged.of_chain(chain, spoilt, (3,)))
