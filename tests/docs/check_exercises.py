"""A chapter ends with five exercises; each has an answer whose code stands in the test of the exercise's name."""
import re

from pages import blocks, read, without_indent


def test_cases(source):
    """Name to body of the TEST_CASEs of a C++ file."""
    parts = re.split(r'^TEST_CASE\("([^"]*)"', source, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def wrong_exercises(path, page, source_of=read):
    number = int(re.match(r"docs/(\d\d)-", path).group(1))
    if "\n## Exercises\n" not in page:
        return ["%s: no exercises" % path]
    bad = []
    section = page.split("\n## Exercises\n")[1]
    parts = re.split(r"^\*\*Exercise (\d+)\.(\d+)\.\*\*", section, flags=re.M)
    given = list(zip(parts[1::3], parts[2::3], parts[3::3]))
    if [(int(c), int(n)) for c, n, _ in given] != [(number, n) for n in range(1, 6)]:
        bad.append("%s: expected **Exercise %d.1.** to **Exercise %d.5.**" % (path, number, number))
    for chapter, n, text in given:
        name = "exercise %s.%s" % (chapter, n)
        answer = re.search(r'<details markdown="1"><summary>Answer</summary>\n(.*?)\n</details>', text, re.S)
        code = [b for b in blocks(answer.group(1))] if answer else []
        code = [b for b in code if b.title and b.title.startswith("tests/")]
        if not code:
            bad.append("%s: %s has no answer with code of tests/" % (path, name))
        for block in code:
            cases = test_cases(source_of(block.title))
            body = [b for case, b in cases.items() if case == name or case.startswith(name + ":")]
            if not body:
                bad.append("%s: %s has no TEST_CASE(\"%s: ...\")" % (path, block.title, name))
            elif without_indent(block.text) not in without_indent(body[0]):
                bad.append("%s: the answer of %s is not in its test" % (path, name))
    return bad
