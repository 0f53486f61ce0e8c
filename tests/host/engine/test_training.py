"""Training inside the host: real steps of a tiny network, cancelled, continued, and used; the host's own weights stay as they are."""

import json

import pytest
import torch

SIZE = 64
STEPS = 4


@pytest.fixture(scope="module")
def train(call, editor, output):
    """Run the training node."""

    def run(**change):
        given = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "pairs": "world:style,weather", "preset": "small"}
        given |= {"train": "as the preset", "steps": STEPS, "batch": 2, "rate": 0.001, "size": SIZE, "seed": 0, "save_every": 100}
        given |= {"validate_every": 2, "validate_on": 2, "text_scales": "7.5", "image_scales": "1.5", "name": "run"}
        given["more"] = "data.count=4\nvalidation.steps=2\nrun.log_every=1"
        return call("IP2PTrain", **given | change)

    return run


@pytest.fixture(scope="module")
def trained(train, state_of, editor):
    """The outputs of a run, and the base's weights before it."""
    before = state_of(editor.model)
    return train(), before


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def log(output, name):
    return [json.loads(line) for line in (output / "ip2p_training" / name / "log.jsonl").read_text().splitlines()]


def test_what_comes_out_is_trained_and_edits(trained, graph, state_of, image):
    (model, plot, validation, report, run), before = trained
    assert type(model.model).__name__ == "SD15_instructpix2pix"
    assert not equal(state_of(model), before)
    samples, picture = graph(image, model=model)
    assert samples.isfinite().all()
    assert picture.shape == image.shape
    assert not torch.equal(samples, graph(image)[0])
    assert plot.shape[0] == validation.shape[0] == 1
    assert plot.shape[-1] == validation.shape[-1] == 3
    assert f"{STEPS} of {STEPS} steps" in report
    assert "L1 to the answer" in report
    assert run == "run"


def test_the_host_is_as_it_was(trained, state_of, editor, train):
    _, before = trained
    assert equal(state_of(editor.model), before)
    chance = torch.get_rng_state()
    with torch.inference_mode():
        train()
        assert torch.is_inference_mode_enabled()
    assert torch.equal(torch.get_rng_state(), chance)
    assert torch.get_default_dtype() == torch.float32


def test_queued_again_nothing_is_trained_again(trained, train, state_of, output):
    (model, *_), _ = trained
    before = log(output, "run")
    again, *_ = train()
    assert equal(state_of(again), state_of(model))
    assert log(output, "run") == before


def test_the_folder_moves_to_another_machine(trained, state_of, output, tmp_path):
    """config.yaml and what lies beside it are all that the command needs."""
    import shutil

    from ip2p.training import config, export
    from ip2p.training.run import open_run

    shutil.copytree(output / "ip2p_training" / "run", tmp_path / "moved")
    settings = config.load(tmp_path / "moved" / "config.yaml")
    assert settings.model.base == str(tmp_path / "moved" / "base.safetensors")
    assert settings.run.steps == STEPS
    done = open_run(tmp_path / "moved")
    found = export.model(done.trainable, done.average).state
    wanted = state_of(trained[0][0])
    assert all(torch.equal(found[name].float(), wanted[name].float()) for name in wanted)


def test_cancelled_and_queued_again_it_is_as_if_never_interrupted(trained, train, state_of, output, bar):
    import comfy.model_management

    bar.cancel_at = 2
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        train(name="cancelled")
    kept = sorted(path.name for path in (output / "ip2p_training" / "cancelled" / "checkpoints").iterdir())
    assert kept == ["step-00000002"]
    assert not comfy.model_management.processing_interrupted()
    bar.cancel_at = None
    model, *_ = train(name="cancelled")
    assert equal(state_of(model), state_of(trained[0][0]))
    losses = [(line["step"], line["loss"]) for line in log(output, "cancelled") if "loss" in line]
    assert losses == [(line["step"], line["loss"]) for line in log(output, "run") if "loss" in line]


def test_progress_loss_and_edits_are_shown(train, bar):
    train(name="shown", steps=2)
    assert [value for value, *_ in bar.told][-1] == 2
    assert {total for _, total, _ in bar.told} == {2}
    assert any(preview is not None for *_, preview in bar.told)


def test_a_longer_run_goes_on(trained, train, output):
    train(name="longer", steps=2)
    *_, report, _ = train(name="longer", steps=3)
    assert "3 of 3 steps" in report
    assert [line["step"] for line in log(output, "longer") if "loss" in line] == [1, 2, 3]


def test_a_text_to_image_model_becomes_an_editor(train, pack, networks, tmp_path, graph, image):
    import tiny

    from ip2p import checkpoint

    path = tmp_path / "base.safetensors"
    net = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4)
    checkpoint.write(path, tiny.ldm(net, networks.vae, networks.clip), tiny.SETTINGS)
    model, *_ = train(model=pack.loading.load(path).model, name="from text", steps=2)
    assert type(model.model).__name__ == "SD15_instructpix2pix"
    assert graph(image, model=model)[0].isfinite().all()


def test_a_lora_is_trained_and_the_hosts_loader_adds_it(train, call, editor, state_of, output):
    import comfy.sd
    import comfy.utils

    model, *_ = train(name="small one", train="lora", steps=2)
    told = {"run": "small one", "form": "lora", "weights": "ema", "precision": "fp32", "name": ""}
    (path,) = call("IP2PExportEditor", **told)
    assert path == str(output / "loras" / "small one.safetensors")
    again, _ = comfy.sd.load_lora_for_models(editor.model, None, comfy.utils.load_torch_file(path), 1.0, 0)
    found, wanted = state_of(again), state_of(model)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-6, rtol=1e-5)


def test_a_run_is_exported_whole(trained, call, pack, state_of, output):
    (path,) = call("IP2PExportEditor", run="run", form="ldm", weights="ema", precision="fp32", name="")
    again = pack.loading.load(output / "checkpoints" / "run.safetensors")
    assert path.endswith("run.safetensors")
    assert equal(state_of(again.model), state_of(trained[0][0]))


def test_curves_of_a_run(trained, call):
    plot, validation, report = call("IP2PTrainingCurves", run="run")
    assert torch.equal(plot, trained[0][1])
    assert torch.equal(validation, trained[0][2])
    assert report == trained[0][3]
    with pytest.raises(ValueError, match="There is no training run in"):
        call("IP2PTrainingCurves", run="nothing")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "../outside"}, "can't be that of a folder"),
        ({"model": None}, "There is no model here"),
        ({"clip": None}, "There is no text encoder"),
        ({"vae": None}, "There is no VAE here"),
        ({"more": "run.stepps=3"}, "'stepps'"),
        ({"more": "steps"}, "TABLE.KEY=VALUE"),
        ({"pairs": "/no/such/folder", "validate_every": 0}, "There is no data at"),
        ({"text_scales": "much"}, "'much' is no number"),
    ],
)
def test_what_cannot_be_done_is_said(train, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(**{"name": "refused"} | change)


def test_a_run_of_another_model_is_not_mixed(trained, train, editor):
    changed = editor.model.clone()
    name = "diffusion_model.out.2.weight"
    changed.add_patches({name: ("diff", (torch.ones_like(changed.model_state_dict()[name]),))})
    with pytest.raises(ValueError, match="began from another base model"):
        train(model=changed)
