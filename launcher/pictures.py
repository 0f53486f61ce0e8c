"""`pictures`: makes the pictures of the workflows (and of the README) anew, by running the workflows."""

import json
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from launcher import ROOT
from launcher.client import Client
from launcher.convert import fill, to_api
from launcher.edit import WORKFLOW, check_pack, read_photo
from launcher.server import Server

SIDE = 512  # pixels of a workflow's picture, which the page shows square
RESULTS = ("PreviewAny", "PreviewImage", "MaskPreview", "SaveImage")
SHOWN = ("make it look like sunset", "make it night", "make it snow", "turn it into a pencil sketch")


def make_all(server: Server) -> list[Path]:
    """Runs every workflow on a server that is started for it; returns the files written."""
    made = []
    with server:
        client = Client(server.url)
        info = client.object_info()
        check_pack(info, server)
        for path in sorted(WORKFLOW.parent.glob("*.json")):
            print(f"  {path.stem}", flush=True)
            prompt = to_api(json.loads(path.read_text(encoding="utf8")), info)
            made.append(_save(thumbnail(client, prompt, server), path.with_suffix(".jpg")))
        prompt = to_api(json.loads(WORKFLOW.read_text(encoding="utf8")), info)
        made.append(_save(row(client, prompt, server), ROOT / "photos" / "edits.jpg"))
    return made


def thumbnail(client: Client, prompt: dict, server: Server) -> Image.Image:
    """A workflow's picture: its plot if it draws one, else stripes of what goes in and what comes out."""
    kinds = {node["class_type"]: (key, node["inputs"]) for key, node in prompt.items()}
    if "IP2PEvaluate" in kinds:
        return whole(_run(client, prompt)[0])
    if "IP2PCompare" in kinds:
        inputs = kinds["IP2PCompare"][1]
        return stripes(_run(client, _showing([inputs[name] for name in inputs if name == "source" or name.startswith("image_")], prompt)))
    if "IP2PScene" in kinds:
        return stripes(_run(client, _showing([[kinds["IP2PScene"][0], 0], kinds["SaveImage"][1]["images"]], prompt)))
    return stripes([read_photo(server.base / "input" / kinds["LoadImage"][1]["image"]), *_run(client, prompt)])


def _showing(sources: list, prompt: dict) -> dict:
    """The prompt with these outputs, each as [node, output], as its only results."""
    kept = {key: node for key, node in prompt.items() if node["class_type"] not in RESULTS}
    first = 1 + max(int(key) for key in prompt)
    return kept | {str(first + n): {"class_type": "PreviewImage", "inputs": {"images": source}} for n, source in enumerate(sources)}


def whole(picture: Image.Image) -> Image.Image:
    """A picture within a white square."""
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    fitted = ImageOps.contain(picture, (SIDE, SIDE), Image.Resampling.LANCZOS)
    sheet.paste(fitted, ((SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2))
    return sheet


def _run(client: Client, prompt: dict) -> list[Image.Image]:
    return [Image.open(BytesIO(data)).convert("RGB") for data in client.pictures(client.run(prompt))]


def stripes(pictures: list[Image.Image]) -> Image.Image:
    """One square picture made of upright stripes, the first from the first picture and so on."""
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    for number, picture in enumerate(pictures):
        left, right = (SIDE * edge // len(pictures) for edge in (number, number + 1))
        square = picture.crop(_middle(picture)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(square.crop((left + 2 * bool(number), 0, right, SIDE)), (left + 2 * bool(number), 0))
    return sheet


def _middle(picture: Image.Image) -> tuple[int, int, int, int]:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return left, top, left + side, top + side


def row(client: Client, prompt: dict, server: Server, side: int = 230) -> Image.Image:
    """The bundled photo and a few edits of it, side by side, with the words below."""
    cells = [("the photo", read_photo(server.base / "input" / "example.png"))]
    cells += [(words, _run(client, fill(prompt, "example.png", {"instruction": words}))[-1]) for words in SHOWN]
    sheet = Image.new("RGB", ((side + 10) * len(cells) - 10, side + 30), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, (words, picture) in enumerate(cells):
        square = picture.crop(_middle(picture)).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(square, (number * (side + 10), 0))
        draw.text((number * (side + 10) + side / 2, side + 16), words, fill="black", font=font, anchor="mm")
    return sheet


def _save(picture: Image.Image, path: Path) -> Path:
    picture.save(path, quality=88, optimize=True)
    return path
