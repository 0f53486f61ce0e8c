"""The one-pass adapter headless: its file, the editor that has it, and what is refused."""

import logging

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from test_trainable import SETTINGS, base_of, moved

from ip2p import changes, checkpoint, one_pass
from ip2p.auto_scales import pick
from ip2p.checkpoint import Checkpoint, CheckpointError
from ip2p.cli import main
from ip2p.edit import Editor
from ip2p.sweep import Grid, sweep
from ip2p.training import distil
from ip2p.training.config import DistilConfig, ModelConfig, TrainConfig

CONFIG = TrainConfig(model=ModelConfig(rank=4, targets=("to_q", "to_v", "conv1")), distil=DistilConfig((1.0, 8.0), (1.0, 2.0)))


@pytest.fixture(scope="module")
def base():
    return base_of(channels=8)


@pytest.fixture(scope="module")
def trained(base):
    made = distil.prepare(base, CONFIG)
    moved(made)
    return made


@pytest.fixture(scope="module")
def file(trained, tmp_path_factory):
    average = [parameter.detach() for _, parameter in trained.parameters]
    (path,) = distil.write(trained, average, CONFIG, tmp_path_factory.mktemp("adapters"))
    return path


@pytest.fixture(scope="module")
def editor(base):
    return Editor.build(base, torch.device("cpu"))


@pytest.fixture(scope="module")
def photo():
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(3))


def test_the_file_gives_back_what_was_trained(trained, file, base):
    adapter, expected = one_pass.read(file, base.state), distil.adapter(trained)
    assert adapter.base == expected.base == one_pass.fingerprint(base.state)
    assert adapter.embedding.ranges == ((1.0, 8.0), (1.0, 2.0))
    assert set(adapter.change) == set(expected.change)
    for name, piece in expected.change.items():
        torch.testing.assert_close(adapter.change[name].full(), piece.full(), atol=2e-3, rtol=1e-2)
    scales = torch.tensor([[5.0, 1.3], [1.0, 1.0]])
    torch.testing.assert_close(adapter.embedding(scales), expected.embedding(scales), atol=1e-2, rtol=1e-2)


def test_its_notes_say_what_it_is_for(file):
    from ip2p.files import read_tensors

    notes = read_tensors(file)[1]
    assert notes["ip2p.kind"] == "one_pass"
    assert (notes["ip2p.text_scales"], notes["ip2p.image_scales"], notes["ip2p.ranks"]) == ("1 8", "1 2", "4")


def test_an_edit_takes_one_pass_a_step_and_hears_both_scales(editor, file, photo):
    one = editor.with_adapter(file)
    calls = []
    one.unet.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    edited = one.edit(photo, "make it night", steps=3, text_scale=5.0, image_scale=1.5)
    assert calls == [1, 1, 1]
    assert not torch.equal(one.edit(photo, "make it night", steps=3, text_scale=7.0, image_scale=1.5), edited)
    assert not torch.equal(one.edit(photo, "make it night", steps=3, text_scale=5.0, image_scale=1.2), edited)
    assert torch.equal(one.edit(photo, "make it night", steps=3, text_scale=5.0, image_scale=1.5), edited)


def test_it_predicts_what_the_trained_network_does(trained, editor, file):
    z, image = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    t, text, scales = torch.tensor([10.0, 700.0]), torch.randn(2, 7, 32), torch.tensor([[5.0, 1.5], [2.0, 1.0]])
    from ip2p.sampling import Text

    one = editor.with_adapter(file)
    with torch.no_grad():
        expected = trained.unet(torch.cat([z, image], 1), t, text, class_labels=scales).sample
        torch.testing.assert_close(one.predict(z, t, Text(text), image, scales), expected, atol=2e-2, rtol=2e-2)


def test_scales_beyond_those_that_were_learnt_count_as_the_nearest_and_are_told(editor, file, base, photo, caplog):
    embedding = one_pass.read(file, base.state).embedding
    assert torch.equal(embedding(torch.tensor([[50.0, 0.5]])), embedding(torch.tensor([[8.0, 1.0]])))
    with caplog.at_level(logging.WARNING):
        editor.with_adapter(file).edit(photo, "make it night", steps=1, text_scale=8.0, image_scale=1.0)
        assert not caplog.records
        editor.with_adapter(file).edit(photo, "make it night", steps=1, text_scale=50.0, image_scale=1.0)
    assert "text scales of 1 to 8; 50 counts as the nearest" in caplog.text


def test_the_editor_without_it_stays_as_it_was(editor, file, photo):
    before = editor.edit(photo, "make it night", steps=2)
    editor.with_adapter(file).edit(photo, "make it night", steps=2)
    assert torch.equal(editor.edit(photo, "make it night", steps=2), before)


def test_a_negative_text_is_refused_in_one_pass(editor, file, photo):
    with pytest.raises(ValueError, match="negative"):
        editor.with_adapter(file).edit(photo, "make it night", negative="blurry", steps=2)


def test_another_editor_is_told_and_another_kind_is_refused(file, caplog):
    other = Editor.build(Checkpoint(tiny.ldm(tiny.unet(attention=(0, 1), seed=9)), "sd15", "only", SETTINGS), torch.device("cpu"))
    with caplog.at_level(logging.WARNING):
        other.with_adapter(file)
    assert "another editor" in caplog.text
    wider = Editor.build(Checkpoint(tiny.ldm(tiny.unet(widths=(64, 64), attention=(0, 1))), "sd15", "only", SETTINGS), torch.device("cpu"))
    with pytest.raises(CheckpointError, match="another kind"):
        wider.with_adapter(file)


def test_other_files_are_refused(editor, file, base, tmp_path):
    with pytest.raises(CheckpointError, match="no adapter file"):
        editor.with_adapter(tmp_path / "none.safetensors")
    plain = tmp_path / "lora.safetensors"
    save_file(changes.as_lora(one_pass.read(file, base.state).change, base.state), plain)
    with pytest.raises(CheckpointError, match="no one-pass adapter"):
        editor.with_adapter(plain)
    broken = tmp_path / "broken.safetensors"
    save_file(load_file(file), broken, {"ip2p.kind": "one_pass"})
    with pytest.raises(CheckpointError, match="damaged"):
        editor.with_adapter(broken)


def test_the_command_edits_with_it(file, base, photo, tmp_path):
    from ip2p.pictures import open_picture, save_picture

    model = tmp_path / "model.safetensors"
    checkpoint.write(model, base.state, base.settings)
    save_picture(photo[0], tmp_path / "in.png")
    edit = ["edit", "--model", str(model), "--image", str(tmp_path / "in.png"), "--instruction", "make it night", "--steps", "2"]
    assert main([*edit, "--out", str(tmp_path / "exact.png")]) == 0
    assert main([*edit, "--out", str(tmp_path / "one.png"), "--adapter", str(file)]) == 0
    assert not torch.equal(open_picture(tmp_path / "one.png"), open_picture(tmp_path / "exact.png"))
    assert main([*edit, "--out", str(tmp_path / "no.png"), "--adapter", str(tmp_path / "none.safetensors")]) == 2


def test_a_sweep_with_an_adapter_makes_one_pass_a_cell_and_step(editor, file, photo):
    fast = editor.with_adapter(file)
    found = sweep(fast, photo, "make it night", Grid((5.0, 7.5), (1.0, 1.5)), steps=2, seed=4)
    assert found.counted.made == 2 * 4
    alone = fast.edit(photo, "make it night", steps=2, seed=4, text_scale=7.5, image_scale=1.5)
    assert torch.equal(found.pictures[3], alone[0])
    with pytest.raises(ValueError, match="found no relevance: take the one-pass adapter out"):
        pick(fast, photo, "make it night", 5.0, 1.5, steps=2)
