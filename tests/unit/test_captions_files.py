"""Triplets and captions in files: every spelling, bad lines told by name, nothing damaged."""

import json
import tarfile
import tracemalloc
from io import BytesIO

import pyarrow
import pyarrow.parquet
import pytest

from ip2p.captions import files, human, plain
from ip2p.captions.triplet import Triplet

TRIPLETS = [
    Triplet("a dog", "make it a cat", "a cat", kind="replace", source="human"),
    Triplet("a house, é ”", 'say "so"', "a house\u2028of ice", id="my own"),
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
@pytest.mark.parametrize("spelling", ["ours", "authors"])
def test_what_is_written_is_read(tmp_path, name, spelling):
    path = tmp_path / "new" / name
    assert files.write(path, iter(TRIPLETS), spelling) == 2
    assert list(files.read(path)) == TRIPLETS
    assert [file.name for file in path.parent.iterdir()] == [name], "nothing is left beside it"


def test_the_authors_names_are_in_the_file(tmp_path):
    files.write(tmp_path / "a.jsonl", TRIPLETS, "authors")
    line = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf8").splitlines()[0])
    assert (line["input"], line["edit"], line["output"]) == ("a dog", "make it a cat", "a cat")


@pytest.mark.parametrize(
    "row",
    [
        {"caption": "a dog", "edit": "make it a cat", "output": "a cat", "url": "x"},
        {"input": "a dog", "edit": "make it a cat", "output": "a cat"},
        {"original_prompt": "a dog", "edit_prompt": "make it a cat", "edited_prompt": "a cat"},
        {"prompt": "a dog\n##\n", "completion": " make it a cat\n%\na cat\nEND"},
        {"prompt": "a dog\n##\n", "completion": "make it a cat\n%%\na cat\nEND"},
    ],
)
def test_every_spelling_is_understood(tmp_path, row):
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n\n", encoding="utf8")
    (triplet,) = files.read(tmp_path / "a.jsonl")
    assert (triplet.caption, triplet.instruction, triplet.edited_caption) == ("a dog", "make it a cat", "a cat")
    assert triplet == Triplet("a dog", "make it a cat", "a cat"), "the same texts have the same id"


def test_the_authors_folders_are_read_in_order(tmp_path):
    for number in (2, 0, 1):
        (tmp_path / f"{number:07d}").mkdir()
        row = {"caption": f"dog {number}", "edit": "cat", "output": f"cat {number}"}
        (tmp_path / f"{number:07d}" / "prompt.json").write_text(json.dumps(row), encoding="utf8")
    (tmp_path / "seeds.json").write_text("[]", encoding="utf8")
    assert [triplet.caption for triplet in files.read(tmp_path)] == ["dog 0", "dog 1", "dog 2"]


BAD = {
    "a.jsonl, line 1, is not JSON": "{broken",
    "a.jsonl, line 1, is no JSON object": "[1, 2]",
    "a.jsonl, line 1, has no edited_caption: call it edited_caption or output": '{"caption": "a", "edit": "b"}',
    "a.jsonl, line 1, has 7 as its instruction: write a text": '{"caption": "a", "edit": 7, "output": "c"}',
    "a.jsonl, line 1, has no line with % between": '{"prompt": "a", "completion": "b"}',
}


@pytest.mark.parametrize("told", BAD)
def test_a_bad_line_is_told_by_name_and_can_be_skipped(tmp_path, told):
    path = tmp_path / "a.jsonl"
    path.write_text(BAD[told] + "\n" + files.line_of(TRIPLETS[0]) + "\n", encoding="utf8")
    with pytest.raises(ValueError, match=told):
        list(files.read(path))
    bad = []
    assert list(files.read(path, bad.append)) == TRIPLETS[:1]
    assert len(bad) == 1
    assert bad[0].startswith(told)


def test_a_line_of_other_letters_is_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff\xfe{}\n" + files.line_of(TRIPLETS[0]).encode() + b"\n")
    bad = []
    assert list(files.read(path, bad.append)) == TRIPLETS[:1]
    assert bad == ["a.jsonl, line 1, is no UTF-8 text: save the file as UTF-8, or skip the line."]


def test_files_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*nothing.jsonl: check the name"):
        list(files.read(tmp_path / "nothing.jsonl"))
    with pytest.raises(ValueError, match="has no triplets: name a"):
        list(files.read(tmp_path))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"cut.parquet is damaged or not all there"):
        list(files.read(tmp_path / "cut.parquet"))
    with pytest.raises(ValueError, match=r"neither .jsonl nor .parquet"):
        files.write(tmp_path / "a.csv", TRIPLETS)
    with pytest.raises(ValueError, match="spelling 'x' is unknown"):
        files.write(tmp_path / "a.jsonl", TRIPLETS, "x")


def test_a_writing_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    files.write(path, TRIPLETS)
    before = path.read_bytes()

    def broken():
        yield TRIPLETS[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        files.write(path, broken())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "file").write_text("x", encoding="utf8")
    with pytest.raises(ValueError, match="can't be written"):
        files.write(tmp_path / "file" / "a.jsonl", TRIPLETS)


@pytest.mark.whole
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_memory_stays_flat(tmp_path, name):
    def peak(count):
        path = tmp_path / name
        tracemalloc.start()
        files.write(path, (Triplet(f"a dog with the number {n}", "make it a cat", f"a cat with the number {n}") for n in range(count)))
        assert sum(1 for _ in files.read(path)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # imports
    assert peak(16000) < 1.5 * peak(4500) + 100000


def test_captions_come_from_every_kind_of_file(tmp_path):
    wanted = ["a dog runs", "a cat sits"]
    (tmp_path / "a.txt").write_text("\ufeffa dog runs\n\n  a cat sits \n", encoding="utf8")
    (tmp_path / "a.jsonl").write_text('{"input": "a dog  runs"}\n{"text": "a cat sits"}\n{"caption": " "}\n', encoding="utf8")
    pyarrow.parquet.write_table(pyarrow.table({"TEXT": [*wanted, None, ""], "URL": ["x"] * 4}), tmp_path / "a.parquet")
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for member, text in (("1.jpg", b"no text"), ("1.txt", b"a dog runs\na cat sits\n")):
            info = tarfile.TarInfo(member)
            info.size = len(text)
            shard.addfile(info, BytesIO(text))
    for name in ("a.txt", "a.jsonl", "a.parquet", "a.tar"):
        assert list(plain.captions(tmp_path / name)) == wanted, name
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, text in (("1.txt", "a dog runs"), ("1.jpg", "no text"), ("2.caption", "a cat sits")):
        (folder / name).write_text(text, encoding="utf8")
    assert list(plain.captions(folder)) == wanted


def test_captions_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"cut.parquet is damaged or not all there"):
        list(plain.captions(tmp_path / "cut.parquet"))
    (tmp_path / "cut.parquet").unlink()
    with pytest.raises(ValueError, match="check the name"):
        list(plain.captions(tmp_path / "nothing.txt"))
    with pytest.raises(ValueError, match=r"has no captions: put a .txt beside each picture"):
        list(plain.captions(tmp_path))
    (tmp_path / "a.jsonl").write_text('{"words": "a"}\n{"caption": "a dog"}\n', encoding="utf8")
    with pytest.raises(ValueError, match=r"a.jsonl, line 1, has no caption"):
        list(plain.captions(tmp_path / "a.jsonl"))
    bad = []
    assert list(plain.captions(tmp_path / "a.jsonl", bad.append)) == ["a dog"]
    assert len(bad) == 1
    (tmp_path / "a.tar").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"a.tar is damaged"):
        list(plain.captions(tmp_path / "a.tar"))


def test_the_hand_written_ones_are_many_and_of_all_kinds():
    from ip2p.captions.filters import Filters
    from ip2p.captions.grammar.source import KINDS
    from ip2p.captions.run import kept

    triplets = human.triplets()
    assert len(triplets) >= 200
    assert set(KINDS) <= {triplet.kind for triplet in triplets}
    assert {triplet.source for triplet in triplets} == {"human"}
    assert kept([list(triplets)], Filters())[1].rejected == {}
    assert len({triplet.caption for triplet in triplets}) == len(triplets)
    assert len({triplet.instruction.lower() for triplet in triplets}) > 0.95 * len(triplets), "no two ask in the same words"
