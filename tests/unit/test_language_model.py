"""Local language models as a source of triplets: real transformers networks, small and made here."""

import json
import sys

import pytest
import torch
import torch.nn.functional as F
from tiny_language import TAUGHT, gpt2, llama, memorised, save, tokenizer, write_gguf

from ip2p.captions.asking import Asking, reply_seed, worth_another
from ip2p.captions.filters import BROKEN, LONG, normal
from ip2p.captions.generation import PaperSampling, generate
from ip2p.captions.language_model import LanguageModel, LocalSource
from ip2p.captions.source import Refused
from ip2p.captions.triplet import Triplet
from ip2p.ids import seed_of

CAPTIONS = [triplet.caption for triplet in TAUGHT]
PAPER = Asking(format="paper", max_tokens=64)


@pytest.fixture(scope="module")
def taught():
    return LanguageModel.of(*memorised(), "taught", "paper")


def asked(model, captions=CAPTIONS, count=1, seed=0, batch=64, **settings):
    asking = Asking(**{"format": "paper", "max_tokens": 40, **settings})
    return list(LocalSource(model, asking, batch).ask(captions, count, seed))


def test_a_model_that_knows_them_answers_with_the_triplets(taught):
    answers = asked(taught, temperature=0.0, frequency_penalty=0.0)
    assert [(one.caption, one.instruction, one.edited_caption) for (one,) in answers] == [
        (one.caption, one.instruction, one.edited_caption) for one in TAUGHT
    ]
    assert {one.source for (one,) in answers} == {"taught"}


def test_what_a_caption_gets_does_not_depend_on_its_batch(taught):
    """In float32 the scores move by rounding alone; these texts stay the same letter by letter."""
    alone = asked(taught, count=2, batch=1, temperature=2.0, tries=1)
    for batch in (5, 32):
        assert asked(taught, count=2, batch=batch, temperature=2.0, tries=1) == alone
    assert asked(taught, list(reversed(CAPTIONS)), count=2, batch=4, temperature=2.0, tries=1) == alone[::-1]
    assert len({str(one) for answer in alone for one in answer}) > len(CAPTIONS), "the temperature has no effect"


def test_same_seed_same_replies_another_seed_others(taught):
    first = asked(taught, seed=1, temperature=2.0)
    torch.manual_seed(1234)
    assert asked(taught, seed=1, temperature=2.0) == first
    assert asked(taught, seed=2, temperature=2.0) != first


def test_fewer_proposals_are_the_first_ones(taught):
    more = asked(taught, count=3, temperature=2.0, tries=1)
    assert [answer[:1] for answer in more] == asked(taught, temperature=2.0, tries=1)


def test_answers_come_one_by_one_in_order(taught):
    source, asked_for = LocalSource(taught, PAPER, 2), []
    source.on_token = lambda: asked_for.append(1)
    answers = source.ask(CAPTIONS, 1, 0)
    assert next(answers)[0].caption == CAPTIONS[0]
    assert next(answers)[0].caption == CAPTIONS[1]
    so_far = len(asked_for)
    assert next(answers)[0].caption == CAPTIONS[2]
    assert len(asked_for) > so_far > 0
    assert source.tokens >= 3


def test_a_stop_raised_in_a_token_ends_the_work(taught):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(LocalSource(taught, PAPER, 2, stop).ask(CAPTIONS, 1, 0))


def test_nonsense_is_refused_as_broken_after_all_tries():
    model = LanguageModel.of(llama(seed=3), tokenizer(), "random", "paper")
    source = LocalSource(model, Asking(format="paper", max_tokens=8, tries=3), 2)
    tokens = []
    source.on_token = lambda: tokens.append(1)
    answers = list(source.ask(CAPTIONS[:2], 2, 0))
    assert [[one.reason for one in answer] for answer in answers] == [[BROKEN] * 2] * 2
    assert all(
        isinstance(one, Refused) and one.caption == caption for caption, answer in zip(CAPTIONS, answers, strict=False) for one in answer
    )
    assert len(tokens) == 3 * 2 * 8, "three tries of two batches of eight tokens"


def useless(one):
    return isinstance(one, Refused) or normal(one.edited_caption) in map(normal, (one.caption, one.instruction))


def test_a_broken_reply_is_asked_for_again_with_another_seed(taught):
    """At this temperature many of the first replies are broken: more tries leave fewer, and change none that was good."""
    once = asked(taught, count=4, temperature=2.0, tries=1)
    often = asked(taught, count=4, temperature=2.0, tries=4)
    pairs = [pair for both in zip(once, often, strict=True) for pair in zip(*both, strict=True)]
    assert all(before == after for before, after in pairs if not useless(before))
    broken = [sum(map(useless, column)) for column in zip(*pairs, strict=True)]
    assert broken[1] < broken[0]
    seeds = {reply_seed("a dog", 0, 0, attempt) for attempt in range(4)} | {reply_seed("a dog", 0, 1, attempt) for attempt in range(4)}
    assert len(seeds) == 8
    assert reply_seed("a dog", 5, 2, 0) == seed_of("a dog", 5, 2)


def test_a_reply_cut_off_is_broken(taught):
    (answer,) = asked(taught, CAPTIONS[:1], max_tokens=9, temperature=0.0, tries=1)
    assert answer[0].reason == BROKEN
    assert "make it snow" in answer[0].text


def test_a_caption_longer_than_the_model_reads_is_refused_alone():
    model = LanguageModel.of(llama(room=128), tokenizer(), "short", "paper")
    answers = asked(model, [CAPTIONS[0], "a dog and " * 60, CAPTIONS[1]], max_tokens=8, tries=1)
    assert [answer[0].reason for answer in answers] == [BROKEN, LONG, BROKEN]


def test_frequency_penalty_is_openais():
    """Scores less the penalty times how often a token was written; tokens of the prompt don't count."""
    rule = PaperSampling(width=3, seeds=[1, 2], temperature=0.0, penalty=0.5)
    tokens = torch.tensor([[7, 7, 7, 2, 2, 5], [1, 2, 3, 4, 4, 4]])
    scores = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    expected = scores.clone()
    expected[0, 2] -= 1.0
    expected[0, 5] -= 0.5
    expected[1, 4] -= 1.5
    assert torch.allclose(rule(tokens, scores), expected)


def test_draws_follow_the_softmax_at_the_temperature():
    scores, draws = torch.tensor([[1.0, 0.0, -1.0, 2.0]]), 4000
    rule = PaperSampling(1, list(range(draws)), 0.7, 0.0)
    drawn = rule(torch.zeros(draws, 1, dtype=torch.long), scores.expand(draws, 4)).argmax(1)
    share = torch.bincount(drawn, minlength=4) / draws
    assert (share - F.softmax(scores[0] / 0.7, 0)).abs().max() < 0.03


@pytest.mark.parametrize("make", [llama, gpt2])
def test_padding_changes_nothing(make):
    """Greedy continuations in a padded batch are those that the plain network's own argmax gives, token by token."""
    module, own = make(), tokenizer()
    prompts = [own(text)["input_ids"] for text in ("a dog", "a red car in a street below a mountain", "a")]
    model = LanguageModel.of(module, own, "random")
    replies = generate(model.module, own, prompts, [0, 1, 2], 0.0, 0.0, 12, "\nEND")
    for prompt, reply in zip(prompts, replies, strict=True):
        tokens = list(prompt)
        for _ in range(12):
            tokens.append(int(module(torch.tensor([tokens])).logits[0, -1].argmax()))
            if tokens[-1] == 0:
                break
        assert reply.text == own.decode(tokens[len(prompt) :], skip_special_tokens=True)


def test_chat_and_few_shot_prompts_reach_the_model():
    talking = LanguageModel.of(llama(room=2048), tokenizer(chat=True), "talks")
    plain = LanguageModel.of(llama(room=2048), tokenizer(), "continues")
    assert (talking.format, plain.format) == ("chat", "few-shot")
    text = talking.tokenizer.decode(talking.tokens(Asking(format="chat", examples=TAUGHT, shown=3), "a cat", 0, 0))
    assert text.count("<|user|>") == 4
    assert text.count("<|assistant|>") == 4
    assert text.endswith("a cat<|end|>\n<|assistant|>\n")
    text = plain.tokenizer.decode(plain.tokens(Asking(format="few-shot", examples=TAUGHT, shown=2), "a cat", 0, 0))
    assert text.count("\n%\n") == 2
    assert text.endswith("\n\na cat\n##\n")
    with pytest.raises(ValueError, match="few-shot"):
        plain.tokens(Asking(format="chat", examples=TAUGHT), "a cat", 0, 0)


def test_an_example_never_gives_the_answer_away():
    text = Asking(format="few-shot", examples=TAUGHT, shown=6).text(TAUGHT[0].caption, 0, 0)
    assert TAUGHT[0].edited_caption not in text
    assert TAUGHT[1].edited_caption in text


@pytest.mark.parametrize("make", [llama, gpt2])
def test_folders_are_read_and_tell_themselves_apart(make, tmp_path):
    module = make(seed=4)
    model = LanguageModel.load(str(save(tmp_path / "some model", module)), "cpu")
    assert model.name == "some model"
    assert model.identity == LanguageModel.of(module, tokenizer(), "x").identity
    assert model.identity != LanguageModel.of(make(seed=5), tokenizer(), "x").identity
    same = LanguageModel.of(module, tokenizer(), "some model")
    assert asked(model, CAPTIONS[:2], max_tokens=8) == asked(same, CAPTIONS[:2], max_tokens=8)


def test_a_gguf_file_is_read_with_its_tokenizer(tmp_path):
    module, own = memorised()
    write_gguf(tmp_path / "knows.gguf", module)
    model = LanguageModel.load(str(tmp_path / "knows.gguf"), "cpu")
    assert model.name == "knows.gguf"
    tokens = torch.tensor([own("a dog on a beach\n##\n")["input_ids"]])
    assert model.tokenizer("a dog on a beach\n##\n")["input_ids"] == tokens[0].tolist()
    assert torch.allclose(model.module(tokens).logits, module(tokens).logits, atol=1e-4)
    answers = asked(model, temperature=0.0, frequency_penalty=0.0)
    assert [one.edited_caption for (one,) in answers] == [one.edited_caption for one in TAUGHT]


def test_a_models_own_settings_of_sampling_are_not_mixed_in(tmp_path):
    save(tmp_path, memorised()[0])
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"do_sample": True, "repetition_penalty": 9.0, "top_k": 1, "eos_token_id": 0})
    )
    model = LanguageModel.load(str(tmp_path), "cpu")
    (answer,) = asked(model, CAPTIONS[:1], temperature=0.0, frequency_penalty=0.0)
    assert answer[0].edited_caption == TAUGHT[0].edited_caption


def test_settings_tell_what_decides_the_answers(taught):
    one = LocalSource(taught, PAPER)
    assert json.loads(json.dumps(one.settings)) == one.settings
    assert one.settings == LocalSource(taught, PAPER, batch=2).settings
    assert one.settings != LocalSource(taught, Asking(format="paper", temperature=0.5)).settings
    assert Asking(format="chat", examples=TAUGHT).settings() != Asking(format="chat", examples=TAUGHT[:3]).settings()


def test_what_is_no_model_is_said_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        LanguageModel.load(str(tmp_path))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(ValueError, match=r"broken\.gguf is no GGUF file"):
        LanguageModel.load(str(tmp_path / "broken.gguf"))
    with pytest.raises(ValueError, match=r"gone\.gguf"):
        LanguageModel.load(str(tmp_path / "gone.gguf"))
    with pytest.raises(ValueError, match="No language model"):
        LanguageModel.load(" ")
    save(tmp_path / "cut", llama())
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match="can't be loaded"):
        LanguageModel.load(str(tmp_path / "cut"))


@pytest.mark.parametrize(
    "settings", [{"format": "verse"}, {"temperature": -1}, {"max_tokens": 1}, {"tries": 0}, {"format": "chat", "examples": ()}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=r"use|give"):
        Asking(**settings)


def test_what_is_not_installed_is_said_with_the_command(tmp_path, monkeypatch):
    from ip2p.captions import finetune, server

    for name in ("gguf", "peft", "openai"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match="pip install gguf"):
        LanguageModel.load(str(tmp_path / "some.gguf"))
    with pytest.raises(ValueError, match="pip install openai"):
        server.ServerSource(server.Server(), PAPER)
    model = LanguageModel.of(llama(), tokenizer(), "x")
    with pytest.raises(ValueError, match="pip install peft"):
        finetune.finetune(model, "x", TAUGHT, tmp_path, finetune.FineTuning())
    save(tmp_path / "lora", llama())
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="pip install peft"):
        LanguageModel.load(str(tmp_path / "lora"))


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        (("make it snow", "a dog in the snow"), False),
        (("make it snow", "A dog."), True),
        (("A dog", "a dog in the snow"), True),
        (("a dog in the snow.", "a dog in the snow"), True),
    ],
)
def test_what_is_worth_another_try(edit, again):
    assert worth_another(Triplet("a dog", *edit)) is again
    assert worth_another(Refused("a dog", BROKEN))
