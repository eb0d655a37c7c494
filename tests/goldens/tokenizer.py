"""Makes tokenizer.json beside this file: what tiktoken and Hugging Face tokenizers say about whole files.

usage: python tokenizer.py SHARED     (SHARED: the folder with data/; needs tiktoken and tokenizers)
"""
import hashlib, json, os, struct, sys
import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

shared = sys.argv[1]
bpe = f"{shared}/data/gpt2-bpe"
ranks = data_gym_to_mergeable_bpe_ranks(vocab_bpe_file=f"{bpe}/vocab.bpe", encoder_json_file=f"{bpe}/encoder.json")
pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
gpt2 = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})

files = ["data/tinyshakespeare/input.txt", "data/wikitext-raw/wiki.test.raw", "data/wikitext-103/wiki.valid.tokens",
         "data/hellaswag/val.jsonl", "data/lambada/test.jsonl", "data/gpt2-bpe/roberta_dict.txt"]
encoded = {}
for name in files:
    text = open(f"{shared}/{name}", encoding="utf-8", newline="").read()
    ids = gpt2.encode_ordinary(text)
    encoded[name] = {"tokens": len(ids), "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()}

# Every code point where its class shows: letters and numbers end before 've, others take the apostrophe along.
text = "\n".join(f"x {chr(c) * 2}'ve the{chr(c)} 7" for c in range(0x110000) if not 0xD800 <= c < 0xE000)
ids = gpt2.encode_ordinary(text)
code_points = {"tokens": len(ids), "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()}

# Hugging Face's BPE trainer: "merge" lines, each followed by a newline.
trained = []
for name, vocab_size, least in [("data/tinyshakespeare/input.txt", 2000, 2), ("data/wikitext-raw/wiki.test.raw", 8000, 2),
                                ("data/tinyshakespeare/input.txt", 30000, 1)]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=least, special_tokens=["<s>", "</s>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    # One text, as our trainer takes a file: their file reader would cut it into lines first.
    tokenizer.train_from_iterator([open(f"{shared}/{name}", encoding="utf-8", newline="").read()], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    trained.append({"file": name, "vocab_size": vocab_size, "min_frequency": least, "tokens": len(model["vocab"]),
                    "merges": len(merges),
                    "sha256": hashlib.sha256("".join(m + "\n" for m in merges).encode()).hexdigest()})

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.json")
with open(path, "w") as out:
    json.dump({"made_by": f"tiktoken {tiktoken.__version__}, tokenizers {__import__('tokenizers').__version__}",
               "encoded": encoded, "code_points": code_points, "trained": trained}, out, indent=1)
    out.write("\n")
