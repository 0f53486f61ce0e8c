"""Records of what others wrote, and of what is made; conversion as a command."""

import json
import shutil
from pathlib import Path

import layouts
import pytest
import store_sets as sets
import torch
import training_sets

from ip2p import cli
from ip2p.data.collect import collect, named
from ip2p.data.convert import convert, expected
from ip2p.data.example import DataError
from ip2p.data.made_records import Made, photo_pairs
from ip2p.data.manifest import read_manifest
from ip2p.data.opening import picture_of
from ip2p.data.pairs import open_pairs
from ip2p.data.records import records

PHOTOS = "tests/photos"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def read(place):
    return list(records(str(place)))


def test_the_authors_layout_as_the_authors_write_it(tmp_path):
    found = read(training_sets.authors(tmp_path))
    assert [(one.prompt, one.sample) for one in found[:3]] == [("0000000", "11"), ("0000000", "12"), ("0000001", "11")]
    assert (found[0].instruction, found[0].caption, found[0].edited_caption) == ("edit 0", "before 0", "after 0")
    assert found[0].image == (tmp_path / "0000000" / "11_0.jpg").read_bytes()
    (tmp_path / "seeds.json").unlink()
    assert read(tmp_path) == found


@pytest.mark.parametrize(
    ("image", "edited", "text"),
    [
        ("original_image.jpg", "edited_image.jpg", "edit_prompt.txt"),
        ("input.png", "edited.png", "json"),
        ("0.jpg", "1.jpg", "instruction.txt"),
    ],
)
def test_shards_of_others(tmp_path, image, edited, text):
    training_sets.shard(tmp_path / "00000.tar", training_sets.samples(3, image, edited, text))
    found = read(tmp_path)
    assert [one.instruction for one in found] == ["edit 0", "edit 1", "edit 2"]
    assert [one.prompt for one in found] == ["00000/00000", "00000/00001", "00000/00002"]
    assert picture_of(found[0].edited, "").shape == (32, 40, 3)
    sets.write(tmp_path / "new", found, "parquet")
    assert read(tmp_path / "new") == found


def test_magicbrush_as_tables_and_unpacked(tmp_path):
    tables = read(layouts.magicbrush_parquet(tmp_path / "a" / "dev-00000.parquet"))
    assert [(one.prompt, one.sample) for one in tables[:4]] == [("7", "1"), ("7", "2"), ("7", "3"), ("9", "1")]
    assert tables[1].instruction == "edit 7 turn 2"
    assert tables[1].image == tables[0].edited
    assert all(one.mask for one in tables)
    unpacked = read(layouts.magicbrush_folder(tmp_path / "b"))
    assert [(one.prompt, one.sample) for one in unpacked] == [("12", "12-output1"), ("12", "12-output2"), ("30", "30-output1")]
    assert (unpacked[1].caption, unpacked[1].edited_caption) == ("global 12-output1.png", "local 12-output2.png")
    for name, found in (("tables", tables), ("unpacked", unpacked)):
        assert read(sets.write(tmp_path / name, found)) == found


def test_plain_folders_of_others(tmp_path):
    listed = read(layouts.plain(tmp_path / "a"))
    assert [(one.prompt, one.instruction, one.caption) for one in listed] == [
        (f"00000{n + 1}", f"edit {n}", f"before {n}") for n in range(3)
    ]
    assert listed[0].facts == {"kind": "even"}
    assert listed[0].mask == (tmp_path / "a" / "0_mask.png").read_bytes()
    for name in ("cat_source", "cat_edited", "dog_0", "dog_1"):
        layouts.save(tmp_path / "b" / f"{name}.png", layouts.pixels(len(name)))
    for name in ("cat", "dog"):
        (tmp_path / "b" / f"{name}.txt").write_text(f"edit {name}\n")
    assert [(one.prompt, one.instruction) for one in read(tmp_path / "b")] == [("cat", "edit cat"), ("dog", "edit dog")]


def test_several_as_one(tmp_path):
    sets.write(tmp_path / "a", sets.varied()[:3])
    sets.write(tmp_path / "b", sets.varied()[3:5], "plain")
    assert read(f"{tmp_path / 'a'} + {tmp_path / 'b'}") == sets.varied()[:5]
    assert list(records(f"{tmp_path / 'a'} + {tmp_path / 'b'}", start=2, count=2)) == sets.varied()[2:4]


def test_damage_costs_only_what_is_damaged(tmp_path):
    """Each layout, with a half missing, a torn file or a broken line: the others are read, and each loss is a sentence."""
    whole = [sets.made_record("0000000", f"{number}", number) for number in range(6)]
    spoil = {
        "authors": lambda at: (at / "0000000" / "3_1.png").unlink(),
        "webdataset": lambda at: cut(at / "pairs-000001.tar", 4000),
        "parquet": lambda at: cut(at / "pairs-000001.parquet", 4000),
        "plain": lambda at: (at / "metadata.jsonl").write_text((at / "metadata.jsonl").read_text().replace('{"id": "0000000/3"', "{")),
    }
    left = {"authors": [0, 1, 2, 4, 5], "webdataset": [0, 1, 2, 3], "parquet": [0, 1, 2], "plain": [0, 1, 2, 4, 5]}
    for layout, damage in spoil.items():
        damage(sets.write(tmp_path / layout, whole, layout))
        told = []
        assert list(records(str(tmp_path / layout), told.append)) == [whole[number] for number in left[layout]], layout
        assert len(told) == (2 if layout == "webdataset" else 1), told
        assert all(": " in str(reason) or "; " in str(reason) for reason in told)
        with pytest.raises(DataError):
            read(tmp_path / layout)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def test_a_spec_that_is_none(tmp_path):
    for spec, told in (
        ("", "No data is named"),
        (str(tmp_path / "x"), "no data at"),
        ("photos:", "No folder of photos"),
        ("world:x", "no edits"),
    ):
        with pytest.raises(DataError, match=told):
            read(spec)
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(DataError, match=r"is no folder, \.tar or \.parquet file"):
        read(tmp_path / "a.zip")


def test_photos_by_formulas_depend_on_the_photo_alone(tmp_path):
    made = Made(each=3, size=64)
    found = [make() for make in photo_pairs(PHOTOS, (), made)]
    assert len(found) == 9
    for start in range(0, 9, 3):
        group = found[start : start + 3]
        assert len({one.prompt for one in group}) == 1
        assert len({one.facts["kind"] for one in group}) == len({one.sample for one in group}) == 3
        assert len({one.image for one in group}) == 1
    (tmp_path / "deeper").mkdir()
    shutil.copy(f"{PHOTOS}/rocket.jpg", tmp_path / "deeper" / "rocket.jpg")
    assert [make() for make in photo_pairs(str(tmp_path), (), made)] == [one for one in found if one.prompt.startswith("rocket")]
    more = [make() for make in photo_pairs(str(tmp_path), (), Made(each=5, size=64))]
    assert more[:3] == [one for one in found if one.prompt.startswith("rocket")], "more edits don't change the first"
    image = picture_of(found[0].image, "")
    assert min(image.shape[:2]) == 64
    assert all(one.instruction for one in found)


def test_photos_with_captions_and_chosen_kinds(tmp_path):
    shutil.copy(f"{PHOTOS}/rocket.jpg", tmp_path / "rocket.jpg")
    (tmp_path / "rocket.txt").write_text("A rocket on a launch pad.\n")
    (one,) = [make() for make in photo_pairs(str(tmp_path), ("night",), Made(each=4, size=64, picture="jpg"))]
    assert (one.caption, one.edited_caption) == ("a photo of a rocket on a launch pad", "a photo of a rocket on a launch pad at night")
    assert (one.facts["kind"], one.facts["photo"], one.image[:2]) == ("night", "rocket", b"\xff\xd8")
    assert picture_of(one.edited, "").mean() < 0.7 * picture_of(one.image, "").mean()
    with pytest.raises(DataError, match="no edit 'nightt' of a photo; use "):
        list(photo_pairs(PHOTOS, ("nightt",)))
    with pytest.raises(DataError, match="0 edits of a photo can't be made"):
        Made(each=0)


def test_scenes_with_masks():
    first, second = records("world:recolour,remove", count=2, made=Made(size=64))
    assert (first.facts["kind"], second.facts["kind"]) == ("recolour", "remove")
    change = (picture_of(first.image, "") - picture_of(first.edited, "")).abs().amax(-1) > 2 / 255
    inside = picture_of(first.mask, "")[..., 0] > 0.5
    assert bool(change.any())
    assert not bool((change & ~inside).any())
    assert list(records("world:recolour,remove", start=1, count=1, made=Made(size=64))) == [second]


def test_conversion_goes_on_and_counts_what_it_left_out(tmp_path):
    whole = [sets.made_record(f"000000{number // 2}", f"{number}", number) for number in range(8)]
    source = sets.write(tmp_path / "source", whole)
    (source / "0000001" / "3_1.png").unlink()
    (source / "0000002" / "5_0.png").write_bytes(b"no picture")
    quiet = convert(str(source), tmp_path / "quiet", "webdataset", sets.SHARDS)
    assert (quiet.counts.pairs, dict(quiet.counts.rejected)) == (6, {"can't be read": 1, "can't be stored": 1})
    assert str(quiet).endswith("6 pairs of 4 prompts as webdataset (1 left out: can't be read; 1 left out: can't be stored)")
    for stop in range(1, 8):

        def give_up(done, stop=stop):
            if done >= stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            convert(str(source), tmp_path / f"{stop}", "webdataset", sets.SHARDS, on_pair=give_up)
        done = convert(str(source), tmp_path / f"{stop}", "webdataset", sets.SHARDS)
        assert done.before >= stop
        assert (done.counts.pairs, done.counts.rejected) == (6, quiet.counts.rejected)
        assert sets.tree(tmp_path / f"{stop}") == sets.tree(tmp_path / "quiet")
    assert convert(str(source), tmp_path / "quiet", "webdataset", sets.SHARDS).counts == quiet.counts


def test_how_much_there_is_is_known_without_reading(tmp_path):
    sets.write(tmp_path / "a", sets.varied())
    assert [expected(str(tmp_path / "a"), Made(), count) for count in (0, 4, 40)] == [10, 4, 10]
    assert expected(f"photos:{PHOTOS}|night", Made(each=3)) == 9
    assert expected(f"{tmp_path / 'a'} + photos:{PHOTOS}", Made(each=1)) == 13
    (tmp_path / "a" / "manifest.json").unlink()
    assert expected(str(tmp_path / "a"), Made()) == 0


def test_conversion_of_data_that_has_changed_meanwhile_is_refused(tmp_path):
    source = sets.write(tmp_path / "source", sets.varied(), "plain")
    (source / "manifest.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        convert(str(source), tmp_path / "out", "plain", on_pair=stop_now)
    lines = (source / "metadata.jsonl").read_bytes()
    (source / "metadata.jsonl").write_bytes(lines.replace(b"paint", b"print"))
    with pytest.raises(DataError, match=r"out was begun from other data than .* has now: choose another folder, or delete it"):
        convert(str(source), tmp_path / "out", "plain")
    shutil.rmtree(source)
    sets.write(source, sets.varied()[1:], "plain")
    with pytest.raises(DataError, match=r"out was begun with source_files .*: use the same settings, or another folder"):
        convert(str(source), tmp_path / "out", "plain")


def stop_now(done):
    raise KeyboardInterrupt


def test_a_set_that_has_grown_is_converted_anew(tmp_path):
    out = tmp_path / "out"
    for count in (1, 2):
        collect(tmp_path / "in", sets.made_record("one", "1", count))
        assert convert(str(tmp_path / "in"), out, "plain", replace=True).counts.pairs == len(list(records(str(out)))) == count
    photos = tmp_path / "photos"
    photos.mkdir()
    for count, photo in enumerate(sorted(Path(PHOTOS).glob("*.jpg"))[:2], start=1):
        (photos / photo.name).write_bytes(photo.read_bytes())
        assert convert(f"photos:{photos}", out, "plain", made=Made(1, 64), replace=True).counts.pairs == count


def test_a_manifest_tells_where_the_data_is_from(tmp_path):
    sets.write(tmp_path / "first", sets.varied(), settings={"steps": 30})
    convert(str(tmp_path / "first"), tmp_path / "second", "plain", count=4)
    found = read_manifest(tmp_path / "second")
    assert found["pairs"] == 4
    assert found["settings"]["source"] == ["first"], "without the place on this machine"
    assert found["settings"]["from"] == [{"layout": "authors", "settings": {"steps": 30}, "rejected": {}}]


def test_pairs_by_hand(tmp_path):
    pair = sets.made_record("", "", 1, mask=True, facts={"by": "hand"})
    assert collect(tmp_path, pair)
    before = sets.tree(tmp_path)
    assert not collect(tmp_path, pair)
    assert sets.tree(tmp_path) == before
    assert read(tmp_path) == [named(pair)]
    assert collect(tmp_path, sets.made_record("", "", 3))
    (path,) = tmp_path.glob("*/metadata.jsonl")
    path.write_bytes(path.read_bytes()[:-9])
    assert collect(tmp_path, sets.made_record("", "", 3)), "its line was torn"
    assert len(read(tmp_path)) == 2
    assert len(open_pairs(str(tmp_path), "all").group(0)) == 2


def test_commands(tmp_path, capsys):
    whole = [sets.made_record(f"000000{number}", f"{number}", 9 * number) for number in range(4)]
    source = sets.write(tmp_path / "source", whole)
    assert cli.main(["convert", str(source), "--out", str(tmp_path / "out"), "--layout", "parquet", "--shard-pairs", "2"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}: 4 pairs of 4 prompts as parquet\n"
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 2
    assert cli.main(["convert", f"photos:{PHOTOS}", "--out", str(tmp_path / "out"), "--layout", "parquet"]) == 2
    assert "finished data set with other settings" in capsys.readouterr().err
    arguments = ["convert", f"photos:{PHOTOS}", "--out", str(tmp_path / "out"), "--layout", "authors", "--replace", "--json"]
    assert cli.main([*arguments, "--each", "2", "--size", "64"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pairs"], told["prompts"], told["layout"]) == (6, 3, "authors")
    assert cli.main(["lint", str(tmp_path / "out"), "--log", str(tmp_path / "log")]) == 0
    assert cli.main([*arguments, "--each", "2", "--size", "64", "--log", str(tmp_path / "log")]) == 0
    assert json.loads((tmp_path / "log").read_text().splitlines()[1]) == told
    next((tmp_path / "out").glob("*/*_1.png")).unlink()
    capsys.readouterr()
    assert cli.main(["lint", str(tmp_path / "out"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["store"]["half"]["count"] == 1
    assert cli.main(["lint", str(tmp_path / "out"), "--repair"]) == 0
    assert "mended: 1 have one picture of the two" in capsys.readouterr().out
    for arguments, said in (
        (["convert", "world", "--out", str(tmp_path / "w"), "--layout", "plain"], "The world never ends: say how many scenes are wanted"),
        (["convert", str(source), "--out", str(source / "x"), "--layout", "plain"], "lie in each other"),
        (["convert", str(source), "--out", str(tmp_path / "w"), "--layout", "plain", "--count", "-1"], "count of -1"),
        (["convert", str(source), "--out", str(tmp_path / "w"), "--layout", "plain", "--shard-mb", "0"], "at least one pair"),
        (["convert", PHOTOS, "--out", str(tmp_path / "w"), "--layout", "plain"], "There are no pairs in tests/photos: name a folder"),
        (["lint", str(tmp_path / "nowhere")], "There is no data at"),
    ):
        assert cli.main(arguments) == 2
        assert said in capsys.readouterr().err
    assert torch.equal(picture_of(whole[0].image, ""), picture_of(read(source)[0].image, ""))
