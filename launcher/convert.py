"""Turns a workflow as the page saves it (nodes, links, widget values in order) into the form that the server runs (inputs by name)."""

from typing import Any

from launcher import QuickstartError

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
ONLY_ON_PAGE = ("Note", "MarkdownNote", "Reroute", "PrimitiveNode")
MUTED, BYPASSED = 2, 4
CONTROL = ("fixed", "increment", "decrement", "randomize")


def to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """The server's form of a workflow. `object_info` is what the server says about its nodes (GET /object_info)."""
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: link for link in workflow["links"]}
    prompt = {}
    for node in nodes.values():
        if node["type"] in ONLY_ON_PAGE or node.get("mode") in (MUTED, BYPASSED):
            continue
        if node["type"] not in object_info:
            raise QuickstartError(f"This ComfyUI lacks the node {node['type']}: update ComfyUI, or see its log for the reason.")
        inputs = _widget_values(node, object_info[node["type"]])
        for slot in node.get("inputs", []):
            source = _source(slot.get("link"), nodes, links)
            if source is not None:
                inputs[slot["name"]] = source
        title = node.get("title") or object_info[node["type"]]["display_name"]
        prompt[str(node["id"])] = {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}
    return {key: {**node, "inputs": _living(node["inputs"], prompt)} for key, node in prompt.items()}


def _widget_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Values by input name. The page saves them in the order of the inputs, with one more after an input that it may change after a run."""
    saved = node.get("widgets_values") or []
    if isinstance(saved, dict):
        return dict(saved)
    values = iter(saved)
    found: dict[str, Any] = {}
    for name, kind, options in _inputs(info):
        if not (isinstance(kind, list) or kind in WIDGETS) or options.get("forceInput"):
            continue
        value = next(values, options.get("default"))
        found[name] = {"__value__": value} if isinstance(value, list) else value
        if options.get("control_after_generate") or (kind == "INT" and name in ("seed", "noise_seed")):
            rest = list(values)
            values = iter(rest[1:] if rest and rest[0] in CONTROL else rest)
    return found


def _inputs(info: dict[str, Any]) -> list[tuple[str, Any, dict[str, Any]]]:
    """(name, type, options) of a node's inputs, required ones first."""
    found = []
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            found.append((name, spec[0], spec[1] if len(spec) > 1 else {}))
    return found


def _source(link_id: int | None, nodes: dict[int, Any], links: dict[int, Any]) -> list[Any] | None:
    """[node id, output] behind a link, looking through reroutes and bypassed nodes; None when nothing is behind it."""
    if link_id is None or link_id not in links:
        return None
    _, origin, output, _, _, kind = links[link_id]
    node = nodes[origin]
    if node["type"] == "Reroute":
        return _source(node["inputs"][0].get("link"), nodes, links)
    if node.get("mode") == BYPASSED:
        same = [slot for slot in node.get("inputs", []) if slot["type"] == kind and slot.get("link") is not None]
        return _source(same[0]["link"], nodes, links) if same else None
    return [str(origin), output]


def _living(inputs: dict[str, Any], prompt: dict[str, Any]) -> dict[str, Any]:
    """Without the inputs that come from a muted node."""
    return {name: value for name, value in inputs.items() if not (isinstance(value, list) and value[0] not in prompt)}


def fill(prompt: dict[str, Any], photo: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The prompt with the photo in its LoadImage nodes, and each setting in every unwired input of that name (there must be one)."""
    unused = set(settings)
    filled = {}
    for key, node in prompt.items():
        inputs = dict(node["inputs"])
        if node["class_type"] == "LoadImage":
            inputs["image"] = photo
        for name in settings:
            if name in inputs and not isinstance(inputs[name], list):
                inputs[name] = settings[name]
                unused.discard(name)
        filled[key] = {**node, "inputs": inputs}
    if unused:
        raise QuickstartError(f"The workflow has no input named {', '.join(sorted(unused))}: leave that option out.")
    return filled
