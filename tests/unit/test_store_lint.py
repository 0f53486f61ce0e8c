"""What can be wrong with a store is found and named; mending leaves it whole, and nothing is lost."""

import json

import pytest
import store_sets as sets

from ip2p.data.collect import collect
from ip2p.data.example import DataError
from ip2p.data.lint import lint
from ip2p.data.manifest import read_manifest
from ip2p.data.pairs import open_pairs
from ip2p.data.records import records
from ip2p.data.repair import repair
from ip2p.data.samples import Samples
from ip2p.data.store_check import ASIDE, look
from ip2p.data.writers import LAYOUTS


def plenty():
    """Pairs of three prompts and three shards."""
    return [sets.made_record(f"000000{number // 3}", f"{number}", 10 * number, mask=number == 4) for number in range(9)]


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def put(path, text):
    path.write_text(text)


def rename(path, name):
    path.rename(path.with_name(name))


FAULTS = {
    "authors": [
        ("half", lambda at: (at / "0000001" / "4_1.png").unlink(), 8),
        ("listed", lambda at: [(at / "0000001" / f"4_{half}.png").unlink() for half in "01"], 8),
        ("listed", lambda at: (at / "0000001").rename(at.parent / "elsewhere"), 6),
        ("unlisted", lambda at: put(at / "seeds.json", '[["0000000", [0, 1, 2]]]\n'), 9),
        ("torn", lambda at: cut(at / "seeds.json", 40), 9),
        ("torn", lambda at: cut(at / "0000001" / "metadata.jsonl", 60), 9),
        ("prompt", lambda at: put(at / "0000001" / "prompt.json", "{"), 6),
        ("changed", lambda at: cut(at / "0000001" / "4_1.png", 100), 8),
        ("gone", lambda at: (at / "0000001" / "4_mask.png").unlink(), 9),
        ("leftover", lambda at: put(at / "0000001" / ".4_1.png.part", "half a picture"), 9),
        ("manifest", lambda at: put(at / "manifest.json", "{"), 9),
        ("manifest", lambda at: cut(at / "SHA256SUMS", 100), 9),
    ],
    "webdataset": [
        ("pair", lambda at: cut(at / "pairs-000001.tar", 3000), 7),
        ("pair", lambda at: cut(at / "pairs-000001.tar", 100), 6),
        ("changed", lambda at: scratch(at / "pairs-000001.tar"), 8),
        ("gone", lambda at: (at / "pairs-000001.tar").unlink(), 6),
        ("leftover", lambda at: put(at / ".pairs-000009.tar.part", "half a shard"), 9),
        ("repeated_id", lambda at: (at / "pairs-000009.tar").write_bytes((at / "pairs-000001.tar").read_bytes()), 9),
    ],
    "parquet": [
        ("pair", lambda at: cut(at / "pairs-000001.parquet", 3000), 6),
        ("changed", lambda at: scratch(at / "pairs-000001.parquet"), 8),
        ("repeated_id", lambda at: (at / "pairs-000009.parquet").write_bytes((at / "pairs-000001.parquet").read_bytes()), 9),
    ],
    "plain": [
        ("pair", lambda at: (at / "000000" / "004_edited.png").unlink(), 8),
        ("pair", lambda at: cut(at / "metadata.jsonl", -20), 8),
        ("changed", lambda at: cut(at / "000000" / "004_edited.png", 100), 8),
        ("repeated_id", lambda at: twice(at / "metadata.jsonl"), 9),
    ],
}
CASES = [(layout, *case) for layout, cases in FAULTS.items() for case in cases]


def scratch(path):
    """Damage the last picture that a file holds, its end excepted."""
    data = bytearray(path.read_bytes())
    place = data.rfind(b"IDAT")
    data[place + 6 : place + 40] = bytes(34)
    path.write_bytes(data)


def twice(path):
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_good_store_has_no_fault(tmp_path, layout):
    sets.write(tmp_path / "set", plenty(), layout)
    before = sets.tree(tmp_path / "set")
    found = lint(str(tmp_path / "set"))
    assert found.clean, str(found)
    assert repair(tmp_path / "set").aside == 0
    assert {name: data for name, data in sets.tree(tmp_path / "set").items() if not name.startswith(".ip2p")} == before


@pytest.mark.parametrize(("layout", "kind", "spoil", "left"), CASES)
def test_every_fault_is_named_and_mended(tmp_path, layout, kind, spoil, left):
    place = sets.write(tmp_path / "set", plenty(), layout)
    spoil(place)
    before = sets.tree(place)
    found = lint(str(place))
    assert not found.clean
    assert kind in {fault.kind for fault in found.store}, str(found)
    assert ": " in str(found.store[0])
    assert str(found.store[0]).endswith(".")
    mended = lint(str(place), mend=True)
    assert mended.clean, str(mended)
    assert kind in {fault.kind for fault in mended.repaired.faults}
    kept = list(records(str(place)))
    assert len(kept) == left
    assert all(record in plenty() or (kind in ("torn", "gone") and record.image) for record in kept)
    assert read_manifest(place)["pairs"] == left
    now = set(sets.tree(place).values())
    assert all(data in now for name, data in before.items() if not name.startswith(".ip2p-")), "nothing is deleted"
    assert repair(place).faults == ()


def test_what_was_lost_is_counted(tmp_path):
    sets.write(tmp_path, plenty())
    (tmp_path / "0000001" / "4_1.png").unlink()
    lint(str(tmp_path), mend=True)
    assert read_manifest(tmp_path)["rejected"] == {"set aside by lint": 1}
    assert (tmp_path / ASIDE / "0000001" / "4_0.png").is_file()
    assert (tmp_path / ASIDE / "seeds.json").is_file()


def test_the_authors_own_data_without_a_manifest(tmp_path):
    """As it is downloaded; it stays without one."""
    sets.write(tmp_path, plenty())
    for name in ("manifest.json", "SHA256SUMS"):
        (tmp_path / name).unlink()
    (tmp_path / "0000002" / "7_0.png").unlink()
    put(tmp_path / "seeds.json", json.dumps([["0000002", [6, 7, 8]], ["0000009", [1]], ["0000000", [0, 1, 2]], ["0000001", [3, 4, 5]]]))
    assert {finding.kind for finding in look(tmp_path)} == {"half", "listed"}
    assert lint(str(tmp_path), mend=True).clean
    assert [record.sample for record in records(str(tmp_path))] == ["0", "1", "2", "3", "4", "5", "6", "8"]
    assert not (tmp_path / "manifest.json").exists()


def test_what_is_unfinished_is_not_mended(tmp_path):
    sets.stopped(tmp_path / "begun", plenty()[:4], "webdataset")
    assert [finding.kind for finding in look(tmp_path / "begun")] == ["unfinished"]
    with pytest.raises(DataError, match="begun is unfinished, not broken: run the command that writes it again"):
        repair(tmp_path / "begun")


def test_a_working_folder(tmp_path):
    from test_store_samples import filled

    filled(tmp_path)
    assert [(finding.kind, finding.where) for finding in look(tmp_path)] == [("unfinished", "0000003")]
    Samples(tmp_path).finish("0000003")
    assert list(look(tmp_path)) == []


def test_a_set_that_grows_by_hand_goes_on_after_mending(tmp_path):
    for number in range(3):
        collect(tmp_path, sets.made_record("", "", 5 * number))
    next(tmp_path.glob("*/*_1.png")).unlink()
    assert lint(str(tmp_path), mend=True).clean
    assert not (tmp_path / "seeds.json").exists()
    assert collect(tmp_path, sets.made_record("", "", 99))
    assert len(list(records(str(tmp_path)))) == len(open_pairs(str(tmp_path), "all").group(0)) == 3


def test_a_folder_where_a_file_should_be(tmp_path):
    sets.write(tmp_path, plenty())
    (tmp_path / "0000001" / "prompt.json").unlink()
    (tmp_path / "0000001" / "prompt.json").mkdir()
    assert {finding.kind for finding in look(tmp_path)} == {"prompt", "gone"}


def test_pictures_and_texts_are_looked_at_too(tmp_path):
    alike = [sets.made_record("0000000", "1", 3), sets.made_record("0000001", "1", 5, instruction=" ")]
    found = lint(str(sets.write(tmp_path, [*alike, sets.made_record("0000002", "2", 7, edited=sets.picture(7))])))
    assert {fault.kind for fault in found.checked.faults} == {"empty", "identical"}
    assert found.store == ()
    assert not found.clean
    told = json.loads(json.dumps(found.told()))
    assert (told["clean"], told["pictures"]["identical"]["count"]) == (False, 1)


def test_what_can_not_be_linted(tmp_path):
    with pytest.raises(DataError, match="no data at"):
        lint(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="can't be repaired: name a folder"):
        lint("world:recolour", mend=True)
