"""Noise and conditioning dropout of training."""

import torch

from ip2p.noising import add_noise, dropout_masks
from ip2p.sigmas import alphas_cumprod


def test_dropout_intervals():
    r = torch.tensor([0.0, 0.0499, 0.05, 0.0999, 0.10, 0.1499, 0.15, 0.9999])
    text, picture = dropout_masks(r)
    assert text.tolist() == [True, True, True, True, False, False, False, False]
    assert picture.tolist() == [False, False, True, True, True, True, False, False]


def test_dropout_shares_are_five_percent_each():
    text, picture = dropout_masks(torch.arange(10_000) / 10_000)
    assert (text & ~picture).sum() == 500
    assert (text & picture).sum() == 500
    assert (~text & picture).sum() == 500


def test_noise_keeps_the_variance():
    a = alphas_cumprod()
    latent, noise = torch.full((2, 4, 1, 1), 2.0), torch.full((2, 4, 1, 1), 3.0)
    noisy = add_noise(latent, noise, torch.tensor([0, 999]))
    for row, t in enumerate((0, 999)):
        expected = a[t].sqrt() * 2 + (1 - a[t]).sqrt() * 3
        torch.testing.assert_close(noisy[row], expected.float().expand(4, 1, 1))
