"""Small training sets in the layouts in which people keep them."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from layouts import PICTURE, pixels, png, save


def authors(folder, prompts=3, seeds=(11, 12), size=(40, 32)):
    """The authors' layout; prompt n asks for "edit n"."""
    for number in range(prompts):
        place = folder / f"{number:07d}"
        for seed in seeds:
            for half in (0, 1):
                save(place / f"{seed}_{half}.jpg", pixels(100 * number + seed + half, *size))
        prompt = {"input": f"before {number}", "edit": f"edit {number}", "output": f"after {number}"}
        (place / "prompt.json").write_text(json.dumps(prompt))
        (place / "metadata.jsonl").write_text("".join(json.dumps({"seed": seed, "p": 0.5}) + "\n" for seed in seeds))
    (folder / "seeds.json").write_text(json.dumps([[f"{number:07d}", list(seeds)] for number in range(prompts)]))
    return folder


def triplets(folder, count=4, size=(40, 32)):
    """A plain folder with metadata.jsonl."""
    lines = []
    for number in range(count):
        for half in ("a", "b"):
            save(folder / f"{number}{half}.png", pixels(10 * number + ord(half), *size))
        lines.append({"image": f"{number}a.png", "instruction": f"edit {number}", "edited": f"{number}b.png"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def shard(path, files):
    """A tar of (name, bytes)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", errors="surrogateescape") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def samples(count, image="original_image.png", edited="edited_image.png", text="edit_prompt.txt", first=0):
    """The (name, bytes) of so many samples, KEY.IMAGE and so on."""
    for number in range(first, first + count):
        yield f"{number:05d}.{image}", png(pixels(2 * number))
        yield f"{number:05d}.{edited}", png(pixels(2 * number + 1))
        told = json.dumps({"instruction": f"edit {number}", "caption": f"before {number}"}) if text.endswith("json") else f"edit {number}\n"
        yield f"{number:05d}.{text}", told.encode()


def table(path, rows=6, columns=("original_image", "edit_prompt", "edited_image"), group=2, rows_a_group=4):
    """A Parquet file as the hub has it; every `group` rows are of one prompt."""
    image, instruction, edited = columns
    path.parent.mkdir(parents=True, exist_ok=True)

    def pictures(add):
        return pa.array([{"bytes": png(pixels(2 * row + add)), "path": None} for row in range(rows)], PICTURE)

    found = {
        "original_prompt": pa.array([f"before {row // group}" for row in range(rows)]),
        image: pictures(0),
        instruction: pa.array([f"edit {row // group}" for row in range(rows)]),
        edited: pictures(1),
    }
    pq.write_table(pa.table(found), path, row_group_size=rows_a_group)
    return path


def lone_pair(folder, name, size, seed=0):
    """One pair of a plain folder whose pictures belong together by name, NAME_source.png and so on."""
    for half in ("source", "edited"):
        save(folder / f"{name}_{half}.png", pixels(seed + len(half), *size))
    (folder / f"{name}.txt").write_text("an edit")
