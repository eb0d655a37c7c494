"""Small tokenizers of every kind, trained by Hugging Face's tokenizers, with the ids and the decoded text of hostile
texts: tests/goldens/pipeline.json, which tests/data/pipeline_test.cc loads.

    python3 tests/goldens/pipeline.py        (needs the package tokenizers; written with 0.23)
"""
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LEARN = ["the cat sat on the mat, the dog didn't.", "Hello world! 12345 67 8", "café naïve Ångström über",
         "don't I'll we've THEY'RE it's", "привет мир", "日本語 テキスト 中文", "a  b   c\td\ne\n\nf", "low lower lowest newest wide"] * 3
TEXTS = ["", " ", "Hello world, the cat didn't sit.", "  two  spaces   and\ttabs\n\n lines \r\n end ", "cafe\u0301 caf\u00e9 \u00c5ngstr\u00f6m I\u0307\u0130",
         "a\u0316\u0301\u0301\u0316 \u1e9b\u0323 \ufb01 \u00bd \u2460 \uff21 \u33a5", "12345678901 3.14 1,000 \u0661\u0662 \u00b2\u00b3",
         "日本語のテキスト。中文", "привет, МИР!", "\U0001F600\U0001F468\u200d\U0001F469\u200d\U0001F467 \U0001F1EB\U0001F1F7 \u2764\ufe0f",
         "I'LL don'T we've 'S 's", "<s>a</s> b<mask>  c <tok>tok the HeLLo", "\u2581\u2581a \u2581b\u2581", "\u00a0nbsp\u3000wide\u200bzero\ufeffbom\u2028x",
         "[MASK]`` ''", "##ing ing<0x41>\u0000\u0007\u0085", "\u0915\u094d\u0937 \u0e01\u0e33 \uac00\u1100\u1161\u11a8", "\U00016D69\U0001E5F1\U00011938 \ua7cb\u1c89",
         "supercalifragilistic lowestwidest", "x=1;y[2]/{z}|~^$+<>", "\u01c5 \u1e9e \u00df \u017f \u212a"]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def bpe_trainer(size, special=("<unk>", "<s>", "</s>"), **options):
    return trainers.BpeTrainer(vocab_size=size, special_tokens=list(special), show_progress=False, **options)


def byte_level(pre_tokenizer, normalizer=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(LEARN, bpe_trainer(340, initial_alphabet=ALPHABET))
    return tokenizer


def split(expression, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(expression), behavior, invert)


def plain_bytes():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def llama2():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.train_from_iterator(LEARN, bpe_trainer(440, ["<unk>", "<s>", "</s>"] + BYTES))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def gemma():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous", False)
    tokenizer.train_from_iterator(LEARN, bpe_trainer(440, ["<unk>", "<s>", "</s>"] + BYTES))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def suffix_bpe(prefix=False):
    options = {"continuing_subword_prefix": "##"} if prefix else {"end_of_word_suffix": "</w>"}
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **options))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(LEARN, bpe_trainer(160, limit_alphabet=50, **options))
    tokenizer.decoder = decoders.WordPiece() if prefix else decoders.BPEDecoder()
    return tokenizer


def bert(cased=False):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(LEARN, trainers.WordPieceTrainer(vocab_size=170, special_tokens=special, show_progress=False))
    tokenizer.decoder = decoders.WordPiece(cleanup=not cased)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def unigram(scheme, fallback=False, normalizer=None, words=False):
    tokenizer = Tokenizer(models.Unigram())
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if words else metaspace
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    special = ["<unk>", "<s>", "</s>"] + (BYTES if fallback else [])
    tokenizer.train_from_iterator(LEARN, trainers.UnigramTrainer(vocab_size=120 + len(special), special_tokens=special, unk_token="<unk>", show_progress=False))
    if fallback:
        file = json.loads(tokenizer.to_str())
        file["model"]["byte_fallback"] = True
        tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A", pair="</s> $A </s> </s> $B", special_tokens=[("</s>", 2)])
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous")])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.StripAccents(), normalizers.Replace(Regex(r"\d+"), "7")])
    tokenizer.train_from_iterator(LEARN, trainers.WordLevelTrainer(vocab_size=60, special_tokens=["<unk>"], show_progress=False))
    return tokenizer


def roberta():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    return tokenizer


def added(tokenizer):
    tokenizer.add_tokens([AddedToken("tok", single_word=True, normalized=False), AddedToken("  ", normalized=True), AddedToken("HeLLo", normalized=True),
                          AddedToken("at s", normalized=False), AddedToken("cat sat", normalized=True), AddedToken("<tok>", rstrip=True, special=True)])
    return tokenizer


TOKENIZERS = {
    "gpt2": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "roberta": roberta,
    "llama3": lambda: byte_level(pre_tokenizers.Sequence([split(LLAMA3), plain_bytes()]), ignore_merges=True),
    "qwen": lambda: added(byte_level(pre_tokenizers.Sequence([split(LLAMA3.replace("{1,3}", "")), plain_bytes()]), normalizers.NFC())),
    "bloom": lambda: byte_level(pre_tokenizers.Sequence([split(BLOOM), plain_bytes()])),
    "falcon": lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
                                                          pre_tokenizers.Digits(), split("[0-9][0-9][0-9]")])),
    "starcoder": lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])),
    "llama2": llama2,
    "gemma": gemma,
    "suffix": suffix_bpe,
    "prefix": lambda: suffix_bpe(True),
    "bert": bert,
    "bert cased": lambda: added(bert(True)),
    "xglm": lambda: unigram("always"),
    "t5": lambda: unigram("first", normalizer=normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]), words=True),
    "unigram bytes": lambda: unigram("never", fallback=True),
    "words": word_level,
}


def main():
    goldens = {"texts": TEXTS, "tokenizers": {}}
    for name, make in TOKENIZERS.items():
        tokenizer = Tokenizer.from_str(make().to_str())
        rows = []
        for text in TEXTS:
            tokenizer.encode_special_tokens = True
            ordinary = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = False
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            rows.append({"ordinary": ordinary, "ids": ids, "with_special": tokenizer.encode(text).ids,
                         "pair": tokenizer.encode(text, "the cat").ids,
                         "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
        goldens["tokenizers"][name] = {"file": json.loads(tokenizer.to_str()), "rows": rows}
    with open(os.path.join(os.path.dirname(__file__), "pipeline.json"), "w") as out:
        # A line a tokenizer.
        out.write('{"texts": ' + json.dumps(goldens["texts"]) + ',\n"tokenizers": {\n')
        out.write(",\n".join(json.dumps(name) + ": " + json.dumps(golden, separators=(",", ":")) for name, golden in goldens["tokenizers"].items()))
        out.write("\n}}\n")


if __name__ == "__main__":
    main()
