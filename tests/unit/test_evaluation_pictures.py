"""Plots, sheets and comparisons: what is drawn, and that it is readable."""

import random
import xml.etree.ElementTree as ET

import layouts
import numpy as np
import pytest
import torch
from PIL import Image

from ip2p.data.open import open_dataset
from ip2p.evaluation import plot
from ip2p.evaluation.compare import Compared, compare, lines, run_sheet, strip
from ip2p.evaluation.editors import answer, nothing
from ip2p.evaluation.rows import Row, RunError
from ip2p.evaluation.run import evaluate
from ip2p.evaluation.settings import Setting, grid
from ip2p.evaluation.sheet import BAD, GOOD, Panel, Strip, sheet, wrapped
from ip2p.metrics.measures import Measures


def rows(columns=("clip_direction", "clip_image"), editors=("ip2p", "sdedit", "nothing"), **more):
    chance = random.Random(0)
    return [
        Row(str(number), setting, {name: chance.random() for name in columns}) for setting in grid(editors, more) for number in range(6)
    ]


def test_the_papers_axes_come_first_and_others_where_there_is_no_clip():
    assert plot.axes_of(rows(("clip_direction", "clip_image", "right", "l1_target"))) == ("clip_direction", "clip_image")
    assert plot.axes_of(rows(("done", "kept", "l1_target", "l1_source"))) == ("done", "kept")
    assert plot.axes_of(rows(("right", "l1_target", "l1_source"))) == ("right", "l1_target")
    assert plot.axes_of(rows(("l1_target", "l1_source"))) == ("l1_target", "l1_source")
    with pytest.raises(RunError, match="Nothing was measured that makes a plot"):
        plot.axes_of(rows(("seconds",)))


def test_a_curve_for_each_editor_labelled_by_its_scale():
    ours, theirs, none = plot.curves(rows(), "clip_direction", "clip_image")
    assert (ours.name, theirs.name, none.name) == ("InstructPix2Pix, by image scale", "SDEdit, by strength", "Nothing done")
    assert [point.label for point in ours.points] == ["1", "1.2", "1.4", "1.6", "1.8", "2", "2.2"]
    assert [point.label for point in theirs.points] == ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
    assert [point.label for point in none.points] == [""]
    assert ours.points[0].x.n == 6


def test_curves_that_differ_in_a_second_scale_are_told_apart():
    found = plot.curves(rows(editors=("ip2p",), text_scale="5,7.5"), "clip_direction", "clip_image")
    assert [curve.name for curve in found] == ["InstructPix2Pix, text 5, by image scale", "InstructPix2Pix, text 7.5, by image scale"]


def luminance(colour):
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_figure_in_vectors_and_pixels_with_readable_labels(tmp_path):
    whole = plot.figure(rows(), title="A title")
    axes = whole.axes[0]
    assert axes.get_xlabel().startswith("CLIP directional similarity")
    assert axes.get_ylabel().startswith("CLIP image similarity")
    drawn = [line for line in axes.get_lines() if line.get_label() and not line.get_label().startswith("_")]
    assert len({line.get_marker() for line in drawn}) == len({line.get_color() for line in drawn}) == 3
    assert min(text.get_fontsize() for text in [*axes.texts, *axes.get_xticklabels(), axes.xaxis.label]) >= 9
    assert all(1.05 / (luminance(colour) + 0.05) > 2 for colour in plot.PALETTE[:7]), "every colour in use stands out from white"
    files = plot.save(whole, tmp_path / "out" / "plot")
    assert [path.name for path in files] == ["plot.svg", "plot.pdf", "plot.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plot.pdf", "plot.png", "plot.svg"]
    assert ET.parse(files[0]).getroot().tag.endswith("svg")
    assert files[1].read_bytes().startswith(b"%PDF")
    assert files[0].read_bytes() == plot.save(plot.figure(rows(), title="A title"), tmp_path / "again")[0].read_bytes()
    picture = plot.to_tensor(whole)
    assert picture.shape == (864, 1152, 3)
    assert 0 <= float(picture.min()) < 0.2
    assert float(picture.mean()) > 0.9
    assert torch.allclose(picture, torch.from_numpy(np.asarray(Image.open(files[2]).convert("RGB"), np.float32) / 255), atol=0.02)


def test_a_figure_without_the_asked_columns_says_so():
    with pytest.raises(RunError, match="No edit has both a and b"):
        plot.figure(rows(), "a", "b")


def test_a_sheet_holds_its_pictures_apart():
    red, blue = torch.tensor([1.0, 0, 0]).expand(50, 100, 3), torch.tensor([0, 0, 1.0]).expand(100, 40, 3)
    page = sheet(
        [
            Strip(
                "“make it blue”",
                (
                    Panel(red, "Source"),
                    Panel(blue, "Ours\nscale 1.5", ("L1 0.5",), good=True),
                    Panel(None, "None", ("it failed",), good=False),
                ),
            )
        ],
        cell=120,
    )
    assert page.dtype == torch.float32
    assert page.ndim == 3
    at = lambda colour: (page - torch.tensor(colour)).abs().sum(-1) < 0.02  # noqa: E731
    assert int(at([1.0, 0, 0]).sum()) == 120 * 60
    assert int(at([0, 0, 1.0]).sum()) == 48 * 120
    reds, blues = at([1.0, 0, 0]).nonzero(), at([0, 0, 1.0]).nonzero()
    assert int(reds[:, 0].min()) == int(blues[:, 0].min()), "pictures of a strip begin at one height"
    assert int(reds[:, 1].max()) < int(blues[:, 1].min())
    for colour in (GOOD, BAD):
        assert int(at([part / 255 for part in colour]).sum()) == 120 * 4
    assert bool((page[:, :5] == 1).all()), "a margin"
    assert int((page.mean(-1) < 0.3).sum()) > 200, "and text"


def test_text_on_a_sheet_is_wrapped_within_its_width():
    text = "a very long instruction with an unbelievablyhugewordthatneverendsandneverends in it"
    found = wrapped(text, 100, 12)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    from PIL import ImageFont

    assert max(ImageFont.load_default(12).getlength(line) for line in found) <= 100
    assert wrapped("one\ntwo", 100, 12) == ["one", "two"]
    assert wrapped("", 100, 12) == []


def test_sheets_that_can_not_be():
    with pytest.raises(ValueError, match="no pictures to put on a sheet"):
        sheet([])
    many = [Strip("x", (Panel(torch.zeros(8, 8, 3)),))] * 40
    with pytest.raises(ValueError, match="is too large: show fewer"):
        sheet(many, cell=1000)


@pytest.fixture
def data(tmp_path):
    return open_dataset(str(layouts.plain(tmp_path / "data", count=2)))


def test_editors_and_pictures_made_elsewhere_are_measured_alike(data):
    told = []
    settings = [Setting("nothing"), Setting("answer")]

    def broken(example, setting):
        raise ValueError("No caption.")

    editors = {"nothing": nothing, "answer": answer, "prompt": broken}
    others = {"Theirs": data[0].edited(), "Smaller": data[0].image()[::2, ::2]}
    found = compare(data[0], [*settings, Setting("prompt")], editors, Measures(), others, lambda *news: told.append(news))
    assert [one.name for one in found] == ["Nothing done", "Right answer", "DreamBooth, edited caption", "Theirs", "Smaller"]
    assert found[0].numbers["l1_source"] == 0
    assert found[3].numbers == found[1].numbers
    assert found[4].numbers["l1_source"] > 0
    assert (found[2].picture, found[2].error) == (None, "No caption.")
    assert told[-1] == (5, 5, "Smaller")
    shown = strip(data[0], found)
    assert [panel.title for panel in shown.panels] == ["Source", *(one.name for one in found)], "the answer is there already"
    assert shown.panels[3].lines == ("No caption.",)
    assert [panel.title for panel in strip(data[0], found[:1]).panels] == ["Source", "Nothing done", "Right answer"]
    with pytest.raises(ValueError, match="There is no editor for SDEdit"):
        compare(data[0], [Setting("sdedit")], editors, Measures())


def test_what_stands_below_a_result():
    numbers = {"right": 0.0, "done": 1.0, "kept": 0.0, "clip_direction": 0.123, "l1_source": 0.5, "l1_target": 0.25}
    assert lines(numbers, 2.04) == (
        "judged: done, other things changed",
        "CLIP direction 0.123",
        "L1 to answer 0.250",
        "L1 to source 0.500",
        "2.0 s",
    )
    assert lines({"right": 1.0}) == ("judged: right",)
    assert lines({"right": 0.0}) == ("judged: wrong",)
    assert lines({}, error="no") == ("no",)
    assert strip.__doc__
    assert Compared("a", None).numbers == {}


def test_a_sheet_of_a_run_with_a_failed_edit(data, tmp_path):
    settings = [Setting("nothing"), Setting("answer")]

    def half(example, setting):
        if example.id == "000002":
            raise ValueError("It broke.")
        return example.image()

    found = evaluate(data, settings, {"nothing": half, "answer": answer}, Measures(), tmp_path, pictures=True)
    page = run_sheet(tmp_path, list(data), found, settings, cell=96)
    assert page.shape[1] > 3 * 96
    assert page.shape[0] > 2 * 77


def test_labels_of_points_that_nearly_coincide_are_apart():
    close = [Row("a", setting, {"done": 0.5 + 0.001 * number, "kept": 0.5}) for number, setting in enumerate(grid(["ip2p", "sdedit"]))]
    close += [Row("a", Setting("nothing"), {"done": 0.0, "kept": 1.0})]
    whole = plot.figure(close[:4] + close[-4:])
    whole.draw_without_rendering()
    boxes = [text.get_window_extent() for text in whole.axes[0].texts if text.get_text()]
    assert len(boxes) == 7
    assert not any(one.shrunk(0.8, 0.8).overlaps(other.shrunk(0.8, 0.8)) for place, one in enumerate(boxes) for other in boxes[:place])


def test_what_is_better_when_small_runs_backwards():
    axes = plot.figure(rows(("right", "l1_target"))).axes[0]
    assert axes.yaxis_inverted()
    assert not axes.xaxis_inverted()
