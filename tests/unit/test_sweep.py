"""A grid of scales in shared batches: each cell is the single edit, and the passes are counted."""

import numpy as np
import pytest
import tiny
import torch

from ip2p.checkpoint import Checkpoint
from ip2p.edit import Editor
from ip2p.engine import Step
from ip2p.evaluation.scales_sheet import scales_sheet
from ip2p.evaluation.sheet import GOOD
from ip2p.guidance import Scales
from ip2p.isolate import Isolate
from ip2p.schedules import Schedule, span
from ip2p.sweep import Cells, Grid, grid, merged, sweep

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}
GRID = Grid((1.5, 7.5), (1.0, 1.5, 2.0))
STEPS = 2


@pytest.fixture(scope="module")
def editor():
    return Editor.build(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS), torch.device("cpu"))


@pytest.fixture(scope="module")
def photo():
    torch.manual_seed(9)
    return torch.rand(1, 90, 130, 3)


@pytest.fixture(scope="module")
def found(editor, photo):
    return sweep(editor, photo, "make it night", GRID, steps=STEPS, seed=4)


@pytest.mark.parametrize(("sampler", "rows"), [("euler_ancestral", 0), ("euler", 2)])
def test_each_cell_is_the_single_edit(editor, photo, sampler, rows):
    found = sweep(editor, photo, "make it night", GRID, "blurry", steps=3, seed=4, sampler=sampler, rows=rows)
    for number in (1, 2, 3, 5):
        (text, image), cell = GRID.pairs[number], found.pictures[number]
        scales = {"text_scale": text, "image_scale": image}
        alone = editor.edit(photo, "make it night", "blurry", steps=3, seed=4, sampler=sampler, **scales)
        assert cell.shape == photo[0].shape
        assert (cell - alone[0]).abs().max() < 1e-4


def test_cells_differ(found):
    assert len({cell.numpy().tobytes() for cell in found.pictures}) == 6


def test_passes_are_shared(found):
    """Row by row: (1.5, 1), (7.5, 1) need two passes, (1.5, 1.5) two others, the rest three; the first step is made once a batch."""
    assert [cells for cells, _ in found.runs] == [(3, 4, 5), (0, 1), (2,)]
    assert found.counted.exact == STEPS * (3 * 3 + 2 + 2 * 2)
    assert found.counted.made == found.counted.exact - 3 * 2 - 2
    assert str(found) == "6 edits in 22 network passes; one by one they take 30 (27% saved)."


def test_batches_are_as_even_as_can_be():
    many = Grid((3, 4, 5, 6, 7), (1.5,))
    assert list(many.batches(3)) == [(0, 1, 2), (3, 4)]
    assert list(many.batches(0)) == [(0,), (1,), (2,), (3,), (4,)]
    assert torch.equal(merged([(2, 0), (1,)], [torch.tensor([2, 0]), torch.tensor([1])]), torch.arange(3))


def test_parts_join_every_cell(editor, photo, found):
    never = Schedule(text_span=span("text", 0, 0), image_span=span("image", 0, 0))
    parts = sweep(editor, photo, "make it night", GRID, steps=STEPS, seed=4, parts=[never])
    assert parts.counted.exact < found.counted.exact
    alone = editor.edit(photo, "make it night", steps=STEPS, seed=4, text_scale=1.0, image_scale=1.0)
    assert (parts.pictures[5] - alone[0]).abs().max() < (found.pictures[5] - alone[0]).abs().max()


def test_isolated_cells_keep_the_pictures_own_bytes_elsewhere(editor, photo):
    """As the single edit does: strict isolation composites at the picture's own size."""
    found = sweep(editor, photo, "make it night", Grid((7.5,), (1.5, 2.0)), steps=3, seed=4, parts=[Isolate(strength=1.0)])
    alone = editor.edit(photo, "make it night", steps=3, seed=4, text_scale=7.5, image_scale=2.0, isolate=1.0)
    assert (found.pictures[1] - alone[0]).abs().max() < 1e-4
    assert torch.equal((found.pictures[1] == photo[0]).all(-1), (alone[0] == photo[0]).all(-1))


def test_equal_scales_are_told_as_numbers():
    step = Step(torch.zeros(2, 4, 8, 8), 1.0, 0.0)
    assert Cells(((7.5, 1.5), (7.5, 1.5))).scales(step, Scales(1, 1)) == Scales(7.5, 1.5)
    text, image = Cells(((5.0, 1.5), (7.5, 1.5))).scales(step, Scales(1, 1))
    assert image == 1.5
    assert torch.equal(text, torch.tensor([5.0, 7.5]).view(2, 1, 1, 1))
    with pytest.raises(ValueError, match="one picture at a time"):
        Cells(((5.0, 1.5),)).scales(step, Scales(1, 1))


def test_progress_counts_all_batches(editor, photo):
    seen = []
    sweep(editor, photo, "make it night", GRID, steps=STEPS, on_step=lambda done, total, latent: seen.append((done, total, len(latent))))
    assert [done for done, *_ in seen] == list(range(1, 3 * STEPS + 1))
    assert {total for _, total, _ in seen} == {3 * STEPS}
    assert [rows for *_, rows in seen] == [3] * STEPS + [2] * STEPS + [1] * STEPS


def test_grids_are_typed():
    assert grid("3:9:3", "1, 1.5") == Grid((3, 6, 9), (1, 1.5))
    assert grid("5", "1").pairs == [(5, 1)]
    for text, image, said in [("x", "1", "'x' is no number"), ("-1", "1", "text scale is -1"), ("1:200:1", "1, 2, 3", "400 at most")]:
        with pytest.raises(ValueError, match=said):
            grid(text, image)


def test_a_sweep_takes_one_picture_and_words(editor, photo):
    with pytest.raises(ValueError, match="one picture"):
        sweep(editor, photo.expand(2, -1, -1, -1), "make it night", GRID)
    with pytest.raises(ValueError, match="instruction"):
        sweep(editor, photo, " ", GRID)


def test_the_sheet_shows_every_cell_in_its_place():
    """Cells of one colour each: found again in the order of the grid, the chosen one in its frame."""
    three = Grid((1.0, 2.0, 3.0), (1.0, 1.5))
    colours = torch.linspace(0.1, 0.9, 6)
    cells = colours.view(6, 1, 1, 1).expand(6, 32, 48, 3)
    page = scales_sheet(three, cells, torch.zeros(32, 48, 3), "a title", ["source"], [["one", "two"]] * 6, chosen=4, cell=96)
    grey = (page.numpy()[..., 0] * 255).round()
    centres = []
    for colour in (colours.numpy() * 255).round():
        rows, columns = np.nonzero((abs(grey - colour) < 1) & (page.std(-1).numpy() < 0.01))
        centres.append((np.median(rows), np.median(columns), len(rows)))
    assert all(count >= 96 * 64 for *_, count in centres)
    rows, columns = ([round(centre[axis] / 20) for centre in centres] for axis in (0, 1))
    assert rows[0] == rows[1] == rows[2] < rows[3] == rows[4] == rows[5]
    assert columns[0] == columns[3] < columns[1] == columns[4] < columns[2] == columns[5]
    framed = (page.numpy() * 255).round() == np.array(GOOD)
    rows, columns = np.nonzero(framed.all(-1))
    assert abs(np.median(columns) - centres[4][1]) < 4
    assert rows.min() < centres[4][0] < rows.max()


def test_a_sheet_without_notes_is_smaller():
    cells = torch.zeros(4, 32, 32, 3)
    plain = scales_sheet(Grid((1.0, 2.0), (1.0, 2.0)), cells, cells[0])
    noted = scales_sheet(Grid((1.0, 2.0), (1.0, 2.0)), cells, cells[0], notes=[["a line"]] * 4)
    assert plain.shape[0] < noted.shape[0]
    with pytest.raises(ValueError, match="too large"):
        scales_sheet(Grid(tuple(float(n) for n in range(200)), (1.0,)), cells[:1].expand(200, -1, -1, -1), cells[0])
