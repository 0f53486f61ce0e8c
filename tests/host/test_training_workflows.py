"""The training workflows, run over HTTP by a real server: trained in one press, cancelled, continued, and other models work after it."""

import json
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from launcher.client import RunError
from launcher.convert import fill, to_api

FOLDER = Path(__file__).resolve().parents[2] / "workflows"
QUICK = {"steps": 4, "batch": 2, "size": 64, "check": 2, "validate_every": 2, "validate_on": 1}


def pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=np.int16)


def prompt_of(name, object_info, settings):
    return fill(to_api(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf8")), object_info), "example.png", settings)


def texts(outputs):
    return [text for key in sorted(outputs, key=int) for text in outputs[key].get("text", []) if outputs[key].keys() == {"text"}]


def run_folder(server, name):
    return server.base / "output" / "ip2p_training" / name


def log(server, name):
    lines = map(json.loads, (run_folder(server, name) / "log.jsonl").read_text(encoding="utf8").splitlines())
    return [line["step"] for line in lines if "loss" in line]


def test_an_editor_is_trained_and_used_in_one_press(client, object_info, server):
    steps = []
    outputs = client.run(
        prompt_of("train_editor", object_info, QUICK | {"name": "pressed"}), lambda node, value, most: steps.append((node, value, most))
    )
    *_, before, after = map(pixels, client.pictures(outputs))
    assert before.shape == after.shape
    assert abs(after - before).mean() > 2, "nothing was edited"
    assert any("4 of 4 steps" in text for text in texts(outputs))
    assert (4, 4) in {(value, most) for _, value, most in steps}
    there = {path.name for path in run_folder(server, "pressed").iterdir()}
    assert {"config.yaml", "base.safetensors", "checkpoints", "log.jsonl", "validation"} <= there


def test_cancelled_at_once_and_continued(client, object_info, server):
    settings = QUICK | {"name": "stopped", "steps": 1000, "validate_every": 0, "check": 0, "more": "data.count=8\nrun.log_every=1"}
    asked = []

    def cancel(node, value, most):
        if most == 1000 and value >= 3 and not asked:
            asked.append((value, time.monotonic()))
            client.post("/interrupt", {})

    with pytest.raises(RunError, match="cancelled"):
        client.run(prompt_of("train_editor", object_info, settings), cancel)
    ((step, begun),) = asked
    assert time.monotonic() - begun < 30, "on a very busy machine; a second or so on an idle one"
    done = log(server, "stopped")[-1]
    assert done <= step + 2, "it went on for more than the step that it was in"
    assert (run_folder(server, "stopped") / "checkpoints" / f"step-{done:08d}").is_dir()
    client.run(prompt_of("edit_photo", object_info, {"steps": 2}))  # other models work after it
    outputs = client.run(prompt_of("train_editor", object_info, settings | {"steps": done + 2}))
    assert log(server, "stopped") == list(range(1, done + 3))
    assert any(f"{done + 2} of {done + 2} steps" in text for text in texts(outputs))


def test_queued_again_the_run_is_not_trained_again(client, object_info, server):
    prompt = prompt_of("train_editor", object_info, QUICK | {"name": "pressed"})
    before = (run_folder(server, "pressed") / "log.jsonl").read_bytes()
    for _ in range(2):
        client.run(prompt)
    assert (run_folder(server, "pressed") / "log.jsonl").read_bytes() == before


def test_a_merged_editor_edits(client, object_info):
    """With the base as the custom model, the editor itself comes back: the picture is that of the plain workflow."""
    settings = {"seed": 5, "steps": 4, "text_scale": 5.0, "image_scale": 1.5, "instruction": "make it night"}
    merged, plain = (
        pixels(client.pictures(client.run(prompt_of(name, object_info, settings)))[-1]) for name in ("merge_editor", "edit_photo")
    )
    assert np.array_equal(merged, plain)


def test_an_edit_beside_a_prompt_to_the_personal_model(client, object_info, server):
    settings = {"class_images": 1, "steps": 2, "size": 64, "name": "my cat", "more": "dreambooth.class_steps=1"}
    outputs = client.run(prompt_of("dreambooth_or_edit", object_info, settings))
    *_, sheet = map(pixels, client.pictures(outputs))
    assert sheet.shape[1] > 3 * 320
    (table,) = texts(outputs)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["Edit by instruction", "Prompt to the personal model"]
    assert (run_folder(server, "my cat") / "instances" / "01.png").is_file()
