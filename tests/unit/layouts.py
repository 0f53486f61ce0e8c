"""Small folders in exactly the layouts in which the public benchmarks are published."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def pixels(seed, width=40, height=32):
    """A picture of large squares of random colours, never white."""
    small = np.random.default_rng(seed).integers(0, 230, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def region(width=40, height=32):
    """What the masks of these folders mean: a rectangle, (H, W) bool."""
    mask = np.zeros((height, width), bool)
    mask[5:20, 8:30] = True
    return mask


def painted(source, mask):
    """A mask as MagicBrush's data set has it: the picture itself, white where it may change."""
    out = source.copy()
    out[mask] = 255
    return out


def transparent(source, mask):
    """The same as the unpacked test set has it: the picture, transparent where it may change."""
    return np.dstack([source, np.where(mask, 0, 255).astype(np.uint8)])


def magicbrush_folder(folder, sessions=((12, 2), (30, 1))):
    """The unpacked test set: `sessions` are (image id, number of turns)."""
    turns, by_id, descriptions, local = [], {}, {}, {}
    for image, count in sessions:
        place = folder / "images" / str(image)
        names = [f"{image}-input.png", *(f"{image}-output{turn}.png" for turn in range(1, count + 1))]
        for number, name in enumerate(names):
            save(place / name, pixels(100 * image + number))
        descriptions[str(image)] = {name: f"global {name}" for name in names}
        local[str(image)] = {name: f"local {name}" for name in names[1:]}
        for turn in range(1, count + 1):
            save(place / f"{image}-mask{turn}.png", transparent(pixels(100 * image + turn - 1), region()))
            files = {"input": names[turn - 1], "mask": f"{image}-mask{turn}.png", "output": names[turn]}
            turns.append({**files, "instruction": f"edit {image} turn {turn}"})
        by_id[str(image)] = [turn for turn in turns if turn["input"].startswith(f"{image}-")]
    for name, value in {
        "edit_turns": turns,
        "edit_sessions": by_id,
        "global_descriptions": descriptions,
        "local_descriptions": local,
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def _picture(array, path):
    return {"bytes": png(array), "path": path}


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def magicbrush_parquet(path, images=(7, 9), turns=3):
    """A file of the hub's dev split."""
    rows = []
    for image in images:
        for turn in range(1, turns + 1):
            source = pixels(100 * image + turn - 1)
            rows.append(
                {
                    "img_id": str(image),
                    "turn_index": turn,
                    "source_img": _picture(source, f"{image}-input.png"),
                    "mask_img": _picture(painted(source, region()), f"{image}-mask{turn}.png"),
                    "instruction": f"edit {image} turn {turn}",
                    "target_img": _picture(pixels(100 * image + turn), f"{image}-output{turn}.png"),
                }
            )
    fields = [("img_id", pa.string()), ("turn_index", pa.int32()), ("source_img", PICTURE), ("mask_img", PICTURE)]
    _write(path, rows, pa.schema([*fields, ("instruction", pa.string()), ("target_img", PICTURE)]), row_group_size=2)
    return path


def emu_parquet(path, count=5, split="test", first=0):
    """A file of the Emu Edit test set."""
    tasks = ("add", "background", "color", "global", "local", "remove", "style")
    rows = [
        {
            "instruction": f"instruction {number}",
            "image": _picture(pixels(number), f"{number}.png"),
            "task": tasks[number % len(tasks)],
            "split": split,
            "idx": number,
            "hash": f"hash{number}",
            "input_caption": f"before {number}",
            "output_caption": f"after {number}",
        }
        for number in range(first, first + count)
    ]
    texts = [(name, pa.string()) for name in ("hash", "input_caption", "output_caption")]
    head = [("instruction", pa.string()), ("image", PICTURE), ("task", pa.string()), ("split", pa.string()), ("idx", pa.int64())]
    _write(path, rows, pa.schema([*head, *texts]), row_group_size=3)
    return path


def _write(path, rows, schema, row_group_size):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=row_group_size)


PIE_FOLDERS = ("0_random_140", "1_change_object_80/1_artificial/1_animal", "9_change_style_80/2_natural/4_outdoor")


def pie_bench(folder, count=3, side=512):
    """PIE-Bench as unpacked, with one edit in each of `count` folders."""
    mapping = {}
    for number, place in enumerate(PIE_FOLDERS[:count]):
        name = f"{place[0]}11{number:09d}"
        save(folder / "annotation_images" / place / f"{name}.jpg", pixels(number, side, side))
        mapping[name] = {
            "image_path": f"{place}/{name}.jpg",
            "original_prompt": "a [round] cake with orange frosting",
            "editing_prompt": "a [square] cake with orange frosting",
            "editing_instruction": f"change the shape {number}",
            "editing_type_id": place[0],
            "blended_word": "cake cake",
            "mask": [512 * 100 + 50, 200, 512 * 101 + 50, 210] if number else [0, 512 * 512],
        }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mapping_file.json").write_text(json.dumps(mapping))
    return folder


def plain(folder, count=3, with_all=True):
    """A plain folder of edits with metadata.jsonl."""
    lines = []
    for number in range(count):
        line = {"image": f"{number}.png", "instruction": f"edit {number}"}
        save(folder / line["image"], pixels(number))
        if with_all:
            save(folder / f"edited/{number}.png", pixels(50 + number))
            save(folder / f"{number}_mask.png", (region() * 255).astype(np.uint8))
            line |= {"edited": f"edited/{number}.png", "mask": f"{number}_mask.png", "caption": f"before {number}"}
            line |= {"edited_caption": f"after {number}", "kind": "even" if number % 2 == 0 else "odd"}
        lines.append(json.dumps(line))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder
