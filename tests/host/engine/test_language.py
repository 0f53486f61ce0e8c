"""Triplets by language models as nodes: real small networks, a real server, cancelling, going on, keys."""

import gc
import json
import threading
import time
from pathlib import Path

import pytest

ASKED = {"format": "auto", "examples": 6, "temperature": 0.0, "frequency_penalty": 0.0, "max_tokens": 40, "tries": 1, "seed": 0}
FILTERS = {"duplicates": True, "likeness": 0.8, "too_long": True, "unsafe": True, "unsafe_words": ""}


@pytest.fixture(scope="module")
def tiny_language(pack):
    """The small language models, over the copy of the library that the host loaded."""
    import tiny_language

    return tiny_language


@pytest.fixture
def places(nodes, tmp_path, monkeypatch):
    """The host's folders of models, output and users, here."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "LLM", ([str(tmp_path / "LLM")], set()))
    return tmp_path


@pytest.fixture
def taught(tiny_language, places):
    """A model in models/LLM that knows the triplets by heart."""
    module, _ = tiny_language.memorised()
    folder = tiny_language.save(places / "LLM" / "knows", module)
    (folder / "ip2p_captions.json").write_text(json.dumps({"base": "", "format": "paper"}))
    return folder


@pytest.fixture
def local(call, tiny_language):
    def run(captions=None, **inputs):
        told = {"captions": "\n".join(captions or [one.caption for one in tiny_language.TAUGHT]), "per_caption": 1, "batch": 2}
        return call("IP2PTripletsLocal", **{**told, "model": "knows", "name": "", "folder": "my edits", **ASKED, **FILTERS, **inputs})

    return run


@pytest.fixture
def bar():
    """What the node's bar was set to; what is put into ``then`` is called after each."""
    import comfy.utils

    seen, before = [], comfy.utils.PROGRESS_BAR_HOOK

    def hook(value, total, preview, node_id=None):
        seen.append(value)
        hook.then(value)

    hook.then, hook.seen = lambda value: None, seen
    comfy.utils.set_progress_bar_global_hook(hook)
    yield hook
    comfy.utils.set_progress_bar_global_hook(before)


def texts(triplets):
    return [(one.caption, one.instruction, one.edited_caption) for one in triplets]


def test_a_model_of_the_folder_makes_its_triplets(local, taught, tiny_language, places):
    triplets, table, report = local()
    assert texts(triplets) == texts(tiny_language.TAUGHT)
    assert {one.source for one in triplets} == {"knows"}
    assert "make it snow" in table
    assert report.startswith("6 triplets of 6 captions")
    assert len(list((places / "output" / "ip2p_data" / "my edits").glob("triplets-*.jsonl"))) == 1


def test_the_network_is_not_kept_afterwards(local, taught):
    import comfy.model_management

    local()
    gc.collect()
    comfy.model_management.cleanup_models_gc()
    held = [type(one.model.model).__name__ for one in comfy.model_management.current_loaded_models if one.model is not None]
    assert "_Networks" not in held


def test_cancelled_and_queued_again_it_goes_on(local, taught, tiny_language, bar, places):
    import comfy.model_management
    from comfy.model_management import InterruptProcessingException

    bar.then = lambda value: comfy.model_management.interrupt_current_processing(True) if value == 3 else None
    with pytest.raises(InterruptProcessingException):
        local()
    assert bar.seen == [1, 2, 3]
    bar.then = lambda value: None
    triplets, *_ = local()
    assert texts(triplets) == texts(tiny_language.TAUGHT)
    assert bar.seen[3:] == [4, 5, 6], "what was made before is not made again"
    local()
    assert bar.seen[6:] == [], "a run that is done is only read"
    local(seed=1)
    assert bar.seen[6:] == [1, 2, 3, 4, 5, 6], "other settings are another run"
    assert len(list((places / "output" / "ip2p_data" / "my edits").glob("triplets-*.jsonl"))) == 2


def test_a_cancel_is_heeded_within_a_second(call, tiny_language, places):
    """Whether in a long prompt, of which one pass through all layers takes seconds, or in the tokens after it."""
    import comfy.model_management
    from comfy.model_management import InterruptProcessingException

    tiny_language.save(places / "LLM" / "slow", tiny_language.llama(width=512, layers=8, room=1 << 16))
    caption = "a boat on a lake " * 700
    told = {"captions": caption, "per_caption": 1, "batch": 1, "model": "slow", "name": "", "folder": "x"}
    cancelled = []

    def cancel():
        cancelled.append(time.monotonic())
        comfy.model_management.interrupt_current_processing(True)

    timer = threading.Timer(3.0, cancel)
    timer.start()
    with pytest.raises(InterruptProcessingException):
        call("IP2PTripletsLocal", **{**told, **ASKED, **FILTERS, "format": "paper", "max_tokens": 1000})
    assert cancelled, "it ended before it was cancelled"
    assert time.monotonic() - cancelled[0] < 1.5, "a second, and half of one for busy machines"


def test_the_models_of_the_folder_are_offered(places, taught, nodes):
    from launcher.in_process import pack_module

    (places / "LLM" / "more").mkdir()
    (places / "LLM" / "more" / "some.gguf").write_bytes(b"GGUF")
    (places / "LLM" / "notes.txt").write_text("")
    language = pack_module(nodes, "nodes.language")
    assert language.models() == [language.NAMED, "knows", "more/some.gguf"]


def test_a_model_that_is_not_there_is_said(local, places):
    with pytest.raises(ValueError, match="No language model is chosen"):
        local(model="as named below")
    with pytest.raises(ValueError, match="is not in models/LLM"):
        local(model="gone")
    with pytest.raises(ValueError, match=r"config\.json"):
        local(model="as named below", name=str(places))


@pytest.fixture
def server(call, tiny_language, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(url, **inputs):
        told = {
            "captions": "\n".join(one.caption for one in tiny_language.TAUGHT),
            "per_caption": 1,
            "url": url,
            "model": "",
            "key_file": "",
        }
        more = {"concurrency": 2, "timeout": 30.0, "retries": 1, "folder": "served"}
        return call("IP2PTripletsServer", **{**told, **more, **ASKED, **FILTERS, "format": "paper", **inputs})

    return run


@pytest.fixture
def model(tiny_language):
    from ip2p.captions.language_model import LanguageModel

    return LanguageModel.of(*tiny_language.memorised(), "knows", "paper")


def test_a_server_makes_triplets_and_nothing_is_lost_when_it_stops(server, model, tiny_language, places):
    from completion_server import serving

    stopped = lambda path, body, number: (401, {}, {}) if body and number >= 4 else None  # noqa: E731
    with serving(model, stopped) as (url, state):
        with pytest.raises(ValueError, match="key"):
            server(url, concurrency=1)
        state.before = lambda path, body, number: None
        before = len(state.asked)
        triplets, *_ = server(url, concurrency=1)
        assert texts(triplets) == texts(tiny_language.TAUGHT)
        again = {request["prompt"] for request in state.asked[before:]}
        assert again == {f"{one.caption}\n##\n" for one in tiny_language.TAUGHT[4:]}, "four captions were answered before"


def test_a_cancelled_server_run_ends_at_once(server, model, places):
    import comfy.model_management
    from comfy.model_management import InterruptProcessingException
    from completion_server import serving

    with serving(model, pause=5.0) as (url, _):
        began = time.monotonic()
        threading.Timer(0.5, lambda: comfy.model_management.interrupt_current_processing(True)).start()
        with pytest.raises(InterruptProcessingException):
            server(url)
        assert time.monotonic() - began < 3


def test_keys_come_from_files_by_name_and_are_never_told(server, model, places):
    from completion_server import serving

    folder = Path(places / "user" / "__ip2p_keys")
    folder.mkdir(parents=True)
    with serving(model) as (url, state):
        (folder / "mine").write_text(f"{url} sk-secret")
        server(url, key_file="mine")
        assert set(state.keys) == {"Bearer sk-secret"}
        (folder / "mine").write_text("sk-secret")
        with pytest.raises(ValueError, match="which server"):
            server(url, key_file="mine", seed=1)
        for pasted in ("sk-pasted-by-mistake", "../../mine", "a" * 300):
            with pytest.raises(ValueError, match="no such key file") as caught:
                server(url, key_file=pasted)
            assert pasted not in str(caught.value)


def test_a_model_is_taught_cancelled_taught_on_and_used(call, local, taught, tiny_language, bar, places):
    import comfy.model_management
    from comfy.model_management import InterruptProcessingException

    from ip2p.captions.triplet import Triplet

    one = tiny_language.TAUGHT[0]
    new = (Triplet(one.caption, "make it night", f"{one.caption} at night"), *tiny_language.TAUGHT[1:])
    told = {"model": "knows", "name": "", "triplets": new, "epochs": 12, "rate": 0.005, "rank": 16, "batch": 6, "merge": False, "seed": 0}

    def teach():
        return call("IP2PTripletsFinetune", **told, save_as="tuned")

    bar.then = lambda value: comfy.model_management.interrupt_current_processing(True) if value == 5 else None
    with pytest.raises(InterruptProcessingException):
        teach()
    bar.then = lambda value: None
    (name,) = teach()
    assert bar.seen == list(range(1, 13)), "a step was made twice, or left out"
    assert Path(name) == places / "LLM" / "tuned" / "model"
    assert teach() == (name,)
    assert len(bar.seen) == 12, "what is done is not done again"
    triplets, *_ = local(model="as named below", name=name)
    assert texts(triplets) == texts(new)
    assert texts(local(model="tuned/model", folder="again")[0]) == texts(new)
