"""`pictures`: makes the pictures of the workflows (and of the README) anew, by running the workflows."""

import json
import textwrap
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from launcher import ROOT
from launcher.client import Client
from launcher.convert import fill, to_api
from launcher.edit import WORKFLOW, check_pack, read_photo
from launcher.server import Server

SIDE = 512  # pixels of a workflow's picture, which the page shows square
TILE = (244, 204)  # width and height of a picture within it
RESULTS = ("PreviewAny", "PreviewImage", "MaskPreview", "SaveImage", "SaveVideo")
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
    """A workflow's picture: its plot or what it compares if it does so, else stripes of what goes in and what comes out."""
    kinds = {node["class_type"]: (key, node["inputs"]) for key, node in prompt.items()}
    if "IP2PEvaluate" in kinds:
        return whole(_run(client, prompt)[0])
    if "IP2PCompare" in kinds:
        return compared(client, prompt, kinds["IP2PCompare"][1])
    if "IP2PScene" in kinds:
        return judged(client, prompt, kinds["IP2PScene"][0], kinds["IP2PJudge"])
    if "IP2PFast" in kinds:
        return hurried(client, prompt, kinds["IP2PFast"][0], kinds["IP2PReport"][0])
    if "IP2PVariations" in kinds:
        return varied(client, prompt, *kinds["IP2PVariations"])
    if "IP2PChain" in kinds:
        return chained(client, prompt, *kinds["IP2PChain"])
    if "IP2PBrowsePairs" in kinds:
        kinds["IP2PBrowsePairs"][1].update(each=2, count=4)
        return ImageOps.fit(_run(client, prompt)[0], (SIDE, SIDE), Image.Resampling.LANCZOS, centering=(0, 0))
    if "IP2PSplitPairs" in kinds:
        return paired(client, prompt, kinds["IP2PSplitPairs"][0])
    if "IP2PFrames" in kinds:
        return filmed(client, prompt, *kinds["IP2PFrames"])
    return stripes([read_photo(server.base / "input" / kinds["LoadImage"][1]["image"]), *_run(client, prompt)])


def compared(client: Client, prompt: dict, inputs: dict) -> Image.Image:
    """The source and the first three edits of a `Compare edits` node with these inputs."""
    names = ["source", *(f"image_{number}" for number in range(1, 4))]
    pictures, texts = _shown(client, prompt, [inputs[name] for name in names], [inputs["instruction"]])
    labels = ["The photo", *(inputs[f"label_{number}"] for number in range(1, 4))]
    return tiles(f"“{texts[0]}”", list(zip(labels, pictures, strict=True)))


def judged(client: Client, prompt: dict, scene: str, judge: tuple[str, dict]) -> Image.Image:
    """A scene (the key of its node), its edit, the right answer, and the verdict of a judge (key and inputs of its node)."""
    pictures, texts = _shown(client, prompt, [[scene, 0], judge[1]["image"], [scene, 1]], [[scene, 3], [judge[0], 1]])
    labels = ("The scene", "The edit", "The right answer")
    verdict, _, why = texts[1].partition(": ")
    return tiles(f"“{texts[0]}”", [*zip(labels, pictures, strict=True), ("The verdict", (verdict, why))])


def hurried(client: Client, prompt: dict, fast: str, report: str) -> Image.Image:
    """The photo and its edit at three speeds, with the passes that each took; ``fast`` and ``report`` are the keys of their nodes."""
    by_kind = {node["class_type"]: node["inputs"] for node in prompt.values()}
    cells = []
    for preset in ("exact", "balanced", "fast"):
        prompt[fast]["inputs"]["preset"] = preset
        pictures, texts = _shown(client, prompt, [by_kind["IP2PFitImage"]["image"], by_kind["SaveImage"]["images"]], [[report, 1]])
        cells.append((f"{preset}: {texts[0]} passes", pictures[1]))
    return tiles(f"“{by_kind['IP2PInstruction']['instruction']}”", [("The photo", pictures[0]), *cells])


def varied(client: Client, prompt: dict, node: str, inputs: dict) -> Image.Image:
    """Four variations, with their seeds."""
    pictures, _ = _shown(client, prompt, [[node, 0]], [])
    labels = [f"seed {inputs['seed'] + number}" for number in range(4)]
    return tiles(f"“{inputs['instruction']}”", list(zip(labels, pictures[:4], strict=True)))


def chained(client: Client, prompt: dict, node: str, inputs: dict) -> Image.Image:
    """The photo and the first three stages of a chain."""
    pictures, _ = _shown(client, prompt, [inputs["image"], [node, 0]], [])
    words = [line.partition("|")[0].strip() for line in inputs["instructions"].splitlines() if line.strip()]
    labels = ["The photo", *(f"{number}. {text}" for number, text in enumerate(words[:3], start=1))]
    return tiles("One edit after another", list(zip(labels, pictures[:4], strict=True)))


def paired(client: Client, prompt: dict, node: str) -> Image.Image:
    """The first two pairs of a node that takes pairs apart."""
    before, _ = _shown(client, prompt, [[node, 0]], [])
    after, _ = _shown(client, prompt, [[node, 1]], [])
    cells = [cell for pair in zip(before[:2], after[:2], strict=True) for cell in zip(("Before", "After"), pair, strict=True)]
    return tiles("Alike but for a few words", cells)


def filmed(client: Client, prompt: dict, node: str, inputs: dict) -> Image.Image:
    """The first and last frame of a video, and of its edit."""
    before, _ = _shown(client, prompt, [inputs["images"]], [])
    after, _ = _shown(client, prompt, [[node, 0]], [])
    cells = [("First frame", before[0]), ("Last frame", before[-1]), ("Edited", after[0]), ("Edited", after[-1])]
    return tiles(f"“{inputs['instruction']}”", cells)


def _shown(client: Client, prompt: dict, pictures: list, texts: list) -> tuple[list[Image.Image], list[str]]:
    """Runs a prompt for these outputs of its nodes, each as [node, output], in place of its own results."""
    kept = {key: node for key, node in prompt.items() if node["class_type"] not in RESULTS}
    first = 1 + max(int(key) for key in prompt)
    wanted = [("PreviewImage", "images", source) for source in pictures] + [("PreviewAny", "source", source) for source in texts]
    shown = {str(first + n): {"class_type": kind, "inputs": {name: source}} for n, (kind, name, source) in enumerate(wanted)}
    outputs = client.run(kept | shown)
    said = [outputs[str(first + len(pictures) + n)]["text"][0] for n in range(len(texts))]
    return [Image.open(BytesIO(data)).convert("RGB") for data in client.pictures({key: outputs[key] for key in shown})], said


def tiles(heading: str, cells: Sequence[tuple[str, Image.Image | tuple[str, str]]]) -> Image.Image:
    """A square of two by two pictures under a heading, each below its name; a cell may be a verdict and its reason instead."""
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(sheet)
    size = next(size for size in range(27, 0, -1) if size == 12 or draw.textlength(heading, ImageFont.load_default(size)) < SIDE - 16)
    draw.text((SIDE / 2, 23), heading, fill="black", font=ImageFont.load_default(size), anchor="mm")
    for number, (label, shown) in enumerate(cells):
        left, top = 8 + (number % 2) * (TILE[0] + 8), 44 + (number // 2) * (TILE[1] + 29)
        middle = left + TILE[0] / 2
        draw.text((middle, top + 11), label, fill="#404040", font=ImageFont.load_default(size=20), anchor="mm")
        if isinstance(shown, tuple):
            _verdict(draw, *shown, (middle, top + 24 + TILE[1] / 2))
        else:
            sheet.paste(ImageOps.fit(shown, TILE, Image.Resampling.LANCZOS), (left, top + 24))
    return sheet


def _verdict(draw: ImageDraw.ImageDraw, verdict: str, reason: str, middle: tuple[float, float]) -> None:
    """The verdict in large letters around a point, and its reason below."""
    colour = "#009e73" if verdict == "right" else "#d55e00"  # of Okabe and Ito's palette
    draw.text((middle[0], middle[1] - 24), verdict, fill=colour, font=ImageFont.load_default(size=56), anchor="mm")
    text = textwrap.fill(reason, 22, max_lines=4, placeholder=" ...")
    draw.multiline_text(
        (middle[0], middle[1] + 20), text, fill="#404040", font=ImageFont.load_default(size=20), anchor="ma", align="center"
    )


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
