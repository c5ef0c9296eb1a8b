#!/usr/bin/env python3
# plot.py - draws attn-bench's JSON rows as SVG pictures; installed as the command attn-plot.
# SPDX-License-Identifier: BSD-3-Clause
import html
import json
import math
import pathlib
import sys

HELP = """\
Usage: attn-plot FOLDER ROWS.json...

Draws what attn-bench --json wrote as SVG pictures, into a folder.

  --help                     this text

A dash in a picture stands for what did not run, or had no good pair. Rows of a shape, engine and thread
count that are there twice: the last ones count.

Pictures (those that the rows have something for)
  peak.svg                   fraction of the FMA peak, by shape and engine
  decode.svg                 fraction of the read bandwidth, in shapes that are memory-bound
  scaling.svg                speed on all threads by that on one
  growth.svg                 time and memory by N, of shapes G* and L*

Exit codes
  0  success
  2  the command line is wrong
  3  a file cannot be read or written, or has no rows of attn-bench

Examples
  attn-bench --json rows.json
  attn-plot pictures rows.json
"""

# Colours that all can tell apart (Okabe and Ito, 2008), in the order of the legend.
ENGINES = {
    "auto": ("libattn", "#0072b2"),
    "builtin": ("libattn, builtin products", "#56b4e9"),
    "blas": ("libattn, products by BLAS", "#56b4e9"),
    "onnxruntime": ("ONNX Runtime", "#e69f00"),
    "unfused-best": ("unfused BLAS, best kernels", "#009e73"),
    "unfused": ("unfused BLAS", "#d55e00"),
    "numpy": ("NumPy", "#cc79a7"),
}
PLOTTED = [engine for engine in ENGINES if engine not in ("builtin", "blas")]
INK, FAINT = "#222222", "#d0d0d0"
WIDTH, LEFT, RIGHT, PANEL, GAP, TOP, BOTTOM = 960, 70, 20, 210, 104, 84, 78


class Picture:
    """SVG, element by element."""

    def __init__(self, title, subtitle, engines, height):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
                      f'height="{height}" font-family="sans-serif" font-size="12" fill="{INK}">',
                      f"<title>{html.escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
        self.text(LEFT, 26, title, size=17, weight="bold")
        self.text(LEFT, 45, subtitle, size=11)
        x = LEFT
        for engine in engines:
            name, colour = ENGINES[engine]
            self.rect(x, 56, 12, 12, colour)
            self.text(x + 17, 66, name)
            x += 40 + 6.6 * len(name)

    def text(self, x, y, text, anchor="start", size=12, weight="normal", turn=None):
        rotation = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'font-weight="{weight}" stroke="#ffffff" stroke-width="3" paint-order="stroke"{rotation}>'
                          f"{html.escape(text)}</text>")

    def rect(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    def line(self, points, colour=INK, width=1.0, dashes=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def dot(self, x, y, colour, filled):
        fill = colour if filled else "#ffffff"
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="{colour}" stroke-width="1.8"/>')

    def save(self, path):
        path.write_text("\n".join(self.parts + ["</svg>"]) + "\n")
        print(path)


class Axes:
    """A panel with a vertical axis; low and high are its ends, logarithmic if is_log."""

    def __init__(self, picture, box, label, ends, is_log=False):
        self.picture, self.box, self.is_log = picture, box, is_log
        self.low, self.high = (math.log10(end) for end in ends) if is_log else ends
        x, y, _, height = box
        picture.text(x - 50, y + height / 2, label, anchor="middle", turn=-90)

    def height_of(self, value):
        value = math.log10(value) if self.is_log else value
        _, y, _, height = self.box
        return y + height - (value - self.low) / (self.high - self.low) * height

    def ticks(self, values, form):
        x, _, width, _ = self.box
        for value in values:
            y = self.height_of(value)
            self.picture.line([(x, y), (x + width, y)], FAINT)
            self.picture.text(x - 7, y + 4, form(value), anchor="end", size=11)

    def decades(self, form):
        self.ticks([10.0 ** power for power in range(math.ceil(self.low), math.floor(self.high) + 1)], form)


def draw_bars(axes, groups, engines, form):
    """groups: (lines of the label, {engine: value}); values above the axis are cut and have their number all the same."""
    x, y, width, height = axes.box
    picture, step = axes.picture, width / max(len(groups), 1)
    bar = min(step * 0.82 / len(engines), 34)
    for g, (label, values) in enumerate(groups):
        middle = x + (g + 0.5) * step
        for n, words_of_label in enumerate(label):
            picture.text(middle, y + height + 17 + 12 * n, words_of_label, anchor="middle", size=9 if n else 12)
        for e, engine in enumerate(engines):
            left = middle + (e - len(engines) / 2) * bar
            if values.get(engine) is None:
                picture.text(left + bar / 2, y + height - 4, "–", anchor="middle", size=10)
                continue
            top = max(axes.height_of(values[engine]), y)
            picture.rect(left + 1, top, bar - 2, y + height - top, ENGINES[engine][1])
            picture.text(left + bar / 2, top - 3, form(values[engine]), anchor="middle", size=9)
    picture.line([(x, y + height), (x + width, y + height)])


def bar_picture(path, title, rows, subtitle, panels):
    """panels: (heading, axis label, highest value, ticks, groups, form, the value of a dashed line)."""
    engines = [engine for engine in PLOTTED if any(row["engine"] == engine for row in rows)]
    picture = Picture(title, subtitle, engines, TOP + len(panels) * (PANEL + GAP) - GAP + BOTTOM)
    for p, (heading, label, highest, ticks, groups, form, reference) in enumerate(panels):
        box = (LEFT, TOP + 26 + p * (PANEL + GAP), WIDTH - LEFT - RIGHT, PANEL)
        picture.text(LEFT, box[1] - 12, heading, weight="bold")
        axes = Axes(picture, box, label, (0, highest))
        axes.ticks(ticks, form)
        y = axes.height_of(reference)
        picture.line([(LEFT, y), (WIDTH - RIGHT, y)], INK, 1.2, "6 4")
        draw_bars(axes, groups, engines, form)
    picture.save(path)


def percent(value):
    return f"{100 * value:.0f}" if value >= 0.0095 or value == 0 else f"{100 * value:.1f}"


def threads_of(rows):
    return sorted({row["threads"] for row in rows})


def words(threads):
    return "1 thread" if threads == 1 else f"{threads} threads"


def label_of(row):
    """The lines under a shape's bars."""
    lengths = str(row["len_k"]) if row["len_q"] == row["len_k"] else f"{row['len_q']} × {row['len_k']}"
    is_local = row["window_left"] is not None or row["window_right"] is not None
    rule = "local" if is_local else "causal" if row["causal"] else ""
    limit = f"of {row['read_gbytes_per_s']:.0f} GB/s" if row["read_gbytes_per_s"] else ""
    return row["shape"], f"{lengths}, D {row['dim']}", limit or rule


def groups_of(rows, key, threads):
    """(label, {engine: value}) in the order of the rows."""
    groups = {}
    for row in rows:
        if row["threads"] == threads:
            groups.setdefault(label_of(row), {})[row["engine"]] = row[key]
    return list(groups.items())


def machine(rows):
    row = rows[0]
    return f"{row['cpu']}, {row['isa'] or 'no'} kernels, {row['blas']} ({row['blas_core']}), libattn {row['version']}"


def plot_fractions(path, rows, title, label, key):
    highest = max(1.0, *(min(row[key] or 0, 1.2) for row in rows), 1.0)
    ticks = [fifth / 5 for fifth in range(6)]
    panels = []
    for threads in threads_of(rows):
        peak = max(row["fma_peak_gflops"] for row in rows if row["threads"] == threads)
        heading = words(threads) + (f", peak {peak:.0f} GFLOP/s" if key == "fraction_of_peak" else "")
        panels.append((heading, label, highest, ticks, groups_of(rows, key, threads), percent, 1.0))
    bar_picture(path, title, rows, machine(rows), panels)


def plot_scaling(path, rows):
    most = threads_of(rows)[-1]
    scaled = [row for row in rows if row["threads"] == most and row["ratio_to_one_thread"] is not None
              and row["engine"] in ("auto", "onnxruntime")]
    if most == 1 or not scaled:
        return
    highest = 1.15 * max(most, *(min(row["ratio_to_one_thread"], 1.3 * most) for row in scaled))
    ticks = [half / 2 for half in range(int(2 * highest) + 1)]
    groups = groups_of(scaled, "ratio_to_one_thread", most)
    panel = (f"speed on {words(most)} by that on one", "times as fast", highest, ticks, groups, "{:.1f}".format, most)
    bar_picture(path, "Thread scaling", scaled, machine(rows), [panel])


def plot_curves(axes, rows, engines, key):
    """A line for each engine and family of shapes, over N; full dots and lines for G, open and dashed for L."""
    x, y, width, height = axes.box
    lengths = sorted({row["len_k"] for row in rows})
    first, last = math.log2(lengths[0]), math.log2(lengths[-1])
    place = lambda length: x + 10 + (math.log2(length) - first) / max(last - first, 1) * (width - 20)
    for length in lengths:
        label = f"{length // 1024}K" if length >= 1024 else str(length)
        axes.picture.text(place(length), y + height + 17, label, anchor="middle", size=11)
    for engine in engines:
        for family in "GL":
            points = sorted((row["len_k"], key(row)) for row in rows
                            if row["engine"] == engine and row["shape"][0] == family and (key(row) or 0) > 0)
            points = [(place(length), axes.height_of(value)) for length, value in points]
            axes.picture.line(points, ENGINES[engine][1], 2, "" if family == "G" else "5 4")
            for point in points:
                axes.picture.dot(*point, ENGINES[engine][1], family == "G")
    axes.picture.line([(x, y + height), (x + width, y + height)])
    axes.picture.text(x + width / 2, y + height + 38, "N, queries and keys", anchor="middle")


def plot_growth(path, rows):
    rows = [row for row in rows if row["threads"] == 1] or rows
    engines = [engine for engine in PLOTTED if any(row["engine"] == engine for row in rows)]
    picture = Picture("Growth with N", f"{machine(rows)}; {words(rows[0]['threads'])}", engines, TOP + 2 * PANEL + 100)
    picture.text(WIDTH - RIGHT, 66, "●— one head, causal    ○-- eight heads, window of 256 keys, causal", anchor="end")
    width = (WIDTH - LEFT - RIGHT - 90) / 2
    memory = lambda row: row["rss_growth_kib"] / 1024 if row["rss_growth_kib"] else None
    for p, (heading, label, key) in enumerate([("time of a call", "milliseconds", lambda row: row["median_ms"]),
                                               ("memory grown by a call", "MiB", memory)]):
        values = [key(row) for row in rows if (key(row) or 0) > 0]
        if not values:
            continue
        box = (LEFT + p * (width + 90), TOP + 26, width, 2 * PANEL)
        picture.text(box[0], box[1] - 12, heading, weight="bold")
        axes = Axes(picture, box, label, (min(values) / 2, max(values) * 2), is_log=True)
        axes.decades("{:,g}".format)
        plot_curves(axes, rows, engines, key)
    picture.save(path)


def refuse(code, text):
    print(f"attn-plot: {text}", file=sys.stderr)
    sys.exit(code)


def load(paths):
    rows = {}
    for path in paths:
        try:
            for row in json.loads(pathlib.Path(path).read_text()):
                rows[row["shape"], row["engine"], row["threads"]] = row
        except (OSError, ValueError, KeyError, TypeError) as error:
            refuse(3, f"{path}: expected rows of attn-bench --json, got: {error}")
    return [row for row in rows.values() if row["engine"] in PLOTTED]


def main():
    if "--help" in sys.argv[1:]:
        print(HELP, end="")
        return
    if len(sys.argv) < 3:
        refuse(2, "expected a folder and files of rows; see attn-plot --help")
    folder, rows = pathlib.Path(sys.argv[1]), load(sys.argv[2:])
    folder.mkdir(parents=True, exist_ok=True)
    growth = [row for row in rows if row["shape"][0] in "GL"]
    others = [row for row in rows if row["shape"][0] not in "GL"]
    memory = [row for row in others if row["gbytes_per_s"] is not None]
    arithmetic = [row for row in others if row["gbytes_per_s"] is None and row["shape"] != "T0"]
    if arithmetic:
        plot_fractions(folder / "peak.svg", arithmetic, "Fraction of the FMA peak", "% of the peak", "fraction_of_peak")
    if memory:
        plot_fractions(folder / "decode.svg", memory, "Decoding: fraction of the read bandwidth",
                       "% of the bandwidth",
                       "fraction_of_bandwidth")
    if arithmetic or memory:
        plot_scaling(folder / "scaling.svg", arithmetic + memory)
    if growth:
        plot_growth(folder / "growth.svg", growth)


main()
