#!/usr/bin/env python3
"""Small tokenizer.json files and what the Hugging Face tokenizers library makes of some texts with them.

    python3 tests/reference/tokenizer_twin.py [FOLDER]

Needs `tokenizers` from PyPI (written with 0.23.3). Trains one file for each family that the C++ reader knows, edits
it to what published models have, and writes golden.json: the texts, and by file their ids and the ids' text. The
files are committed.
"""

import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = "\u2581"
LLAMA3_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")

SENTENCES = [
    "The model reads what it's given; they're sure that we'll see the losses that you've measured.",
    "Über die Brücke gehen größere Züge. L'été, la forêt était déjà très sèche.",
    "在管道中，每个阶段只发送很少的字节。", "1234567 tokens in 89 steps, 3.14159 seconds each\n\n    indented = True\n",
]
TEXTS = [
    "The license shall include the Work.", "it's they'RE WE'LL you'd 'ſ I'M o'clock", " leading and trailing ",
    "a  b   c" + " " * 23 + "d\t\te \t f", "line\nline\r\n\r\n\n  indented\n   \n", "naïve Brücke, e\u0301te\u0301; ½ ² Ⅷ ٣٤",
    "在管道中，每个阶段。ひらがなカタカナ", "😀👩‍👩‍👧‍👦🇨🇭 ok", "3.14159 1234567 v2x 0x1F",
    "no\u00a0break\u3000space\u0085next  \u180evowel\u2028line\u200bzero", "\x00\x07\x7f tag \ufeff\ufffd\U0010ffff",
    f"a {MARK}{MARK}mark{MARK} _ [x]{{y}} C:\\dir #1 ---- !!!???\n\n", "<|endoftext|>", "", "   ",
    "a<|endoftext|>b <|endoftext|> </s><s>\n<|end_of_text|>x<|endoftext", "in New York,New York City and new york",
    "Ğğİı ΑΒΓ абв שלום สวัสดี हिन्दी 한국어", "ententententententerererererererere" + "the" * 8,
]


def byte_level(size, specials):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return train(tokenizer, size, specials, alphabet)


def characters(size, specials, pre_tokenizer=None, normalizer=None, **model):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **model))
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace()
    return train(tokenizer, size, specials, [])


def train(tokenizer, size, specials, alphabet):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, initial_alphabet=alphabet,
                                  limit_alphabet=max(100, len(alphabet)), show_progress=False)
    words = (ROOT / "LICENSE").read_text().split("\n")
    tokenizer.train_from_iterator(words + SENTENCES * 20, trainer)
    return tokenizer


def gpt2():
    tokenizer = byte_level(480, ["<|endoftext|>"])
    tokenizer.add_tokens([AddedToken("New York", normalized=True), AddedToken("New", normalized=True)])
    return tokenizer


def llama3():
    """Words of up to three digits; a few pieces that no merge makes."""
    tokenizer = byte_level(480, [])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = True
    content["model"]["merges"] = [pair for pair in content["model"]["merges"] if len("".join(pair)) < 6]
    return Tokenizer.from_str(json.dumps(content))


def llama2():
    """Pieces of bytes for what the vocabulary lacks, every way to make a piece as a merge, as strings."""
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = characters(560, ["<unk>", "<s>", "</s>"] + byte_pieces, byte_fallback=True, fuse_unk=True)
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary.update({MARK * 2: len(vocabulary), MARK * 4: len(vocabulary) + 1})  # for runs of spaces
    merges = [(text[:i], text[i:]) for text in vocabulary for i in range(1, len(text))]
    merges = [pair for pair in merges if pair[0] in vocabulary and pair[1] in vocabulary]
    merges.sort(key=lambda pair: vocabulary["".join(pair)])
    content["model"]["merges"] = [" ".join(pair) for pair in merges]
    content["added_tokens"] = content["added_tokens"][:3]
    content["pre_tokenizer"] = None
    content["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": MARK}, {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]}
    content["decoder"] = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    return content


def mistral():
    """As Mistral's later files: a mark before the text only, no cuts; merges may cross the marks of spaces."""
    tokenizer = characters(250, ["<unk>", "<s>", "</s>"], pre_tokenizers.Metaspace(split=False), fuse_unk=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return tokenizer


def digits():
    """Cuts at marks and digits, one unknown piece for a run of unknown characters."""
    tokenizer = characters(250, ["<unk>", "</s>"], fuse_unk=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden/tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    golden = {"texts": TEXTS, "cases": {}}
    for make in (gpt2, llama3, llama2, mistral, digits):
        made = make()
        content = made if isinstance(made, dict) else json.loads(made.to_str())
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{make.__name__}.json").write_text(text)
        tokenizer = Tokenizer.from_str(text)
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        golden["cases"][make.__name__] = {"ids": ids, "decoded": [tokenizer.decode(row) for row in ids]}
    lines = json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace('"cases"', '\n"cases"')
    (folder / "golden.json").write_text(lines)


if __name__ == "__main__":
    main()
