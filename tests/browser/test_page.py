"""The page opens each workflow, shows all of its nodes, and runs it."""

import json
import os
import time
from pathlib import Path

import pytest
from conftest import READY
from PIL import Image

from launcher import comfyui
from launcher.convert import to_api

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
SHOTS = Path(os.environ.get("IP2P_SHOTS", ROOT / "outputs" / "pages"))

OVERLAPS = """() => {
  const nodes = app.graph.nodes, found = [];
  const meet = (a, b) => a.pos[0] < b.pos[0] + b.size[0] && b.pos[0] < a.pos[0] + a.size[0]
    && a.pos[1] - 30 < b.pos[1] + b.size[1] && b.pos[1] - 30 < a.pos[1] + a.size[1];
  nodes.forEach((a, i) => nodes.slice(i + 1).forEach(b => { if (meet(a, b)) found.push(`${a.title} / ${b.title}`) }));
  return found;
}"""


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request, page):
    """A shipped workflow, open in the page."""
    page.said.clear()
    page.evaluate("text => app.loadGraphData(JSON.parse(text))", request.param.read_text(encoding="utf8"))
    page.wait_for_timeout(800)
    return request.param


def saved(page):
    return json.loads(page.evaluate("() => JSON.stringify(app.graph.serialize())"))


def test_no_node_is_missing(workflow, page):
    wanted = {node["type"] for node in json.loads(workflow.read_text(encoding="utf8"))["nodes"]}
    known = set(page.evaluate("() => Object.keys(LiteGraph.registered_node_types)"))
    assert wanted - known == set()
    assert [node["title"] for node in saved(page)["nodes"] if node.get("has_errors")] == []
    assert page.get_by_text("Missing Node Types").count() == 0


def test_nodes_do_not_overlap(workflow, page):
    assert page.evaluate(OVERLAPS) == []


def test_page_saves_what_it_opened(workflow, page):
    """The file is what the page itself would write, so that loading changes no value, size or link."""
    shipped, again = json.loads(workflow.read_text(encoding="utf8")), saved(page)
    for name in ("widgets_values", "title", "pos", "size", "inputs"):
        assert {n["id"]: n.get(name) for n in again["nodes"]} == {n["id"]: n.get(name) for n in shipped["nodes"]}, name
    assert sorted(again["links"]) == sorted(shipped["links"])


def test_quickstart_converts_as_the_page_does(workflow, page, client):
    by_page = json.loads(page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))
    info = client.object_info()
    ours = to_api(json.loads(workflow.read_text(encoding="utf8")), info)
    known = {kind: {name for group in node["input"].values() for name in group} for kind, node in info.items()}
    assert {key: (node["class_type"], node["inputs"]) for key, node in ours.items()} == {
        key: (kind := node["class_type"], {name: value for name, value in node["inputs"].items() if name in known[kind]})
        for key, node in by_page.items()  # without what only the page shows, such as a preview's text
    }


def test_page_says_no_error_and_a_picture_is_kept(workflow, page):
    page.evaluate("() => { const c = app.canvas; c.ds.scale = 0.75; c.ds.offset = [120, 170]; c.setDirty(true, true) }")
    page.wait_for_timeout(600)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{workflow.stem}.png")
    assert [text for text in page.said if "instructpix2pix" in text.lower() or "ip2p" in text.lower()] == []


def run(page, client, name):
    """Open a workflow, press Run, and wait until it is done."""
    page.evaluate("text => app.loadGraphData(JSON.parse(text))", (ROOT / "workflows" / f"{name}.json").read_text(encoding="utf8"))
    page.wait_for_timeout(800)
    done = set(client.get("/history"))
    page.get_by_role("button", name="Run", exact=True).first.click()
    end = time.monotonic() + 180
    while not (new := set(client.get("/history")) - done) and time.monotonic() < end:
        page.wait_for_timeout(250)
    status = client.get("/history")[new.pop()]["status"]
    assert status["status_str"] == "success", status


def shot(page, name):
    page.wait_for_timeout(800)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def test_run_shows_its_picture(page, client):
    run(page, client, "edit_photo")
    shown = "() => app.graph.nodes.find(n => n.type === 'SaveImage')?.imgs?.[0]?.naturalWidth ?? 0"
    page.wait_for_function(f"() => ({shown})() > 0", timeout=30_000)
    assert page.evaluate(shown) == Image.open(comfyui.DEFAULT_PHOTO).width
    shot(page, "edit_photo_done")


@pytest.mark.parametrize(("name", "words"), [("judge_scene", "wrong: |right: "), ("compare_editors", "Ours, 12 steps")])
def test_run_shows_what_it_says(page, client, name, words):
    run(page, client, name)
    shown = "() => app.graph.nodes.find(n => n.type === 'PreviewAny').widgets.map(w => String(w.value)).join(' ')"
    page.wait_for_function(f"() => /{words}/.test(({shown})())", timeout=30_000)
    shot(page, f"{name}_done")


def test_a_template_opens_from_the_menu(page, client):
    page.goto(client.url)
    page.wait_for_function(READY, timeout=60_000)
    page.evaluate("() => app.graph.clear()")
    page.get_by_text("Templates", exact=True).first.click()
    page.get_by_text("instructpix2pix", exact=True).first.click()
    for path in WORKFLOWS:
        page.get_by_text(path.stem, exact=True).first.wait_for(timeout=20_000)
    page.wait_for_timeout(1000)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "templates.png")
    page.get_by_text("drawn_mask", exact=True).first.click()
    page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'IP2PEdit')", timeout=20_000)
    assert "painted_background.webp" in [value for node in saved(page)["nodes"] for value in node.get("widgets_values") or []]
