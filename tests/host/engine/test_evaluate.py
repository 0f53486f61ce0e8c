"""Evaluation inside the host: the same run as the command's, resumable, cancelled without loss; and comparison sheets."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

SIZE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three edits in a plain folder: darken a picture to half."""
    place = tmp_path_factory.mktemp("data")
    lines = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
        Image.fromarray(pixels // 2).save(place / f"{number}_dark.png")
        line = {"image": f"{number}.png", "instruction": "make it dark", "edited": f"{number}_dark.png"}
        lines.append(json.dumps(line | {"caption": "noise", "edited_caption": "dark noise"}))
    (place / "metadata.jsonl").write_text("\n".join(lines))
    return place


@pytest.fixture
def results(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path / "ip2p_evaluations" / "run"


@pytest.fixture
def evaluate(call, editor, folder, results):
    def run(**change):
        given = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "data": "folder", "source": str(folder), "count": 0}
        given |= {"text_scales": "7.5", "image_scales": "1.0, 1.5", "sdedit_strengths": "0.5", "baselines": True, "steps": 2, "seed": 0}
        given |= {"sampler": "euler", "scheduler": "normal", "size": SIZE, "name": "run"}
        return call("IP2PEvaluate", **given | change)

    return run


def lines(results):
    return [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]


def test_a_run_gives_plot_sheet_table_and_files(evaluate, results):
    plot, sheet, table = evaluate()
    assert plot.shape[0] == sheet.shape[0] == 1
    assert plot.shape[-1] == sheet.shape[-1] == 3
    assert table.count("InstructPix2Pix") == 2
    assert all(name in table for name in ("SDEdit", "Nothing done", "Right answer", "L1 to answer"))
    assert len(lines(results)) == 3 * 5
    assert not any(line["error"] for line in lines(results))
    there = {path.name for path in results.iterdir()}
    assert {"results.jsonl", "run.json", "table.md", "table.csv", "table.json", "plot.svg", "plot.pdf", "plot.png", "sheet.png"} <= there
    by_editor = {line["editor"]: line["numbers"] for line in lines(results)}
    assert by_editor["answer"]["l1_target"] == pytest.approx(0, abs=1e-6)
    assert by_editor["nothing"]["l1_source"] == 0


def test_edits_are_those_of_the_edit_node(evaluate, results, call, editor, folder):
    """The picture that a run keeps is what 'Edit image by instruction' gives with the same settings."""
    from ip2p.evaluation.run import picture_path
    from ip2p.evaluation.settings import Setting, seed_of

    evaluate(count=1, image_scales="1.5", sdedit_strengths="", baselines=False)
    setting = Setting("ip2p", (("text_scale", 7.5), ("image_scale", 1.5), ("steps", 2)), 0)
    name = lines(results)[0]["example"]
    kept = np.asarray(Image.open(picture_path(results, name, setting)), np.float32) / 255
    source = torch.from_numpy(np.asarray(Image.open(folder / "0.png"), np.float32) / 255)[None]
    told = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "image": source, "instruction": "make it dark", "negative": ""}
    settings = {"seed": seed_of(name, setting), "steps": 2, "text_scale": 7.5, "image_scale": 1.5}
    (edited,) = call("IP2PEdit", **told, **settings, sampler="euler", scheduler="normal", size=SIZE)
    assert np.abs(edited[0].numpy() - kept).max() <= 0.5 / 255 + 1e-6


def test_queued_again_it_makes_nothing_again(evaluate, results, monkeypatch, editor):
    evaluate(count=2)
    before = (results / "results.jsonl").read_bytes()
    monkeypatch.setattr(editor.vae, "decode", None)  # an edit would fail
    evaluate(count=2)
    assert (results / "results.jsonl").read_bytes() == before


def test_cancelling_keeps_what_is_done(evaluate, results):
    import comfy.model_management
    import comfy.utils

    seen = []

    def hook(value, total, preview, node_id=None):
        seen.append((value, total, preview))
        if len({value // 100 for value, *_ in seen}) > 3:
            raise comfy.model_management.InterruptProcessingException

    comfy.utils.set_progress_bar_global_hook(hook)
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            evaluate()
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    kept = lines(results)
    assert 0 < len(kept) < 15
    assert [value for value, *_ in seen] == sorted(value for value, *_ in seen)
    assert seen[0][1] == 1500
    assert any(preview is not None for *_, preview in seen)
    evaluate()
    assert lines(results)[: len(kept)] == kept
    assert len(lines(results)) == 15


def test_more_settings_join_those_that_are_there(evaluate, results):
    evaluate(count=1, sdedit_strengths="", baselines=False)
    before = lines(results)
    table = evaluate(count=2, image_scales="1.5", sdedit_strengths="0.3, 0.9")[2]
    assert lines(results)[: len(before)] == before
    assert len(lines(results)) == len(before) + 9  # two examples by five settings, of which one edit was there
    assert table.count("SDEdit") == 2


def test_results_of_another_model_are_not_mixed(evaluate, results, editor):
    evaluate(count=1)
    changed = editor.model.clone()
    weight = next(name for name in changed.model_state_dict() if name.endswith("input_blocks.0.0.weight"))
    changed.add_patches({weight: ("diff", (torch.ones_like(changed.model_state_dict()[weight]),))})
    with pytest.raises(ValueError, match="were made with editor"):
        evaluate(count=1, model=changed)
    evaluate(count=1, model=editor.model.clone())


def test_a_text_to_image_model_of_its_own_for_sdedit(evaluate, results, pack, networks, tmp_path):
    import tiny

    from ip2p import checkpoint

    path = tmp_path / "base.safetensors"
    checkpoint.write(
        path, tiny.ldm(tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4), networks.vae, networks.clip), tiny.SETTINGS
    )
    base = pack.loading.load(path)
    table = evaluate(count=1, image_scales="", baselines=False, base_model=base.model)[2]
    assert "SDEdit" in table
    assert "InstructPix2Pix" not in table
    assert json.loads((results / "run.json").read_text())["text_to_image"].startswith("BaseModel")


def test_the_world_and_the_probes_are_judged(evaluate, results):
    table = evaluate(data="world", source="style, weather", count=2, image_scales="1.5", sdedit_strengths="")[2]
    assert all(word in table for word in ("right", "done", "kept"))
    table = evaluate(data="probes", source="", count=1, image_scales="1.5", sdedit_strengths="", name="probes")[2]
    assert "Right answer" in table


def test_data_without_answers_gets_a_page_instead_of_a_plot(evaluate, folder, tmp_path, results):
    place = tmp_path / "plain"
    place.mkdir()
    (place / "0.png").write_bytes((folder / "0.png").read_bytes())
    (place / "metadata.jsonl").write_text(json.dumps({"image": "0.png", "instruction": "make it dark"}))
    plot, _, table = evaluate(source=str(place), sdedit_strengths="")
    assert plot.shape[-1] == 3
    assert plot.mean() > 0.8, "white, with a sentence"
    assert "L1 to source" in table
    assert "Right answer" not in table


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": "folder", "source": ""}, "needs a folder"),
        ({"source": "/no/such/folder"}, "There is no data at"),
        ({"data": "world", "source": "magic"}, "no edits of the kind 'magic'"),
        ({"name": "../outside"}, "can't be that of a folder"),
        ({"name": " "}, "can't be that of a folder"),
        ({"image_scales": "much"}, "'much' is no number"),
        ({"image_scales": "", "sdedit_strengths": "", "baselines": False}, "There is nothing to try"),
        ({"model": None}, "There is no model here"),
        ({"vae": None}, "There is no VAE here"),
        ({"clip": None}, "There is no text encoder"),
    ],
)
def test_what_cannot_be_done_is_said(evaluate, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluate(**change)


class TestCompare:
    """The sheet of edits side by side."""

    def told(self, source, **change):
        labels = {f"label_{number}": "" for number in range(1, 7)}
        return {"source": source, "instruction": "make it dark", "caption": "", "edited_caption": "", "cell": 64} | labels | change

    @pytest.fixture
    def source(self):
        return torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(0))

    def test_a_sheet_and_its_numbers(self, call, source):
        sheet, table = call(
            "IP2PCompare", **self.told(source, image_1=source, image_2=source / 2, answer=source / 2, label_1="same", label_2="half")
        )
        assert sheet.shape[0] == 1
        assert sheet.shape[2] > 4 * 64  # source, two edits, the answer
        rows = {line.split("|")[1].strip(): line for line in table.splitlines()}
        assert "L1 to answer" in table.splitlines()[0]
        assert "0.000" in rows["half"]

    def test_a_task_brings_the_judge(self, call):
        source, answer, *_, task = call("IP2PScene", seed=3, kind="recolour", size=64)
        _, table = call("IP2PCompare", **self.told(source, image_1=answer, image_4=source, task=task, label_1="right one"))
        head, _, first, second = table.splitlines()[:4]
        assert head.startswith("|  | right")
        assert first.startswith("| right one | 1.000 |")
        assert second.startswith("| edit 2 | 0.000 |")

    def test_equal_labels_are_told_apart(self, call, source):
        _, table = call("IP2PCompare", **self.told(source, image_1=source, image_2=source, label_1="x", label_2="x"))
        assert "x 1" in table
        assert "x 2" in table

    def test_batches_alpha_and_sizes(self, call, source):
        wide = torch.rand(2, 96, 128, 4)
        sheet, _ = call("IP2PCompare", **self.told(source.repeat(3, 1, 1, 1), image_1=wide, mask=torch.ones(1, 48, 64)))
        assert sheet.isfinite().all()
