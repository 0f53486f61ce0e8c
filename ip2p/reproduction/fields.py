"""What a page's fields say of a report: one function for each, `(report, words)` to Markdown.

A field's name is that of its function; its words follow it in the template (`{{curves full sdedit}}`).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAMES = {
    "full": "filtered pairs",
    "tenth": "a tenth of the prompts",
    "unfiltered": "unfiltered pairs",
    "true": "right answers",
    "own": "filtered pairs, own text scale",
    "sdedit": "SDEdit",
    "sdedit-own": "SDEdit, own text scale",
    "nothing": "nothing done",
    "answer": "the right answer",
    "encoded": "the right answer through the autoencoder",
}
"""What conditions, baselines and anchors are called on the page and in its figures."""
COLUMNS = {"direction": "direction", "similarity": "image similarity", "done": "done", "kept": "kept", "right": "right"}
SHARES = ("done", "kept", "right")
UNITS = {"cosine": "for cosines", "share": "points for shares", "correlation": "for correlations"}
VERDICTS = ("reproduced", "not reproduced", "cannot be told", "measured")
FIGURES = {"pairs": "generated pairs", "learning": "learning", "true": "right answers", "axes": "CLIP and the judge"}
"""What claims are about that are of no figure of the paper."""
BY = {"image_scale": "image scale", "strength": "strength"}

Report = Mapping[str, Any]


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
    """`start joint`: what the training of a table's network began with."""
    settings = report["settings"][words[0]]
    if not settings["start"]:
        return "from nothing"
    own = f"the {settings['start']} editor's"
    return f"going on from {own}" if settings.get("learns", True) else f"{own}, unchanged"


def scales(report: Report, words: Sequence[str]) -> str:
    """`scales`: why both methods are shown at two text scales; nothing where the model's own is the one that all is measured at."""
    usual, own = (value(report, [f"settings.{name}.text_scale"]) for name in ("evaluation", "painter"))
    if usual == own:
        return ""
    return (
        f"The paper fixes the text scale at {usual} for both methods, which was a usual one for Stable Diffusion. This text-to-image model "
        f"paints best at {own}; so both methods are shown at that scale as well."
    )


def margins(report: Report, words: Sequence[str]) -> str:
    """`margins`: the smallest effect that counts, by unit."""
    found = {str(one["unit"]).replace("points", "share"): one["margin"] for one in report["claims"] if one["paper"] and one["margin"]}
    return ", ".join(f"{number(found[unit], unit)} {UNITS.get(unit, unit)}" for unit in sorted(found))


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
    """A claim's estimate in its unit, with its interval."""
    unit = str(one["unit"])
    if one["estimate"] is None:
        return "unknown"
    said = number(one["estimate"], unit) + (" points" if unit == "points" else "%" if unit == "share" else "")
    return said if one["low"] is None else f"{said} ({number(one['low'], unit)} to {number(one['high'], unit)})"


def number(found: float | None, unit: str) -> str:
    """A number of a unit, without it: shares in percent, differences of shares in points of percent with their sign, all else as it is."""
    if found is None:
        return "unknown"
    if unit in ("share", "points"):
        return f"{100 * found + 0.0:{'+' if unit == 'points' else ''}.0f}"
    return f"{found:.2f}" if unit in ("edits", "image scale") else f"{found:.3f}"


def claims(report: Report, words: Sequence[str]) -> str:
    """`claims 8`: what the paper says of a figure, and each measured claim of it with its verdict."""
    own = _of_figure(report, words[0])
    if not own:
        return "*Not measured in this run.*"
    said = dict.fromkeys(_cited(_capital(one["paper"].rstrip(".")), str(one["section"])) for one in own if one["paper"])
    paper = ["**The paper.** " + " ".join(said)] if said else []
    found = [f"- {_plainly(one)}: {estimated(one)}, n = {one['n']:,}{_detail(one)}. **{_capital(one['verdict'])}.**" for one in own]
    return "\n\n".join([*paper, "**Found.**\n\n" + "\n".join(found)])


def _of_figure(report: Report, figure: str) -> list[Mapping[str, Any]]:
    return [one for one in report["claims"] if str(one["figure"]) == figure]


def _cited(text: str, section: str) -> str:
    """What the paper says, with the place where it does, unless it names one itself."""
    named = re.search(r"\((section|Figure) [\d.]+\)$", text)
    return f"{text}." if named else f"{text} ({'section ' if section[:1].isdigit() else ''}{section})."


def _plainly(one: Mapping[str, Any]) -> str:
    return str(one["statement"]).rstrip(".")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _detail(one: Mapping[str, Any]) -> str:
    """What stands beside an estimate: a number for each name."""
    unit = "share" if one["unit"] in ("points", "share") else str(one["unit"])
    detail = sorted(one["detail"].items(), key=lambda item: float(item[0]) if item[0].replace(".", "").isdigit() else 0.0)
    told = [f"{name}: {number(found, unit)}{'%' if unit == 'share' else ''}" for name, found in detail]
    return f" ({'; '.join(told)})" if told else ""


def headlines(report: Report, words: Sequence[str]) -> str:
    """`headlines`: the first claim of each figure, and how many of its claims have which verdict."""
    rows = []
    for figure in dict.fromkeys(str(one["figure"]) for one in report["claims"]):
        own = _of_figure(report, figure)
        counts = Counter(str(one["verdict"]) for one in own)
        verdicts = ", ".join(f"{counts[said]} {said}" for said in VERDICTS if counts[said])
        rows.append([FIGURES.get(figure, f"Figure {figure}"), _plainly(own[0]), estimated(own[0]), str(own[0]["verdict"]), verdicts])
    return _table(["", "tested first", "estimate, with its 95% interval", "verdict", "all that was tested"], rows, right=(2,))


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


def chains(report: Report, words: Sequence[str]) -> str:
    """`chains`: how often each edit of a chain is there when it is made, and at the end."""
    shown = {"own": "done when made", "end": "done at the end", "own_right": "right when made", "end_right": "right at the end"}
    rows = [[f"{one['stage']}.", *(mean(one[name], True) for name in shown)] for one in report["chains"]]
    return _table(["edit", *shown.values()], rows, right=range(1, 5))


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
    one = {"estimate": found["value"], "low": found["low"], "high": found["high"], "unit": "share" if share else "cosine"}
    return estimated(one)


def sets(report: Report, words: Sequence[str]) -> str:
    """`sets`: the sizes of the data sets."""
    rows = [[NAMES[name], f"{one['prompts']:,}", f"{one['pairs']:,}"] for name, one in report["data"]["sets"].items()]
    return _table(["", "prompts", "pairs"], rows, right=(1, 2))


def refused(report: Report, words: Sequence[str]) -> str:
    """`refused`: how many samples the filter left out, and why."""
    found = report["data"]["sets"]["full"]["rejected"]
    return "; ".join(f"{found[reason]:,} {reason}" for reason in sorted(found, key=lambda reason: (-found[reason], reason)))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    line = ["---:" if place in right else "---" for place in range(len(heads))]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in (heads, line, *rows))


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


FIELDS: dict[str, Callable[[Report, Sequence[str]], str]] = {
    "anchors": anchors,
    "chains": chains,
    "claim": claim,
    "claims": claims,
    "count": count,
    "curves": curves,
    "grid": grid,
    "headlines": headlines,
    "kinds": kinds,
    "limits": limits,
    "margins": margins,
    "refused": refused,
    "scales": scales,
    "sets": sets,
    "start": start,
    "value": value,
    "verdict": verdict,
}
