"""Every shipped workflow, run over HTTP by a real server with the embedded editor."""

import json
import re
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from launcher.client import RunError
from launcher.convert import fill, to_api

FOLDER = Path(__file__).resolve().parents[2] / "workflows"
WORKFLOWS = [*sorted(FOLDER.glob("edit_*.json")), FOLDER / "drawn_mask.json", FOLDER / "fast_edit.json"]


def pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=np.int16)


def prompt_of(path, object_info):
    return to_api(json.loads(path.read_text(encoding="utf8")), object_info)


def photo_of(prompt, server):
    name = next(node["inputs"]["image"] for node in prompt.values() if node["class_type"] == "LoadImage")
    return Image.open(server.base / "input" / name)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_edits_its_photo(path, client, object_info, server):
    prompt = prompt_of(path, object_info)
    steps = []
    pictures = client.pictures(client.run(prompt, lambda node, value, most: steps.append((value, most))))
    before = np.asarray(photo_of(prompt, server).convert("RGB"), dtype=np.int16)
    after = pixels(pictures[-1])
    assert steps
    assert steps[-1][0] == steps[-1][1]
    assert after.shape == before.shape
    assert abs(after - before).mean() > 2, "nothing was edited"


def test_masked_workflow_keeps_what_is_not_painted(client, object_info, server):
    prompt = prompt_of(FOLDER / "drawn_mask.json", object_info)
    before = np.asarray(photo_of(prompt, server).convert("RGBA"), dtype=np.int16)
    after = pixels(client.pictures(client.run(fill(prompt, "painted_background.webp", {"seed": 11})))[-1])
    kept = before[..., 3] == 255
    assert kept.mean() > 0.3
    assert np.array_equal(after[kept], before[..., :3][kept])
    assert abs(after - before[..., :3])[before[..., 3] == 0].mean() > 2


def test_one_seed_gives_one_picture_and_another_seed_another(client, object_info):
    prompt = prompt_of(FOLDER / "edit_photo.json", object_info)
    first, other, again = (
        pixels(client.pictures(client.run(fill(prompt, "example.png", {"seed": seed, "steps": 4})))[-1]) for seed in (1, 2, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("photo", ["example.png", "coffee.jpg"])
def test_graph_and_ksampler_give_the_picture_of_the_one_node(photo, client, object_info):
    words = {"instruction": "make it night", "steps": 6}
    asked = {"edit_photo": {"seed": 5}, "edit_graph": {"noise_seed": 5}, "edit_with_ksampler": {"seed": 5}}
    one, graph, ksampler = (
        pixels(client.pictures(client.run(fill(prompt_of(FOLDER / f"{name}.json", object_info), photo, words | seed)))[-1])
        for name, seed in asked.items()
    )
    assert np.array_equal(one, graph)
    assert abs(one - ksampler).max() <= 1


def test_a_scene_is_edited_and_judged(client, object_info):
    outputs = client.run(prompt_of(FOLDER / "judge_scene.json", object_info))
    scene, answer, wrong, edit = map(pixels, client.pictures(outputs))
    assert scene.shape == answer.shape == wrong.shape == edit.shape == (256, 256, 3)
    assert abs(edit - scene).mean() > 2
    (verdict,) = texts(outputs)
    assert verdict.startswith(("right: ", "wrong: "))


def test_editors_are_compared_on_one_sheet(client, object_info):
    outputs = client.run(prompt_of(FOLDER / "compare_editors.json", object_info))
    (sheet,) = map(pixels, client.pictures(outputs))
    assert sheet.shape[1] > 4 * 256
    (table,) = texts(outputs)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["Ours, 30 steps", "Ours, 12 steps", "SDEdit, strength 0.2"]


def test_a_sweep_is_one_sheet_of_all_pairs(client, object_info):
    prompt = fill(prompt_of(FOLDER / "sweep.json", object_info), "coffee.jpg", {"steps": 3, "text_scales": "2, 5", "cell": 128})
    steps = []
    outputs = client.run(prompt, lambda node, value, most: steps.append((value, most)))
    (sheet,) = map(pixels, client.pictures(outputs))
    assert sheet.shape[1] > 3 * 128
    assert steps[-1][0] == steps[-1][1]
    assert texts(outputs) == ["6 edits in 37 network passes; one by one they take 45 (18% saved)."]


def test_auto_scales_hand_their_numbers_to_the_edit(client, object_info):
    prompt = fill(prompt_of(FOLDER / "auto_scales.json", object_info), "coffee.jpg", {"steps": 4, "seed": 3, "cell": 128})
    outputs = client.run(prompt)
    (said,) = texts(outputs)
    text, image = (float(word) for word in re.findall(r"scale (\d+(?:\.\d+)?)", said)[:2])
    edited = pixels(client.pictures(outputs)[-1])
    by_hand = fill(prompt_of(FOLDER / "edit_photo.json", object_info), "coffee.jpg", {"steps": 4, "seed": 3, "instruction": "make it snow"})
    by_hand = fill(by_hand, "coffee.jpg", {"text_scale": text, "image_scale": image})
    assert np.array_equal(edited, pixels(client.pictures(client.run(by_hand))[-1]))


def test_an_evaluation_is_kept_and_queued_again_costs_nothing(client, object_info, server):
    prompt = fill(prompt_of(FOLDER / "evaluate_editor.json", object_info), "", {"count": 3, "steps": 4})
    steps = []
    outputs = client.run(prompt, lambda node, value, most: steps.append((value, most)))
    plot, sheet = map(pixels, client.pictures(outputs))
    assert min(plot.shape[:2]) > 500
    assert sheet.shape[1] > 6 * 200
    assert steps[-1] == (1500, 1500)
    (table,) = texts(outputs)
    assert table.count("InstructPix2Pix") == 3
    kept = server.base / "output" / "ip2p_evaluations" / "embedded editor" / "results.jsonl"
    before = kept.read_bytes()
    assert len(before.splitlines()) == 15
    begun = time.monotonic()
    client.run(prompt)
    assert kept.read_bytes() == before
    assert time.monotonic() - begun < 20


def test_a_cancelled_evaluation_stops_at_once_and_keeps_what_is_done(client, object_info, server):
    prompt = fill(prompt_of(FOLDER / "evaluate_editor.json", object_info), "", {"count": 50, "steps": 30, "name": "cancelled"})
    asked = []

    def cancel(node, value, most):
        if value > 120 and not asked:
            asked.append(time.monotonic())
            client.post("/interrupt", {})

    with pytest.raises(RunError, match="cancelled"):
        client.run(prompt, cancel)
    assert time.monotonic() - asked[0] < 3, "on a busy machine; a second on an idle one"
    lines = (server.base / "output" / "ip2p_evaluations" / "cancelled" / "results.jsonl").read_text(encoding="utf8").splitlines()
    assert 1 <= len(lines) < 10
    assert not any(json.loads(line)["error"] for line in lines)


def texts(outputs):
    return [text for key in sorted(outputs, key=int) for text in outputs[key].get("text", []) if outputs[key].keys() == {"text"}]


def test_refused_prompt_says_why(client, object_info):
    prompt = prompt_of(FOLDER / "edit_photo.json", object_info)
    with pytest.raises(RunError, match="no_such_photo"):
        client.run(fill(prompt, "no_such_photo.png", {}))


def test_workflow_without_its_nodes_says_so(object_info):
    without = {name: info for name, info in object_info.items() if name != "IP2PEdit"}
    with pytest.raises(Exception, match="lacks the node IP2PEdit"):
        prompt_of(FOLDER / "edit_photo.json", without)
