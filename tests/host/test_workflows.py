"""Every shipped workflow, run over HTTP by a real server with the embedded editor."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from launcher.client import RunError
from launcher.convert import fill, to_api

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / "workflows").glob("*.json"))


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
    prompt = prompt_of(next(path for path in WORKFLOWS if path.stem == "edit_masked"), object_info)
    before = np.asarray(photo_of(prompt, server).convert("RGBA"), dtype=np.int16)
    after = pixels(client.pictures(client.run(fill(prompt, "painted_background.webp", {"seed": 11})))[-1])
    kept = before[..., 3] == 255
    assert kept.mean() > 0.3
    assert np.array_equal(after[kept], before[..., :3][kept])
    assert abs(after - before[..., :3])[before[..., 3] == 0].mean() > 2


def test_one_seed_gives_one_picture_and_another_seed_another(client, object_info):
    prompt = prompt_of(next(path for path in WORKFLOWS if path.stem == "edit_photo"), object_info)
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
        pixels(client.pictures(client.run(fill(prompt_of(WORKFLOWS[0].with_stem(name), object_info), photo, words | seed)))[-1])
        for name, seed in asked.items()
    )
    assert np.array_equal(one, graph)
    assert abs(one - ksampler).max() <= 1


def test_refused_prompt_says_why(client, object_info):
    prompt = prompt_of(next(path for path in WORKFLOWS if path.stem == "edit_photo"), object_info)
    with pytest.raises(RunError, match="no_such_photo"):
        client.run(fill(prompt, "no_such_photo.png", {}))


def test_workflow_without_its_nodes_says_so(object_info):
    without = {name: info for name, info in object_info.items() if name != "IP2PEdit"}
    with pytest.raises(Exception, match="lacks the node IP2PEdit"):
        prompt_of(next(path for path in WORKFLOWS if path.stem == "edit_photo"), without)
