"""Captions and triplets as nodes: from text, files and the world to triplets, files and readable tables."""

import json
import threading
from pathlib import Path

import pytest

CAPTIONS = "a man riding a brown horse on the beach\n\n  A black dog with a red ball in the snow. "
DEFAULTS = {"duplicates": True, "likeness": 0.8, "too_long": True, "unsafe": True, "unsafe_words": ""}


@pytest.fixture
def folders(nodes, tmp_path, monkeypatch):
    """The host's input and output folders, apart from others' tests."""
    import folder_paths

    for name in ("input", "output"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


def captions(call, **inputs):
    return call("IP2PCaptions", **{"source": "text", "text": CAPTIONS, "file": "", "count": 0, "first": 0} | inputs)


def triplets(call, text=CAPTIONS, **inputs):
    return call("IP2PTriplets", **{"captions": text, "kinds": "", "per_caption": 3, "seed": 0} | DEFAULTS | inputs)


def test_captions_from_text(call):
    found, report = captions(call)
    assert found == "a man riding a brown horse on the beach\nA black dog with a red ball in the snow."
    assert report == "2 captions"
    assert captions(call, count=1)[0] == "a man riding a brown horse on the beach"


def test_captions_from_files_and_folders(call, folders):
    (folders / "input" / "list.txt").write_bytes(b"a dog\n\xff\na cat\n")
    found, report = captions(call, source="file", file="list.txt")
    assert found == "a dog\na cat"
    assert report.split("\n") == ["2 captions", "left out: list.txt, line 2, is no UTF-8 text: save the file as UTF-8, or skip the line."]
    pictures = folders / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.txt").write_text(f"a house {number}", encoding="utf8")
        (pictures / f"{number}.png").write_bytes(b"a picture")
    assert captions(call, source="file", file=str(pictures))[0] == "a house 0\na house 1\na house 2"


def test_captions_of_the_world_are_numbered(call):
    found = captions(call, source="world", count=5, first=3)[0].split("\n")
    assert len(found) == 5
    assert captions(call, source="world", count=1, first=5)[0] == found[2]


def test_what_captions_cannot_use_is_told(call, folders):
    with pytest.raises(ValueError, match="no captions: write some"):
        captions(call, text=" \n ")
    with pytest.raises(ValueError, match="No file is named"):
        captions(call, source="file")
    with pytest.raises(ValueError, match="check the name"):
        captions(call, source="file", file="nothing.txt")
    with pytest.raises(ValueError, match="source 'magic' is unknown"):
        captions(call, source="magic")


def test_a_changed_file_is_read_again(nodes, folders):
    node = nodes.NODE_CLASS_MAPPINGS["IP2PCaptions"]
    path = folders / "input" / "list.txt"
    path.write_text("a dog", encoding="utf8")
    before = node.fingerprint_inputs(source="file", file="list.txt")
    path.write_text("a dog and a cat", encoding="utf8")
    assert node.fingerprint_inputs(source="file", file="list.txt") != before
    assert node.fingerprint_inputs(source="text", file="list.txt") == node.fingerprint_inputs(source="text", file="")


def test_the_grammar_makes_triplets(call):
    found, table, report = triplets(call)
    assert len(found) == 6
    assert [one.caption for one in found[:3]] == ["a man riding a brown horse on the beach"] * 3
    assert len({one.kind for one in found[:3]}) == 3
    lines = table.split("\n")
    assert lines[0] == "| caption | instruction | edited caption | kind |"
    assert len(lines) == 8
    assert found[0].instruction in lines[2]
    assert report.startswith("6 triplets of 2 captions")
    assert triplets(call)[0] == found
    assert triplets(call, seed=1)[0] != found


def test_kinds_and_filters_are_the_users(call):
    assert {one.kind for one in triplets(call, kinds="time, style")[0]} == {"time", "style"}
    found, _, report = triplets(call, CAPTIONS + "\n" + CAPTIONS)
    assert len(found) == 6
    assert "rejected, duplicate: 6" in report
    assert len(triplets(call, CAPTIONS + "\n" + CAPTIONS, duplicates=False)[0]) == 12
    assert len(triplets(call, unsafe_words="horse\nbeach")[0]) == 3
    assert len(triplets(call, unsafe_words="horse\nbeach", unsafe=False)[0]) == 6
    with pytest.raises(ValueError, match="kind of edit 'magic' is unknown"):
        triplets(call, kinds="magic")
    with pytest.raises(ValueError, match=r"No triplet is left .*rejected, unsafe: 3"):
        triplets(call, "a man riding a brown horse on the beach", unsafe_words="horse")


@pytest.mark.parametrize("form", ["jsonl", "jsonl, the authors' names", "parquet"])
def test_triplets_go_into_a_file_and_come_back(call, folders, form):
    found = triplets(call)[0]
    (path,) = call("IP2PSaveTriplets", triplets=found, name="my edits", format=form)
    assert Path(path) == folders / "output" / "ip2p_data" / f"my edits.{form.split(',')[0]}"
    again, _, report = call("IP2PLoadTriplets", file=path, count=0, **DEFAULTS)
    assert again == found
    assert report.startswith("6 triplets")
    if "authors" in form:
        assert json.loads(Path(path).read_text(encoding="utf8").split("\n")[0])["edit"] == found[0].instruction


def test_the_hand_written_ones_are_there(call):
    found = call("IP2PLoadTriplets", file="", count=0, **DEFAULTS)[0]
    assert len(found) >= 200
    assert {one.source for one in found} == {"human"}
    assert len(call("IP2PLoadTriplets", file="", count=7, **DEFAULTS)[0]) == 7


def test_bad_lines_are_told_and_left_out(call, folders):
    (folders / "input" / "mine.jsonl").write_text('{"input": "a dog", "edit": "a cat, please", "output": "a cat"}\n{oh\n', encoding="utf8")
    found, _, report = call("IP2PLoadTriplets", file="mine.jsonl", count=0, **DEFAULTS)
    assert len(found) == 1
    assert "left out: mine.jsonl, line 2, is not JSON" in report
    with pytest.raises(ValueError, match="check the name"):
        call("IP2PLoadTriplets", file="nothing.jsonl", count=0, **DEFAULTS)
    with pytest.raises(ValueError, match="can't be that of a folder"):
        call("IP2PSaveTriplets", triplets=found, name="../up", format="jsonl")
    with pytest.raises(ValueError, match="no triplets to save"):
        call("IP2PSaveTriplets", triplets=(), name="x", format="jsonl")
    with pytest.raises(ValueError, match="format 'xls' is unknown"):
        call("IP2PSaveTriplets", triplets=found, name="x", format="xls")


def test_it_can_be_cancelled_within_a_second(call, nodes):
    import comfy.model_management as host

    timer = threading.Timer(0.3, host.interrupt_current_processing)
    timer.start()
    try:
        with pytest.raises(host.InterruptProcessingException):
            triplets(call, "\n".join(f"a man with {number} dogs on the beach" for number in range(30000)), per_caption=8)
    finally:
        timer.cancel()
        host.interrupt_current_processing(False)
