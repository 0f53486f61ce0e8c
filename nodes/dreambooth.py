"""Teach a model a subject."""

from typing import Any

from ._api import io, say, schema
from ._places import TRAINING, folder_of
from .training import changed

PICTURES = 5


def _subject() -> list[io.Input]:
    """What is to be learnt."""
    pictures = [
        io.Image.Input(f"image_{number}", optional=number > 1, tooltip="A picture of the subject, or a batch of them.")
        for number in range(1, PICTURES + 1)
    ]
    return [
        *pictures,
        io.String.Input("word", default="sks", tooltip="A rare word that will mean the subject."),
        io.String.Input("noun", default="dog", tooltip="What the subject is, in a word: dog, cup, person."),
        io.Int.Input(
            "class_images",
            default=200,
            min=0,
            max=100000,
            tooltip="Pictures of the class that the model makes first, so that it does not take every dog for this one. 0: none.",
        ),
    ]


def _how() -> list[io.Input]:
    """How it is learnt."""
    return [
        io.Combo.Input(
            "train", options=["full", "lora"], default="full", tooltip="full: everything. lora: small additions, in much less memory."
        ),
        io.Int.Input("steps", default=400, min=1, max=1000000, tooltip="Training steps in all: 400 to 1000 usually."),
        io.Float.Input(
            "rate",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.000001,
            round=0.0000001,
            tooltip="How fast it learns. 0: 0.000005, or 0.0001 for a LoRA.",
        ),
        io.Int.Input(
            "size", default=0, min=0, max=1024, step=8, tooltip="Side of the pictures in pixels. 0: what the model was trained at."
        ),
        io.Int.Input(
            "seed", default=0, min=0, max=0x7FFFFFFF, control_after_generate=False, tooltip="Another seed learns in another order."
        ),
        io.Int.Input("save_every", default=100, min=1, max=1000000, tooltip="Steps between two checkpoints. Cancelling saves one too."),
        io.String.Input(
            "more",
            default="",
            multiline=True,
            tooltip="Any other setting of the run, a line each: TABLE.KEY=VALUE, such as dreambooth.text_encoder=true.",
        ),
        io.String.Input(
            "name",
            default="my subject",
            tooltip="The run is kept in output/ip2p_training/NAME. Cancel whenever you like: queued again, it goes on where it stopped.",
        ),
    ]


class IP2PDreamBooth(io.ComfyNode):
    """A model learns a subject from a few pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PDreamBooth",
            display_name="DreamBooth",
            category="InstructPix2Pix/training",
            description="Teaches a Stable Diffusion 1.x model a subject from 3 to 5 pictures: a rare word in the prompt then means it. The "
            "model first makes pictures of the subject's class, so that it does not forget the others. Can be cancelled and queued again.",
            search_aliases=["personalise", "personalize", "subject", "finetune", "instance"],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="A Stable Diffusion 1.x model, of any size; an editor will do too."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                *_subject(),
                *_how(),
            ],
            outputs=[
                io.Model.Output("personal", display_name="model", tooltip="The model that knows the subject."),
                io.Clip.Output("personal_clip", display_name="clip", tooltip="Its text encoder, trained too where that was asked for."),
                io.Image.Output("plot", display_name="plot", tooltip="The loss over the steps."),
                io.Image.Output("pictures", display_name="pictures", tooltip="The subject, and what the model made of its class."),
                io.String.Output("report", display_name="report", tooltip="What was done, in words, for 'Preview as Text'."),
                io.String.Output("run", display_name="run", tooltip="The run's name, for 'Export editor' and 'Training curves'."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> str:
        """Look again when the run has changed on the disk since."""
        return changed(str(inputs.get("name", "")))

    @classmethod
    def execute(cls, model: Any, clip: Any, vae: Any, word: str, noun: str, name: str, **inputs: Any) -> io.NodeOutput:
        from ..samplers import dreambooth
        from ..samplers.training import Wired

        given = [inputs.pop(f"image_{number}", None) for number in range(1, PICTURES + 1)]
        subject = dreambooth.Subject([picture for picture in given if picture is not None], word, noun)
        out = folder_of(TRAINING, name)
        config = dreambooth.config_of(model, subject, **inputs)
        found = dreambooth.personalise(Wired(model, clip, vae), subject, config, out, lambda text: say(text, cls))
        return io.NodeOutput(*found, out.name)


NODES = [IP2PDreamBooth]
