"""Every deck of inputs/ is accepted as it is, without its data, and on twice the stages where it says so."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from strait_process import StraitTestCase  # noqa: E402

INPUTS = pathlib.Path(__file__).parents[2] / "inputs"


class Decks(StraitTestCase):
    def plan(self, deck, *arguments):
        return self.succeed("--dry-run", *arguments, deck=deck, ranks=1).stdout

    def test_every_deck(self):
        decks = sorted(INPUTS.glob("*.toml"))
        self.assertGreater(len(decks), 5)
        for deck in decks:
            with self.subTest(deck=deck.name):
                self.assertIn("boundary 0", self.plan(deck))
                eight = "--set pipeline.stages=8"
                if eight in deck.read_text():
                    self.assertIn("boundary 6", self.plan(deck, *eight.split()))

    def test_methods_of_one_size_differ_in_the_codec_alone(self):
        for size in ("150m", "500m", "1b"):
            decks = sorted(INPUTS.glob(f"llama-{size}-*.toml"))
            self.assertGreater(len(decks), 1)
            without_codec = set()
            for deck in decks:
                head, _, rest = deck.read_text().partition("[codec]")
                body = head[head.index("[run]"):] + rest[rest.index("[checkpoint]"):]
                without_codec.add(body.replace(deck.stem, "NAME"))
            self.assertEqual(len(without_codec), 1, size)


if __name__ == "__main__":
    unittest.main()
