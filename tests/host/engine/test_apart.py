"""Private work inside the host leaves nothing on, and hears of a cancel at once."""

import time

import pytest
import torch
from PIL import Image

from launcher.in_process import pack_module


@pytest.fixture(scope="module")
def apart(pack, nodes):
    return pack_module(nodes, "samplers.apart")


def test_weights_can_be_trained_and_all_is_undone(apart):
    torch.manual_seed(3)
    with torch.inference_mode():
        before = torch.get_rng_state()
        with apart.apart(0):
            assert not torch.is_inference_mode_enabled()
            layer = torch.nn.Linear(2, 2)
            layer(torch.rand(1, 2)).sum().backward()
            assert layer.weight.grad is not None
        assert torch.is_inference_mode_enabled()
        assert torch.equal(torch.get_rng_state(), before)


def test_all_is_undone_after_an_error_too(apart):
    def work():
        with apart.apart(0):
            torch.rand(1)
            raise RuntimeError("broken")

    before = torch.get_rng_state()
    with torch.inference_mode():
        with pytest.raises(RuntimeError, match="broken"):
            work()
        assert torch.is_inference_mode_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.is_inference_mode_enabled()


def test_room_is_made_and_the_host_can_load_again(apart, editor):
    import comfy.model_management

    loaded = comfy.model_management.current_loaded_models
    comfy.model_management.load_models_gpu([editor.model])
    assert any(one.model is editor.model for one in loaded)
    with apart.apart(1 << 60):
        assert not any(one.model is editor.model for one in loaded)
    comfy.model_management.load_models_gpu([editor.model])
    assert any(one.model is editor.model for one in loaded)


def test_progress_is_shown_and_texts_are_not_too_many(apart, bar):
    texts = []
    watch = apart.Watch(10, texts.append)
    for step in range(1, 11):
        watch.show(step, 10, f"step {step}", Image.new("RGB", (8, 8)) if step == 5 else None)
    assert [value for value, *_ in bar.told] == list(range(1, 11))
    assert [preview is not None for *_, preview in bar.told].index(True) == 4
    assert texts[-1] == "step 10"
    assert "step 5" in texts
    assert len(texts) < 6


def test_a_cancel_is_heard_and_raised_only_when_asked_for(apart, bar):
    import comfy.model_management

    watch = apart.Watch(10, lambda text: None)
    assert not watch.cancelled()
    comfy.model_management.interrupt_current_processing()
    try:
        begun = time.monotonic()
        assert watch.cancelled()
        assert time.monotonic() - begun < 0.1
        watch.show(1, 10)
        assert bar.told == []
    finally:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            watch.raise_if_cancelled()
    assert not comfy.model_management.processing_interrupted()


def test_a_cancel_that_the_bar_raises_is_not_lost(apart, bar):
    import comfy.model_management

    bar.cancel_at = 0
    watch = apart.Watch(10, lambda text: None)
    watch.show(1, 10)
    assert watch.cancelled()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        watch.raise_if_cancelled()
