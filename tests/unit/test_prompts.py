"""The paper's format, and what replies look like in the wild."""

import pytest

from ip2p.captions import prompts
from ip2p.captions.triplet import Triplet

HORSE = Triplet("photograph of a girl riding a horse", "have her ride a dragon", "photograph of a girl riding a dragon", kind="replace")


def test_paper_format_to_the_letter():
    assert prompts.prompt(HORSE.caption) == "photograph of a girl riding a horse\n##\n"
    assert prompts.completion(HORSE) == "have her ride a dragon\n%\nphotograph of a girl riding a dragon\nEND"


@pytest.mark.parametrize(
    "reply",
    [
        "have her ride a dragon\n%\na girl riding a dragon",
        "have her ride a dragon\n%%\na girl riding a dragon\nEND",
        "\n have her ride a dragon \n %% \n\n a girl riding a dragon \nEND\nanother caption\n##\nmore\n%\nand more\nEND",
        "a girl riding a horse\n##\nhave her ride a dragon\n%\na girl riding a dragon\nEND",
        'Instruction: "have her ride a dragon"\n%\nEdited caption: "a girl riding a dragon"\nEND',
        "**Instruction:** have her ride a dragon\n**Edited caption:** a girl riding a dragon",
        "Edit: have her ride a dragon\n\nOutput: a girl riding a dragon\n\nI hope that this helps.",
        'Here you are:\n```json\n{"instruction": "have her ride a dragon", "edited_caption": "a girl riding a dragon"}\n```',
        '{"edit": "have her ride a dragon", "output": "a girl riding a dragon"}',
        "have her ride a dragon\n\na girl riding a dragon END",
        "<think>A horse. What else?\n%\nno</think>\nhave her ride a dragon\n%\na girl riding a dragon",
    ],
)
def test_reads_what_models_write(reply):
    assert prompts.read(reply, "a girl riding a horse") == ("have her ride a dragon", "a girl riding a dragon")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "have her ride a dragon",
        "have her ride a dragon\n%\n",
        "\n%\na girl riding a dragon",
        "a\n%\nb\n%\nc",
        "save 50 % of the horse",
        "<think>and so on",
        '{"instruction": 3, "edited_caption": "b"}',
        "{not JSON}",
        '"\n%\n"',
        "a ## b\n%\nc",
        "Certainly!\nWhat would you like?",
        "have her ride a dragon\na girl riding a dragon\nand more",
        "END\nhave her ride a dragon\n%\na girl",
    ],
)
def test_refuses_what_means_no_edit(reply):
    assert prompts.read(reply, "a girl riding a horse") is None


def test_keeps_quotation_marks_inside_a_caption():
    assert prompts.read('add a sign\n%\na door with a sign "open"') == ("add a sign", 'a door with a sign "open"')


def test_few_shot_text_ends_where_the_model_goes_on():
    text = prompts.few_shot("a dog\non grass", [HORSE])
    assert prompts.prompt(HORSE.caption) + prompts.completion(HORSE) in text
    assert text.endswith("\n\na dog on grass\n##\n")
    assert prompts.read(text.split("##\n")[1]) == (HORSE.instruction, HORSE.edited_caption)


def test_talk_alternates_and_ends_with_the_caption():
    talk = prompts.messages("a dog", [HORSE, HORSE])
    assert [message["role"] for message in talk] == ["user", "assistant"] * 2 + ["user"]
    assert talk[0]["content"].startswith(prompts.TASK)
    assert talk[-1]["content"] == "a dog"
    assert prompts.messages("a dog", [])[0]["content"].endswith("\n\na dog")


def test_examples_are_of_different_kinds_and_come_from_the_seed():
    examples = [Triplet(f"caption {place}", "edit", "edited", kind=("recolour", "season", "style")[place % 3]) for place in range(30)]
    first = prompts.chosen(examples, 3, "a dog", 0, 1)
    assert {example.kind for example in first} == {"recolour", "season", "style"}
    assert first == prompts.chosen(examples, 3, "a dog", 0, 1)
    assert first != prompts.chosen(examples, 3, "a dog", 0, 2)
    assert len(set(prompts.chosen(examples, 8, "a dog"))) == 8
    assert len(prompts.chosen(examples[:2], 8, "a dog")) == 2
