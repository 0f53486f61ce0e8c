"""A report as a page: a template in Markdown whose fields `{{name words}}` are filled from report.json, so that no number is typed by hand.

`page.md` beside this file is the template of every run's report.md and of the pack's own page. What only holds of one run, such as why
something came out otherwise, stands in that run's notes: Markdown with the same fields, under headings that name a figure.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.disk import make_folder, read_file, write_file

ROOT = Path(__file__).resolve().parents[2]
README, PAGE, KEPT = ROOT / "README.md", ROOT / "docs" / "reproduction.md", ROOT / "docs" / "reproduction"
"""The pack's pages, and the folder of the report and the figures that they are made of."""
REPORT, NOTES, FIGURES = "report.json", "notes.md", "figures"
MARKS = ("<!-- made by `python -m ip2p reproduce --page` -->", "<!-- up to here -->")
"""Around the README's part."""
SCHEMA = 1
"""The form of report.json; a page of another one is refused."""
TEMPLATE = Path(__file__).with_name("page.md")
FIELD = re.compile(r"\{\{(.+?)\}\}")
NAMES = {
    "full": "filtered pairs",
    "tenth": "a tenth of the prompts",
    "unfiltered": "unfiltered pairs",
    "true": "right answers",
    "sdedit": "SDEdit",
    "nothing": "nothing done",
    "answer": "the right answer",
    "encoded": "the right answer through the autoencoder",
}
"""What conditions, baselines and anchors are called on the page and in its figures."""
COLUMNS = {"direction": "direction", "similarity": "image similarity", "done": "done", "kept": "kept", "right": "right"}
SHARES = ("done", "kept", "right")
BY = {"image_scale": "image scale", "strength": "strength"}

Report = Mapping[str, Any]


class PageError(ValueError):
    """A report or a template that makes no page, in one sentence with its cause and cure."""


def filled(template: str, report: Report, figures: str, notes: str = "") -> str:
    """The template with every field filled. ``figures``: the folder of the pictures as the page sees it; ``notes``: see `notes_of`.

    Raises PageError for a report of another schema and for a field that nobody knows, or that asks for what the report lacks.
    """
    if report.get("schema") != SCHEMA:
        raise PageError(f"The report has the schema {report.get('schema')!r}, not {SCHEMA}: make it anew with this version.")
    said = {heading: _fields(text, report, figures, {}) for heading, text in notes_of(notes).items()}
    text = _fields(template, report, figures, said)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def notes_of(text: str) -> dict[str, str]:
    """The paragraphs of a run's notes by the word of their heading: what stands under `## 8` goes where the template says `{{notes 8}}`."""
    parts = re.split(r"(?m)^## +(\S+) *$", text)
    return {heading: body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def _fields(text: str, report: Report, figures: str, notes: Mapping[str, str]) -> str:
    def put(match: re.Match[str]) -> str:
        name, *words = match[1].split()
        if name == "notes":
            return notes.get(words[0], "")
        if name == "picture":
            return _picture(report, figures, words[0], " ".join(words[1:]))
        if name not in FIELDS:
            raise PageError(f"The page has the field {name!r}, which nobody knows: use {', '.join(sorted(FIELDS))}, notes or picture.")
        try:
            return FIELDS[name](report, words)
        except (KeyError, IndexError, TypeError) as error:
            raise PageError(f"The page's field '{match[1]}' asks for what the report lacks ({error}): mend the field.") from error

    return FIELD.sub(put, text)


def _picture(report: Report, figures: str, name: str, told: str) -> str:
    """A figure that the run has drawn; nothing in place of one that it has not."""
    return f"![{told}]({figures}/{name})" if name in report["figures"] else ""


def value(report: Report, words: Sequence[str]) -> str:
    """`value settings.painter.schedule.steps`: anything in the report by its path, lists with commas, numbers of four digits with one."""
    found: Any = report
    for key in words[0].split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return ", ".join(map(_plain, found)) if isinstance(found, list) else _plain(found)


def _plain(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:g}"
    return f"{found:,}" if isinstance(found, int) else str(found).replace("_", " ")


def count(report: Report, words: Sequence[str]) -> str:
    """`count settings.world.places`: how many there are."""
    found: Any = report
    for key in words[0].split("."):
        found = found[key]
    return str(len(found))


def start(report: Report, words: Sequence[str]) -> str:
    """`start settings.joint.start`: what a network's training began with."""
    found = value(report, words)
    return f"going on from the {found} editor's" if found else "from nothing"


def claim(report: Report, words: Sequence[str]) -> str:
    """`claim ID`: its estimate and interval, in running text."""
    return estimated(_claim(report, words[0]))


def verdict(report: Report, words: Sequence[str]) -> str:
    """`verdict ID`: in running text."""
    return str(_claim(report, words[0])["verdict"])


def _claim(report: Report, name: str) -> Mapping[str, Any]:
    for one in report["claims"]:
        if one["id"] == name:
            return dict(one)
    raise KeyError(name)


def estimated(one: Mapping[str, Any]) -> str:
    """A claim's estimate with its interval, in its unit."""
    unit = str(one["unit"])
    middle = number(one["estimate"], unit)
    return middle if one["low"] is None else f"{middle} ({number(one['low'], unit)} to {number(one['high'], unit)})"


def number(found: float | None, unit: str) -> str:
    """A number in its unit: shares as percent, differences of shares as points of percent with their sign, all else as it is."""
    if found is None:
        return "unknown"
    if unit == "share":
        return f"{100 * found:.0f}%"
    if unit == "points":
        return f"{100 * found:+.0f} points"
    return f"{found:.3f}"


def claims(report: Report, words: Sequence[str]) -> str:
    """`claims 8`: what the paper says of a figure, and each measured claim of it with its verdict."""
    own = [one for one in report["claims"] if str(one["figure"]) == words[0]]
    if not own:
        return "*Not measured in this run.*"
    said = dict.fromkeys(f"{one['paper'].rstrip('.')} (section {one['section']})." for one in own if one["paper"])
    paper = ["**The paper.** " + " ".join(said)] if said else []
    found = [f"- {one['statement'].rstrip('.')}: {estimated(one)}, n = {one['n']}. **{_capital(one['verdict'])}.**" for one in own]
    return "\n\n".join([*paper, "**Found.**\n\n" + "\n".join(found)])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def summary(report: Report, words: Sequence[str]) -> str:
    """`summary`: every claim as a row."""
    rows = [[_figure(one["figure"]), one["statement"].rstrip("."), estimated(one), one["verdict"]] for one in report["claims"]]
    return _table(["", "what was tested", "estimate, with its 95% interval", "verdict"], rows, right=(2,))


def _figure(name: object) -> str:
    return f"Figure {name}" if str(name).isdigit() else ""


def curves(report: Report, words: Sequence[str]) -> str:
    """`curves full sdedit`: the numbers of these curves, a row for each of their points."""
    rows = [
        [NAMES[curve["name"]], f"{BY[curve['by']]} {point['at']:g}", *_cells(point)]
        for name in words
        for curve in report["curves"]
        if curve["name"] == name
        for point in curve["points"]
    ]
    return _folded("The curves in numbers", _table(["", "", *COLUMNS.values()], rows, right=range(2, 7)))


def anchors(report: Report, words: Sequence[str]) -> str:
    """`anchors`: what the columns say of pictures whose right verdict is known."""
    rows = [[NAMES[name], *_cells(report["anchors"][name])] for name in NAMES if name in report["anchors"]]
    return _table(["", *COLUMNS.values()], rows, right=range(1, 6))


def grid(report: Report, words: Sequence[str]) -> str:
    """`grid`: Figure 4's scales in numbers."""
    rows = [[f"{cell['text']:g}", f"{cell['image']:g}", *_cells(cell)] for cell in report["grid"]]
    return _folded("The scales in numbers", _table(["text scale", "image scale", *COLUMNS.values()], rows, right=range(7)))


def limits(report: Report, words: Sequence[str]) -> str:
    """`limits`: how often each known failure came out right."""
    rows = [[one["kind"], NAMES[one["editor"]], mean(one["done"], True), mean(one["right"], True)] for one in report["limits"]]
    return _table(["", "by", "done", "right"], rows, right=(2, 3))


def kinds(report: Report, words: Sequence[str]) -> str:
    """`kinds`: each kind of edit by the judge and by CLIP."""
    shown = {"done": "done", "kept": "kept", "right": "right", "direction": "direction"}
    apart = {"direction_not_done": "high direction, not done", "done_not_direction": "done, low direction"}
    rows = [[one["kind"], *(mean(one[name], name != "direction") for name in (*shown, *apart))] for one in report["kinds"]]
    return _table(["", *shown.values(), *apart.values()], rows, right=range(1, 7))


def _cells(point: Mapping[str, Any]) -> list[str]:
    return [mean(point[name], name in SHARES) if name in point else "" for name in COLUMNS]


def mean(found: Mapping[str, Any], share: bool) -> str:
    """A mean with its interval in a cell."""
    one = {"estimate": found["value"], "low": found["low"], "high": found["high"], "unit": "share" if share else ""}
    return estimated(one)


def sets(report: Report, words: Sequence[str]) -> str:
    """`sets`: the sizes of the data sets."""
    rows = [[NAMES[name], f"{one['prompts']:,}", f"{one['pairs']:,}"] for name, one in report["data"]["sets"].items()]
    return _table(["", "prompts", "pairs"], rows, right=(1, 2))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    line = ["---:" if place in right else "---" for place in range(len(heads))]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in (heads, line, *rows))


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


FIELDS: dict[str, Callable[[Report, Sequence[str]], str]] = {
    "anchors": anchors,
    "claim": claim,
    "claims": claims,
    "count": count,
    "curves": curves,
    "grid": grid,
    "kinds": kinds,
    "limits": limits,
    "sets": sets,
    "start": start,
    "summary": summary,
    "value": value,
    "verdict": verdict,
}


def save(path: Path, report: Report, figures: str, notes: str = "") -> None:
    """Write the page of a report. Raises PageError or DataError."""
    write_file(path, filled(TEMPLATE.read_text(encoding="utf-8"), report, figures, notes).encode())


def write(out: Path | None = None) -> list[Path]:
    """Make the pack's own page, and the marked part of its README, from the report in docs; a run's folder ``out`` is copied there first.

    Returns the pages. Raises ValueError in a sentence for a run that has no report, and where the pack's pages are not there.
    """
    if not README.is_file():
        raise PageError(f"There are no pages in {ROOT}: run this in a clone of the pack's repository.")
    if out is not None:
        _copy(out)
    report = read(KEPT / REPORT)
    save(PAGE, report, KEPT.name, (KEPT / NOTES).read_text(encoding="utf-8") if (KEPT / NOTES).is_file() else "")
    write_file(README, marked(README.read_text(encoding="utf-8"), summary(report, ())).encode())
    return [PAGE, README]


def _copy(out: Path) -> None:
    """Put a run's report and figures among the pages in place of the last run's."""
    report = read(out / REPORT)
    make_folder(KEPT)
    for path in KEPT.glob("*.*"):
        if path.suffix in (".png", ".jpg"):
            path.unlink()
    for name in report["figures"]:
        write_file(KEPT / name, read_file(out / FIGURES / name))
    write_file(KEPT / REPORT, read_file(out / REPORT))


def marked(text: str, part: str) -> str:
    """The text with what stands between its two marks replaced. Raises PageError where they are not there."""
    before, mark, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (mark and end):
        raise PageError(f"The README has no place for the reproduction: put {MARKS[0]} and {MARKS[1]} into it.")
    return f"{before}{mark}\n\n{part}\n\n{end}{after}"


def read(path: Path) -> dict[str, Any]:
    """A report. Raises PageError for a file that is none."""
    try:
        found = json.loads(read_file(path))
    except ValueError as error:
        raise PageError(f"{path} is no report ({error}): make it with `python -m ip2p reproduce`.") from error
    if not isinstance(found, dict):
        raise PageError(f"{path} is no report: make it with `python -m ip2p reproduce`.")
    return found
