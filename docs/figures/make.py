#!/usr/bin/env python3
"""make.py [NAME...]: makes the figures of these pages again, all of them without a name.

drawings.py draws what a formula or the build files say; measured.py runs build/normlab (NORMLAB=PATH for another) and
plots what it prints. `make figures` builds the program first."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import drawings  # noqa: E402
import measured  # noqa: E402


def main():
    figures = {**drawings.FIGURES, **measured.FIGURES}
    names = sys.argv[1:] or list(figures)
    for name in names:
        if name not in figures:
            sys.exit("make.py: no figure %s; there are %s" % (name, " ".join(figures)))
    for name in names:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".svg")
        svg = figures[name]()
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(svg)
        os.replace(path + ".part", path)
        print("%s: %d bytes" % (os.path.relpath(path), len(svg.encode())))


main()
