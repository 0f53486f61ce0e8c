"""What the registry gets: complete metadata, and no file that its scanner or a careful user would stop at."""

import ast
import fnmatch
import re
import subprocess
import sys
import tomllib

import pytest

BANNED_MODULES = {"subprocess", "requests", "urllib", "socket", "http", "ftplib", "httpx", "aiohttp", "telnetlib", "multiprocessing"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
TORCH = ("torch", "torchvision", "torchaudio")
ARCHIVE_MB = 60


@pytest.fixture(scope="session")
def published(root):
    """The tracked files that .comfyignore leaves in the archive."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    rules = [rule for rule in (root / ".comfyignore").read_text(encoding="utf8").split("\n") if rule]
    kept = [name for name in listed if name and not any(name.startswith(r) if r.endswith("/") else fnmatch.fnmatch(name, r) for r in rules)]
    return [root / name for name in kept if (root / name).exists()]


@pytest.fixture(scope="session")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))


def test_archive_holds_the_pack_and_nothing_of_the_workshop(published, root):
    tops = {path.relative_to(root).parts[0] for path in published}
    assert {"__init__.py", "ip2p", "samplers", "nodes", "models", "workflows", "web", "locales", "LICENSE", "README.md"} <= tops
    assert tops & {"tests", "bench", "launcher", "quickstart.py", ".ci"} == set()


def test_archive_is_small(published):
    assert sum(path.stat().st_size for path in published) < ARCHIVE_MB * 1e6


def test_published_code_starts_no_process_and_opens_no_connection(published, root):
    found = []
    for path in (path for path in published if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [f"{path.relative_to(root)}:{node.lineno} {name}" for name in names if name.split(".")[0] in BANNED_MODULES]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
                found.append(f"{path.relative_to(root)}:{node.lineno} {node.func.id}")
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "system", "popen"):
                found.append(f"{path.relative_to(root)}:{node.lineno} os.{node.attr}")
    assert found == []


def test_requirements_leave_the_hosts_torch_alone(root, project):
    lines = [line.split("#")[0].strip() for line in (root / "requirements.txt").read_text(encoding="utf8").splitlines()]
    names = [re.split(r"[<>=!~\[; ]", line)[0].lower() for line in lines if line]
    assert set(names) & set(TORCH) == set()
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in lines if line), "each requirement is a lower bound"
    assert project["project"]["dynamic"] == ["dependencies"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}


def test_every_import_of_the_pack_is_required(published, root):
    """Whatever the published code imports comes from requirements.txt, the host, Python, or an extra that is named in pyproject.toml."""
    lines = (root / "requirements.txt").read_text(encoding="utf8").split("\n")
    required = {re.split(r"[<>=!~\[; #]", line)[0].lower().replace("-", "_") for line in lines if line}
    host = {"torch", "comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "latent_preview", "node_helpers", "server"}
    aliases = {"PIL": "pillow", "yaml": "pyyaml", "skimage": "scikit_image", "sklearn": "scikit_learn"}
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))["project"]["optional-dependencies"]
    optional = {
        re.split(r"[<>=!~\[; ]", line)[0].lower().replace("-", "_") for name, extra in extras.items() if name != "test" for line in extra
    }
    unknown = set()
    for path in (path for path in published if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            unknown |= {aliases.get(name.split(".")[0], name.split(".")[0]) for name in names}
    assert unknown - required - optional - host - set(sys.stdlib_module_names) == set()


def test_metadata_is_complete(project):
    about, comfy = project["project"], project["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,99}", about["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["version"])
    assert 20 < len(about["description"]) < 200
    assert about["urls"]["Repository"].startswith("https://")
    assert comfy["PublisherId"]
    assert comfy["DisplayName"]


def test_registry_validator_accepts_it(root, tmp_path):
    """The registry's own command-line tool; it needs no network for this."""
    settings = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PATH": str(tmp_path)}
    comfy = [sys.executable, "-m", "comfy_cli", "--skip-prompt"]
    subprocess.run([*comfy, "tracking", "disable"], cwd=tmp_path, env=settings, capture_output=True, timeout=120)
    result = subprocess.run([*comfy, "node", "validate"], cwd=root, env=settings, capture_output=True, text=True, timeout=120)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "passed" in said, said


def test_every_workflow_has_its_picture(root):
    folder = root / "workflows"
    assert sorted(path.stem for path in folder.glob("*.json")) == sorted(path.stem for path in folder.glob("*.jpg")) != []
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [], "the page looks at this folder only, not below it"


def test_no_folder_shadows_the_workflows(root):
    """The host serves one template folder of a pack; these names would come before `workflows`."""
    assert [name for name in ("example_workflows", "example", "examples", "workflow") if (root / name).exists()] == []
