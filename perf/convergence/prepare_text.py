#!/usr/bin/env python3
"""Makes the tokens that compare.py trains on: a small BPE vocabulary of the text itself, and files of ids.

    prepare_text.py --text FILE... [--vocab 1024] [--output data/convergence]

The text is UTF-8; its documents end at lines `<|endoftext|>` and at the ends of files. Every fiftieth document is kept
for validation. Needs spm_train and spm_encode (Debian package sentencepiece).
"""
import argparse
import pathlib
import subprocess

import numpy as np

SEPARATOR = "<|endoftext|>"
NEWLINE = "<br>"
END_OF_DOCUMENT = 2  # SentencePiece's </s>
FIRST_USER_PIECE = 3  # NEWLINE: spm_encode works line by line and drops the ends of lines


def encode(model, lines):
    """A list of arrays, the ids of each line."""
    run = subprocess.run(["spm_encode", f"--model={model}", "--output_format=id"], input="\n".join(lines) + "\n",
                         capture_output=True, encoding="utf-8", check=True)
    return [np.array(line.split(), np.uint16) for line in run.stdout.split("\n")[:len(lines)]]


def documents_of(path):
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if line.strip() == SEPARATOR:
            if lines:
                yield lines
            lines = []
        elif line.strip():
            lines.append(line.rstrip())
    if lines:
        yield lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", nargs="+", type=pathlib.Path, required=True)
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("data/convergence"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    prefix = arguments.output / f"bpe{arguments.vocab}"
    subprocess.run(["spm_train", "--input=" + ",".join(map(str, arguments.text)), f"--model_prefix={prefix}",
                    "--model_type=bpe", f"--vocab_size={arguments.vocab}", f"--user_defined_symbols={NEWLINE}",
                    "--input_sentence_size=100000", "--random_seed=1", "--character_coverage=0.999",
                    "--normalization_rule_name=identity"], check=True, capture_output=True)
    parts = {"train": [], "validation": []}
    documents = [document for path in arguments.text for document in documents_of(path)]
    lines = encode(f"{prefix}.model", [line for document in documents for line in document])
    first = 0
    for index, document in enumerate(documents):
        ids = parts["validation" if index % 50 == 7 else "train"]
        for line in lines[first:first + len(document)]:
            ids += [line, [FIRST_USER_PIECE]]
        ids[-1] = [END_OF_DOCUMENT]
        first += len(document)
    for name, ids in parts.items():
        tokens = np.concatenate([np.asarray(part, np.uint16) for part in ids])
        tokens.tofile(arguments.output / f"{name}.bin")
        print(f"{arguments.output / name}.bin: {len(tokens):,} tokens")


if __name__ == "__main__":
    main()
