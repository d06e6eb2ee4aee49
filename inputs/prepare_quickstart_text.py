#!/usr/bin/python3
"""Write the quickstart's text: the King James Bible, chapter by chapter, from Debian's packages.

The Debian packages bible-kjv and bible-kjv-text install the text (4.2 MB, public domain outside the
United Kingdom) in a compressed form that only the command `bible` reads. Every chapter becomes one
document, a title line and one line per verse; documents end with a line `<|endoftext|>`. A long verse
that the book repeats word for word is kept once, so that no validation verse was trained on. Every
twentieth chapter goes to val.txt, the others to train.txt. The same packages give the same bytes.

    /usr/bin/python3 inputs/prepare_quickstart_text.py [--output data/quickstart]
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

PACKAGES = ("bible-kjv", "bible-kjv-text")
WHOLE_BOOK = "gen1:1-rev22:21"
VERSES = 31102
END_OF_DOCUMENT = "<|endoftext|>\n"
VALIDATION_EVERY = 20
REPEATED_VERSE_LENGTH = 60

# The 66 books in canonical order, as people write them; `bible` prints abbreviations in this order.
BOOKS = """Genesis,Exodus,Leviticus,Numbers,Deuteronomy,Joshua,Judges,Ruth,1 Samuel,2 Samuel,1 Kings,2 Kings,
1 Chronicles,2 Chronicles,Ezra,Nehemiah,Esther,Job,Psalms,Proverbs,Ecclesiastes,Song of Solomon,Isaiah,Jeremiah,
Lamentations,Ezekiel,Daniel,Hosea,Joel,Amos,Obadiah,Jonah,Micah,Nahum,Habakkuk,Zephaniah,Haggai,Zechariah,Malachi,
Matthew,Mark,Luke,John,Acts,Romans,1 Corinthians,2 Corinthians,Galatians,Ephesians,Philippians,Colossians,
1 Thessalonians,2 Thessalonians,1 Timothy,2 Timothy,Titus,Philemon,Hebrews,James,1 Peter,2 Peter,1 John,2 John,
3 John,Jude,Revelation""".replace("\n", "").split(",")


def read_verses():
    """All verses as (abbreviated book, chapter, text), in the order of the book."""
    command = shutil.which("bible") or "/usr/bin/bible"
    if not os.access(command, os.X_OK):
        sys.exit(f"prepare_quickstart_text: no command `bible`: run `apt-get install {' '.join(PACKAGES)}`")
    result = subprocess.run([command, "-f", WHOLE_BOOK], stdin=subprocess.DEVNULL, capture_output=True)
    text = result.stdout.decode("ascii", "replace")
    verses = re.findall(r"^(\w+?)(\d+):\d+ (.*\S)\s*$", text, flags=re.M)
    if result.returncode != 0 or len(verses) != VERSES:
        sys.exit(
            f"prepare_quickstart_text: `bible -f {WHOLE_BOOK}` gave {len(verses)} verses, expected {VERSES}: "
            f"reinstall with `apt-get install --reinstall {' '.join(PACKAGES)}`"
        )
    return verses


def chapters(verses):
    """One document per chapter, without the verses that were seen before."""
    titles = dict(zip(dict.fromkeys(book for book, _, _ in verses), BOOKS))
    seen = set()
    documents = {}
    for book, chapter, verse in verses:
        lines = documents.setdefault((book, chapter), [f"{titles[book]}, chapter {chapter}", ""])
        if len(verse) > REPEATED_VERSE_LENGTH and verse in seen:
            continue
        seen.add(verse)
        lines.append(verse)
    return ["\n".join(lines) + "\n" for lines in documents.values() if len(lines) > 2]


def write_if_changed(path, text):
    if path.exists() and path.read_bytes() == text.encode():
        return
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(text.encode())
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("data/quickstart"), metavar="DIR")
    directory = parser.parse_args().output
    documents = chapters(read_verses())
    validation = documents[VALIDATION_EVERY // 2 :: VALIDATION_EVERY]
    training = [d for i, d in enumerate(documents) if i % VALIDATION_EVERY != VALIDATION_EVERY // 2]
    directory.mkdir(parents=True, exist_ok=True)
    for name, selected in (("train.txt", training), ("val.txt", validation)):
        text = "".join(document + END_OF_DOCUMENT for document in selected)
        write_if_changed(directory / name, text)
        print(f"{directory / name}: {len(selected)} chapters, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
