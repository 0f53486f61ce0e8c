"""What the page shows beside the nodes is in step with the nodes."""

import json


def test_english_texts_are_those_of_the_nodes(pack, nodes, root):
    """locales/en/nodeDefs.json is what translators start from, so it must say what the nodes say."""
    kinds = {name: kind.GET_SCHEMA() for name, kind in nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("IP2P")}
    said = {
        name: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {i.id: {"name": i.id, "tooltip": i.tooltip} for i in schema.inputs},
            "outputs": {str(n): {"name": o.display_name, "tooltip": o.tooltip} for n, o in enumerate(schema.outputs)},
        }
        for name, schema in sorted(kinds.items())
    }
    assert json.loads((root / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf8")) == said


def test_help_pages_name_every_input(pack, nodes, root):
    for name, kind in nodes.NODE_CLASS_MAPPINGS.items():
        if name.startswith("IP2P"):
            page = (root / "web" / "docs" / f"{name}.md").read_text(encoding="utf8")
            unnamed = [i.id for i in kind.GET_SCHEMA().inputs if f"**{i.id}**" not in page and f"`{i.id}`" not in page]
            told_elsewhere = {"positive", "negative", "model"} if name == "IP2PGuider" else {"model"} if name == "IP2PGuidance" else {"fit"}
            assert set(unnamed) <= told_elsewhere, f"{name}: {unnamed}"
