"""The objective against an independent computation through diffusers; its dropout and its weights against their definitions."""

import copy
import math
from dataclasses import replace

import pytest
import tiny
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from ip2p.training.objective import STEPS, Batch, Draws, conditioned, goal, losses, snr_weight

KEPT, NO_TEXT, NEITHER, NO_IMAGE = 0.5, 0.02, 0.07, 0.12


def batch_of(size, r=None, seed=0, side=8):
    """A random batch with full deviations; `r` is every sample's draw of the dropout, or one a sample."""
    generator = torch.Generator().manual_seed(seed)
    shape = (size, 4, side, side)
    mean, image = (torch.randn(shape, generator=generator) * 5 for _ in range(2))
    deviation = torch.rand(shape, generator=generator)
    text, empty = torch.randn(size, 7, 32, generator=generator), torch.randn(1, 7, 32, generator=generator)
    draws = Draws.of(shape, generator)
    if r is not None:
        draws = replace(draws, r=torch.as_tensor(r).expand(size))
    return Batch(mean, deviation, image, text, empty, draws)


def by_diffusers(unet, batch, gamma, prediction):
    """The batch's mean loss, sample by sample, with diffusers' scheduler, SNR and UNet, from the description of the method alone."""
    scheduler = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear", prediction_type=prediction)
    total = 0.0
    for index in range(len(batch.mean)):
        mean, deviation, image, text = (part[index : index + 1] for part in (batch.mean, batch.deviation, batch.image, batch.text))
        t, noise, posterior, r = (
            part[index : index + 1] for part in (batch.draws.t, batch.draws.noise, batch.draws.posterior, batch.draws.r)
        )
        latent = (mean + deviation * posterior) * 0.18215
        if r < 0.05:
            text = batch.empty
        elif r < 0.10:
            text, image = batch.empty, image * 0
        elif r < 0.15:
            image = image * 0
        wanted = noise if prediction == "epsilon" else scheduler.get_velocity(latent, noise, t)
        said = unet(torch.cat([scheduler.add_noise(latent, noise, t), image], 1), t, encoder_hidden_states=text).sample
        weight = 1.0
        if gamma:
            snr = compute_snr(scheduler, t)
            weight = torch.minimum(snr, torch.tensor(gamma)) / (snr if prediction == "epsilon" else snr + 1)
        total = total + weight * torch.nn.functional.mse_loss(said, wanted)
    return (total / len(batch.mean)).squeeze()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [0.0, 5.0])
@pytest.mark.parametrize("r", [KEPT, NO_TEXT, NEITHER, NO_IMAGE, [KEPT, NO_TEXT, NEITHER, NO_IMAGE]], ids=str)
def test_loss_and_gradients_equal_diffusers(r, gamma, prediction):
    theirs = tiny.unet().train().requires_grad_(True)
    ours = copy.deepcopy(theirs)
    batch = batch_of(4, r)

    def predict(noisy, t, text, image):
        return ours(torch.cat([noisy, image], 1), t, text).sample

    loss, expected = losses(predict, batch, gamma, prediction).mean(), by_diffusers(theirs, batch, gamma, prediction)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    assert expected.item() > 0.01
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-5, msg=lambda told, name=name: f"{name}: {told}")
    assert bool((theirs.conv_in.weight.grad[:, 4:] != 0).any()) == (r not in (NEITHER, NO_IMAGE))


def test_shares_of_100_000_draws_lie_in_their_confidence_intervals():
    """5% lose the text only, 5% the picture only, 5% both: each within 3.9 standard errors (99.99% confidence)."""
    size = 100_000
    ones = torch.ones(size, 4, 1, 1)
    draws = Draws.of((size, 4, 1, 1), torch.Generator().manual_seed(7))
    text, image = conditioned(Batch(ones, ones, ones, torch.ones(size, 1, 1), torch.zeros(1, 1, 1), draws))
    no_text, no_image = text.flatten() == 0, image[:, 0, 0, 0] == 0
    bound = 3.9 * math.sqrt(0.05 * 0.95 / size)
    for case in (no_text & ~no_image, no_text & no_image, ~no_text & no_image):
        assert case.double().mean().item() == pytest.approx(0.05, abs=bound)


def test_draws_have_the_right_distributions():
    draws = Draws.of((20_000, 4, 2, 2), torch.Generator().manual_seed(3))
    assert draws.t.unique().tolist() == list(range(STEPS))
    assert draws.t.double().mean().item() == pytest.approx(499.5, abs=3.9 * STEPS / math.sqrt(12 * 20_000))
    for normal in (draws.noise, draws.posterior):
        assert normal.mean().item() == pytest.approx(0, abs=3.9 / math.sqrt(normal.numel()))
        assert normal.std().item() == pytest.approx(1, abs=0.01)
    assert abs(torch.corrcoef(torch.stack([draws.noise.flatten(), draws.posterior.flatten()]))[0, 1]) < 0.01


def test_joined_draws_give_the_loss_of_each_alone():
    """A batch can be made of samples that have chance of their own."""
    shape = (1, 4, 8, 8)
    alone = [Draws.of(shape, torch.Generator().manual_seed(seed)) for seed in range(3)]
    whole = replace(batch_of(3), draws=Draws.join(alone))
    unet = tiny.unet()

    def predict(noisy, t, text, image):
        return unet(torch.cat([noisy, image], 1), t, text).sample

    together = losses(predict, whole)
    for index in range(3):
        parts = {name: getattr(whole, name)[index : index + 1] for name in ("mean", "deviation", "image", "text")}
        torch.testing.assert_close(losses(predict, replace(whole, **parts, draws=alone[index]))[0], together[index])


def test_a_position_without_weight_has_no_part_in_the_loss():
    batch = batch_of(2, KEPT)
    left = torch.cat([torch.full((2, 1, 8, 4), 2.0), torch.zeros(2, 1, 8, 4)], dim=3)

    def errs_right(noisy, t, text, image):
        off = batch.draws.noise.clone()
        off[..., 4:] += 100
        off[..., :4] += 0.5
        return off

    assert losses(errs_right, replace(batch, weight=left)).tolist() == pytest.approx([0.25, 0.25])
    assert losses(errs_right, batch).tolist() == pytest.approx([5000.125, 5000.125])


def test_the_snr_weight_is_one_at_high_noise_and_small_at_low():
    low, high = snr_weight(torch.tensor([0, 999]), 5.0)
    assert high == pytest.approx(1.0)
    assert low < 0.01
    assert snr_weight(torch.tensor([0, 999]), 0.0).tolist() == [1, 1]


def test_both_predictions_weigh_the_latent_alike_under_min_snr():
    """An error of the latent costs min(SNR, gamma) times its square, in whatever form the network says it."""
    t, gamma = torch.tensor([5, 300, 900]), 5.0
    a = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear").alphas_cumprod[t]
    eps_error, v_error = a / (1 - a), 1 / (1 - a)  # of a latent that is wrong by 1
    wanted = (a / (1 - a)).clamp(max=gamma)
    torch.testing.assert_close(snr_weight(t, gamma) * eps_error, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(snr_weight(t, gamma, "v_prediction") * v_error, wanted, rtol=1e-4, atol=1e-5)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="'sample' can't be trained"):
        goal(torch.zeros(1, 4, 1, 1), torch.zeros(1, 4, 1, 1), torch.zeros(1, dtype=torch.long), "sample")


def test_offset_noise_is_the_same_everywhere_and_changes_nothing_else() -> None:
    shape = (5_000, 4, 4, 4)
    plain, offset = (Draws.of(shape, torch.Generator().manual_seed(5), amount) for amount in (0.0, 0.5))
    added = offset.noise - plain.noise
    assert torch.allclose(added, added[:, :, :1, :1].expand(shape), atol=1e-6)
    assert added[:, :, 0, 0].std().item() == pytest.approx(0.5, rel=0.03)
    for name in ("t", "posterior", "r"):
        assert torch.equal(getattr(plain, name), getattr(offset, name))
