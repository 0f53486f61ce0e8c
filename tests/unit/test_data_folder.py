"""A user's own folder of edits, the bundled photos, the world, and what each refuses."""

import dataclasses
import json

import layouts
import numpy as np
import pytest
import torch
from PIL import Image

from ip2p.data.example import DataError
from ip2p.data.open import open_dataset
from ip2p.data.opening import mask_file, picture_file
from ip2p.data.photos import FREE_PHOTOS, SAID, answers_of, example_of, photos_from


def test_metadata_gives_all_that_is_known(tmp_path):
    data = open_dataset(str(layouts.plain(tmp_path)))
    example = data[1]
    assert (len(data), data.benchmark) == (3, "")
    assert (example.id, example.instruction, example.kind) == ("000002", "edit 1", "odd")
    assert (example.caption, example.edited_caption) == ("before 1", "after 1")
    assert example.image().shape == (32, 40, 3)
    assert not torch.equal(example.image(), example.edited())
    assert torch.equal(example.mask().bool(), torch.from_numpy(layouts.region()))


def test_other_names_for_the_same_and_a_byte_order_mark(tmp_path):
    layouts.save(tmp_path / "a.png", layouts.pixels(0))
    lines = [
        {"file_name": "a.png", "edit": "make it night", "id": "x"},
        {"input_image": {"file_name": "a.png"}, "edit_prompt": "make it day", "output_caption": "day"},
    ]
    (tmp_path / "metadata.jsonl").write_text("\ufeff" + "\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = open_dataset(str(tmp_path))
    assert [(example.id, example.instruction, example.edited_caption) for example in data] == [
        ("x", "make it night", ""),
        ("000003", "make it day", "day"),
    ]


def test_pictures_that_belong_together_by_name(tmp_path):
    for end in ("source", "edited", "mask"):
        layouts.save(tmp_path / f"cat_{end}.png", layouts.pixels(len(end)))
    layouts.save(tmp_path / "dog.jpg", layouts.pixels(1))
    (tmp_path / "cat.txt").write_text("make it red\n")
    (tmp_path / "dog.txt").write_text("make it blue")
    cat, dog = open_dataset(str(tmp_path))
    assert (cat.id, cat.instruction, cat.edited is None, cat.mask is None) == ("cat", "make it red", False, False)
    assert (dog.id, dog.instruction, dog.edited is None, dog.mask is None) == ("dog", "make it blue", True, True)
    assert dog.image().shape == (32, 40, 3)


def black_and_white(mask, kind):
    """A mask as programs save it: in which mode, how deep, on what ground."""
    whole = Image.fromarray((mask * 255).astype(np.uint8))
    if kind == "white paint on nothing":
        return Image.merge("LA", (Image.new("L", whole.size, 255), whole))
    if kind == "a hole in a palette":
        image = Image.fromarray((~mask).astype(np.uint8), "P")
        image.putpalette([200, 0, 0, 0, 90, 0])
        image.info["transparency"] = 0
        return image
    made = {
        "0 and 1": lambda: Image.fromarray(mask.astype(np.uint8)),
        "floats": lambda: Image.fromarray(mask.astype(np.float32)),
        "16 bits": lambda: Image.fromarray(mask.astype(np.uint16) * 65535),
        "1 bit": lambda: whole.convert("1"),
        "colours": lambda: whole.convert("RGB"),
    }
    return made[kind]()


@pytest.mark.parametrize("kind", ["0 and 1", "floats", "16 bits", "1 bit", "colours", "white paint on nothing", "a hole in a palette"])
def test_a_mask_means_the_same_in_every_mode(tmp_path, kind):
    layouts.save(tmp_path / "a.png", layouts.pixels(0))
    mask = layouts.region()
    path = tmp_path / ("m.tif" if kind == "floats" else "m.png")
    black_and_white(mask, kind).save(path)
    assert torch.equal(mask_file(path, tmp_path / "a.png")(), torch.from_numpy(mask).float())


def test_a_turned_photo_takes_the_mask_that_was_drawn_on_it_as_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen, turn it clockwise
    seen = layouts.pixels(0)
    Image.fromarray(seen).rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    layouts.save(tmp_path / "m.png", (layouts.region() * 255).astype(np.uint8))
    assert torch.equal(picture_file(tmp_path / "turned.png")(), torch.tensor(seen) / 255)
    assert torch.equal(mask_file(tmp_path / "m.png", tmp_path / "turned.png")().bool(), torch.from_numpy(layouts.region()))


def test_a_picture_with_too_many_pixels_says_so(tmp_path, monkeypatch):
    layouts.save(tmp_path / "a.png", layouts.pixels(0))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    with pytest.raises(ValueError, match=r"a.png has too many pixels: make it smaller"):
        picture_file(tmp_path / "a.png")()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", r"metadata.jsonl, line 4, is not a JSON object"),
        ("[1]", r"line 4, is not a JSON object"),
        ('{"image": "0.png"}', r"line 4, has no instruction: give every edit"),
        ('{"instruction": "x"}', r"line 4, has no image"),
        ('{"image": "0.png", "instruction": " "}', r"line 4, has no instruction"),
        ('{"image": "9.png", "instruction": "x"}', r"line 4, names 9.png, which is not there: add the file"),
        ('{"image": "0.png", "mask": "m.png", "instruction": "x"}', r"line 4, names m.png"),
        ('{"image": "0.png", "instruction": "x", "id": "000001"}', r"line 4, repeats the id '000001'"),
    ],
)
def test_bad_lines_are_named_or_skipped(tmp_path, line, reason):
    place = layouts.plain(tmp_path)
    with (place / "metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=reason):
        open_dataset(str(place))
    data = open_dataset(str(place), skip=True)
    assert len(data) == 3
    assert len(data.skipped) == 1


def test_what_can_not_be_opened_says_why(tmp_path):
    (tmp_path / "empty").mkdir()
    utf16 = layouts.plain(tmp_path / "utf16", count=1)
    (utf16 / "metadata.jsonl").write_text("{}", encoding="utf-16")
    for spec, reason in {
        str(tmp_path / "none"): "There is no data at",
        str(tmp_path / "empty"): "has no edits: write metadata.jsonl there",
        "world:fly": "no edits of the kind 'fly'",
        str(utf16): "metadata.jsonl is no UTF-8 text",
        "photos:" + str(tmp_path / "empty"): "holds no photos",
    }.items():
        with pytest.raises(DataError, match=reason):
            open_dataset(spec)
    with pytest.raises(DataError, match="A count of -1"):
        open_dataset("world", count=-1)
    with pytest.raises(DataError, match="can't be drawn at 20 pixels; use 64 to 512"):
        open_dataset("world", size=20)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is no folder"):
        open_dataset(str(tmp_path / "file"))


def test_a_broken_picture_is_told_when_it_is_opened(tmp_path):
    place = layouts.plain(tmp_path)
    (place / "0.png").write_bytes((place / "0.png").read_bytes()[:60])
    (place / "1_mask.png").write_bytes(b"no picture")
    data = open_dataset(str(place))
    with pytest.raises(ValueError, match=r"0.png is not a readable picture"):
        data[0].image()
    with pytest.raises(DataError, match=r"1_mask.png is not a readable picture"):
        data[1].mask()
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.whole
def test_the_world_knows_every_answer():
    data = open_dataset("world:recolour,time", count=3, size=64)
    assert [example.kind for example in data] == ["recolour", "time", "recolour"]
    for example in (data[0], data[1]):
        assert example.image().shape == example.edited().shape == (64, 64, 3)
        assert example.mask().shape == (64, 64)
        assert example.judge(example.edited()) == {"right": 1.0, "done": 1.0, "kept": 1.0}
        assert example.judge(example.image())["done"] == 0.0
        assert example.caption != example.edited_caption
    again = open_dataset("world:recolour,time", count=3, size=64)
    assert [(example.id, example.instruction) for example in again] == [(example.id, example.instruction) for example in data]
    assert len({example.id for example in open_dataset("world", count=12)}) == 12


def test_probes_are_the_worlds_limits():
    assert [example.kind for example in open_dataset("probes", count=3, size=64)] == ["zoom", "count", "swap"]


def test_photos_are_judged_by_the_nearest_answer():
    from ip2p.worlds.photo_operators import KINDS
    from ip2p.worlds.phrasings import phrasings

    data = open_dataset("photos", size=64)
    assert len(data) == len(FREE_PHOTOS) * len(KINDS)
    example = next(example for example in data if example.kind == "negative")
    assert example.instruction in phrasings()["negative"].held_out
    assert example.judge(example.edited()) == {"right": 1.0}
    assert example.judge(example.image()) == {"right": 0.0}
    photo = next(photo for photo in photos_from(None) if example.id.startswith(f"{photo.name}-"))
    assert answers_of(photo, 64).nearest(np.asarray(example.image())) == "unchanged"
    assert max(example.image().shape) == 64
    assert len(open_dataset("photos", count=5)) == 5
    assert (example.caption, example.edited_caption) == ("a photo of something", "a photo negative of something")
    assert set(SAID) == set(KINDS)


def test_a_photos_own_caption_is_in_what_the_answer_shows():
    photo = dataclasses.replace(photos_from(None)[0], captions=("A dog on a beach .",))
    example = example_of(photo, "night", 64)
    assert (example.caption, example.edited_caption) == ("a photo of a dog on a beach", "a photo of a dog on a beach at night")


def test_the_first_photos_are_of_many_kinds_and_all_are_there_once():
    data = open_dataset("photos", size=64)
    pairs = [(example.id.rsplit("-", 2)[0], example.kind) for example in data]
    assert len(set(pairs)) == len(pairs) == len(data)
    first = pairs[: len(FREE_PHOTOS)]
    assert len({photo for photo, _ in first}) == len({kind for _, kind in first}) == len(FREE_PHOTOS)
