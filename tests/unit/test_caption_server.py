"""Servers as a source of triplets: a real HTTP server, a real small model behind it, and every way in which servers fail."""

import threading
import time

import pytest
from completion_server import NAME, serving
from tiny_language import TAUGHT, llama, memorised, tokenizer

from ip2p.captions import server as servers
from ip2p.captions.asking import Asking
from ip2p.captions.filters import BROKEN
from ip2p.captions.language_model import LanguageModel
from ip2p.captions.server import NO_ANSWER, REFUSED, Server, ServerSource
from ip2p.captions.triplet import Triplet

pytestmark = pytest.mark.whole

CAPTIONS = [triplet.caption for triplet in TAUGHT]
EXACT = Asking(format="paper", temperature=0.0, frequency_penalty=0.0, max_tokens=40)
HTML = (200, b"<html>Welcome</html>", {"Content-Type": "text/html"})


@pytest.fixture(scope="module")
def taught():
    return LanguageModel.of(*memorised(), "taught", "paper")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Pauses between requests as short as they can be; how long they are is the client's and tested by no clock."""
    import openai._base_client as client

    monkeypatch.setattr(client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(client, "MAX_RETRY_DELAY", 0.02)
    monkeypatch.setattr(servers, "FIRST_PAUSE", 0.01)


def texts(answers):
    return [(one.caption, one.instruction, one.edited_caption) for answer in answers for one in answer]


def ask(url, captions=CAPTIONS, count=1, asking=EXACT, concurrency=4, **server):
    return list(ServerSource(Server(url, **server), asking, concurrency).ask(captions, count, 0))


def test_a_server_answers_as_the_model_behind_it(taught):
    with serving(taught) as (url, state):
        answers = ask(url)
    assert texts(answers) == [(one.caption, one.instruction, one.edited_caption) for one in TAUGHT]
    assert {one.source for (one,) in answers} == {NAME}
    assert {request["path"] for request in state.asked} == {"/v1/completions"}
    assert {request["model"] for request in state.asked} == {NAME}


def test_chat_is_asked_as_a_talk():
    talking = LanguageModel.of(llama(room=2048), tokenizer(chat=True), "talks")
    with serving(talking) as (url, state):
        answers = ask(url, CAPTIONS[:2], asking=Asking(format="chat", examples=TAUGHT, shown=2, max_tokens=8, tries=1))
    assert [answer[0].reason for answer in answers] == [BROKEN] * 2
    assert {request["path"] for request in state.asked} == {"/v1/chat/completions"}
    assert [message["role"] for message in state.asked[0]["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_seeds_and_the_papers_settings_are_passed_on(taught):
    asking = Asking(format="paper", max_tokens=40, tries=1)
    with serving(taught) as (url, state):
        first, second = ask(url, count=2, asking=asking), ask(url, count=2, asking=asking, concurrency=1)
    assert first == second
    half = len(state.asked) // 2
    seeds = [{request["seed"] for request in part} for part in (state.asked[:half], state.asked[half:])]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 2 * len(CAPTIONS)
    assert all(0 <= seed < 2**31 for seed in seeds[0])
    assert {(request["temperature"], request["frequency_penalty"]) for request in state.asked} == {(0.7, 0.1)}


def test_as_many_requests_at_a_time_as_allowed(taught):
    for concurrency in (1, 3):
        with serving(taught, lambda path, body, number: (200, choices("a\n%\nb"), {}) if body else None, 0.05) as (url, state):
            ask(url, concurrency=concurrency)
        assert state.most == concurrency


def choices(text, finish="stop"):
    return {
        "id": "x",
        "object": "text_completion",
        "created": 0,
        "model": NAME,
        "choices": [{"text": text, "index": 0, "finish_reason": finish}],
    }


@pytest.mark.parametrize(
    "failure",
    [
        (429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}),
        (500, {"error": {"message": "out of memory"}}, {}),
        (503, b"<html>busy</html>", {"Content-Type": "text/html"}),
        HTML,
        (200, b"{not JSON", {}),
        (200, {"what": "ever"}, {}),
        (200, {"choices": []}, {}),
        (200, {"choices": [{"text": 3, "finish_reason": "stop"}]}, {}),
        (200, b"", {}),
    ],
)
def test_what_fails_at_first_is_asked_again(taught, failure):
    failed = set()

    def twice(path, body, number):
        """Each caption fails twice."""
        if body:
            for turn in range(2):
                if (body["prompt"], turn) not in failed:
                    failed.add((body["prompt"], turn))
                    return failure
        return None

    with serving(taught, twice) as (url, _):
        answers = ask(url)
    assert texts(answers) == [(one.caption, one.instruction, one.edited_caption) for one in TAUGHT]
    assert len(failed) == 2 * len(CAPTIONS)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ((401, {"error": {"message": "no"}}, {}), "key"),
        ((403, {"error": {"message": "no"}}, {}), "key"),
        ((404, {"error": {"message": "no model"}}, {}), f"no model '{NAME}'"),
        ((429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}), "no more requests"),
        ((500, {"error": {"message": "out of memory"}}, {}), "out of memory"),
        (HTML, "/v1"),
        ((400, {"error": {"message": "bad stop"}}, {}), "refuses the request"),
    ],
)
def test_a_server_that_never_works_ends_the_run_in_a_sentence(taught, failure, said):
    with serving(taught, lambda path, body, number: failure if body else None) as (url, _), pytest.raises(ValueError, match=said) as caught:
        ask(url, retries=2)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_nothing_that_was_made_is_lost_when_a_server_stops(taught):
    """The answers before the failure come out, and asking again goes on from there."""
    with serving(taught, lambda path, body, number: (401, {}, {}) if number >= 3 and body else None) as (url, _):
        source, made = ServerSource(Server(url), EXACT, 1), []
        with pytest.raises(ValueError, match="key"):
            made.extend(source.ask(CAPTIONS, 1, 0))  # extend keeps what came before the error
    assert texts(made) == [(one.caption, one.instruction, one.edited_caption) for one in TAUGHT[:3]]
    with serving(taught) as (url, _):
        made += ask(url, CAPTIONS[3:])
    assert texts(made) == [(one.caption, one.instruction, one.edited_caption) for one in TAUGHT]


def test_one_caption_that_always_fails_does_not_stop_the_others(taught):
    def before(path, body, number):
        bad = {CAPTIONS[2]: (500, {}, {}), CAPTIONS[4]: (400, {"error": {"message": "not that"}}, {})}
        return next((answer for caption, answer in bad.items() if body and caption in body["prompt"]), None)

    with serving(taught, before) as (url, _):
        answers = ask(url, concurrency=1, retries=1)
    assert [getattr(answer[0], "reason", "") for answer in answers] == ["", "", NO_ANSWER, "", REFUSED, ""]


def test_broken_replies_are_asked_for_again_with_another_seed(taught):
    seeds = {}

    def before(path, body, number):
        if not body:
            return None
        seen = seeds.setdefault(body["prompt"], [])
        seen.append(body["seed"])
        return (200, choices("I can't do that"), {}) if len(seen) < 3 else (200, choices("make it\n%%\nas new"), {})

    with serving(taught, before) as (url, _):
        answers = ask(url)
        assert all(isinstance(answer[0], Triplet) for answer in answers)
        assert {len(set(seen)) for seen in seeds.values()} == {3}
        seeds.clear()
        assert [answer[0].reason for answer in ask(url, asking=Asking(format="paper", tries=2))] == [BROKEN] * len(CAPTIONS)


def test_a_reply_cut_off_is_broken(taught):
    with serving(taught, lambda path, body, number: (200, choices("make it\n%\nas n", "length"), {}) if body else None) as (url, _):
        assert [answer[0].reason for answer in ask(url)] == [BROKEN] * len(CAPTIONS)


def test_a_server_that_is_not_there_is_said(taught):
    with serving(taught) as (url, _):
        pass
    with pytest.raises(ValueError, match="can't be reached: start the server"):
        ask(url, retries=0)


def test_a_server_too_slow_is_said(taught):
    with serving(taught, pause=1.0) as (url, _), pytest.raises(ValueError, match=r"within 0\.2 s"):
        ask(url, timeout=0.2, retries=0)


def test_models_are_found_and_named(taught):
    with serving(taught) as (url, state):
        assert ServerSource(Server(url), EXACT).name == NAME
        assert ServerSource(Server(url.removesuffix("/v1")), EXACT).name == NAME
        assert ServerSource(Server(url + "/chat/completions"), EXACT).name == NAME
        with pytest.raises(ValueError, match=f"no model 'other': it has {NAME}"):
            ServerSource(Server(url, "other"), EXACT)
        state.names.append("second:latest")
        assert ServerSource(Server(url, "second"), EXACT).name == "second"
        with pytest.raises(ValueError, match=f"name one of second:latest, {NAME}"):
            ServerSource(Server(url), EXACT)
        state.before = lambda path, body, number: (404, {}, {})
        assert ServerSource(Server(url, "unlisted"), EXACT).name == "unlisted"
        with pytest.raises(ValueError, match="no list of its models"):
            ServerSource(Server(url), EXACT)


def test_a_stop_is_heeded_at_once_and_leaves_no_thread(taught):
    class StopNowError(Exception):
        pass

    def stop():
        raise StopNowError

    before = threading.active_count()
    with serving(taught, pause=5.0) as (url, _):
        source = ServerSource(Server(url), EXACT)
        source.on_wait = stop
        began = time.monotonic()
        with pytest.raises(StopNowError):
            list(source.ask(CAPTIONS, 1, 0))
        assert time.monotonic() - began < 1
    assert [thread.name for thread in threading.enumerate() if "run_forever" in thread.name] == []
    assert threading.active_count() <= before + 1 + len(CAPTIONS), "only the server's own threads may be left"


def test_the_key_comes_from_the_environment_or_a_file_and_is_never_told(taught, tmp_path, monkeypatch):
    file = tmp_path / "key"
    with serving(taught) as (url, state):
        ask(url, CAPTIONS[:1])
        monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
        ask(url, CAPTIONS[:1])
        file.write_text("sk-file\n")
        ask(url, CAPTIONS[:1], key_file=file)
        file.write_text(f"{url} sk-with-address\n")
        ask(url, CAPTIONS[:1], key_file=file, strict=True)
        sent = list(dict.fromkeys(state.keys))
        state.before = lambda path, body, number: (401, {"error": {"message": "wrong"}}, {})
        with pytest.raises(ValueError, match="key file") as caught:
            ask(url, key_file=file)
    assert sent == ["Bearer none", "Bearer sk-environment", "Bearer sk-file", "Bearer sk-with-address"]
    assert "sk-" not in str(caught.value)


def test_who_chooses_the_address_cannot_have_the_key(taught, tmp_path, monkeypatch):
    """A workflow from elsewhere may name any address: the key of the environment stays with its own, a file's with the one in it."""
    file = tmp_path / "key"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    with serving(taught) as (url, state):
        ask(url, CAPTIONS[:1], strict=True)
        assert set(state.keys) == {"Bearer none"}
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        ask(url, CAPTIONS[:1], strict=True)
        ask("", CAPTIONS[:1], strict=True)
        assert set(state.keys) == {"Bearer none", "Bearer sk-environment"}
        for content, said in (
            ("sk-file", "which server"),
            ("http://elsewhere.example/v1 sk-file", "another server"),
            ("a b c", "must hold"),
        ):
            file.write_text(content)
            with pytest.raises(ValueError, match=said) as caught:
                ask(url, CAPTIONS[:1], key_file=file, strict=True)
            assert "sk-" not in str(caught.value)
        assert "Bearer sk-file" not in state.keys
        with pytest.raises(ValueError, match="can't be read"):
            ask(url, key_file=tmp_path / "gone")


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://localhost/v1", "http://", "http://api.openai.com@elsewhere.example/v1", "http://a b/v1"]
)
def test_addresses_that_are_none_are_refused(url):
    with pytest.raises(ValueError, match="not that of a server"):
        Server(url)


@pytest.mark.parametrize("url", ["http://me:secret@localhost:8000/v1", "http://localhost:8000/v1?key=secret"])
def test_an_address_that_is_none_is_told_without_what_may_be_secret(url):
    with pytest.raises(ValueError, match="is not that of a server: write it as http") as told:
        Server(url)
    assert "secret" not in str(told.value)
