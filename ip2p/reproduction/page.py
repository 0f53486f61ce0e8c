"""A report as a page: a template in Markdown whose fields `{{name words}}` are filled from report.json, so that no number is typed by hand.

`page.md` beside this file is the template of every run's report.md and of the pack's own page. What only holds of one run, such as why
something came out otherwise, stands in that run's notes: Markdown with the same fields, under headings that name a figure.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.disk import make_folder, read_file, write_file
from .fields import FIELDS, Report

ROOT = Path(__file__).resolve().parents[2]
README, PAGE, KEPT = ROOT / "README.md", ROOT / "docs" / "reproduction.md", ROOT / "docs" / "reproduction"
"""The pack's pages, and the folder of the report and the figures that they are made of."""
REPORT, NOTES, FIGURES = "report.json", "notes.md", "figures"
MARKS = ("<!-- made by `python -m ip2p reproduce --page` -->", "<!-- up to here -->")
"""Around the README's part."""
SHORT = """{{picture pairs.webp All samples of three prompts, with what CLIP says of each pair, and whether the filter kept it}}

{{notes short}}

{{headlines}}

Every claim, every figure, and what none of it can show: [docs/reproduction.md](docs/reproduction.md)."""
"""The README's part."""
SCHEMA = 1
"""The form of report.json; a page of another one is refused."""
TEMPLATE = Path(__file__).with_name("page.md")
FIELD = re.compile(r"\{\{(.+?)\}\}")


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
    report, notes = read(KEPT / REPORT), (KEPT / NOTES).read_text(encoding="utf-8") if (KEPT / NOTES).is_file() else ""
    save(PAGE, report, KEPT.name, notes)
    write_file(README, marked(README.read_text(encoding="utf-8"), short(report, notes)).encode())
    return [PAGE, README]


def short(report: Report, notes: str = "") -> str:
    """The README's part of a report and its notes."""
    return filled(SHORT, report, KEPT.relative_to(ROOT).as_posix(), notes).strip()


def _copy(out: Path) -> None:
    """Put a run's report and figures among the pages in place of the last run's."""
    report = read(out / REPORT)
    make_folder(KEPT)
    for path in KEPT.glob("*.*"):
        if path.suffix in (".png", ".webp"):
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
    """A report. Raises PageError for a file that is none, DataError for one that can't be read."""
    data = read_file(path)
    try:
        found = json.loads(data)
    except ValueError as error:
        raise PageError(f"{path} is no report ({error}): make it with `python -m ip2p reproduce`.") from error
    if not isinstance(found, dict):
        raise PageError(f"{path} is no report: make it with `python -m ip2p reproduce`.")
    return found
