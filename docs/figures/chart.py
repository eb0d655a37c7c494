"""Small SVG pictures that follow light and dark: a canvas, a chart of lines, a chart of bars.

Plain Python, no packages: a figure of a page has a few kB, and its text is text. Colours are classes s0 to s5 of one
style sheet, chosen to differ in lightness too; `ink` is text, `dim` what is less important."""
import html
import math

STYLE = """<style>
svg{color:#1f2937;font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
text{fill:currentColor}.dim{fill:#6b7280}.small{font-size:11px}.mid{text-anchor:middle}.end{text-anchor:end}
.code{font-family:ui-monospace,'DejaVu Sans Mono',monospace}.bold{font-weight:600}
.axis{stroke:#6b7280;fill:none}.grid{stroke:#e5e7eb;fill:none}.line{fill:none;stroke-width:2}.box{fill:#fff;stroke:#6b7280}
.s0{stroke:#1d4ed8}.s1{stroke:#c2410c}.s2{stroke:#15803d}.s3{stroke:#7e22ce}.s4{stroke:#0f766e}.s5{stroke:#be123c}
.f0{fill:#1d4ed8}.f1{fill:#c2410c}.f2{fill:#15803d}.f3{fill:#7e22ce}.f4{fill:#0f766e}.f5{fill:#be123c}
.p0{fill:#dbeafe}.p1{fill:#ffedd5}.p2{fill:#dcfce7}.p3{fill:#f3e8ff}
@media (prefers-color-scheme: dark){svg{color:#e5e7eb}.dim{fill:#9ca3af}.axis{stroke:#9ca3af}.grid{stroke:#374151}
.box{fill:#111827;stroke:#9ca3af}
.s0{stroke:#7aa7ff}.s1{stroke:#ffa366}.s2{stroke:#6ee79a}.s3{stroke:#c9a0ff}.s4{stroke:#5fe0d2}.s5{stroke:#ff8fa3}
.f0{fill:#7aa7ff}.f1{fill:#ffa366}.f2{fill:#6ee79a}.f3{fill:#c9a0ff}.f4{fill:#5fe0d2}.f5{fill:#ff8fa3}
.p0{fill:#1e3a8a}.p1{fill:#7c2d12}.p2{fill:#14532d}.p3{fill:#4c1d95}}
</style>
"""


def number(x):
    return ("%.1f" % x).rstrip("0").rstrip(".")


class Canvas:
    """Shapes in pixels; `title` is what screen readers say."""

    def __init__(self, width, height, title):
        self.width, self.height, self.parts = width, height, []
        self.title = title

    def text(self, x, y, text, classes=""):
        self.parts.append('<text x="%s" y="%s"%s>%s</text>' % (
            number(x), number(y), ' class="%s"' % classes if classes else "", html.escape(str(text), quote=False)))

    def line(self, x1, y1, x2, y2, classes="axis", dashes=""):
        self.parts.append('<path d="M%s %sL%s %s" class="%s"%s/>' % (
            number(x1), number(y1), number(x2), number(y2), classes,
            ' stroke-dasharray="%s"' % dashes if dashes else ""))

    def path(self, points, classes):
        body = "L".join("%s %s" % (number(x), number(y)) for x, y in points)
        self.parts.append('<path d="M%s" class="%s"/>' % (body, classes))

    def rect(self, x, y, w, h, classes="box", radius=0):
        self.parts.append('<rect x="%s" y="%s" width="%s" height="%s" class="%s"%s/>' % (
            number(x), number(y), number(w), number(h), classes, ' rx="%d"' % radius if radius else ""))

    def dot(self, x, y, classes, radius=3):
        self.parts.append('<circle cx="%s" cy="%s" r="%s" class="%s"/>' % (number(x), number(y), number(radius), classes))

    def arrow(self, x1, y1, x2, y2, classes="axis"):
        angle = math.atan2(y2 - y1, x2 - x1)
        self.line(x1, y1, x2, y2, classes)
        for turn in (2.7, -2.7):
            self.line(x2, y2, x2 + 7 * math.cos(angle + turn), y2 + 7 * math.sin(angle + turn), classes)

    def svg(self):
        head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">\n' % (
            self.width, self.height, html.escape(self.title))
        return head + STYLE + "\n".join(self.parts) + "\n</svg>\n"


def steps_of(low, high, count=5):
    """Round numbers from low to high, about `count` of them."""
    raw = (high - low) / count or 1
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, int(math.floor(high / step + 1e-9)) + 1)]


def label(value, log):
    if log:
        return "%g" % value if 1e-3 <= value < 1e5 else "1e%d" % round(math.log10(value))
    return "%g" % round(value, 10)


class Axis:
    def __init__(self, values, log=False, low=None, high=None, from_zero=False):
        self.log = log
        values = [v for v in values if v is not None and (v > 0 or not log)]
        self.low = min(values) if low is None else low
        self.high = max(values) if high is None else high
        if from_zero:
            self.low = min(self.low, 0)
        if log:
            self.low, self.high = 10 ** math.floor(math.log10(self.low) + 1e-9), 10 ** math.ceil(math.log10(self.high) - 1e-9)
        if self.low == self.high:
            self.high = self.low + 1

    def place(self, value):
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self):
        if not self.log:
            return steps_of(self.low, self.high)
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        every = max(1, (last - first) // 6)
        return [10.0 ** p for p in range(first, last + 1, every)]


def lines(title, series, x_name, y_name, x_log=False, y_log=False, x_ticks=None, y_low=None, y_high=None, marks=(),
          height=300, points=False, width=680):
    """`series`: [(name, [(x, y), ...])]; y None is a gap. `marks`: [(y, text)], dashed lines across."""
    c = Canvas(width, height, title)
    left, right, top, bottom = 62, 150, 50, 46
    xs = Axis([x for _, s in series for x, _ in s], x_log)
    ys = Axis([y for _, s in series for _, y in s] + [m for m, _ in marks], y_log, y_low, y_high)
    w, h = c.width - left - right, c.height - top - bottom

    def at(x, y):
        return left + w * xs.place(x), top + h * (1 - min(max(ys.place(y), -0.02), 1.02))

    c.text(left, 18, title, "bold")
    for tick in ys.ticks():
        _, y = at(xs.low, tick)
        c.line(left, y, left + w, y, "grid")
        c.text(left - 7, y + 4, label(tick, y_log), "small dim end")
    for tick in x_ticks if x_ticks else xs.ticks():
        x, _ = at(tick, ys.low)
        c.line(x, top + h, x, top + h + 4)
        c.text(x, top + h + 18, label(tick, x_log), "small dim mid")
    c.line(left, top + h, left + w, top + h)
    c.line(left, top, left, top + h)
    c.text(left + w / 2, c.height - 8, x_name, "small mid")
    c.text(left, 37, y_name, "small dim")
    for value, text in marks:
        x, y = at(xs.high, value)
        c.line(left, y, left + w, y, "axis", "5 4")
        c.text(left + w + 6, y + 4, text, "small dim")
    ends = []
    for i, (name, data) in enumerate(series):
        run = []
        for x, y in data + [(None, None)]:
            if y is None or (y_log and y <= 0):
                if len(run) > 1:
                    c.path(run, "line s%d" % (i % 6))
                run = []
            else:
                run.append(at(x, y))
                if points:
                    c.dot(*run[-1], "f%d" % (i % 6))
        last = [p for p in data if p[1] is not None and not (y_log and p[1] <= 0)]
        if last:
            ends.append([at(*last[-1])[1] + 4, i, name])
    ends.sort()
    for a, b in zip(ends, ends[1:]):  # names beside their ends, none on another
        b[0] = max(b[0], a[0] + 15)
    for y, i, name in ends:
        c.text(left + w + 6, y, name, "small f%d" % (i % 6))
    return c.svg()


def bars(title, rows, unit="", high=None, log=False, low=None, width=680, name_width=170):
    """`rows`: [(name, value, text behind the bar)]."""
    c = Canvas(width, 40 + 24 * len(rows) + 14, title)
    c.text(12, 18, title, "bold")
    axis = Axis([v for _, v, _ in rows], log, low if log else 0, high)
    room = c.width - name_width - 150
    for i, (name, value, text) in enumerate(rows):
        y = 34 + 24 * i
        c.text(name_width - 8, y + 14, name, "small end")
        c.rect(name_width, y + 3, max(1.5, room * axis.place(value)), 15, "f0")
        c.text(name_width + max(1.5, room * axis.place(value)) + 6, y + 14, text, "small")
    if unit:
        c.text(c.width - 12, 18, unit, "small dim end")
    return c.svg()


def intervals(title, rows, width=680, name_width=130):
    """`rows`: [(name, middle, low, high)], with a line at zero."""
    c = Canvas(width, 60 + 30 * len(rows) + 24, title)
    c.text(12, 18, title, "bold")
    axis = Axis([v for row in rows for v in row[1:]] + [0])
    room = c.width - name_width - 30

    def at(value):
        return name_width + room * axis.place(value)

    bottom = 36 + 30 * len(rows)
    for tick in axis.ticks():
        c.line(at(tick), 30, at(tick), bottom, "axis" if tick == 0 else "grid")
        c.text(at(tick), bottom + 16, label(tick, False), "small dim mid")
    for i, (name, middle, low, high) in enumerate(rows):
        y = 50 + 30 * i
        c.text(name_width - 12, y + 4, name, "small end")
        c.line(at(low), y, at(high), y, "line s0")
        for end in (low, high):
            c.line(at(end), y - 5, at(end), y + 5, "line s0")
        c.dot(at(middle), y, "f0", 4)
    return c.svg()
