"""Pairs in the host: made under its samplers, gone on with, cancelled, filtered and looked at."""

import json
from dataclasses import replace

import pytest
import torch

SIZE = 64


@pytest.fixture(scope="module")
def measures(call):
    return call("IP2PMeasures", clip="world_clip", dino="none", lpips="none", input_range="correct")[0]


@pytest.fixture
def output(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path / "ip2p_data"


@pytest.fixture
def triplets(pack):
    from ip2p.captions.triplet import Triplet

    return (
        Triplet("a red ball", "make it blue", "a blue ball", kind="recolour"),
        Triplet("a house", "make it night", "a house at night", kind="time"),
    )


@pytest.fixture
def make(call, editor, measures, triplets, output):
    def run(**change):
        given = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "triplets": triplets, "measures": measures}
        given |= {"samples": 3, "preset": "fast", "batch": 2, "size": SIZE, "p_low": 0.1, "p_high": 0.9, "guidance_low": 2.0}
        given |= {"guidance_high": 3.0, "mode": "self", "early_stop": False, "format": "png", "name": "run"}
        return call("IP2PPairs", **given | change)

    return run


@pytest.fixture
def few(call):
    """Two steps, as a scheduler gives them."""
    return {"sigmas": torch.tensor([14.6146, 1.0, 0.0])}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lines(folder):
    return [json.loads(line) for path in sorted(folder.rglob("metadata.jsonl")) for line in path.read_text().splitlines()]


def test_pairs_are_kept_with_their_scores(make, few, output):
    place, report = make(**few)
    assert place == str(output / "run")
    found = lines(output / "run")
    assert len(found) == 6
    assert all(line["passes"] == 2 * 4 for line in found)
    assert all(-1 <= line["clip_sim_dir"] <= 1 for line in found)
    assert len(list(output.rglob("*_1.png"))) == 6
    assert "6 samples" in report
    assert "48 network passes" in report


def test_triplets_that_share_an_id_are_all_made(make, few, triplets, output):
    _, report = make(triplets=[replace(one, id="1") for one in (*triplets, triplets[0])], samples=1, **few)
    assert report.startswith("**run**: 2 triplets; 2 samples")


def test_queued_again_nothing_is_made_again(make, few, output):
    make(**few)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    _, report = make(**few)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == before
    assert "2 triplets, 2 of them were there" in report


def test_cancelled_pairs_go_on_to_the_same_bytes(make, few, output, monkeypatch):
    """Cancelled at every update of the bar in turn, which comes after each step and each pair."""
    import comfy.model_management
    import comfy.utils

    make(**few, name="whole")
    whole = files(output / "whole")
    told = []

    def hook(value, total, preview, **_):
        told.append(preview)
        if len(told) == stop:
            raise comfy.model_management.InterruptProcessingException

    for stop in (1, 2, 3, 6):
        told.clear()
        with monkeypatch.context() as patch:
            patch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
            with pytest.raises(comfy.model_management.InterruptProcessingException):
                make(**few, name=f"run {stop}")
        make(**few, name=f"run {stop}")
        assert files(output / f"run {stop}") == whole


def test_the_bar_shows_the_newest_pair(make, few, monkeypatch):
    import comfy.utils

    told = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, **_: told.append((value, total, preview)))
    make(**few)
    shown = [preview[1] for _, _, preview in told if preview]
    assert len({picture.tobytes() for picture in shown}) == 6
    assert all(picture.size == (2 * SIZE, SIZE) for picture in shown)
    assert [value for value, _, _ in told] == sorted(value for value, _, _ in told)
    assert told[-1][:2] == (200, 200)


def test_passes_are_those_that_the_sampler_takes(make, call, few, output):
    """Heun's method asks the network twice in each step but the last."""
    make(**few, sampler=call("KSamplerSelect", sampler_name="heun")[0])
    assert {line["passes"] for line in lines(output / "run")} == {3 * 4}


def test_hopeless_pairs_go_midway(make, call, few, output):
    (least,) = call("IP2PThresholds", image=0.99, caption=0.99, edited_caption=0.99, direction=0.99)
    _, report = make(**few, early_stop=True, thresholds=least, slack=0.0)
    assert all(line["dropped"].startswith("hopeless midway") for line in lines(output / "run"))
    assert {line["passes"] for line in lines(output / "run")} == {4}
    assert not list(output.rglob("*.png"))
    assert "6 of them dropped midway" in report


def test_the_filter_writes_what_training_takes(make, call, few, output):
    place, _ = make(**few)
    (anything,) = call("IP2PThresholds", image=-1.0, caption=-1.0, edited_caption=-1.0, direction=-1.0)
    dataset, report = call("IP2PFilterPairs", pairs=place, thresholds=anything, keep=2, near=-1, layout="authors", replace=True, name="set")
    assert report.startswith("4 of 6 pairs kept, from 2 of 2 prompts")
    assert "not among the best 2 of its prompt: 2" in report
    spec, sheet, said = call("IP2PTrainingData", data="folder", source=dataset, check=2, share=0.5)
    assert spec == dataset
    assert "2 prompts" in said or "1 prompts" in said
    assert sheet.std() > 0


def test_pairs_without_scores_are_scored_where_a_clip_is_wired(call, measures, output):
    """As pairs made by hand have none: without measures they are left out, with them they are judged and shown with their scores."""
    pictures = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    told = {"caption": "a red ball", "edited_caption": "a blue ball", "instruction": "make it blue"}
    place = call("IP2PSavePairs", image=pictures, edited=pictures.flip(-1), name="by hand", format="png", **told)[0]
    (anything,) = call("IP2PThresholds", image=-1.0, caption=-1.0, edited_caption=-1.0, direction=-1.0)
    asked = {"pairs": place, "thresholds": anything, "keep": 4, "near": -1}
    _, left = call("IP2PFilterPairs", **asked, layout="plain", replace=True, name="without")
    assert "0 of 2 pairs kept" in left
    _, kept = call("IP2PFilterPairs", **asked, layout="plain", replace=True, name="with", measures=measures)
    assert "2 of 2 pairs kept" in kept
    _, lines = call("IP2PBrowsePairs", **asked, show="kept", first=0, count=2, each=4, cell=64, measures=measures)
    assert "direction" in lines


def test_other_thresholds_replace_the_data_set_and_nothing_else(make, call, few, output):
    place, _ = make(**few)
    (anything,) = call("IP2PThresholds", image=-1.0, caption=-1.0, edited_caption=-1.0, direction=-1.0)
    asked = {"pairs": place, "thresholds": anything, "keep": 2, "near": -1, "layout": "plain", "replace": True, "name": "set"}
    call("IP2PFilterPairs", **asked)
    call("IP2PFilterPairs", **asked | {"keep": 1})
    assert len(list((output / "set").rglob("*.png"))) == 2 * 2
    with pytest.raises(ValueError, match="set"):
        call("IP2PFilterPairs", **asked | {"replace": False})
    (output / "mine").mkdir()
    (output / "mine" / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        call("IP2PFilterPairs", **asked | {"name": "mine"})
    assert (output / "mine" / "precious.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="another name"):
        call("IP2PFilterPairs", **asked | {"name": "run"})


def test_browsing_shows_kept_and_left_out(make, call, few):
    place, _ = make(**few)
    asked = {"pairs": place, "keep": 1, "near": -1, "first": 0, "count": 2, "each": 3, "cell": 96}
    (anything,) = call("IP2PThresholds", image=-1.0, caption=-1.0, edited_caption=-1.0, direction=-1.0)
    sheet, report = call("IP2PBrowsePairs", **asked, show="both", thresholds=anything)
    assert sheet.shape[0] == 1
    assert report.count(": kept (direction") == 2
    assert report.count("not among the best 1") == 4
    kept, told = call("IP2PBrowsePairs", **asked, show="kept", thresholds=anything)
    assert kept.shape[2] < sheet.shape[2]
    assert "not among" not in told
    _, strict = call("IP2PBrowsePairs", **asked, show="left out")
    assert "kept (" not in strict
    with pytest.raises(ValueError, match="smaller"):
        call("IP2PBrowsePairs", **asked | {"first": 9}, show="both")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"triplets": ()}, "no triplets"),
        ({"measures": None}, "Load measures"),
        ({"name": "../up"}, "name"),
        ({"p_low": 0.9, "p_high": 0.1}, "smaller one first"),
        ({"sigmas": torch.tensor([1.0])}, "no steps"),
    ],
)
def test_what_can_not_be_made_is_refused(make, few, change, said):
    with pytest.raises(ValueError, match=said):
        make(**few | change)
