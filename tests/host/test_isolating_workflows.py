"""The workflow that isolates an edit, over HTTP: what it leaves alone is the input's own bytes, as the server saved them."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from launcher.convert import to_api

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "isolated_edit.json"
SOURCE, RELEVANCE, MASK, RESULT = "PreviewImage", "IP2PRelevance", "MaskPreview", "SaveImage"


@pytest.fixture
def run(client, object_info):
    """Run the workflow with some inputs of its nodes changed; gives 8-bit pictures by the kind of node that shows them, and the text."""

    def run(**changes):
        prompt = to_api(json.loads(WORKFLOW.read_text(encoding="utf8")), object_info)
        for kind, inputs in changes.items():
            for node in prompt.values():
                if node["class_type"] == kind:
                    node["inputs"] |= inputs
        outputs = client.run(prompt)
        return {prompt[key]["class_type"]: picture_of(client.pictures({key: value})) for key, value in outputs.items()}

    return run


def picture_of(data):
    return np.asarray(Image.open(BytesIO(data[-1])).convert("RGB"), dtype=np.int16)


def test_only_the_place_of_the_edit_changes(run):
    seen = run()
    source, mask, result = seen[SOURCE], seen[MASK][..., 0], seen[RESULT]
    assert source.shape == result.shape == seen[RELEVANCE].shape == (256, 256, 3)
    untouched = mask == 0
    assert untouched.mean() > 0.5
    assert np.array_equal(result[untouched], source[untouched])
    assert abs(result - source)[mask == 255].mean() > 5, "nothing was edited"
    rows, columns = np.nonzero(mask == 255)
    assert rows.mean() > 128 > columns.mean(), "the cone stands at the lower left"


def test_an_edit_of_the_whole_picture_is_left_alone(run):
    """Asked for a style, the mask is all of the picture, and the result is that without isolating, to the byte."""
    whole = {"IP2PScene": {"kind": "time", "seed": 3}, "BasicScheduler": {"steps": 8}}
    isolated = run(**whole)
    plain = run(**whole, IP2PIsolate={"strength": 0.0}, IP2PRelevance={"strength": 0.0})
    assert (isolated[MASK] == 255).all()
    assert np.array_equal(isolated[RESULT], plain[RESULT])
    assert abs(plain[RESULT] - plain[SOURCE]).mean() > 5
