"""The working folder of a run: what it keeps, how it goes on, and what it refuses."""

import json
from dataclasses import replace

import layouts
import pytest

from ip2p.captions.triplet import Triplet
from ip2p.data.example import DataError
from ip2p.data.pairs import open_pairs
from ip2p.data.samples import Samples

CAT = Triplet("a cat", "make it a dog", "a dog", source="human", kind="replace")
SETTINGS = {"steps": 30, "p": [0.1, 0.9]}


def filled(folder):
    """A prompt with two kept samples and one without pictures."""
    samples = Samples(folder, SETTINGS)
    samples.prompt("0000003", CAT)
    for seed in (7, 2**53 - 1):
        samples.add("0000003", seed, {"p": 0.25, "score": 1 / 3}, layouts.png(layouts.pixels(1)), layouts.png(layouts.pixels(2)))
    samples.add("0000003", 9, {"p": 0.5})
    return samples


def test_what_was_added_is_known_to_the_next_process(tmp_path):
    filled(tmp_path)
    again = Samples(tmp_path, json.loads(json.dumps(SETTINGS)))
    assert again.names() == ["0000003"]
    assert again.triplet("0000003") == CAT
    facts = {"p": 0.25, "score": 1 / 3}
    assert again.known("0000003") == {7: {"seed": 7, **facts}, 2**53 - 1: {"seed": 2**53 - 1, **facts}, 9: {"seed": 9, "p": 0.5}}
    assert [again.has_pictures("0000003", seed) for seed in (7, 9)] == [True, False]
    assert again.known("0000004") == {}
    first, second = again.records("0000003")
    assert (first.prompt, first.sample, second.sample) == ("0000003", "7", str(2**53 - 1))
    assert (first.caption, first.instruction, first.edited_caption) == ("a cat", "make it a dog", "a dog")
    assert (first.image, first.edited) == (layouts.png(layouts.pixels(1)), layouts.png(layouts.pixels(2)))
    assert first.facts == {"seed": 7, **facts, "prompt": {"id": CAT.id, "source": "human", "kind": "replace"}}


def test_a_torn_line_is_dropped_and_written_again(tmp_path):
    samples = filled(tmp_path)
    lines = tmp_path / "0000003" / "metadata.jsonl.part"
    whole = lines.read_bytes()
    for cut in range(1, 22):
        lines.write_bytes(whole[:-cut])
        assert list(samples.known("0000003")) == [7, 2**53 - 1]
        samples.prompt("0000003", CAT)
        samples.add("0000003", 9, {"p": 0.5})
        assert lines.read_bytes() == whole


def test_a_broken_line_costs_only_its_own_sample(tmp_path):
    samples = filled(tmp_path)
    lines = tmp_path / "0000003" / "metadata.jsonl.part"
    first, *rest = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(b"\x00" * len(first.rstrip()) + b"\n" + b"".join(rest))
    assert list(samples.known("0000003")) == [2**53 - 1, 9]


def test_a_finished_prompt_is_closed(tmp_path):
    samples = filled(tmp_path)
    assert not samples.finished("0000003")
    before = samples.known("0000003")
    samples.finish("0000003")
    samples.finish("0000003")
    assert samples.finished("0000003")
    assert samples.known("0000003") == before
    assert not (tmp_path / "0000003" / "metadata.jsonl.part").exists()
    with pytest.raises(DataError, match="0000003 is finished: no sample"):
        samples.add("0000003", 10, {})
    with pytest.raises(DataError, match="0000009 is not begun"):
        samples.add("0000009", 10, {})
    samples.prompt("0000004", CAT)
    samples.finish("0000004")
    assert samples.finished("0000004")
    assert samples.known("0000004") == {}


def test_the_trainer_reads_the_folder_as_it_is(tmp_path):
    filled(tmp_path).finish("0000003")
    pairs = open_pairs(str(tmp_path), "all")
    assert len(pairs.group(0)) == 2
    example = pairs.group(0)[0]
    assert (example.instruction, example.caption, example.edited_caption) == ("make it a dog", "a cat", "a dog")
    assert example.image().shape == (32, 40, 3)


def test_other_settings_and_other_triplets_are_refused(tmp_path):
    samples = filled(tmp_path)
    with pytest.raises(DataError, match="was begun with steps 30, not 20: use the same settings, or another folder"):
        Samples(tmp_path, SETTINGS | {"steps": 20})
    with pytest.raises(DataError, match="was begun with x nothing, not 1"):
        Samples(tmp_path, SETTINGS | {"x": 1})
    with pytest.raises(DataError, match="0000003 was begun with another triplet"):
        samples.prompt("0000003", Triplet("a cat", "make it a bird", "a bird"))
    samples.prompt("0000003", replace(CAT, source="elsewhere"))
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(DataError, match=r"settings\.json is broken"):
        Samples(tmp_path, SETTINGS)
    assert Samples(tmp_path).names() == ["0000003"], "without settings all are welcome"
    with pytest.raises(DataError, match="no samples in"):
        Samples(tmp_path / "nowhere")


def test_what_can_not_be_kept_is_refused_before_anything_is_written(tmp_path):
    samples = filled(tmp_path)
    before = sorted(path.name for path in (tmp_path / "0000003").iterdir())
    for name in ("", "..", "a/b", ".hidden"):
        with pytest.raises(DataError, match="can't be the name of a prompt"):
            samples.prompt(name, CAT)
    with pytest.raises(DataError, match="is no PNG, JPEG"):
        samples.add("0000003", 11, {}, b"GIF89a", b"GIF89a")
    with pytest.raises(DataError, match="one picture without the other"):
        samples.add("0000003", 11, {}, layouts.png(layouts.pixels(1)))
    with pytest.raises(DataError, match="can't be stored"):
        samples.add("0000003", 11, {"score": float("nan")}, layouts.png(layouts.pixels(1)), layouts.png(layouts.pixels(2)))
    assert sorted(path.name for path in (tmp_path / "0000003").iterdir()) == before
