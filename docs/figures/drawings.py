"""Figures that are drawn, not measured: what a formula, a layout or the build files say."""
import math
import os
import re

from chart import Canvas, lines

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def cells(c, x, y, values, classes, size=38, numbered=None):
    for i, value in enumerate(values):
        c.rect(x + i * size, y, size, size, classes[i] if isinstance(classes, list) else classes)
        c.text(x + (i + 0.5) * size, y + size / 2 + 5, value, "mid")
        if numbered is not None:
            c.text(x + (i + 0.5) * size, y + size + 13, numbered + i, "small dim mid")


def strides():
    c = Canvas(680, 262, "A tensor of shape [2, 3] and three views of its memory")
    c.text(20, 28, "memory", "bold")
    plain, chosen = "box", "p0"
    cells(c, 120, 8, [1, 2, 3, 4, 5, 6], plain, numbered=0)
    c.text(370, 32, "one index, six elements", "small dim")
    views = [("x", "[2, 3]", "3, 1", 0, (2, 3)), ("x.slice(0, 1, 2)", "[1, 3]", "3, 1", 3, (1, 3)),
             ("x.slice(1, 1, 3)", "[2, 2]", "3, 1", 1, (2, 2)), ("x.transpose(0, 1)", "[3, 2]", "1, 3", 0, (3, 2))]
    for n, (name, shape, stride, offset, (rows, cols)) in enumerate(views):
        x = 20 + n * 166
        c.text(x, 92, name, "code small")
        c.text(x, 109, "shape " + shape, "small dim")
        c.text(x, 124, "strides " + stride, "small dim")
        c.text(x, 139, "offset %d" % offset, "small dim")
        s = [int(v) for v in stride.split(",")]
        for i in range(rows):
            for j in range(cols):
                place = offset + i * s[0] + j * s[1]
                c.rect(x + j * 32, 152 + i * 32, 32, 32, chosen)
                c.text(x + j * 32 + 16, 152 + i * 32 + 21, place + 1, "mid")
    return c.svg()


def boxes():
    """The targets of CMakeLists.txt and what each links."""
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
        text = file.read()
    links = {}
    for name, rest in re.findall(r"^ *box\((\w+) \S+([^)]*)\)", text, re.M):
        links[name] = re.findall(r"\b(?!LINK|KERNELS|CUDA|EXCLUDE)([a-z_]+)\b(?!\.cc|/)", rest.split("LINK")[-1])
    links = {n: [x for x in uses if x in links] for n, uses in links.items()}

    def height(name):
        return 1 + max((height(x) for x in links[name]), default=-1)

    floors = {}
    for name in links:
        floors.setdefault(height(name), []).append(name)
    top = max(floors)
    c = Canvas(680, 46 * (top + 1) + 24, "The boxes of the code, each standing on what it uses")
    at = {}
    for floor, names in floors.items():
        width = 640 / len(names)
        for i, name in enumerate(names):
            at[name] = (20 + width * (i + 0.5), 16 + 46 * (top - floor))
    for name, uses in links.items():
        for other in uses:
            if not any(other in reach(links, x) for x in uses if x != other):
                c.line(at[name][0], at[name][1] + 26, at[other][0], at[other][1])
    for name, (x, y) in at.items():
        wide = 8 * len(name) + 14
        c.rect(x - wide / 2, y, wide, 26, "box p0" if name.startswith("engine_") else "box p1", 4)
        c.text(x, y + 18, name.replace("engine_", "engine/").replace("train_lib", "train"), "mid")
    return c.svg()


def reach(links, name):
    found = set(links[name])
    for x in links[name]:
        found |= reach(links, x)
    return found


def number_lines():
    """Distance to the next number over the number itself, by magnitude."""
    series = []
    for name, digits, smallest, largest in (("f32", 23, -126, 128), ("f16", 10, -14, 16), ("bf16", 7, -126, 128)):
        points = []
        for tenths in range(-400, 401, 4):
            x = 2.0 ** (tenths / 10)
            exponent = max(math.floor(math.log2(x)), smallest)
            spacing = 2.0 ** (exponent - digits)
            points.append((x, spacing / x if spacing <= x < 2.0 ** largest else None))
        series.append((name, points))
    return lines("How coarse a type is: distance to the next number, relative", series, "magnitude of a number",
                 "distance / number", x_log=True, y_log=True)


def sectors():
    c = Canvas(680, 232, "Sectors that a warp's 32 lanes ask for")
    for n, (name, apart) in enumerate((("a thread per row: lanes ask a row apart", True),
                                       ("a warp per row: lanes ask side by side", False))):
        y = 22 + n * 112
        c.text(20, y, name, "bold")
        c.text(20, y + 34, "lanes", "small dim")
        c.text(20, y + 74, "sectors", "small dim")
        for lane in range(32):
            x = 80 + lane * 18
            c.rect(x, y + 22, 14, 14, "p1")
        count = 32 if apart else 4
        for s in range(count):
            x = 80 + (s * 18 if apart else s * 144)
            wide = 14 if apart else 140
            c.rect(x, y + 62, wide, 14, "box")
            part = wide / 8
            c.rect(x, y + 62, part if apart else wide, 14, "p0")
            c.line(x + (7 if apart else 70), y + 36, x + (7 if apart else 70), y + 62)
        c.text(660, y, "%d sectors of 32 bytes for 128 bytes" % count, "small dim end")
    return c.svg()


def qkv_layout():
    c = Canvas(680, 236, "One projection, three layouts")
    parts = (("q", "p0"), ("k", "p1"), ("v", "p2"))
    c.text(20, 24, "GPT-2: c_attn, [d, 3d]", "bold")
    for i, (name, colour) in enumerate(parts):
        c.rect(20 + i * 60, 38, 60, 60, "box " + colour)
        c.text(50 + i * 60, 73, name, "mid")
    c.arrow(206, 68, 282, 118)
    c.text(216, 68, "transpose", "small dim")
    c.text(300, 24, "ours: attn.qkv.weight, [3d, d]", "bold")
    for i, (name, colour) in enumerate(parts):
        c.rect(300, 38 + i * 60, 60, 60, "box " + colour)
        c.text(330, 73 + i * 60, name, "mid")
    c.text(520, 24, "Llama: three, [d, d]", "bold")
    for i, (name, colour) in enumerate(parts):
        c.rect(520, 38 + i * 64, 60, 60, "box " + colour)
        c.text(550, 73 + i * 64, name + "_proj", "small mid")
    c.arrow(508, 128, 376, 128)
    c.text(412, 120, "one below the other", "small dim")
    return c.svg()


def tree_sum():
    """Eight micro-batches on four ranks: leaf l is micro-batch l, of rank l % 4."""
    c = Canvas(680, 270, "The tree in which the gradients of eight micro-batches on four ranks are added")
    order, y, wide = [0, 4, 2, 6, 1, 5, 3, 7], 206, 76
    level = []
    for i, leaf in enumerate(order):
        x = 76 + i * wide
        c.rect(x - 30, y, 60, 26, "box p%d" % (leaf % 4), 4)
        c.text(x, y + 18, leaf, "mid")
        c.text(x, y + 44, "rank %d" % (leaf % 4), "small dim mid")
        level.append((x, y))
    c.text(8, 150, "within ranks", "small dim")
    c.text(8, 84, "between", "small dim")
    for step in range(3):
        above = []
        for (x1, y1), (x2, _) in zip(level[::2], level[1::2]):
            x, y = (x1 + x2) / 2, y1 - 66
            for child in (x1, x2):
                c.line(child, y1, x, y + 20)
            c.rect(x - 12, y, 24, 20, "box" if step else "box p%d" % (order[round((x - 76) / wide - 0.5)] % 4), 4)
            c.text(x, y + 15, "+", "mid")
            above.append((x, y))
        level = above
    return c.svg()


def student_t(df):
    """The t that has two-sided p 0.05: the density is integrated by Simpson's rule, the quantile found by bisection."""
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)

    def inside(t, n=400):
        h = t / n
        f = [scale * (1 + (i * h) ** 2 / df) ** (-(df + 1) / 2) for i in range(n + 1)]
        return 2 * h / 3 * (f[0] + f[-1] + 4 * sum(f[1:-1:2]) + 2 * sum(f[2:-1:2]))

    low, high = 0.0, 20.0
    for _ in range(60):
        low, high = ((low + high) / 2, high) if inside((low + high) / 2) < 0.95 else (low, (low + high) / 2)
    return low


def resolution():
    """Half of the 95 % interval of a mean paired difference."""
    seeds = range(3, 21)
    return lines("What so many paired seeds resolve", [("t(0.975) / √n", [(n, student_t(n - 1) / math.sqrt(n)) for n in seeds]),
                                                       ("1.96 / √n", [(n, 1.96 / math.sqrt(n)) for n in seeds])],
                 "seeds n", "smallest difference, in standard deviations of the pairs", y_low=0,
                 x_ticks=(3, 5, 10, 15, 20), points=True, height=260)


FIGURES = {"boxes": boxes, "tree_sum": tree_sum, "resolution": resolution, "strides": strides, "number_lines": number_lines,
           "sectors": sectors, "qkv_layout": qkv_layout}
