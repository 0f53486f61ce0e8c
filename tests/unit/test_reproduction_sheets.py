"""Sheets of a reproduction's pictures: what they show, and the judge's verdicts below it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from reproduction_report import report

from ip2p.reproduction import edits, figures, places, sheets, tasks
from ip2p.reproduction.config import load
from ip2p.reproduction.judged import Row
from ip2p.worlds.edits import WHOLE

QUICK = load("quick")
SCALES = {"image_scales": (1.0, 1.6, 2.2), "strengths": (0.3, 0.6, 0.9)}
CONFIG = replace(QUICK, evaluation=replace(QUICK.evaluation, tasks=4, chains=1, kinds=("season", "time", "weather"), **SCALES))
RIGHT = {"full": 1, "sdedit": 0}
"""Which job's pictures are called right."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's edits of its tasks and its chain, grey pictures a step brighter from setting to setting, with verdicts."""
    out = tmp_path_factory.mktemp("run")
    rows = [
        row for name in ("full", "sdedit", "grid", "chains") for task in edits.asked_of(name, CONFIG) for row in written(out, name, task)
    ]
    (places.judged(out) / "0").mkdir(parents=True)
    (places.judged(out) / "0" / "all.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")
    return out


def written(out, name, task):
    """Write a job's pictures of a task; its rows."""
    seed, settings = CONFIG.editors.seeds[0], edits.settings_of(name, CONFIG)
    folder = places.edits(out, name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = np.stack([np.full((64, 64, 3), 10 * place, np.uint8) for place in range(len(settings))])
    np.savez(folder / f"{task.id}.npz", pictures=pictures, numbers=np.zeros((len(settings), 5)))
    about = dict.fromkeys((*edits.COLUMNS, *edits.SECOND), 0.0)
    if name == "chains":
        every = [(stage, edit) for (stage,) in settings for edit in range(1, int(stage) + 1)]
        return [Row(name, seed, task.id, task.kind, at, **about, done=int(at == (2, 2)), kept=0) for at in every]
    right = RIGHT.get(name, 0)
    return [Row(name, seed, task.id, task.kind, at, **about, done=right, kept=right) for at in settings]


def test_a_strip_shows_the_ends_and_the_middle_of_both_scales_with_verdicts(run):
    task = tasks.tasks(CONFIG)[0]
    strip = sheets.edits_strip(sheets.Shown(run, CONFIG), task)
    assert [panel.good for panel in strip.panels] == [None, True, True, True, False, False, False, None]
    assert [panel.title for panel in strip.panels[1:4]] == ["image scale 1", "image scale 1.6", "image scale 2.2"]
    assert [panel.title for panel in strip.panels[4:7]] == ["SDEdit, strength 0.3", "SDEdit, strength 0.6", "SDEdit, strength 0.9"]
    assert [round(float(panel.picture.mean()) * 255) for panel in strip.panels[1:4]] == [0, 10, 20]
    assert np.array_equal(strip.panels[0].picture.numpy(), task.source())
    assert np.array_equal(strip.panels[-1].picture.numpy(), task.answer())
    assert task.instruction in strip.heading


def test_a_chain_tells_of_each_step_whether_its_own_edit_was_done(run):
    chain = tasks.chains(CONFIG)[0]
    strip = sheets.chain_strip(sheets.Shown(run, CONFIG), chain)
    assert [panel.good for panel in strip.panels] == [None, False, True, False, None]
    assert strip.panels[1].title == f"1. {chain.instructions[0]}"
    assert np.array_equal(strip.panels[-1].picture.numpy(), chain.task(0, range(3)).answer())


def test_both_scales_are_shown_on_an_edit_of_the_whole_picture(run):
    task = sheets.first_whole(tasks.tasks(CONFIG))
    assert task.kind in WHOLE
    assert sheets.first_whole(()) is None
    shown = sheets.grid_sheet(sheets.Shown(run, CONFIG), task)
    assert shown.shape[0] > 2 * sheets.CELL
    assert shown.shape[1] > 3 * sheets.CELL


def test_kinds_are_shown_once_and_in_their_order():
    every = tasks.tasks(CONFIG)
    assert [task.kind for task in every] == ["season", "time", "weather", "season"]
    assert [task.id for task in sheets.first_of_kinds(every)] == [task.id for task in every[:3]]


def test_plots_draw_the_conditions_that_were_trained(tmp_path):
    found = report()
    found["curves"] = [curve for curve in found["curves"] if curve["name"] in ("full", "true")]
    names, x, y = figures.PLOTS["figure10.png"]
    assert figures._plot(tmp_path / "plot.png", found, names, x, y)
    assert (tmp_path / "plot.png").stat().st_size > 1000
