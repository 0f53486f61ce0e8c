"""Readers of the public benchmarks, on small folders in their published layouts."""

import json
import sys

import layouts
import numpy as np
import pytest
import torch

from ip2p.data.example import DataError
from ip2p.data.magicbrush import drawn_mask
from ip2p.data.open import open_dataset
from ip2p.data.pie_bench import decode_mask
from ip2p.evaluation.editors import answer
from ip2p.evaluation.run import in_turn
from ip2p.evaluation.settings import Setting


def same(tensor, array):
    return torch.equal((tensor * 255).round().to(torch.uint8), torch.from_numpy(np.array(array)))


@pytest.fixture
def untouched(monkeypatch):
    """Opening a picture fails while this holds."""

    def opened(*_):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr("PIL.Image.open", opened)
    return monkeypatch


def test_magicbrush_unpacked_test_set(tmp_path, untouched):
    layouts.magicbrush_folder(tmp_path / "test")
    for place in (tmp_path, tmp_path / "test"):
        data = open_dataset(str(place))
        assert [example.id for example in data] == ["12-output1", "12-output2", "30-output1"]
    untouched.undo()
    assert data.benchmark == "magicbrush"
    second = data[1]
    assert second.instruction == "edit 12 turn 2"
    assert (second.caption, second.edited_caption) == ("global 12-output1.png", "local 12-output2.png")
    assert same(second.image(), layouts.pixels(1201)), "a turn starts from the right picture of the turn before"
    assert same(second.edited(), layouts.pixels(1202))
    assert torch.equal(second.mask().bool(), torch.from_numpy(layouts.region()))


def test_magicbrush_of_the_hub(tmp_path, untouched):
    layouts.magicbrush_parquet(tmp_path / "data" / "dev-00000-of-00001-ab12.parquet")
    layouts.magicbrush_parquet(tmp_path / "data" / "train-00000-of-00051-ab12.parquet", images=(1, 2, 3))
    data = open_dataset(str(tmp_path))
    assert [example.id for example in data] == ["7-1", "7-2", "7-3", "9-1", "9-2", "9-3"], "dev is taken where both are there"
    untouched.undo()
    for number in (4, 0, 5, 2):  # also backwards
        example, image, turn = data[number], (7, 9)[number // 3], number % 3
        assert same(example.image(), layouts.pixels(100 * image + turn))
        assert same(example.edited(), layouts.pixels(100 * image + turn + 1))
        assert torch.equal(example.mask().bool(), torch.from_numpy(layouts.region()))


@pytest.mark.parametrize("layout", ["unpacked", "hub"])
def test_magicbrush_sessions_are_made_turn_by_turn(tmp_path, layout):
    if layout == "hub":
        layouts.magicbrush_parquet(tmp_path / "dev-00000-of-00001.parquet", images=(12,), turns=2)
    else:
        layouts.magicbrush_folder(tmp_path, sessions=((12, 2),))
    (session,) = open_dataset(f"sessions:{tmp_path}")
    assert (session.id, session.kind, session.instruction) == ("12-session", "2 turns", "edit 12 turn 2")
    assert same(session.image(), layouts.pixels(1200))
    assert same(session.edited(), layouts.pixels(1202))
    seen = []

    def edit(example, setting):
        seen.append((example.instruction, example.image()))
        return 1 - example.image()

    result = in_turn(edit, session, Setting("ip2p"))
    assert [instruction for instruction, _ in seen] == ["edit 12 turn 1", "edit 12 turn 2"]
    assert same(seen[0][1], layouts.pixels(1200))
    assert torch.equal(seen[1][1], 1 - seen[0][1]), "the second turn starts from the first one's result"
    assert torch.equal(result, 1 - (1 - seen[0][1]))
    assert same(in_turn(answer, session, Setting("answer")), layouts.pixels(1202))


def test_only_magicbrush_has_sessions(tmp_path):
    with pytest.raises(DataError, match="is not laid out as MagicBrush"):
        open_dataset(f"sessions:{layouts.plain(tmp_path)}")


def test_a_drawn_mask_does_not_take_the_pictures_own_white():
    from PIL import Image

    source = layouts.pixels(3).copy()
    source[25:30, 2:12] = 255  # white of its own, apart from the mask
    source[10:12, 10:14] = 255  # and some within it
    mask = layouts.region()
    for drawn in (layouts.painted(source, mask), layouts.transparent(source, mask)):
        found = drawn_mask(Image.fromarray(drawn), Image.fromarray(source), "it")
        assert torch.equal(found.bool(), torch.from_numpy(mask))
    black_and_white = Image.fromarray((mask * 255).astype(np.uint8))
    assert torch.equal(drawn_mask(black_and_white, Image.fromarray(source), "it").bool(), torch.from_numpy(mask))


def test_emu_edit(tmp_path, untouched):
    layouts.emu_parquet(tmp_path / "data" / "test-00000-of-00002-x.parquet")
    layouts.emu_parquet(tmp_path / "data" / "test-00001-of-00002-x.parquet", count=2, first=5)
    layouts.emu_parquet(tmp_path / "data" / "validation-00000-of-00001-x.parquet", count=2, first=9, split="validation")
    data = open_dataset(str(tmp_path), count=6)
    assert (len(data), data.benchmark, data.name) == (6, "emu_edit", "Emu Edit test")
    example = list(data)[5]
    assert (example.id, example.kind, example.caption, example.edited_caption) == ("hash5", "remove", "before 5", "after 5")
    assert example.edited is None
    assert example.mask is None
    untouched.undo()
    assert same(example.image(), layouts.pixels(5))


def test_pie_bench(tmp_path, untouched):
    data = open_dataset(str(layouts.pie_bench(tmp_path / "pie")))
    assert data.benchmark == "pie_bench"
    assert [example.kind for example in data] == ["random", "change object", "change style"]
    example = data[1]
    assert (example.caption, example.edited_caption) == ("a round cake with orange frosting", "a square cake with orange frosting")
    untouched.undo()
    assert example.image().shape == (512, 512, 3)
    assert bool((data[0].mask() == 1).all())
    mask = example.mask()
    expected = torch.zeros(512, 512)
    expected[100, 50:250] = expected[101, 50:260] = 1
    expected[[0, -1]] = 1
    expected[:, [0, -1]] = 1
    assert torch.equal(mask, expected), "pairs of (start, length), row by row, and always the border"


def test_pie_masks_as_text_and_beyond_the_end():
    assert torch.equal(decode_mask("0 262144"), torch.ones(512, 512))
    assert torch.equal(decode_mask([262140, 99]), decode_mask([262140, 4])), "a run that reaches beyond the picture is cut"
    for wrong in ([1], "a b", [-1, 2], [None, 3]):
        with pytest.raises(DataError, match="has a mask that can't be read"):
            decode_mask(wrong)


def test_sizes_are_limited_together(tmp_path):
    example = open_dataset(str(layouts.pie_bench(tmp_path)), size=128)[1]
    assert example.image().shape == (128, 128, 3)
    assert example.mask().shape == (128, 128)


def test_bad_entries_are_named_or_skipped(tmp_path):
    place = layouts.magicbrush_folder(tmp_path)
    (place / "images" / "12" / "12-output1.png").unlink()
    with pytest.raises(DataError, match=r"edit_turns.json, entry 0, names 12-output1.png, which is not in images/12: unpack"):
        open_dataset(str(place))
    data = open_dataset(str(place), skip=True)
    assert [example.id for example in data] == ["30-output1"]
    assert len(data.skipped) == 2

    pie = layouts.pie_bench(tmp_path / "pie")
    mapping = json.loads((pie / "mapping_file.json").read_text())
    first = next(iter(mapping))
    mapping[first]["editing_instruction"] = ""
    (pie / "mapping_file.json").write_text(json.dumps(mapping))
    with pytest.raises(DataError, match=f"entry {first}, has no editing_instruction"):
        open_dataset(str(pie))
    assert len(open_dataset(str(pie), skip=True)) == 2
    (pie / "mapping_file.json").write_text("{")
    with pytest.raises(DataError, match=r"mapping_file.json is missing or broken"):
        open_dataset(str(pie), skip=True)


def test_a_mask_of_another_size_is_named(tmp_path):
    pie = layouts.pie_bench(tmp_path / "pie", side=500)
    example = open_dataset(str(pie))[0]
    with pytest.raises(DataError, match=r"is 512 x 512 pixels and its picture 500 x 500: make both one size"):
        example.mask()
    place = layouts.magicbrush_folder(tmp_path / "test")
    layouts.save(place / "images" / "30" / "30-mask1.png", (layouts.region(20, 16) * 255).astype(np.uint8))
    with pytest.raises(DataError, match=r"30-mask1.png is 20 x 16 pixels and its picture 40 x 32"):
        open_dataset(str(place))[2].mask()


def test_truncated_parquet_is_named_or_skipped(tmp_path):
    good = layouts.emu_parquet(tmp_path / "data" / "test-00000-of-00002-x.parquet")
    bad = layouts.emu_parquet(tmp_path / "data" / "test-00001-of-00002-x.parquet", first=5)
    bad.write_bytes(bad.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"test-00001-of-00002-x.parquet is damaged or not all there: download it again, or skip it"):
        open_dataset(str(tmp_path))
    data = open_dataset(str(tmp_path), skip=True)
    assert (len(data), len(data.skipped)) == (5, 1)
    body = bytearray(good.read_bytes())
    start = body.index(b"\x89PNG")
    body[start : start + 40] = bytes(40)
    good.write_bytes(body)
    with pytest.raises(DataError, match=r"test-00000-of-00002-x\.parquet"):
        open_dataset(str(tmp_path), skip=True)[0].image()

    dev = layouts.magicbrush_parquet(tmp_path / "mb" / "dev-00000-of-00001.parquet")
    dev.write_bytes(dev.read_bytes()[: dev.stat().st_size // 2])
    with pytest.raises(DataError, match=r"dev-00000-of-00001.parquet is damaged"):
        open_dataset(str(tmp_path / "mb"))
    with pytest.raises(DataError, match="no readable MagicBrush files"):
        open_dataset(str(tmp_path / "mb"), skip=True)


def test_without_pyarrow_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    layouts.emu_parquet(tmp_path / "test-00000-of-00001-x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"needs pyarrow: install it with `pip install pyarrow`"):
        open_dataset(str(tmp_path))


def test_an_edit_that_is_there_twice_and_data_without_edits(tmp_path):
    place = layouts.magicbrush_folder(tmp_path / "test")
    turns = json.loads((place / "edit_turns.json").read_text())
    (place / "edit_turns.json").write_text(json.dumps([*turns, turns[0]]))
    with pytest.raises(DataError, match=r"entry 3, repeats the edit 12-output1: keep one copy of the data"):
        open_dataset(str(place))
    assert len(open_dataset(str(place), skip=True)) == 3
    hub = tmp_path / "hub"
    for name in ("dev-0.parquet", "dev-1.parquet"):
        layouts.magicbrush_parquet(hub / name, images=(7,), turns=1)
    with pytest.raises(DataError, match=r"dev-1.parquet, row 0, repeats the edit 7-1"):
        open_dataset(str(hub))
    (place / "edit_turns.json").write_text("[]")
    with pytest.raises(DataError, match="There is no edit left in"):
        open_dataset(str(place))


def test_values_of_another_kind_do_no_harm(tmp_path):
    place = layouts.magicbrush_folder(tmp_path / "test")
    turns = json.loads((place / "edit_turns.json").read_text())
    turns[0] |= {"instruction": 5}
    turns[1] |= {"input": 7}
    (place / "edit_turns.json").write_text(json.dumps(turns))
    data = open_dataset(str(place), skip=True)
    assert (data[0].instruction, len(data), len(data.skipped)) == ("5", 2, 1)
