#!/usr/bin/env python3
"""The pages of docs/ against the tree: links, names, quoted code, formulas, exercises, figures and the glossary.

Each check is tried on a small wrong page first, so that a check that can no longer fail is noticed.
Usage: book_test.py [NORMLAB]. With the program, flags are compared with its --help too."""
import os
import sys
import types
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from check_exercises import wrong_exercises  # noqa: E402
from check_figures import chapters_without_figure, figures, outdated, wrong_figure  # noqa: E402
from check_formulas import QUOTES, checked_formulas, unchecked_formulas  # noqa: E402
from check_links import broken_links  # noqa: E402
from check_names import Vocabulary, unknown_names, wrong_flags  # noqa: E402
from check_quotes import code_of_the_tree, wrong_quotes  # noqa: E402
from check_terms import late_terms  # noqa: E402
from pages import ROOT, chapters, pages, read  # noqa: E402

NORMLAB = None


class Book(unittest.TestCase):
    maxDiff = None

    def none(self, messages):
        """No message at all; else all of them."""
        self.assertEqual("", "\n".join(messages))

    def test_links(self):
        self.assertEqual(2, len(broken_links("docs/x.md", "# A\n[b](nowhere.md) [c](#b) [d](#a) [e](../README.md)\n")))
        self.none(m for path, page in pages().items() for m in broken_links(path, page))

    def test_quotes(self):
        code = {"a.cc": "int a;\nint b;"}
        wrong = "```cpp\n  int a;\n```\n```cpp\nint c;\n```\n```cpp title=\"no.cc\"\nint a;\n```\n"
        self.assertEqual(2, len(wrong_quotes("docs/x.md", wrong, code)))
        code = code_of_the_tree()
        self.none(m for path, page in pages().items() for m in wrong_quotes(path, page, code))

    def test_names(self):
        vocabulary = Vocabulary(NORMLAB)
        wrong = "`engine/no.h` `no_such_function()` `nowhere::at_all` `Tensor` `parallel_for()` `docs/01-tensor.md`\n"
        self.assertEqual(3, len(unknown_names("docs/x.md", wrong, vocabulary)))
        if vocabulary.flags:
            self.assertEqual(1, len(unknown_names("docs/x.md", "`--no-such-flag` `--json`\n", vocabulary)))
            lines = "```\nnormlab train --confg x\nnormlab no-command\nnormlab train --config x # --why\n```\n"
            self.assertEqual(2, len(wrong_flags("docs/x.md", lines, vocabulary.flags)))
            self.none(m for path, page in pages().items() for m in wrong_flags(path, page, vocabulary.flags))
        self.none(m for path, page in pages().items() for m in unknown_names(path, page, vocabulary))

    def test_formulas(self):
        source = "\n".join(read(path) for path in QUOTES)
        self.assertEqual(([r"\barx=y"], [r"\bara=b"]), checked_formulas(
            "// formula\n// \\bar x = y\nTEST_CASE(\"a\") {\n  check_formula();\n}\n"
            "// formula\n// \\bar a = b\nTEST_CASE(\"b\") {\n}\n"))
        self.assertEqual(1, len(unchecked_formulas("docs/x.md", "```math\n\\bar q = 7\n```\n", source)))
        self.none(checked_formulas(source)[1])
        self.none(m for path, page in pages().items() for m in unchecked_formulas(path, page, source))
        self.assertGreater(sum(page.count("```math") for page in pages().values()), 20)

    def test_exercises(self):
        wrong = "# 1\n\n## Exercises\n\n**Exercise 1.1.** What?\n"
        self.assertEqual(2, len(wrong_exercises("docs/01-x.md", wrong)))
        self.none(m for path, page in chapters().items() if not path.startswith("docs/00-") for m in wrong_exercises(path, page))

    def test_figures(self):
        self.assertEqual(1, len(wrong_figure("x.svg", "<svg", {})))
        self.assertEqual(4, len(wrong_figure("x.svg", "<svg>" + "<!--" + "x" * 20000 + "--></svg>", {"a": "![](figures/x.svg)"})))
        every = pages()
        self.none(m for name in figures() for m in wrong_figure(name, read("docs/figures/" + name), every))
        self.none(outdated())
        self.none(chapters_without_figure(chapters()))

    def test_site(self):
        files = types.ModuleType("mkdocs.structure.files")  # the site's generator is not here
        files.File = files.InclusionLevel = None
        with unittest.mock.patch.dict(sys.modules, {"mkdocs": files, "mkdocs.structure": files, "mkdocs.structure.files": files}):
            sys.path.insert(0, os.path.join(ROOT, "book"))
            import hooks
        linked = set()
        for link, site in (("docs/01-tensor.md#strides", "01-tensor.md#strides"), ("nn/block.h", "source/nn/block.h.md"),
                           ("docs/configs/papers", "configs/papers/README.md"), ("docs/configs", "index.md"),
                           ("https://arxiv.org", "https://arxiv.org")):
            self.assertEqual("[a](%s)" % site, hooks.rewritten("README.md", "[a](%s)" % link, linked))
        self.assertEqual({"nn/block.h"}, linked)

    def test_terms(self):
        table = "| **term, other** | about | [1](01-a.md) |\n"
        self.assertEqual([], late_terms({"docs/01-a.md": "A term here. A **term** is this."}, table))
        self.assertEqual(1, len(late_terms({"docs/01-a.md": "Terms, other terms. A **term** is this."}, table)))
        self.assertEqual(1, len(late_terms({"docs/01-a.md": "no more"}, table)))
        self.none(late_terms(chapters(), read("docs/glossary.md")))


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        NORMLAB = sys.argv.pop(1)
    unittest.main()
