"""The page of a reproduction: made of its report alone, no number by hand, and the pack's own as its report makes it."""

import json
import math
import re

import pytest
from reproduction_report import FIGURES, claim, curve, mean, report

from ip2p.reproduction import fields, figures, page
from ip2p.reproduction import report as reports

TEMPLATE = page.TEMPLATE.read_text(encoding="utf-8")


def test_a_page_says_every_claim_with_its_estimate_interval_and_verdict():
    text = page.filled(TEMPLATE, report(), "figures")
    assert "{{" not in text
    for figure in FIGURES:
        assert f"- What was tested of {figure}: 0.123 (0.050 to 0.200), n = 12. **Reproduced.**" in text
        assert f"The paper's words of {figure} (section 4.1)." in text
    assert "| SDEdit | strength 2.2 | 0.310 (0.260 to 0.360)" in text
    assert "1,234,567 weights" in text
    assert "Left out: 30 not its caption; 2 too different |" in text


def test_a_page_shows_the_figures_that_were_drawn_and_no_others():
    text = page.filled(TEMPLATE, report(), "figures")
    assert re.findall(r"\]\((figures/.+?)\)", text) == ["figures/figure8.png"]


def test_notes_stand_where_their_headings_say_and_take_their_numbers_from_the_report():
    notes = "## 8\n\nBecause of {{claim of_8}}: {{verdict of_8}}.\n\n## 10\n\nAnd this."
    text = page.filled(TEMPLATE, report(), "figures", notes)
    eight, ten = text.index("## Figure 8"), text.index("## Figure 10")
    assert "Because of 0.123 (0.050 to 0.200): reproduced." in text[eight:ten]
    assert "And this." in text[ten:]


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{nonsense 8}}", "'nonsense', which nobody knows"), ("{{claim none}}", "lacks"), ("{{value settings.none}}", "lacks")],
)
def test_a_field_without_an_answer_is_named(template, said):
    with pytest.raises(page.PageError, match=said):
        page.filled(template, report(), "figures")


def test_a_report_of_another_schema_is_refused():
    with pytest.raises(page.PageError, match="schema 0"):
        page.filled(TEMPLATE, report() | {"schema": 0}, "figures")


@pytest.mark.parametrize(("own", "said"), [(3.0, "paints best at 3"), (7.5, "")])
def test_two_text_scales_are_explained_where_there_are_two(own, said):
    settings = {"evaluation": {"text_scale": 7.5}, "painter": {"text_scale": own}}
    text = page.filled("{{scales}}", report() | {"settings": settings}, "figures").strip()
    assert said in text
    assert bool(said) == bool(text)


def test_what_a_run_did_not_measure_is_said():
    without = report() | {"claims": [claim("8")]}
    assert page.filled("{{claims 11}}", without, "figures") == "*Not measured in this run.*\n"


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.615, "share", "62"),
        (0.1, "points", "+10"),
        (-0.1, "points", "-10"),
        (0.5, "cosine", "0.500"),
        (None, "cosine", "unknown"),
    ],
)
def test_numbers_are_said_in_their_unit(value, unit, said):
    assert fields.number(value, unit) == said


def typed(text: str) -> list[str]:
    """The words with digits that stand outside of fields, code, links, and the names of figures and sections."""
    rest = re.sub(
        r"\{\{.*?\}\}|```.*?```|`.*?`|\(https?:.*?\)|[Ff]igures? \d+|[Ss]ections? [\d.]+|et al\.?,? \d{4}|2022|95%",
        " ",
        text,
        flags=re.DOTALL,
    )
    return [word for word in re.findall(r"\S*\d\S*", re.sub(r"(?m)^## .*$", "", rest)) if word.strip("*.,()") != "InstructPix2Pix"]


def test_nobody_typed_a_number():
    notes = page.KEPT / page.NOTES
    assert typed("It is {{claim x}} in Figure 8, section 4.1.") == []
    assert typed("It is 0.5 now.") == ["0.5"]
    assert typed(TEMPLATE) == []
    assert not notes.is_file() or typed(notes.read_text(encoding="utf-8")) == []


def test_an_estimate_is_said_with_its_unit_and_interval():
    told = {"estimate": 0.4, "low": 0.25, "high": 0.5}
    assert fields.estimated(told | {"unit": "share"}) == "40% (25 to 50)"
    assert fields.estimated(told | {"unit": "points"}) == "+40 points (+25 to +50)"
    assert fields.estimated(told | {"unit": "cosine"}) == "0.400 (0.250 to 0.500)"
    assert fields.estimated(told | {"unit": "cosine", "low": None, "high": None}) == "0.400"
    assert fields.estimated({"estimate": None, "low": None, "high": None, "unit": "share"}) == "unknown"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"start": ""}, "from nothing"),
        ({"start": "embedded", "learns": True}, "going on from the embedded editor's"),
        ({"start": "embedded", "learns": False}, "the embedded editor's, unchanged"),
    ],
)
def test_what_a_network_began_with_is_said(text, said):
    assert fields.start(report() | {"settings": {"text": text}}, ["text"]) == said


def test_a_marked_part_is_replaced_and_all_else_stays():
    text = f"before\n{page.MARKS[0]}\nold\n{page.MARKS[1]}\nafter"
    once = page.marked(text, "new")
    assert once == f"before\n{page.MARKS[0]}\n\nnew\n\n{page.MARKS[1]}\nafter"
    assert page.marked(once, "new") == once
    with pytest.raises(page.PageError, match="no place"):
        page.marked("nothing here", "new")


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A clone's pages elsewhere."""
    docs = tmp_path / "docs"
    for name, path in {
        "ROOT": tmp_path,
        "README": tmp_path / "README.md",
        "PAGE": docs / "reproduction.md",
        "KEPT": docs / "reproduction",
    }.items():
        monkeypatch.setattr(page, name, path)
    docs.mkdir()
    page.README.write_text(f"# A pack\n\n{page.MARKS[0]}\n{page.MARKS[1]}\n", encoding="utf-8")
    return tmp_path


def test_a_run_becomes_the_packs_page(pages, tmp_path):
    out = tmp_path / "run"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "figure8.png").write_bytes(b"a picture")
    reports.write(out / page.REPORT, report())
    page.KEPT.mkdir()
    (page.KEPT / "older.webp").write_bytes(b"of the last run")
    (page.KEPT / page.NOTES).write_text("## 8\n\nA note.", encoding="utf-8")
    assert page.write(out) == [page.PAGE, page.README]
    assert sorted(path.name for path in page.KEPT.iterdir()) == ["figure8.png", "notes.md", "report.json"]
    text = page.PAGE.read_text(encoding="utf-8")
    assert "(reproduction/figure8.png)" in text
    assert "A note." in text
    readme = page.README.read_text(encoding="utf-8")
    assert "What was tested of 13" in readme
    assert "[docs/reproduction.md](docs/reproduction.md)" in readme
    before = page.PAGE.read_bytes(), page.README.read_bytes()
    page.write()
    assert (page.PAGE.read_bytes(), page.README.read_bytes()) == before


def test_a_run_without_a_report_changes_nothing(pages, tmp_path):
    with pytest.raises(ValueError, match="can't be read"):
        page.write(tmp_path / "none")
    assert not page.PAGE.exists()


def test_a_report_is_written_in_one_way_and_holds_numbers_alone(tmp_path):
    found = reports.rounded({"b": (1.23456789, -1e-9), "a": {"c": math.inf, "d": 3}})
    reports.write(tmp_path / "report.json", found)
    assert json.loads((tmp_path / "report.json").read_text()) == {"a": {"c": None, "d": 3}, "b": [1.234568, 0.0]}
    assert (tmp_path / "report.json").read_text().index('"a"') < (tmp_path / "report.json").read_text().index('"b"')
    assert "-0.0" not in (tmp_path / "report.json").read_text()
    with pytest.raises(ValueError, match="JSON"):
        reports.write(tmp_path / "other.json", {"a": math.nan})


def test_a_curve_is_labelled_at_its_ends():
    drawn = figures.curve_of(curve("sdedit", "strength"), "direction", "similarity")
    assert drawn.name == "SDEdit, by strength"
    assert [point.label for point in drawn.points] == ["1", "", "2.2"]
    open_end = curve("full", "image_scale")
    open_end["points"][0]["direction"] = mean(0.2) | {"low": None, "high": None}
    assert figures.curve_of(open_end, "direction", "done").points[0].x.low == -math.inf


def test_plots_are_small_and_the_same_each_time(tmp_path):
    made = []
    for name in ("one.png", "other.png"):
        assert figures._plot(tmp_path / name, report(), ("full", "sdedit"), "direction", "similarity")
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert len(made[0]) < 60_000
    assert not figures._plot(tmp_path / "none.png", report(), ("full", "nobody"), "direction", "similarity")


def test_the_packs_page_is_what_its_report_makes():
    readme = page.README.read_text(encoding="utf-8")
    kept, said = page.read(page.KEPT / page.REPORT), (page.KEPT / page.NOTES).read_text(encoding="utf-8")
    assert page.PAGE.read_text(encoding="utf-8") == page.filled(TEMPLATE, kept, page.KEPT.name, said)
    assert page.marked(readme, page.short(kept, said)) == readme
    assert kept["figures"] == sorted(path.name for path in page.KEPT.iterdir() if path.suffix in (".png", ".webp"))
    assert all(f"{{{{notes {heading}}}}}" in TEMPLATE for heading in page.notes_of(said))
