"""`edit`: a photo and an instruction in, an edited photo and a before/after picture out, through a shipped workflow in a real ComfyUI."""

import json
import sys
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from launcher import ROOT, QuickstartError, tail
from launcher.client import Client
from launcher.convert import fill, to_api
from launcher.server import Server

WORKFLOW = ROOT / "workflows" / "edit_photo.json"


@dataclass(frozen=True)
class Job:
    """What to edit: `settings` are input names of the Edit node (instruction, seed, steps, text_scale, image_scale) and their values."""

    photo: Path
    out: Path
    settings: dict[str, Any] = field(default_factory=dict)


def read_photo(path: Path) -> Image.Image:
    """A picture, upright, without alpha. Raises QuickstartError when there is none or it can't be read."""
    if not path.is_file():
        raise QuickstartError(f"There is no photo at {path}: the photo comes first, then the instruction in quotes.")
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise QuickstartError(f"{path} cannot be read as a picture ({error}): use a JPEG, PNG or WebP file.") from error


def edit(job: Job, server: Server) -> list[Path]:
    """Runs the job on a server that is started for it and stopped after it; returns the edited picture and the before/after picture."""
    before = read_photo(job.photo)
    job.out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    print("Starting ComfyUI ...", flush=True)
    with server:
        client = Client(server.url)
        info = client.object_info()
        check_pack(info, server)
        workflow = json.loads(WORKFLOW.read_text(encoding="utf8"))
        name = client.upload(job.photo, "quickstart_" + job.photo.name)
        prompt = fill(to_api(workflow, info), name, job.settings)
        print(f"Editing {job.photo.name}: {instruction_of(prompt)}", flush=True)
        bar = Bar()
        pictures = client.pictures(client.run(prompt, bar.step))
        bar.close()
    after = Image.open(BytesIO(pictures[-1])).convert("RGB")
    edited, both = job.out / f"{job.photo.stem}_edited.png", job.out / f"{job.photo.stem}_before_after.png"
    save(after, edited)
    save(before_after(before, after, instruction_of(prompt)), both)
    print(f"Done in {time.monotonic() - begun:.0f} s.\n  edited:       {edited}\n  before/after: {both}")
    return [edited, both]


def check_pack(info: dict[str, Any], server: Server) -> None:
    """Raises QuickstartError when the host runs without our nodes."""
    if "IP2PEdit" not in info:
        raise QuickstartError(f"ComfyUI started but could not load this pack; the end of {server.log} says why:\n{tail(server.log, 40)}")


def instruction_of(prompt: dict[str, Any]) -> str:
    """The first instruction of an API-format prompt."""
    return next(str(node["inputs"]["instruction"]) for node in prompt.values() if "instruction" in node["inputs"])


def save(picture: Image.Image, path: Path) -> None:
    """Written beside and renamed into place."""
    new = path.with_name(path.name + ".new")
    picture.save(new, format="PNG")
    new.replace(path)


def before_after(before: Image.Image, after: Image.Image, instruction: str, height: int = 384) -> Image.Image:
    """Both pictures side by side at one height, with a line of words below."""
    gap, line = 12, 34
    pair = [picture.resize((max(1, round(picture.width * height / picture.height)), height)) for picture in (before, after)]
    sheet = Image.new("RGB", (pair[0].width + pair[1].width + 3 * gap, height + 2 * gap + line), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    left = gap
    for picture, words in zip(pair, ("before", f"after: “{instruction}”"), strict=True):
        sheet.paste(picture, (left, gap))
        draw.text((left + 2, height + gap + 8), _shortened(words, font, picture.width), fill="black", font=font)
        left += picture.width + gap
    return sheet


def _shortened(words: str, font: Any, width: int) -> str:
    """The words, cut with dots when they are wider than the picture."""
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + " …") > width:
        words = words[:-1]
    return words + " …"


class Bar:
    """A line of progress: rewritten on a terminal, a few lines elsewhere."""

    def __init__(self) -> None:
        self.shown = -1
        self.terminal = sys.stdout.isatty()

    def step(self, node: str, value: int, steps: int) -> None:
        """Shows `value` of `steps`; a step of another node than before starts anew."""
        tenth = 10 * value // max(steps, 1)
        if not self.terminal and tenth == self.shown:
            return
        self.shown = tenth
        text = f"  step {value} of {steps}  [{'#' * (2 * tenth):20}]"
        print(("\r" if self.terminal else "") + text, end="" if self.terminal else "\n", flush=True)

    def close(self) -> None:
        if self.terminal and self.shown >= 0:
            print()
