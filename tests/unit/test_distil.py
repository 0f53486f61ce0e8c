"""Guidance distillation: the loss against an independent computation, what learns and what does not, and that it learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from test_objective import batch_of
from test_trainable import base_of, moved

from ip2p import guidance, one_pass
from ip2p.checkpoint import CheckpointError
from ip2p.configs import ConfigError
from ip2p.training import distil
from ip2p.training.config import DistilConfig, ModelConfig, TrainConfig
from ip2p.training.objective import target_latent

TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_shortcut")
CONFIG = TrainConfig(model=ModelConfig(rank=4, targets=TARGETS), distil=DistilConfig(text_scales=(1.0, 10.0), image_scales=(1.0, 2.2)))


def adapted(train=False):
    made = distil.prepare(base_of(channels=8), CONFIG)
    if train:
        moved(made)
    return made


def noisy_of(batch):
    from ip2p.noising import add_noise

    return add_noise(target_latent(batch), batch.draws.noise, batch.draws.t)


def test_the_loss_is_the_distance_to_equation_3_of_the_frozen_editor():
    trained, batch = adapted(train=True), batch_of(5)
    teacher = tiny.unet(attention=(0, 1))
    noisy, scales = noisy_of(batch), distil.scales_of(batch.draws.r, CONFIG.distil)
    found = distil.losses(trained, batch, CONFIG)
    with torch.no_grad():
        for row in range(5):
            z, t = noisy[row : row + 1], batch.draws.t[row : row + 1]
            image, text = batch.image[row : row + 1], batch.text[row : row + 1]
            d_text = teacher(torch.cat([z, image], 1), t, text).sample
            d_image = teacher(torch.cat([z, image], 1), t, batch.empty).sample
            d_null = teacher(torch.cat([z, 0 * image], 1), t, batch.empty).sample
            goal = guidance.combine(d_text, d_image, d_null, float(scales[row, 0]), float(scales[row, 1]))
            said = trained.unet(torch.cat([z, image], 1), t, text, class_labels=scales[row : row + 1]).sample
            expected = (said - goal).pow(2).mean()
            assert float(found[row]) == pytest.approx(float(expected), rel=1e-3)


def test_scales_are_uniform_in_their_ranges_and_independent():
    scales = distil.scales_of(torch.rand(40_000, generator=torch.Generator().manual_seed(0)), CONFIG.distil)
    for column, (low, high) in zip(scales.T, ((1.0, 10.0), (1.0, 2.2)), strict=True):
        place = (column - low) / (high - low)
        assert place.min() >= 0
        assert place.max() <= 1
        counts = torch.histc(place, 10, 0, 1)
        assert (counts - 4000).abs().max() < 5 * (4000 * 0.9) ** 0.5
    assert abs(float(torch.corrcoef(scales.T)[0, 1])) < 0.02


def test_an_untrained_adapter_changes_nothing_and_a_trained_one_can_be_switched_off():
    made, batch = adapted(), batch_of(2)
    inputs = torch.cat([noisy_of(batch), batch.image], 1), batch.draws.t, batch.text
    labels = torch.tensor([[7.5, 1.5], [3.0, 1.0]])
    with torch.no_grad():
        expected = tiny.unet(attention=(0, 1))(*inputs).sample
        torch.testing.assert_close(made.unet(*inputs, class_labels=labels).sample, expected, atol=1e-6, rtol=1e-5)
        moved(made)
        with distil.frozen(made.unet):
            torch.testing.assert_close(made.unet(*inputs).sample, expected, atol=1e-6, rtol=1e-5)
        assert (made.unet(*inputs, class_labels=labels).sample - expected).abs().max() > 1e-3
    assert all(parameter.requires_grad for _, parameter in made.parameters)


@pytest.mark.whole
def test_only_the_adapter_learns_and_it_learns():
    made = adapted()
    names = {name for name, _ in made.parameters}
    assert all("lora_" in name or name.startswith("class_embedding.") for name in names)
    assert any(name.startswith("class_embedding.") for name in names)
    before = {name: tensor.clone() for name, tensor in made.unet.state_dict().items() if name not in names}
    optimizer = torch.optim.AdamW([parameter for _, parameter in made.parameters], lr=5e-3)
    values = []
    for step in range(30):
        loss = distil.losses(made, batch_of(6, seed=step % 4), CONFIG).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert sum(values[-4:]) < 0.5 * sum(values[:4])
    after = made.unet.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_what_is_exported_is_what_was_trained():
    made, batch = adapted(), batch_of(2)
    average = moved(made)
    state = made.base.state
    raw, averaged = distil.adapter(made), distil.adapter(made, average)
    assert raw.base == averaged.base == one_pass.fingerprint(state)
    inputs = torch.cat([noisy_of(batch), batch.image], 1), batch.draws.t, batch.text
    labels = torch.tensor([[7.5, 1.5], [3.0, 1.0]])
    from ip2p import changes, networks
    from ip2p.checkpoint import Checkpoint

    for adapter, values in ((raw, None), (averaged, average)):
        if values:
            for (_, parameter), value in zip(made.parameters, values, strict=True):
                parameter.data.copy_(value)
        unet = networks.build_unet(Checkpoint(changes.apply(state, adapter.change), "sd15", "only", made.base.settings))
        unet.class_embedding = adapter.embedding
        with torch.no_grad():
            expected = made.unet(*inputs, class_labels=labels).sample
            torch.testing.assert_close(unet(*inputs, class_labels=labels).sample, expected, atol=1e-4, rtol=1e-3)


def test_a_text_to_image_model_has_no_guidance_of_two_scales_to_distil():
    with pytest.raises(CheckpointError, match="text-to-image"):
        distil.prepare(base_of(), CONFIG)


def test_few_pairs_of_each_group_are_always_the_same_ones():
    from ip2p.data.pairs import open_pairs

    whole = open_pairs(f"photos:{Path(__file__).resolve().parents[1] / 'photos'}", "all", 64)
    some, again, other = (distil.some_of_each(whole, 2, seed) for seed in (3, 3, 4))
    ids = [[one.group(number)[pair].id for number in range(2) for pair in range(len(one.group(number)))] for one in (some, again, other)]
    assert ids[0] == ids[1] != ids[2]
    for number in range(2):
        known = {whole.key(number, pair): whole.group(number)[pair].id for pair in range(len(whole.group(number)))}
        assert len(some.group(number)) == 2 < len(known)
        for pair in range(len(some.group(number))):
            assert known[some.key(number, pair)] == some.group(number)[pair].id


@pytest.mark.whole
def test_a_run_on_the_training_ring_validates_in_one_pass_and_writes_the_adapter(tmp_path):
    from ip2p.training import run
    from ip2p.training.config import from_table

    table = {
        "model": {"rank": 2, "targets": ["to_q", "conv1"]},
        "data": {"source": "world:recolour", "crop": 64, "sizes": [64, 64], "count": 40, "threads": 0},
        "objective": {"kind": "distil"},
        "run": {"steps": 2, "batch": 2, "precision": "bf16", "save_every": 1},
        "validation": {"count": 1, "every": 2, "steps": 2, "size": 64},
    }
    events = []
    trained = run.train(from_table(table), tmp_path, base_of(channels=8), device="cpu", on_event=events.append)
    assert trained.files == (tmp_path / "one_pass.safetensors",)
    assert "l1_target" in events[-1].validated.numbers
    adapter = one_pass.read(trained.files[0], trained.trainable.base.state)
    values = dict(zip([name for name, _ in trained.trainable.parameters], trained.average, strict=True))
    expected = values["class_embedding.linear_2.bias"]
    torch.testing.assert_close(adapter.embedding.linear_2.bias, expected, atol=1e-3, rtol=1e-3)
    assert expected.any()


@pytest.mark.whole
def test_training_goes_on_from_an_adapter(tmp_path):
    made = adapted(train=True)
    (file,) = distil.write(made, [parameter.detach() for _, parameter in made.parameters], CONFIG, tmp_path)
    further = replace(CONFIG, distil=replace(CONFIG.distil, start=str(file)))
    again = distil.prepare(base_of(channels=8), further)
    for (name, parameter), (other, value) in zip(again.parameters, made.parameters, strict=True):
        assert name == other
        torch.testing.assert_close(parameter, value, atol=1e-3, rtol=1e-3)
    with pytest.raises(ConfigError, match="another rank"):
        distil.prepare(base_of(channels=8), replace(further, model=replace(CONFIG.model, rank=2)))


def test_the_error_of_a_velocity_counts_as_that_of_the_noise_it_says():
    from ip2p.training.objective import V_PREDICTION, goal

    t = torch.tensor([10, 400, 900])
    latent, noise, off = torch.randn(3, 3, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    velocity = goal(latent, noise, t, V_PREDICTION)
    a = distil.alphas_cumprod()[t].float().view(-1, 1, 1, 1)
    said = a.sqrt() * (velocity + off) + (1 - a).sqrt() * (a.sqrt() * latent + (1 - a).sqrt() * noise)
    expected = (said - noise).pow(2).mean((1, 2, 3))
    torch.testing.assert_close(off.pow(2).mean((1, 2, 3)) * distil.weight(t, V_PREDICTION), expected, atol=1e-5, rtol=1e-4)
    assert distil.weight(t).tolist() == [1, 1, 1]
