"""Settings from text, means with intervals, and tables."""

import csv
import io
import json
import math

import numpy as np
import pytest
from scipy import stats

from ip2p.evaluation.intervals import mean, student, wilson
from ip2p.evaluation.published import BENCHMARKS, benchmark_table
from ip2p.evaluation.rows import Row, RunError
from ip2p.evaluation.settings import Setting, SettingError, from_text, grid, numbers, seed_of
from ip2p.evaluation.table import table


def test_numbers_of_a_text():
    assert numbers("7.5") == (7.5,)
    assert numbers("1.0:2.2:0.2") == (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2)
    assert numbers("0.3:0.9:0.1") == (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert numbers("1, 2,1:2:0.5") == (1.0, 2.0, 1.5)
    for wrong in ("", "a", "1:2", "2:1:0.1", "1:2:0", "nan", "0:1e9:0.001"):
        with pytest.raises(SettingError):
            numbers(wrong)


def test_the_default_grid_is_figure_8():
    settings = grid(["ip2p", "sdedit"])
    ours = [setting for setting in settings if setting.editor == "ip2p"]
    theirs = [setting for setting in settings if setting.editor == "sdedit"]
    assert [setting.get("image_scale") for setting in ours] == [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2]
    assert {setting.get("text_scale") for setting in ours} == {7.5}
    assert [setting.get("strength") for setting in theirs] == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert {setting.get("scale") for setting in theirs} == {7.5}
    assert ours[0].get("steps") is None


def test_a_grid_from_text():
    told = "--editor ip2p,nothing --text-scale 5 --image_scale=1.0:1.5:0.5\nseed 0,1 steps 20"
    assert [setting.key for setting in from_text(told)] == [
        "ip2p image_scale=1 steps=20 text_scale=5 seed=0",
        "ip2p image_scale=1.5 steps=20 text_scale=5 seed=0",
        "ip2p image_scale=1 steps=20 text_scale=5 seed=1",
        "ip2p image_scale=1.5 steps=20 text_scale=5 seed=1",
        "nothing seed=0",
        "nothing seed=1",
    ]
    assert from_text("")[0].editor == "ip2p"
    for wrong, reason in {
        "editor magic": "The editor 'magic' is unknown",
        "image_scale": "stands alone",
        "size 3": "The number 'size' is unknown",
        "seed 0.5": "The seed is 0.5",
        "editor ,": "nothing to try",
    }.items():
        with pytest.raises(SettingError, match=reason):
            from_text(wrong)
    with pytest.raises(SettingError, match="has no 'strength'"):
        Setting("ip2p", (("strength", 0.5),))


def test_every_setting_starts_an_example_from_the_same_noise():
    settings = grid(["ip2p", "sdedit"])
    assert len({seed_of("a", setting) for setting in settings}) == 1
    assert seed_of("a", settings[0]) != seed_of("b", settings[0])
    assert seed_of("a", settings[0]) != seed_of("a", Setting("ip2p", (), 1))
    assert 0 <= seed_of("a", Setting("ip2p", (), 2**31 - 1)) < 2**63


def test_intervals_against_scipy():
    values = list(np.random.default_rng(0).normal(3, 2, 17))
    found = mean(values)
    low, high = stats.t.interval(0.95, 16, np.mean(values), stats.sem(values))
    assert (found.value, found.low, found.high, found.n) == pytest.approx((np.mean(values), low, high, 17), rel=1e-6)
    for hits, n in ((0, 5), (3, 7), (50, 50), (499, 1000)):
        expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson(hits / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
    for freedom in (1, 2.5, 3, 20, 999):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)
    assert mean([1.0]).high == math.inf
    assert mean([1.0], share=True).low == pytest.approx(0.2065, abs=1e-4)
    with pytest.raises(ValueError, match="no values"):
        mean([])


def rows():
    settings = [Setting("ip2p", (("image_scale", scale),)) for scale in (1.0, 1.5)]
    out = []
    for number in range(10):
        for setting in settings:
            given = {"right": float(number < 6), "l1_target": 0.1 + 0.01 * number, "psnr_source": 20.0 + number, "odd_column": 1.0}
            out.append(Row(f"e{number}", setting, given, kind="add" if number % 2 else "remove", instruction="x", seconds=0.5))
    return [*out, Row("e99", settings[0], kind="add", error="it broke")]


def test_table_in_every_form():
    found = table(rows(), per_kind=True)
    assert [(line.name, line.kind, line.failed) for line in found.lines][:3] == [
        ("InstructPix2Pix (image 1)", "", 1),
        ("InstructPix2Pix (image 1)", "add", 1),
        ("InstructPix2Pix (image 1)", "remove", 0),
    ]
    assert found.columns == ("right", "l1_target", "odd_column", "psnr_source", "seconds")
    cell = found.lines[0].cells["right"]
    assert (cell.value, cell.n) == (0.6, 10)
    assert (cell.low, cell.high) == pytest.approx(wilson(0.6, 10))
    text = found.text()
    assert f"0.600 ({cell.low:.2f}–{cell.high:.2f})" in text
    assert "0.145 ±0.022" in text
    assert "failed" in text.splitlines()[0]
    assert "odd_column" not in text
    assert "odd_column" in found.text(every=True)
    markdown = found.markdown().splitlines()
    assert markdown[0].startswith("|  | kind | right ↑ | L1 to answer ↓ | seconds | n | failed |")
    assert {line.count("|") for line in markdown} == {8}
    read = list(csv.DictReader(io.StringIO(found.csv())))
    assert float(read[0]["l1_target"]) == pytest.approx(0.145)
    assert read[0]["l1_target_n"] == "10"
    assert json.loads(found.json())[0]["columns"]["l1_target"]["mean"] == pytest.approx(0.145)


def test_a_table_of_nothing_but_failures():
    found = table([Row("a", Setting("ip2p"), error="no")])
    assert found.lines[0].failed == 1
    assert "failed" in found.text()
    assert found.csv().count("\n") == 2


@pytest.mark.parametrize("name", BENCHMARKS)
def test_published_rows_stand_beside_ours_in_their_units(name):
    known = BENCHMARKS[name]
    ours = [Row("a", Setting("ip2p"), {column.measure: 0.5 for column in known.columns})]
    found = benchmark_table(ours, name)
    assert [found.titles[column] for column in found.columns] == [column.title for column in known.columns]
    assert all(line.source for line in found.lines[:-1])
    assert not found.lines[-1].source
    assert [found.lines[-1].cells[column.measure].value for column in known.columns] == [0.5 * column.times for column in known.columns]
    text = found.markdown()
    assert text.count("[published]") == len(known.rows) + len({source for _, _, source in known.rows})
    assert all("arXiv" in source for _, _, source in known.rows)
    assert all(len(values) == len(known.columns) for _, values, _ in known.rows)
    only = benchmark_table([Row("a", Setting("ip2p"), {"l1_target": 0.1})], name)
    assert "Not measured here" in only.notes[-1]


def test_the_numbers_to_stand_beside():
    magicbrush = {name: values for name, values, _ in BENCHMARKS["magicbrush"].rows}
    assert magicbrush["InstructPix2Pix"] == (0.1122, 0.0371, 0.8524, 0.7428, 0.2764)
    assert magicbrush["InstructPix2Pix, fine-tuned on MagicBrush"] == (0.0625, 0.0203, 0.9332, 0.8987, 0.2781)
    assert BENCHMARKS["emu_edit"].rows[0][1] == (0.078, 0.834, 0.219, 0.121, 0.762)
    with pytest.raises(RunError, match="The benchmark 'x' is unknown"):
        benchmark_table([], "x")


def test_the_published_columns_are_ones_that_are_measured():
    from ip2p.metrics.columns import COLUMNS

    assert {column.measure for known in BENCHMARKS.values() for column in known.columns} <= set(COLUMNS)
