"""Data sets through the nodes: saved by hand, made from photos, converted, checked and mended."""

import shutil

import numpy as np
import pytest
import torch

WORDS = {"instruction": "make it dark", "format": "png", "name": "mine"}


@pytest.fixture
def output(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path / "ip2p_data"


@pytest.fixture
def batch():
    """Three pictures of few values, (3, 40, 48, 3)."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 40, 48, 3)).astype(np.float32) / 255)


@pytest.fixture
def photos(root):
    return str(root / "tests" / "photos")


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_pairs_by_hand_are_stored_once(call, output, batch):
    place, report = call("IP2PSavePairs", image=batch, edited=batch / 2, **WORDS)
    assert report == "3 of 3 pairs are new in mine"
    before = files(output / "mine")
    assert call("IP2PSavePairs", image=batch, edited=batch / 2, **WORDS)[1].startswith("0 of 3 pairs are new")
    assert files(output / "mine") == before
    assert call("IP2PSavePairs", image=batch[:1], edited=batch[:1] / 4, **WORDS)[1] == "1 of 1 pairs are new in mine"
    again = call("IP2PSavePairs", image=batch, edited=batch / 2, **WORDS | {"instruction": "dim\n\ndarker\nnight falls", "name": "other"})
    assert again[1].startswith("3 of 3")
    from ip2p.data.pairs import open_pairs

    pairs = open_pairs(place, "all")
    assert len(pairs.group(0)) == 4
    found = pairs.group(0)[0]
    assert any(torch.equal(found.image(), one) for one in batch)
    assert found.instruction == "make it dark"
    others = open_pairs(again[0], "all")
    assert sorted(others.group(number)[0].instruction for number in range(3)) == ["darker", "dim", "night falls"]


def test_an_alpha_channel_is_left_out(call, output, batch):
    clear = torch.cat([batch, batch[..., :1]], dim=-1)
    for kind in ("png", "jpg"):
        for image in (batch, clear):
            report = call("IP2PSavePairs", image=image, edited=image / 2, **WORDS | {"format": kind})[1]
        assert report.startswith("0 of 3 pairs are new")


def test_one_picture_with_several_edits_and_a_mask(call, output, batch):
    mask = torch.zeros(1, 40, 48)
    mask[:, :20] = 1
    place, _ = call("IP2PSavePairs", image=batch[:1], edited=batch / 2, mask=mask, caption="noise", edited_caption="dark", **WORDS)
    from ip2p.data.records import records

    found = list(records(place))
    assert len({record.image for record in found}) == 1
    assert len({record.edited for record in found}) == 3
    assert all(record.mask == found[0].mask for record in found)
    assert (found[0].caption, found[0].edited_caption) == ("noise", "dark")


def test_what_can_not_be_saved(call, output, batch):
    given = {"image": batch, "edited": batch, **WORDS}
    for change, told in (
        ({"edited": batch[:2]}, "There are 2 of 'edited' and 3 pairs"),
        ({"instruction": " "}, "There is no instruction"),
        ({"instruction": "a\nb"}, "'instruction' has 2 lines and there are 3 pairs"),
        ({"mask": torch.zeros(1, 8, 8)}, "The mask is 8 x 8 pixels and the picture 48 x 40"),
        ({"name": "../x"}, "can't be that of a folder"),
    ):
        with pytest.raises(ValueError, match=told):
            call("IP2PSavePairs", **given | change)
    assert not output.exists()
    (output / "mine").mkdir(parents=True)
    (output / "mine" / "seeds.json").write_text("[]")
    with pytest.raises(ValueError, match=r"mine holds a finished data set or other files \(seeds.json\): give another name"):
        call("IP2PSavePairs", **given)


def test_photos_to_every_layout_and_back(call, output, photos):
    given = {"source": photos, "kinds": "night, snow+night, sepia", "each": 2, "size": 64, "format": "png", "replace": True}
    place, report = call("IP2PPhotoPairs", layout="authors", name="photos", **given)
    assert "6 pairs of 3 prompts as authors" in report
    from ip2p.data.records import records

    wanted = list(records(place))
    assert {record.facts["kind"] for record in wanted} <= {"night", "snow+night", "sepia"}
    spec = place
    for layout in ("webdataset", "parquet", "plain", "authors"):
        spec, report = call("IP2PConvertPairs", pairs=spec, layout=layout, count=0, shard_mb=1, check=10, replace=True, name=f"as {layout}")
        assert "6 pairs of 3 prompts" in report
        assert "no fault found" in report
    assert list(records(spec)) == wanted
    data = call("IP2PTrainingData", data="folder", source=spec, check=4, share=0.5)
    assert data[0] == spec
    assert "no fault found" in data[2]


def test_other_data_under_a_name_is_replaced_only_where_asked(call, output, photos):
    given = {"source": photos, "kinds": "", "size": 64, "format": "jpg", "layout": "plain", "name": "photos"}
    call("IP2PPhotoPairs", each=1, replace=True, **given)
    with pytest.raises(ValueError, match="finished data set with other settings"):
        call("IP2PPhotoPairs", each=2, replace=False, **given)
    assert "6 pairs" in call("IP2PPhotoPairs", each=2, replace=True, **given)[1]
    before = files(output / "photos")
    call("IP2PPhotoPairs", each=2, replace=True, **given)
    assert files(output / "photos") == before
    shutil.rmtree(output / "photos")
    (output / "photos").mkdir()
    (output / "photos" / "diary.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty, and was not written by this command"):
        call("IP2PPhotoPairs", each=2, replace=True, **given)
    assert (output / "photos" / "diary.txt").read_text() == "mine"


def test_cancelled_it_goes_on_to_the_same_bytes(call, output, photos, monkeypatch):
    import comfy.model_management

    given = {"source": photos, "kinds": "", "each": 2, "size": 64, "format": "png", "layout": "webdataset", "replace": True}
    call("IP2PPhotoPairs", name="whole", **given)
    asked, real = [], comfy.model_management.throw_exception_if_processing_interrupted

    def cancel():
        asked.append(1)
        if len(asked) == 3:
            comfy.model_management.interrupt_current_processing()
        real()

    with monkeypatch.context() as patch:
        patch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", cancel)
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            call("IP2PPhotoPairs", name="cancelled", **given)
    assert not (output / "cancelled" / "manifest.json").exists()
    call("IP2PPhotoPairs", name="cancelled", **given)
    assert files(output / "cancelled") == files(output / "whole")


def test_checked_and_mended(call, output, batch):
    place, _ = call("IP2PSavePairs", image=batch, edited=batch / 2, **WORDS)
    assert call("IP2PCheckPairs", pairs=place, repair=False, hashes=True, check=0)[2] is True
    next((output / "mine").glob("*/*_1.png")).unlink()
    same, report, clean = call("IP2PCheckPairs", pairs=place, repair=False, hashes=True, check=0)
    assert (same, clean) == (place, False)
    assert "have one picture of the two" in report
    _, report, clean = call("IP2PCheckPairs", pairs=place, repair=True, hashes=True, check=0)
    assert clean is True
    assert "mended: 1 have one picture of the two" in report
