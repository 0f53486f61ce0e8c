"""Imports never point outward: ip2p <- samplers <- nodes."""

import ast

import pytest

HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "latent_preview", "node_helpers", "execution"}
API = {"comfy_api", "folder_paths", "server"}
FORBIDDEN = {"ip2p": HOST | {"nodes", "samplers"}, "samplers": API | {"nodes"}}
FREE_OF_TORCH = ("launcher", "install.py", "quickstart.py")
PUBLISHED = ("__init__.py", "install.py", "ip2p", "samplers", "nodes")


def sources(root, *names):
    for name in names:
        yield from [root / name] if name.endswith(".py") else sorted((root / name).rglob("*.py"))


def imported(path, root):
    """(line, first name) of every import; a relative one that leaves its own package counts by the package it reaches."""
    depth = len(path.relative_to(root).parts) - 1
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            yield from ((node.lineno, name) for name in ([node.module.split(".")[0]] if node.module else [a.name for a in node.names]))


@pytest.mark.parametrize("ring", FORBIDDEN)
def test_ring_imports_only_inward(ring, root):
    broken = [
        f"{path.relative_to(root)}:{line} imports {name}"
        for path in sources(root, ring)
        for line, name in imported(path, root)
        if name in FORBIDDEN[ring]
    ]
    assert broken == []


def test_the_check_sees_an_outward_import(tmp_path):
    place = tmp_path / "ip2p" / "training"
    place.mkdir(parents=True)
    (place / "bad.py").write_text(
        "import comfy.sd\nfrom ... import samplers\nfrom ...nodes.model import names\nfrom ..edit import Editor\n"
    )
    assert [name for _, name in imported(place / "bad.py", tmp_path)] == ["comfy", "samplers", "nodes"]


def test_pack_finds_itself_by_relative_imports_only(root):
    """The host names the package by its path, so its parts have no absolute names."""
    own = {"ip2p", "samplers", "nodes", "launcher"}
    broken = []
    for path in sources(root, "__init__.py", "samplers", "nodes", "ip2p"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            broken += [f"{path.relative_to(root)}:{node.lineno}" for name in names if name.split(".")[0] in own]
    assert broken == []


def test_quickstart_sets_up_with_the_standard_library_alone(root):
    """What runs before the environment exists imports nothing that must be installed."""
    import sys

    for name in ("quickstart.py", "install.py", "launcher/__init__.py", "launcher/environment.py", "launcher/comfyui.py"):
        foreign = {first for _, first in imported(root / name, root)} - set(sys.stdlib_module_names) - {"launcher"}
        assert foreign == set(), name
