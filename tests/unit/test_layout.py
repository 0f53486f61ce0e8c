"""The 8-channel first conv: before training, an editor made from a base model predicts what the base model predicts."""

import pytest
import tiny
import torch

from ip2p.checkpoint import Checkpoint, check_editor
from ip2p.layout import FIRST_CONV, CheckpointError, with_picture_input
from ip2p.networks import build_unet


def test_zero_initialised_conv_equals_the_base_model():
    state = tiny.ldm(tiny.unet(in_channels=4))
    editor = with_picture_input(state)
    check_editor(editor)
    base, wide = (build_unet(Checkpoint(weights, "sd15", "only", {"num_heads": str(tiny.HEADS)})) for weights in (state, editor))
    noisy, picture, t = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([3, 800])
    text = torch.randn(2, 77, 32)
    with torch.no_grad():
        expected = base(noisy, t, text).sample
        torch.testing.assert_close(wide(torch.cat([noisy, picture], dim=1), t, text).sample, expected)
    bias = FIRST_CONV.replace("weight", "bias")
    assert torch.equal(editor[bias], state[bias])
    assert torch.equal(editor[FIRST_CONV][:, :4], state[FIRST_CONV])
    assert not editor[FIRST_CONV][:, 4:].any()


def test_an_editor_is_not_widened_again():
    with pytest.raises(CheckpointError, match="takes 8 channels, not 4"):
        with_picture_input(tiny.ldm())
