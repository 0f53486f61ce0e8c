"""Small causal language models with a real tokenizer, made here, so that the real code of transformers, peft and gguf runs in seconds."""

import functools
import json

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ip2p.captions.triplet import Triplet

TAUGHT = (
    Triplet("a dog on a beach", "make it snow", "a dog on a snowy beach", kind="weather"),
    Triplet("a red car in a street", "paint the car blue", "a blue car in a street", kind="recolour"),
    Triplet("a castle on a hill", "make it night", "a castle on a hill at night", kind="time of day"),
    Triplet("a bowl of apples", "swap the apples for lemons", "a bowl of lemons", kind="replace"),
    Triplet("portrait of a woman", "as a pencil sketch", "pencil sketch of a woman", kind="style"),
    Triplet("a boat on a lake", "add a mountain", "a boat on a lake below a mountain", kind="add"),
)
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@functools.cache
def _trained():
    """A byte-level BPE of the taught texts, as GPT-2 and Llama 3 have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [f"{one.caption}\n##\n{one.instruction}\n%\n{one.edited_caption}\nEND\n" for one in TAUGHT]
    special = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet))
    return tokenizer.to_str()


def tokenizer(chat=False):
    own = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(_trained()), eos_token="<|end|>", pad_token="<|pad|>")
    own.chat_template = CHAT if chat else None
    return own


def llama(seed=0, width=64, layers=2, room=512):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=room,
        eos_token_id=0,
        pad_token_id=1,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


def gpt2(seed=0):
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=2, n_positions=256, eos_token_id=0, pad_token_id=1, bos_token_id=None)
    return GPT2LMHeadModel(config).eval()


def save(folder, module, chat=False):
    """A folder as transformers writes it."""
    module.save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return folder


@functools.cache
def memorised():
    """(network, tokenizer) that has learnt the taught triplets by heart, all weights trained, in the paper's format."""
    from ip2p.captions.finetune import completion_loss, example, padded

    module, own = llama(seed=1).train(), tokenizer()
    rows = padded([example(own, triplet) for triplet in TAUGHT], own.pad_token_id, "cpu")
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    for _ in range(400):
        loss = completion_loss(module(input_ids=rows[0], attention_mask=rows[1]).logits, rows[2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.005:
            break
    return module.eval(), own


def write_gguf(path, module):
    """A Llama of transformers' in llama.cpp's file format, with the tokenizer: names, order of rotary halves and all."""
    import gguf

    config, own = module.config, json.loads(_trained())["model"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    tokens = sorted(own["vocab"], key=own["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token.startswith("<|") else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in own["merges"]])
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_pad_token_id(config.pad_token_id)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in module.state_dict().items():
        if name != "lm_head.weight":  # tied
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
            ours = weight.float().numpy()
            if heads:
                ours = ours.reshape(heads, 2, -1, ours.shape[1]).swapaxes(1, 2).reshape(ours.shape)
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(ours))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
