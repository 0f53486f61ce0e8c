"""Isolating: the place of an edit, its soft edge, and pixels that are the input's own."""

import numpy as np
import pytest
import tiny
import torch

from ip2p import fit, pictures
from ip2p.checkpoint import Checkpoint
from ip2p.edit import Editor
from ip2p.engine import Engine, Step
from ip2p.guidance import Predictions
from ip2p.isolate import FEATHER, MARGIN, NOTHING_FOUND, Isolate, distance, edge, margin, place, restored
from ip2p.relevance import UNTIL

SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}


@pytest.fixture(scope="module")
def editor():
    return Editor.build(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS), torch.device("cpu"))


def relevance(top=4, left=5, size=(16, 24), batch=1):
    """Maps of noise with a square of 5 x 5 cells where the instruction works; the square of each picture lies one further right."""
    maps = 1 + 0.1 * torch.rand(batch, 1, *size, generator=torch.Generator().manual_seed(0))
    for row in range(batch):
        maps[row, 0, top : top + 5, left + row : left + row + 5] = 4
    return maps


def found(strength, maps, **more):
    """A run at whose end `Isolate` knows these maps."""
    part = Isolate(strength=strength)
    part._sum, part._steps = maps, 1
    run = Engine()
    run.parts = (part,)
    return run


def eight_bits(*shape, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).float() / 255


def test_the_place_of_a_local_edit():
    where = place(relevance(batch=2))
    assert where.cells.sum((1, 2, 3)).tolist() == [25, 25]
    assert where.cells[1, 0, 4, 6:11].all()
    assert where.local.tolist() == [True, True]
    assert where.told()[0] == "isolated: the edit belongs to 7% of the picture"


@pytest.mark.parametrize(
    "maps",
    [
        1 + 0.1 * torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(0)),  # nothing stands out
        torch.cat([torch.full((1, 1, 4, 8), 3.0), torch.ones(1, 1, 2, 8)], dim=2),  # most of the picture does
        torch.ones(1, 1, 6, 8),
    ],
)
def test_an_edit_of_the_whole_picture_is_left_alone_and_says_so(maps):
    where = place(maps)
    assert where.local.tolist() == [False]
    assert "not isolated, as the edit is one of the whole picture" in where.told()[0]
    assert (where.weights(1.0) == 1).all()
    original, edited = eight_bits(1, 50, 70, 3), torch.rand(1, 48, 64, 3)
    how = fit.plan(70, 50, 64)
    run = found(1.0, maps)
    result, said = restored(run, edited, how, original)
    assert torch.equal(result, fit.restore(edited, how, original))
    assert said == run.parts[0].place().told()
    assert "not isolated" in said[0]


def test_distances_in_cells():
    cells = torch.zeros(2, 1, 5, 5, dtype=torch.bool)
    cells[0, 0, 2, 2] = True
    far = distance(cells)
    assert far[0, 0, 2].tolist() == [2, 1, 0, 1, 2]
    assert far[0, 0, 0, 0].item() == pytest.approx(8**0.5)
    assert (far[1] == far[1, 0, 0, 0]).all()
    assert far[1].min() > 5


def test_the_edge_is_exact_on_both_sides_and_falls_between():
    at = torch.linspace(0, 6, 61)
    weights = edge(at, 2.0)
    assert (weights[at <= 2.0] == 1).all()
    assert (weights[at >= 2.0 + FEATHER] == 0).all()
    assert (weights.diff() <= 0).all()


def test_the_slider_gives_less_room_the_further_it_goes():
    assert margin(0.0, 32) == float("inf")
    assert margin(1.0, 32) == MARGIN
    where, before = place(relevance()), torch.ones(1, 1, 16, 24)
    for strength in (0.0, 0.2, 0.5, 0.8, 1.0):
        weights = where.weights(strength)
        assert (weights <= before).all()
        assert (weights[where.cells] == 1).all()
        before = weights
    assert (where.weights(0.0) == 1).all()
    assert (where.weights(1.0) == 0).float().mean() > 0.6


@pytest.mark.parametrize(("width", "height", "method"), [(500, 333, "scale"), (500, 333, "crop"), (97, 140, "pad"), (256, 256, "exact")])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_untouched_pixels_are_the_inputs_own_bytes(width, height, method, strength, tmp_path):
    """Wherever the weight is 0: as floats, as 8 bits, and in a PNG that is read again. With a soft edge in between."""
    original = eight_bits(2, height, width, 3)
    how = fit.plan(width, height, 192, method, 64)
    cells = how.target_height // 8, how.target_width // 8
    maps = relevance(2, 3, cells, batch=2)
    edited = torch.rand(2, how.target_height, how.target_width, 3)
    weights = place(maps).over(how, strength)
    result, said = restored(found(strength, maps), edited, how, original)
    untouched = weights == 0
    assert len(said) == 2
    assert untouched.float().mean() > 0.1
    assert ((weights > 0) & (weights < 1)).any()
    assert torch.equal(result[untouched], original[untouched])
    inner = fit.restore(edited, how, original)
    depth = fit.softened(weights, how) == 1
    assert depth.any()
    assert torch.equal(result[depth], inner[depth])
    pictures.save_picture(result[0], tmp_path / "result.png")
    pictures.save_picture(original[0], tmp_path / "original.png")
    again, before = (pictures.open_picture(tmp_path / f"{name}.png")[0] for name in ("result", "original"))
    assert torch.equal(again[untouched[0]], before[untouched[0]])


def test_the_place_is_where_it_was_found():
    maps = relevance(4, 5)
    how = fit.plan(768, 512, 192, "scale", 8)
    assert (how.target_width, how.target_height) == (192, 128)
    weights = place(maps).over(how, 1.0)[0]
    cell = 768 / 24
    assert (weights[int(4 * cell) : int(9 * cell), int(5 * cell) : int(10 * cell)] == 1).all()
    rows, columns = torch.nonzero(weights > 0, as_tuple=True)
    assert abs(rows.float().mean() - 6.5 * cell) < cell / 4
    assert abs(columns.float().mean() - 7.5 * cell) < cell / 4


def test_a_drawn_mask_narrows_the_place():
    original, how = eight_bits(1, 128, 192, 3), fit.plan(192, 128, 192)
    edited, maps = torch.rand(1, 128, 192, 3), relevance()
    mask = torch.zeros(1, 128, 192)
    mask[:, :, :56] = 1
    result, _ = restored(found(1.0, maps), edited, how, original, mask)
    assert torch.equal(result[:, :, 56:], original[:, :, 56:])
    assert not torch.equal(result[:, 32:72, 40:52], original[:, 32:72, 40:52])


def test_a_run_without_both_predictions_says_so():
    original, how = eight_bits(1, 64, 64, 3), fit.plan(64, 64, 64)
    edited = torch.rand(1, 64, 64, 3)
    result, said = restored(found(1.0, None), edited, how, original)
    assert torch.equal(result, edited)
    assert said == [NOTHING_FOUND]


def blended(strength, progress, maps, source, guided):
    part = Isolate(strength=strength).begin()
    part._sum, part._steps = maps, 1
    return part.after(Step(guided, 0.5, progress, source=source), Predictions(guided, guided, guided), guided)


def test_the_latent_is_drawn_to_the_source_late_and_only_elsewhere():
    maps, generator = relevance(), torch.Generator().manual_seed(2)
    source, guided = (torch.randn(1, 4, 16, 24, generator=generator) for _ in range(2))
    weights = place(maps).weights(1.0).expand_as(guided)
    assert blended(1.0, UNTIL, maps, source, guided) is guided
    last = blended(1.0, 1.0, maps, source, guided)
    assert torch.equal(last[weights == 1], guided[weights == 1])
    assert torch.allclose(last[weights == 0], source[weights == 0], atol=1e-6)
    half = blended(1.0, (1 + UNTIL) / 2, maps, source, guided)
    assert torch.allclose(half[weights == 0], ((source + guided) / 2)[weights == 0], atol=1e-6)
    assert blended(0.0, 1.0, maps, source, guided) is guided
    assert blended(1.0, 1.0, maps, None, guided) is guided


@pytest.mark.parametrize("scales", [(5.0, 1.5), (2.0, 2.0), (1.0, 1.0)])
def test_off_is_the_exact_path_to_the_bit(editor, scales):
    photo = torch.rand(1, 50, 70, 3, generator=torch.Generator().manual_seed(4))
    told = {"steps": 3, "text_scale": scales[0], "image_scale": scales[1]}
    plain, off = Engine(), Engine((Isolate(strength=0.0),))
    assert torch.equal(
        editor.edit(photo, "make it night", engine=off, **told), editor.edit(photo, "make it night", engine=plain, isolate=0.0, **told)
    )
    assert off.counted == plain.counted


def test_the_editor_isolates(editor, monkeypatch):
    """A random network has no place of its own, so the instruction is given one: it works in a corner only."""
    photo = eight_bits(1, 80, 120, 3, seed=6)
    mask = torch.zeros(1, 64, 96)
    mask[:, :32, :32] = 1
    from ip2p.relevance import Relevance
    from ip2p.spatial import resized

    honest = Relevance._count
    monkeypatch.setattr(Relevance, "_count", lambda part, step, now: honest(part, step, now * 0 + 1 + 3 * resized(mask, *now.shape[-2:])))
    plain = editor.edit(photo, "make it night", steps=4, size=96)
    isolated = editor.edit(photo, "make it night", steps=4, size=96, isolate=1.0)
    assert (plain == photo).all(-1).float().mean() < 0.01
    assert torch.equal(isolated[:, 64:, :], photo[:, 64:, :])
    assert torch.equal(isolated[:, :, 64:], photo[:, :, 64:])
    assert not torch.equal(isolated[:, :20, :20], photo[:, :20, :20])


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_impossible_strengths_are_named(editor, wrong):
    with pytest.raises(ValueError, match=r"from 0 .off. to 1 .strict."):
        Isolate(strength=wrong)
    with pytest.raises(ValueError, match=r"from 0 .off. to 1 .strict."):
        editor.edit(torch.rand(1, 64, 64, 3), "make it night", isolate=wrong)
