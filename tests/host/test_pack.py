"""The pack as the running host shows it: every node loaded, explained and with a help page."""

import json
import subprocess
import sys
import urllib.error

import pytest

NODES = [
    "IP2PAutoScales",
    "IP2PBrowsePairs",
    "IP2PCaptions",
    "IP2PChain",
    "IP2PCheckPairs",
    "IP2PCompare",
    "IP2PConvertPairs",
    "IP2PDistilGuidance",
    "IP2PDreamBooth",
    "IP2PEdit",
    "IP2PEvaluate",
    "IP2PExportEditor",
    "IP2PFast",
    "IP2PFilterPairs",
    "IP2PFitImage",
    "IP2PFrames",
    "IP2PGuidance",
    "IP2PGuider",
    "IP2PInstruction",
    "IP2PIsolate",
    "IP2PJudge",
    "IP2PLoadEditorLora",
    "IP2PLoadModel",
    "IP2PLoadTriplets",
    "IP2PMeasure",
    "IP2PMeasures",
    "IP2PMergeEditor",
    "IP2POnePass",
    "IP2PPairs",
    "IP2PPhotoPairs",
    "IP2PProject",
    "IP2PPromptToPrompt",
    "IP2PRelevance",
    "IP2PReport",
    "IP2PRescale",
    "IP2PRestoreImage",
    "IP2PSDEdit",
    "IP2PSavePairs",
    "IP2PSaveTriplets",
    "IP2PScaleCurve",
    "IP2PScene",
    "IP2PScheduleScales",
    "IP2PSpatial",
    "IP2PSplitPairs",
    "IP2PSweep",
    "IP2PThresholds",
    "IP2PTrain",
    "IP2PTrainingCurves",
    "IP2PTrainingData",
    "IP2PTriplets",
    "IP2PTripletsFinetune",
    "IP2PTripletsLocal",
    "IP2PTripletsServer",
    "IP2PVariations",
]
KINDS_WITH_VALUES = ("INT", "FLOAT", "COMBO", "BOOLEAN")

LOADED = """
import asyncio, json, sys, time
sys.argv = ["main.py", "--cpu", "--base-directory", {base!r}]
import comfy.options
comfy.options.enable_args_parsing()
import nodes
before = set(sys.modules)
loaded = asyncio.run(nodes.load_custom_node({pack!r}, module_parent="custom_nodes"))
print(json.dumps({{"loaded": loaded, "new": sorted(set(sys.modules) - before)}}))
"""


def inputs(info):
    return {name: spec for group in ("required", "optional") for name, spec in info["input"].get(group, {}).items()}


def test_it_loads_without_an_error(server, object_info):
    assert [name for name in object_info if name.startswith("IP2P")] != []
    log = server.log.read_text(encoding="utf8")
    assert "instructpix2pix" in log
    assert "IMPORT FAILED): " not in log
    assert f"Cannot import {server.base / 'custom_nodes' / 'instructpix2pix'}" not in log


def test_all_nodes_are_there_and_no_others(object_info):
    assert sorted(name for name in object_info if name.startswith("IP2P")) == NODES


@pytest.mark.parametrize("node", NODES)
def test_node_is_explained(node, object_info):
    info = object_info[node]
    assert info["category"].split("/")[0] == "InstructPix2Pix"
    assert info["display_name"] != node
    assert len(info["description"]) > 20
    assert info["python_module"] == "custom_nodes.instructpix2pix"
    assert all(info["output_tooltips"]), "an output has no tooltip"
    for name, (_, options) in inputs(info).items():
        assert options.get("tooltip"), f"{name} has no tooltip"


@pytest.mark.parametrize("node", NODES)
def test_values_have_defaults_and_limits(node, object_info):
    for name, (kind, options) in inputs(object_info[node]).items():
        if kind in KINDS_WITH_VALUES:
            assert "default" in options, f"{name} has no default"
        if kind in ("INT", "FLOAT"):
            assert options["min"] <= options["default"] <= options["max"], name
        if kind == "FLOAT":
            assert options["step"] <= 0.05, f"{name} is rounded by the page"
        if kind == "COMBO":
            assert options["default"] in options["options"], name


@pytest.mark.parametrize("node", NODES)
def test_help_page_is_served(node, client, object_info):
    try:
        page = client.fetch(f"/extensions/instructpix2pix/docs/{node}.md").decode("utf8")
    except urllib.error.HTTPError as error:
        pytest.fail(f"there is no help page for {node}: {error}")
    assert page.lstrip().startswith("# ")
    values = [name for name, (kind, _) in inputs(object_info[node]).items() if kind in KINDS_WITH_VALUES]
    assert [name for name in values if name not in page] == [], "values that the help page does not explain"


def test_workflows_are_offered_as_templates(client, root):
    offered = client.get("/workflow_templates")["instructpix2pix"]
    shipped = sorted(path.stem for path in (root / "workflows").glob("*.json"))
    assert sorted(offered) == shipped
    for name in shipped:
        assert client.get(f"/api/workflow_templates/instructpix2pix/{name}.json")["nodes"]
        assert client.fetch(f"/api/workflow_templates/instructpix2pix/{name}.jpg")[:3] == b"\xff\xd8\xff"


def test_names_are_translatable(client, object_info):
    said = client.get("/i18n")["en"]["nodeDefs"]
    for node in NODES:
        assert said[node]["display_name"] == object_info[node]["display_name"]


def test_nothing_heavy_is_imported_when_the_pack_loads(comfyui_folder, root, tmp_path):
    """diffusers, and whatever only training or headless editing needs, wait until a node runs."""
    pack = tmp_path / "custom_nodes" / "instructpix2pix"
    pack.parent.mkdir()
    pack.symlink_to(root, target_is_directory=True)
    script = LOADED.format(base=str(tmp_path), pack=str(pack))
    result = subprocess.run([sys.executable, "-c", script], cwd=comfyui_folder, capture_output=True, text=True, check=True, timeout=300)
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["loaded"] is True
    heavy = {"diffusers", "transformers", "scipy", "pandas", "matplotlib", "accelerate", "tqdm", "torchvision"}
    assert heavy & {name.split(".")[0] for name in answer["new"]} == set()
