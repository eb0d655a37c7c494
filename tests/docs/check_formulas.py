"""Every formula of a backward pass is checked by a gradcheck that quotes it.

Pages write the derivative of the loss by x as \\bar x. A displayed formula (a block of language math) with such a bar
stands, line for line, in a comment of one of the QUOTES, between a line `// formula` and the TEST_CASE that
carries it out and calls gradcheck."""
import re

from pages import blocks

QUOTES = ["tests/docs/formulas_test.cc", "tests/docs/norm_formulas_test.cc"]


def squeezed(text):
    return re.sub(r"\s+", "", text)


def checked_formulas(source):
    """The quoted formulas of a test file, and those whose test does not call the gradient check."""
    checked, unchecked = [], []
    for m in re.finditer(r"^// formula\n((?://[^\n]*\n)+)(TEST_CASE\(.*?^})", source, re.M | re.S):
        for formula in re.split(r"^// formula\n", m.group(1), flags=re.M):
            quoted = squeezed(re.sub(r"^// ?", "", formula, flags=re.M))
            (checked if "check_" in m.group(2) else unchecked).append(quoted)
    return checked, unchecked


def unchecked_formulas(path, page, source):
    checked, _ = checked_formulas(source)
    return ["%s:%d: no gradcheck in %s quotes this formula: %s" % (path, b.line, " or ".join(QUOTES), b.text.strip())
            for b in blocks(page)
            if b.language == "math" and r"\bar" in b.text and squeezed(b.text) not in checked]
