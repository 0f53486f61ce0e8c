"""Every layout holds all of a pair, and gives it back."""

import hashlib
import json
import subprocess

import pytest
import store_sets as sets

from ip2p.cli import main
from ip2p.data.example import DataError
from ip2p.data.manifest import read_manifest, sums_of, verify
from ip2p.data.pairs import open_pairs
from ip2p.data.records import layout_of, records
from ip2p.data.writers import LAYOUTS, open_writer

BOTH = [(first, second) for first in LAYOUTS for second in LAYOUTS]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_lost(tmp_path, layout):
    sets.write(tmp_path / "set", sets.varied(), layout)
    assert layout_of(tmp_path / "set") == layout
    assert list(records(str(tmp_path / "set"))) == sets.varied()


@pytest.mark.parametrize(("first", "second"), BOTH)
def test_any_layout_from_any_other(tmp_path, first, second):
    """... and back: the same bytes in every file."""
    sets.write(tmp_path / "first", sets.varied(), first)
    sets.write(tmp_path / "second", records(str(tmp_path / "first")), second)
    assert list(records(str(tmp_path / "second"))) == sets.varied()
    sets.write(tmp_path / "back", records(str(tmp_path / "second")), first)
    assert sets.tree(tmp_path / "back") == sets.tree(tmp_path / "first")


def test_around_all_layouts(tmp_path):
    place = sets.write(tmp_path / "authors", sets.varied(), "authors")
    for layout in ("webdataset", "parquet", "plain"):
        place = sets.write(tmp_path / layout, records(str(place)), layout)
    sets.write(tmp_path / "again", records(str(place)), "authors")
    assert sets.tree(tmp_path / "again") == sets.tree(tmp_path / "authors")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_trainer_reads_it(tmp_path, layout):
    wanted = [record for record in sets.varied() if record.instruction]
    sets.write(tmp_path, wanted, layout)
    pairs = open_pairs(str(tmp_path), "all")
    assert pairs.skipped == ()
    found = [pairs.group(number)[pair] for number in range(len(pairs)) for pair in range(len(pairs.group(number)))]
    key = lambda one: (one.instruction, one.caption, one.edited_caption)  # noqa: E731
    assert sorted(map(key, found)) == sorted(map(key, wanted))
    assert all(example.image().shape == example.edited().shape == (16, 20, 3) for example in found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_manifest_tells_what_is_there_and_what_is_not(tmp_path, layout):
    with open_writer(tmp_path, layout, {"steps": 30}, sets.SHARDS) as writer:
        writer.reject("too alike", 3)
        for record in sets.varied():
            writer.write(record)
        writer.reject("too alike")
        writer.reject("no caption")
    found = read_manifest(tmp_path)
    assert (found["format"], found["layout"], found["settings"]) == (1, layout, {"steps": 30})
    assert (found["pairs"], found["prompts"], found["masks"]) == (10, 7, 2)
    assert found["rejected"] == {"no caption": 1, "too alike": 4}
    assert found["SHA256SUMS"] == hashlib.sha256((tmp_path / "SHA256SUMS").read_bytes()).hexdigest()
    names = {name for name, _ in sums_of(tmp_path)}
    assert names == set(sets.tree(tmp_path)) - {"manifest.json", "SHA256SUMS"}
    assert list(verify(tmp_path)) == []
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path, check=False).returncode == 0
    first, second = sorted(names)[:2]
    (tmp_path / first).write_bytes(b"x")
    (tmp_path / second).unlink()
    assert sorted(verify(tmp_path)) == sorted([(first, "changed"), (second, "gone")])


def test_shards_keep_to_their_limits(tmp_path):
    sets.write(tmp_path / "a", sets.varied(), "webdataset", limits=sets.Limits(pairs=4))
    assert [path.name for path in sorted((tmp_path / "a").glob("*.tar"))] == [f"pairs-00000{number}.tar" for number in range(3)]
    sets.write(tmp_path / "b", sets.varied(), "webdataset", limits=sets.Limits(size=1))
    assert len(list((tmp_path / "b").glob("*.tar"))) == 10, "a pair above the limit is a shard of its own"


def test_other_tools_read_the_shards(tmp_path):
    sets.write(tmp_path, sets.varied()[:1], "webdataset")
    shown = subprocess.run(["tar", "-tvf", tmp_path / "pairs-000000.tar"], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == [f"000000000.{name}" for name in ("edited.png", "input.png", "json")]
    assert shown.stderr == ""


def test_the_hub_knows_the_columns(tmp_path):
    import pyarrow.parquet as pq

    sets.write(tmp_path, sets.varied(), "parquet")
    schema = pq.read_schema(tmp_path / "pairs-000000.parquet")
    assert schema.names[:5] == ["original_prompt", "original_image", "edit_prompt", "edited_prompt", "edited_image"]
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["original_image"] == {"_type": "Image"}


def test_the_authors_files(tmp_path):
    sets.write(tmp_path, sets.varied(), "authors")
    assert json.loads((tmp_path / "seeds.json").read_text())[0] == ["0000012", [11, 2**53 - 1]]
    prompt = json.loads((tmp_path / "0000012" / "prompt.json").read_text())
    assert {name: prompt[name] for name in ("caption", "edit", "output", "url")} == {
        "caption": "a photo of 0000012",
        "edit": "paint 0000012 red",
        "output": "a red 0000012",
        "url": "http://x",
    }
    assert json.loads((tmp_path / "0000012" / "metadata.jsonl").read_text().splitlines()[0]) == {"seed": 11, "p": 0.1, "guidance": 1 / 3}
    assert sorted(path.name for path in (tmp_path / "0000012").iterdir())[:2] == ["11_0.png", "11_1.png"]
    assert (tmp_path / "0000012" / f"{2**53 - 1}_0.jpg").is_file()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_writer_goes_on_where_the_last_one_stopped(tmp_path, layout):
    wanted = sets.tree(sets.write(tmp_path / "whole", sets.varied(), layout))
    for stop in range(10):
        place = tmp_path / f"{stop}"
        sets.stopped(place, sets.varied()[:stop], layout)
        assert not (place / "manifest.json").exists()
        with open_writer(place, layout, {}, sets.SHARDS) as writer:
            assert (writer.done, writer.complete) == (stop, False)
            for record in sets.varied()[writer.skip() if stop % 2 else 0 :]:
                writer.write(record)
        assert sets.tree(place) == wanted
        with open_writer(place, layout, {}, sets.SHARDS) as writer:
            assert writer.complete
            writer.write(sets.varied()[0])
        assert sets.tree(place) == wanted


def test_the_command_offers_every_layout(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    assert f"{{{','.join(LAYOUTS)}}}" in capsys.readouterr().out


def test_what_a_writer_refuses(tmp_path):
    with pytest.raises(DataError, match="layout 'zip' is unknown: use authors, webdataset"):
        open_writer(tmp_path, "zip", {})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "novel.txt").write_text("x")
    with pytest.raises(DataError, match="is not empty, and was not written by this command"):
        open_writer(tmp_path / "mine", "plain", {})
    sets.stopped(tmp_path / "begun", sets.varied()[:1], "plain", {"steps": 1})
    with pytest.raises(DataError, match="begun was begun with steps 1, not 2"):
        open_writer(tmp_path / "begun", "plain", {"steps": 2})
    with pytest.raises(DataError, match="begun with layout 'plain', not 'authors'"):
        open_writer(tmp_path / "begun", "authors", {"steps": 1})
    with pytest.raises(DataError, match="number 1 differs"), open_writer(tmp_path / "begun", "plain", {"steps": 1}) as writer:
        writer.write(sets.varied()[1])
    with pytest.raises(DataError, match="already has more pairs"), open_writer(tmp_path / "begun", "plain", {"steps": 1}):
        pass
    sets.write(tmp_path / "done", sets.varied(), "plain")
    with pytest.raises(DataError, match="finished data set with other settings"):
        open_writer(tmp_path / "done", "plain", {"steps": 2})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pair_that_can_not_be_stored_costs_only_itself(tmp_path, layout):
    good, bad = sets.varied()[0], sets.made_record("x", "1", image=b"GIF89a")
    nan = sets.made_record("x", "2", facts={"score": float("inf")})
    with open_writer(tmp_path, layout, {}) as writer:
        writer.write(good)
        with pytest.raises(DataError, match="is no PNG, JPEG"):
            writer.write(bad)
        with pytest.raises(DataError, match="can't be stored"):
            writer.write(nan)
        writer.write(sets.varied()[2])
    assert list(records(str(tmp_path))) == [good, sets.varied()[2]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_store(tmp_path, layout):
    with open_writer(tmp_path, layout, {}):
        pass
    assert read_manifest(tmp_path)["pairs"] == 0
    assert list(verify(tmp_path)) == []
