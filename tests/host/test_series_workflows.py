"""The workflows of several edits, run over HTTP by a real server with the embedded editor."""

import io
import json
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from launcher.client import RunError
from launcher.convert import fill, to_api

FOLDER = Path(__file__).resolve().parents[2] / "workflows"


def prompt_of(name, object_info):
    return to_api(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf8")), object_info)


def pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=np.int16)


def key_of(prompt, kind):
    return next(key for key, node in prompt.items() if node["class_type"] == kind)


def test_variations_come_as_a_batch_and_on_a_sheet(client, object_info):
    prompt = fill(prompt_of("variations", object_info), "example.png", {"count": 3, "steps": 4, "seed": 7})
    steps = []
    outputs = client.run(prompt, lambda node, value, most: steps.append((value, most)))
    assert steps[-1] == (300, 300)
    (sheet,) = client.pictures({key: outputs[key] for key in [key_of(prompt, "PreviewImage")]})
    versions = [pixels(data) for data in client.pictures({key: outputs[key] for key in [key_of(prompt, "SaveImage")]})]
    assert pixels(sheet).shape[1] > 3 * 256
    assert len(versions) == 3
    single = fill(prompt_of("edit_photo", object_info), "example.png", {"steps": 4, "seed": 8})
    scales = {name: prompt[key_of(prompt, "IP2PVariations")]["inputs"][name] for name in ("instruction", "text_scale", "image_scale")}
    alone = pixels(client.pictures(client.run(fill(single, "example.png", scales)))[-1])
    assert abs(versions[1] - alone).max() <= 1
    assert abs(versions[1] - versions[0]).mean() > 1


def test_a_chain_gives_its_stages_and_moves(client, object_info):
    prompt = fill(prompt_of("chain", object_info), "example.png", {"steps": 4})
    outputs = client.run(prompt)
    chain = outputs[key_of(prompt, "IP2PChain")]
    assert chain["animated"] == [True]
    (film,) = client.pictures({"1": chain})
    with Image.open(BytesIO(film)) as animated:
        assert (animated.format, animated.n_frames) == ("WEBP", 4)
    (last,) = client.pictures({key: outputs[key] for key in [key_of(prompt, "SaveImage")]})
    (sheet,) = client.pictures({key: outputs[key] for key in [key_of(prompt, "PreviewImage")]})
    assert pixels(sheet).shape[1] > 4 * 256
    first = fill(prompt, "example.png", {"instructions": "make it sunset", "animation": "off"})
    assert abs(pixels(client.pictures(client.run(first))[-1]) - pixels(last)).mean() > 5


def test_a_cancelled_chain_stops(client, object_info):
    prompt = fill(prompt_of("chain", object_info), "example.png", {"steps": 200, "seed": 99})
    asked = []

    def cancel(node, value, most):
        if not asked:
            asked.append((value, most))
            client.post("/interrupt", {})

    with pytest.raises(RunError, match="cancelled"):
        client.run(prompt, cancel)
    assert asked[0][0] < asked[0][1]


def test_a_video_is_edited(client, object_info, server):
    prompt = fill(prompt_of("video", object_info), "", {"steps": 2})
    outputs = client.run(prompt)
    (saved,) = client.pictures({key: outputs[key] for key in [key_of(prompt, "SaveVideo")]})
    before, after = (frames(data) for data in ((server.base / "input" / "pan.mp4").read_bytes(), saved))
    assert after.shape == before.shape
    assert abs(after - before).mean() > 5


def frames(data):
    with av.open(io.BytesIO(data)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]).astype(np.int16)
