"""The workflows that make data, run over HTTP by a real server with the pack's small networks."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from launcher.convert import fill, to_api

FOLDER = Path(__file__).resolve().parents[2] / "workflows"


def prompt_of(name, object_info):
    return to_api(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf8")), object_info)


def pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=np.int16)


def keys_of(prompt, kind):
    return [key for key, node in prompt.items() if node["class_type"] == kind]


def test_captions_become_a_data_set_in_one_press_and_the_next_press_goes_on(client, server, object_info):
    prompt = prompt_of("dataset_factory", object_info)
    for kind, name in (("IP2PPairs", "samples of a test"), ("IP2PFilterPairs", "data of a test")):
        prompt[keys_of(prompt, kind)[0]]["inputs"]["name"] = name
    prompt[keys_of(prompt, "IP2PPairs")[0]]["inputs"].update(samples=4, p_low=0.5)
    outputs = client.run(prompt)
    table, report = (outputs[key]["text"][0] for key in keys_of(prompt, "PreviewAny"))
    assert "erase the green cone" in table
    assert "of 20 pairs kept" in report
    (sheet,) = client.pictures({key: outputs[key] for key in keys_of(prompt, "PreviewImage")})
    assert pixels(sheet).shape[0] > 500
    made = server.base / "output" / "ip2p_data" / "data of a test"
    seeds = json.loads((made / "seeds.json").read_text())
    assert len(seeds) >= 3
    written = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    samples = server.base / "output" / "ip2p_data" / "samples of a test"
    times = {path: path.stat().st_mtime_ns for path in samples.rglob("*_0.jpg")}
    assert len(times) == 20
    client.run(prompt)
    assert times == {path: path.stat().st_mtime_ns for path in samples.rglob("*_0.jpg")}
    assert written == {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}


def test_pairs_of_the_stock_sampler_are_alike_but_for_the_captions(client, object_info):
    prompt = prompt_of("prompt_to_prompt", object_info)
    shown = {share: _pairs(client, fill(prompt, "example.png", {"self_share": share, "steps": 12})) for share in (0.0, 1.0)}
    apart = {share: np.abs(before - after).mean() for share, (before, after) in shown.items()}
    assert 1 < apart[1.0] < apart[0.0]
    assert np.array_equal(shown[0.0][0], shown[1.0][0])
    same = prompt[keys_of(prompt, "IP2PPromptToPrompt")[0]]["inputs"]["caption"]
    before, after = _pairs(client, fill(prompt, "example.png", {"edited_caption": same, "steps": 4}))
    assert np.abs(before - after).max() <= 1


def _pairs(client, prompt):
    outputs = client.run(prompt)
    first, second = ([pixels(data) for data in client.pictures({key: outputs[key]})] for key in keys_of(prompt, "PreviewImage"))
    assert len(first) == len(second) == 4
    return np.stack(first), np.stack(second)
