"""Training sets in every layout: what is in them, that nothing is opened before it is asked for, and what is damaged."""

import json
import time

import layouts
import numpy as np
import pytest
import torch
import training_sets as sets
from PIL import Image

from ip2p.data import authors, webdataset
from ip2p.data.example import DataError
from ip2p.data.pairs import open_pairs
from ip2p.data.webdataset import part_of


def same(tensor, array):
    return torch.equal((tensor * 255).round().to(torch.uint8), torch.from_numpy(np.array(array)))


def all_pairs(pairs):
    return [pairs.group(number)[pair] for number in range(len(pairs)) for pair in range(len(pairs.group(number)))]


@pytest.fixture
def untouched(monkeypatch):
    """Opening a picture fails while this holds."""

    def opened(*_):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr("PIL.Image.open", opened)
    return monkeypatch


def test_authors_layout_by_prompt(tmp_path, untouched):
    pairs = open_pairs(str(sets.authors(tmp_path)), "all")
    assert (len(pairs), len(pairs.group(1)), pairs.skipped) == (3, 2, ())
    example = pairs.group(1)[1]
    assert (example.id, example.instruction, example.caption, example.edited_caption) == ("0000001/12", "edit 1", "before 1", "after 1")
    untouched.undo()
    assert example.shape() == (32, 40)
    close = np.abs(example.image().numpy() * 255 - layouts.pixels(112)).mean()
    far = np.abs(example.image().numpy() * 255 - layouts.pixels(113)).mean()
    assert close < 20 < far, "half 0 is the source"
    assert np.abs(example.edited().numpy() * 255 - layouts.pixels(113)).mean() < 20


def test_authors_layout_without_the_list(tmp_path):
    (sets.authors(tmp_path) / "seeds.json").unlink()
    (tmp_path / "0000001" / "12_1.jpg").unlink()
    assert [example.id for example in all_pairs(open_pairs(str(tmp_path), "all"))] == [
        "0000000/11",
        "0000000/12",
        "0000001/11",
        "0000002/11",
        "0000002/12",
    ]


def test_a_list_of_what_is_not_there(tmp_path):
    sets.authors(tmp_path)
    listed = [["0000009", [1]], ["0000001", [11]], "x", ["0000008", [1, 2]], ["0000000", []], ["0000002", ["a"]]]
    (tmp_path / "seeds.json").write_text(json.dumps(listed))
    pairs = open_pairs(str(tmp_path), "all")
    assert len(pairs) == 1
    assert pairs.skipped[0] == "seeds.json lists 2 folders that are not there (0000008, 0000009): unpack the data again."
    assert len(pairs.skipped) == 4
    (tmp_path / "0000001" / "11_1.jpg").unlink()
    with pytest.raises(ValueError, match=r"11_1\.jpg"):
        pairs.group(0)[0].edited()
    with pytest.raises(DataError, match=r"11_1\.jpg is not there: add the file"):
        pairs.key(0, 0)
    (tmp_path / "0000001" / "prompt.json").write_text("{")
    with pytest.raises(DataError, match=r"0000001/prompt\.json is missing or broken"):
        pairs.group(0)
    (tmp_path / "seeds.json").write_text("{")
    with pytest.raises(DataError, match=r"seeds\.json is missing or broken"):
        open_pairs(str(tmp_path))


def test_split_is_the_authors(tmp_path):
    """0.9, 0.05, 0.05 over the sorted names."""
    names = [f"{number:07d}" for number in range(40)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "prompt.json").write_text('{"edit": "x"}')
    (tmp_path / "seeds.json").write_text(json.dumps([[name, [1]] for name in reversed(names)]))
    parts = {split: [example.id[:7] for example in all_pairs(open_pairs(str(tmp_path), split))] for split in ("train", "val", "test")}
    assert (parts["train"], parts["val"], parts["test"]) == (names[:36], names[36:38], names[38:])
    with pytest.raises(DataError, match="no pair left in the val part"):
        open_pairs(str(sets.authors(tmp_path / "few")), "val")


def test_plain_folder(tmp_path, untouched):
    pairs = open_pairs(str(sets.triplets(tmp_path)), "all")
    assert [example.instruction for example in all_pairs(pairs)] == [f"edit {number}" for number in range(4)]
    untouched.undo()
    assert same(pairs.group(2)[0].image(), layouts.pixels(20 + ord("a")))
    assert same(pairs.group(2)[0].edited(), layouts.pixels(20 + ord("b")))
    (tmp_path / "metadata.jsonl").write_text('{"image": "0a.png", "instruction": "x"}\n\nnothing\n')
    pairs = open_pairs(str(tmp_path), "all")
    with pytest.raises(DataError, match="pair 1, has no edited"):
        pairs.group(0)
    with pytest.raises(DataError, match="pair 2, is not a line of JSON"):
        pairs.group(1)


def test_pictures_that_belong_together_by_name(tmp_path):
    for name in ("cat_source", "cat_edited", "dog_0", "dog_1", "lone_source"):
        layouts.save(tmp_path / f"{name}.png", layouts.pixels(len(name)))
    for name in ("cat", "dog", "lone"):
        (tmp_path / f"{name}.txt").write_text(f"edit {name}\n")
    found = all_pairs(open_pairs(str(tmp_path), "all"))
    assert [(example.id, example.instruction) for example in found] == [("cat", "edit cat"), ("dog", "edit dog")]


@pytest.mark.parametrize(
    ("image", "edited", "text"),
    [
        ("original_image.jpg", "edited_image.jpg", "edit_prompt.txt"),
        ("input.png", "edited.png", "json"),
        ("0.jpg", "1.jpg", "instruction.txt"),
        ("jpg", "edited.jpg", "txt"),
        ("source_img.webp", "target_img.webp", "txt"),
    ],
)
def test_shards_with_many_habits(tmp_path, image, edited, text):
    sets.shard(tmp_path / "00000.tar", sets.samples(3, image, edited, text))
    sets.shard(tmp_path / "00001.tar", sets.samples(2, image, edited, text, first=3))
    for _ in range(2):  # the second time from the index beside the shards
        pairs = open_pairs(str(tmp_path), "all")
        assert [example.instruction for example in all_pairs(pairs)] == [f"edit {number}" for number in range(5)]
        assert [example.id for example in all_pairs(pairs)][3] == "00001/00003"
        example = pairs.group(4)[0]
        assert same(example.image(), layouts.pixels(8))
        assert same(example.edited(), layouts.pixels(9))
        assert example.shape() == (32, 40)
    assert open_pairs(str(tmp_path / "00001.tar"), "all").group(0)[0].instruction == "edit 3"


def test_what_members_are_called():
    assert part_of("a/b/0001_0.jpg") == ("a/b/0001", "image")
    assert part_of("0001_edited.png") == ("0001", "edited")
    assert part_of("./7.edited_image.JPG") == ("./7", "edited")
    assert part_of("7.edited_prompt.txt") is None, "a caption is no instruction"
    assert part_of("7.cls") is part_of("._7.jpg") is None


def test_changed_shards_are_looked_through_again(tmp_path, caplog):
    sets.shard(tmp_path / "a.tar", sets.samples(2))
    open_pairs(str(tmp_path), "all")
    index = next(tmp_path.glob(".ip2p*"))
    sets.shard(tmp_path / "a.tar", sets.samples(3))
    assert len(open_pairs(str(tmp_path), "all")) == 3
    index.write_bytes(index.read_bytes()[:100])
    assert len(open_pairs(str(tmp_path), "all")) == 3
    assert "is damaged and is made again" in caplog.text


def test_a_folder_that_can_not_be_written_has_its_index_in_the_cache(tmp_path, monkeypatch):
    path = sets.shard(tmp_path / "data" / "a.tar", sets.samples(2))
    (tmp_path / "data" / ".ip2p-shards.npz").mkdir()  # so that no index can be put there, whoever runs this
    assert len(open_pairs(str(path.parent), "all", cache=tmp_path / "cache")) == 2
    monkeypatch.setattr("ip2p.data.webdataset.members", None)
    assert len(open_pairs(str(path.parent), "all", cache=tmp_path / "cache")) == 2, "found again without looking through the shard"


def test_a_truncated_shard_gives_what_is_whole(tmp_path):
    path = sets.shard(tmp_path / "a.tar", sets.samples(4))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sets.shard(tmp_path / "b.tar", sets.samples(1, first=9))
    (tmp_path / "c.tar").write_bytes(b"no tar at all" * 100)
    pairs = open_pairs(str(tmp_path), "all")
    found = all_pairs(pairs)
    assert found[0].instruction == "edit 0"
    assert found[-1].instruction == "edit 9"
    assert len(found) < 5
    assert [picture().shape for example in found for picture in (example.image, example.edited)]
    assert any("a.tar is damaged after" in reason for reason in pairs.skipped)
    assert any(reason.startswith("c.tar is no readable tar file") for reason in pairs.skipped)


def test_samples_that_lack_something_and_odd_names(tmp_path):
    files = [*sets.samples(2), *list(sets.samples(1, first=7))[:2], *list(sets.samples(1, first=8))[1:]]
    files += [(f"caf\udce9{name[5:]}", data) for name, data in sets.samples(1, first=3)]
    sets.shard(tmp_path / "a.tar", files)
    pairs = open_pairs(str(tmp_path), "all")
    assert pairs.skipped == ("a.tar: 2 samples lack a picture or an instruction, the first 00007: add what is missing.",)
    odd = pairs.group(2)[0]
    assert (odd.id, odd.instruction) == ("a/caf\ufffd", "edit 3")
    assert same(odd.image(), layouts.pixels(6))
    pairs.key(2, 0).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "columns",
    [
        ("original_image", "edit_prompt", "edited_image"),
        ("input_image", "edit_prompt", "edited_image"),
        ("source_img", "instruction", "target_img"),
    ],
)
def test_parquet_of_public_data(tmp_path, columns, untouched):
    sets.table(tmp_path / "data" / "train-00000-of-00001.parquet", columns=columns)
    pairs = open_pairs(str(tmp_path), "all")
    assert [len(pairs.group(number)) for number in range(len(pairs))] == [2, 2, 2], "rows of one prompt are a group"
    untouched.undo()
    for number in (2, 0, 1):
        example = pairs.group(number)[1]
        assert (example.instruction, example.caption) == (f"edit {number}", f"before {number}")
        assert same(example.image(), layouts.pixels(4 * number + 2))
        assert same(example.edited(), layouts.pixels(4 * number + 3))
    assert example.shape() == (32, 40)


def test_parquet_files_named_after_splits_keep_to_them(tmp_path):
    layouts.magicbrush_parquet(tmp_path / "data" / "dev-00000-of-00001-ab12.parquet", images=(7,))
    layouts.magicbrush_parquet(tmp_path / "data" / "train-00000-of-00051-ab12.parquet", images=(1, 2, 3))
    assert {example.id.split("-")[0] for example in all_pairs(open_pairs(str(tmp_path)))} == {"train"}
    assert {example.id.split("-")[0] for example in all_pairs(open_pairs(str(tmp_path), "val"))} == {"dev"}
    assert len(open_pairs(str(tmp_path))) == 3, "the turns of a picture are a group"
    assert len(open_pairs(str(tmp_path), "all")) == 4


def test_damaged_parquet(tmp_path):
    whole = sets.table(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(whole.read_bytes()[:-200])
    pairs = open_pairs(str(tmp_path), "all")
    assert pairs.skipped == ("b.parquet is damaged or not all there: download it again, or skip it.",)
    whole.unlink()
    with pytest.raises(DataError, match=r"no pairs in its Parquet files \(b\.parquet is damaged"):
        open_pairs(str(tmp_path))
    sets.table(tmp_path / "b.parquet", columns=("picture", "edit_prompt", "edited_image"))
    with pytest.raises(DataError, match="no column for the image of a pair"):
        open_pairs(str(tmp_path))


def test_magicbrush_unpacked(tmp_path):
    pairs = open_pairs(str(layouts.magicbrush_folder(tmp_path)), "all")
    assert [[example.id for example in (pairs.group(n)[p] for p in range(len(pairs.group(n))))] for n in range(2)] == [
        ["12-output1", "12-output2"],
        ["30-output1"],
    ]
    assert pairs.key(0, 0) != pairs.key(0, 1)


def test_world_and_photos_are_made_as_they_are_asked_for(tmp_path):
    world = open_pairs("world:recolour,remove", size=64)
    first, second = world.group(0)[0], world.group(1)[0]
    assert (first.kind, second.kind, first.image().shape) == ("recolour", "remove", (64, 64, 3))
    assert len({first.ask(np.random.default_rng(seed)) for seed in range(10)}) > 1
    assert open_pairs("world", "val").group(0)[0].id != open_pairs("world").group(0)[0].id
    for name in "abcdefghij":
        layouts.save(tmp_path / f"{name}.png", layouts.pixels(ord(name), 80, 64))
    photos = open_pairs(f"photos:{tmp_path}", size=32)
    kinds = {photos.group(0)[pair].kind for pair in range(len(photos.group(0)))}
    assert "sepia" in kinds
    assert any("+" in kind for kind in kinds), "two edits at once"
    example = next(example for example in all_pairs(photos) if example.kind == "negative")
    assert example.image().shape == (32, 40, 3)
    assert torch.allclose(example.edited(), 1 - example.image())
    assert len({example.ask(np.random.default_rng(seed)) for seed in range(10)}) > 5


def test_held_out_photos_come_with_held_out_words_and_a_judge(tmp_path):
    from ip2p.data.photo_files import held_out
    from ip2p.worlds.phrasings import phrasings

    names = [f"photo{number}" for number in range(60)]
    for name in names:
        layouts.save(tmp_path / f"{name}.png", layouts.pixels(len(name), 80, 64))
    val = open_pairs(f"photos:{tmp_path}", "val", 64)
    assert {example.id.split("-")[0] for example in val.examples(20)} == {name for name in names if held_out(name)}
    example = val.group(0)[1]
    assert example.instruction in phrasings()[example.kind].held_out
    assert example.judge(example.edited()) == {"right": 1.0}
    assert len(open_pairs(f"photos:{tmp_path}")) + len(val) == len(names)


def test_a_mixture_has_the_shares_of_its_weights(tmp_path):
    one, other = sets.authors(tmp_path / "one", prompts=4), sets.triplets(tmp_path / "other", 3)
    pairs = open_pairs(f"0.25*{one} + 0.75*{other}", "all")
    ids = [pairs.group(number)[0].id for number in range(len(pairs))]
    assert (len(ids), sum("/" in name for name in ids)) == (16, 4), "the smaller one repeats to fill its share"
    assert pairs.key(0, 0) == open_pairs(str(one), "all").key(0, 0)
    assert pairs.key(15, 0) == open_pairs(str(other), "all").key(11 % 3, 0)
    plain = open_pairs(f"{one} + {other}", "all")
    assert [plain.group(number)[0].id for number in range(7)] == [*(f"000000{n}/11" for n in range(4)), "000001", "000002", "000003"]
    odd = sets.authors(tmp_path / "my + pairs")
    assert len(open_pairs(str(odd), "all")) == 3, "a folder's name may look like a mixture"
    with pytest.raises(DataError, match="Only some sets"):
        open_pairs(f"0.5*{one} + {other}", "all")


@pytest.mark.parametrize(
    ("spec", "split", "told"),
    [
        ("", "train", "No training data is named"),
        ("/nowhere/at/all", "train", "There is no data at"),
        ("world", "some", "The split 'some' is unknown"),
        ("world:fly", "train", "The world has no edits of the kind 'fly'"),
        ("photos:", "train", "write photos:FOLDER"),
        ("photos:/nowhere", "train", "There is no folder or tar"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(spec, split, told):
    with pytest.raises(DataError, match=told):
        open_pairs(spec, split)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="has no pairs: write metadata"):
        open_pairs(str(tmp_path))


MODES = {
    "cmyk.jpg": lambda image: image.convert("CMYK"),
    "alpha.png": lambda image: image.convert("RGBA"),
    "grey.png": lambda image: image.convert("L"),
    "palette.png": lambda image: image.convert("P"),
    "deep.png": lambda image: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("name", MODES)
def test_pictures_of_every_mode_are_colour_pictures(tmp_path, name):
    whole = Image.fromarray(layouts.pixels(0))
    for half in ("source", "edited"):
        MODES[name](whole).save(tmp_path / name.replace(".", f"_{half}."))
    (tmp_path / f"{name.split('.')[0]}.txt").write_text("an edit")
    example = open_pairs(str(tmp_path), "all").group(0)[0]
    assert example.image().shape == example.edited().shape == (32, 40, 3)
    grey = np.asarray(whole.convert("L")) / 255
    assert np.abs(example.image().numpy() @ (0.299, 0.587, 0.114) - grey).mean() < 0.06


def test_turned_pictures_stand_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for half in ("source", "edited"):
        Image.fromarray(layouts.pixels(0)).save(tmp_path / f"a_{half}.jpg", exif=turned)
    (tmp_path / "a.txt").write_text("an edit")
    example = open_pairs(str(tmp_path), "all").group(0)[0]
    assert example.shape() == tuple(example.image().shape[:2]) == (40, 32)


@pytest.mark.whole
def test_300000_pairs_open_in_a_moment(tmp_path, monkeypatch):
    """An index, a list and a table of lines of so many pairs: no file is opened or looked at, and little memory is used."""
    count = 300_000
    names = [f"{number:07d}" for number in range(count)]
    (tmp_path / "seeds.json").write_text(json.dumps([[name, [1, 2, 3, 4]] for name in names]))
    monkeypatch.setattr(authors, "_folders", lambda folder: names)
    lines = tmp_path / "lines"
    lines.mkdir()
    (lines / "metadata.jsonl").write_text('{"image": "a.jpg", "instruction": "edit", "edited": "b.jpg"}\n' * count)
    shard = sets.shard(tmp_path / "shards" / "a.tar", sets.samples(2))
    found = {name: array.repeat(count // 2, axis=0) if len(array) == 2 else array for name, array in webdataset._found([shard])[0].items()}
    monkeypatch.setattr(webdataset, "_found", lambda shards: (found, []))
    assert len(open_pairs(str(tmp_path))) == len(open_pairs(str(shard.parent))) == 270_000, "the first time looks and keeps an index"
    for place in (tmp_path, lines, shard.parent):
        start = time.process_time()
        assert len(open_pairs(str(place))) == 270_000
        assert time.process_time() - start < 2
    assert all(index.stat().st_size < 40 * 2**20 for index in tmp_path.rglob(".ip2p*")), "what is kept in memory is as small"


def test_names_that_are_no_utf8(tmp_path):
    """Files of such names are found, kept apart and shown."""
    odd = "caf\udce9"
    try:
        sets.authors(tmp_path / "authors", 1)
        (tmp_path / "authors" / "0000000").rename(tmp_path / "authors" / odd)
        sets.lone_pair(tmp_path / "plain", odd, (40, 32))
        layouts.save(tmp_path / "photos" / f"{odd}.png", layouts.pixels(1))
    except (OSError, UnicodeError):
        return  # a system whose names are always text has none of these
    (tmp_path / "authors" / "seeds.json").write_text(json.dumps([[odd, [11, 12]]]))
    for spec, shown in ((tmp_path / "authors", "caf?/11"), (tmp_path / "plain", "caf?"), (f"photos:{tmp_path}/photos", "caf?-unchanged")):
        pairs = open_pairs(str(spec), "all", 32)
        example = pairs.group(0)[0]
        assert example.id == shown
        assert example.image().shape == example.edited().shape
        pairs.key(0, 0).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "tar", "parquet"])
def test_damage_of_any_kind_is_a_sentence(tmp_path, kind):
    """Bytes changed and cut off anywhere: a pair opens, or there is a reason in one line."""
    rng, told = np.random.default_rng(len(kind)), []
    turned = Image.Exif()
    turned[0x0112] = 6
    name = {"tar": "a.tar", "parquet": "a.parquet"}.get(kind, "a_source.png")
    path = tmp_path / name
    if kind == "tar":
        sets.shard(path, sets.samples(2))
    elif kind == "parquet":
        sets.table(path, rows=2)
    else:
        (tmp_path / "a.txt").write_text("an edit")
        for half in ("source", "edited"):
            Image.fromarray(layouts.pixels(0)).save(tmp_path / f"a_{half}.png", kind, exif=turned)
    whole = path.read_bytes()
    for trial in range(40):
        data = bytearray(whole[: rng.integers(1, len(whole))] if trial % 3 == 0 else whole)
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            for example in all_pairs(open_pairs(str(tmp_path), "all")):
                for opened in (example.shape, example.image, example.edited):
                    opened()
        except (ValueError, DataError) as reason:
            told.append((type(reason), str(reason)))
    assert len(told) > 3
    assert {kind for kind, _ in told} <= {ValueError, DataError}
    assert all("\n" not in text and len(text) > 30 for _, text in told)
