"""The dashboard as a picture, laid out as Grafana would, from Prometheus' real answers."""

import math
import re

import matplotlib

matplotlib.use("svg")
from matplotlib import font_manager, patches  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.textpath import TextPath  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: E402

# Points. Grafana's grid has 24 columns; a line of it is a little higher than wide here, so that
# legends have room.
COLUMN, LINE, GAP, MARGIN = 45, 28, 6, 10
TITLE, TEXT, BIG = 13, 11.5, 21
PAPER, CARD, EDGE, GRID, INK, FAINT = "#111217", "#181b1f", "#2a2d33", "#2f3237", "#d5d6de", "#9fa1ab"
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#5ecbd6", "#c9a27e"]
STEPS = {"green": COLOURS[0], "orange": COLOURS[3], "red": COLOURS[4]}
FONT = ["DejaVu Sans", "Verdana", "Helvetica", "Arial", "sans-serif"]
# Series in a legend; the busiest are named, the others only drawn.
NAMED = 9


def draw(dashboard, scene, path):
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "uturn", "font.family": FONT[0]})
    height = max(panel.grid["y"] + panel.grid["h"] for panel in dashboard.panels) * LINE + 2 * MARGIN
    sheet = Sheet(24 * COLUMN + 2 * MARGIN, height)
    for panel in dashboard.panels:
        DRAWERS[panel.kind](sheet, panel, scene)
    sheet.save(path)


class Sheet:
    """A figure measured in points from its upper left corner."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor=PAPER)

    def save(self, path):
        self.figure.savefig(path, format="svg", facecolor=PAPER, metadata={"Date": None, "Creator": None})
        # The reader may not have the font that the picture was measured with.
        text = path.read_text().replace(f"'{FONT[0]}'", ", ".join(FONT))
        text = re.sub(r' d="[^"]*"', rounded, text)
        path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")

    def place(self, grid):
        """The rectangle of a panel: left, top, width, height."""
        left, top = MARGIN + grid["x"] * COLUMN, MARGIN + grid["y"] * LINE
        return left + GAP / 2, top + GAP / 2, grid["w"] * COLUMN - GAP, grid["h"] * LINE - GAP

    def card(self, left, top, width, height):
        box = patches.FancyBboxPatch(
            (left, self.height - top - height), width, height, boxstyle="round,pad=0,rounding_size=3",
            facecolor=CARD, edgecolor=EDGE, linewidth=0.8, transform=self.points(),
        )  # fmt: skip
        self.figure.add_artist(box)

    def text(self, x, y, words, size=TEXT, colour=INK, **more):
        self.figure.text(x / self.width, 1 - y / self.height, words, fontsize=size, color=colour, **more)

    def line(self, x, y, width, colour):
        mark = patches.Rectangle((x, self.height - y), width, 2.5, facecolor=colour, transform=self.points())
        self.figure.add_artist(mark)

    def axes(self, left, top, width, height):
        shape = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(shape, facecolor=CARD, zorder=2)  # Upon its card.

    def points(self):
        return matplotlib.transforms.Affine2D().scale(1 / self.width, 1 / self.height) + self.figure.transFigure


def rounded(path):
    """The places of a path to a tenth of a point, on one line."""
    places = re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), path[0])
    return " ".join(places.split("\n"))


def row(sheet, panel, _scene):
    left, top, _, height = sheet.place(panel.grid)
    sheet.text(left, top + height - 5, panel.title, TITLE + 1, INK, weight="bold")


def stat(sheet, panel, scene):
    left, top, width, height = sheet.place(panel.grid)
    sheet.card(left, top, width, height)
    sheet.text(left + 9, top + 18, panel.title, TITLE, FAINT)
    sample = scene.ask("query", query=panel.targets[0].expression, time=scene.ended)["result"][0]
    value = float(sample["value"][1])
    words = number(value, panel.unit, panel.decimals)
    if panel.shows_name:
        words = panel.targets[0].label(sample["metric"])
    size = min(BIG, TEXT * (width - 24) / width_of(words))
    middle = top + 18 + (height - 18) / 2
    sheet.text(left + width / 2, middle, words, size, colour_of(value, panel.steps), ha="center", va="center")


def colour_of(value, steps):
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return STEPS[reached[-1]] if reached else INK


def timeseries(sheet, panel, scene):
    left, top, width, height = sheet.place(panel.grid)
    sheet.card(left, top, width, height)
    sheet.text(left + 9, top + 18, panel.title, TITLE, INK, weight="bold")
    series = [line for target in panel.targets for line in lines(target, scene)]
    rows = legend_rows([name for name, _, _ in series[:NAMED]], width - 18)
    bottom = 16 * len(rows) + 24
    axes = sheet.axes(left + 62, top + 32, width - 74, height - 32 - bottom)
    plot(axes, panel, series)
    y = top + height - 16 * len(rows)
    for row in rows:
        x = left + 9
        for index, name in row:
            sheet.line(x, y + 2, 10, COLOURS[index % len(COLOURS)])
            sheet.text(x + 14, y + 4, name, TEXT, FAINT)
            x += 14 + width_of(name) + 10
        y += 16


def lines(target, scene):
    """The series of an expression: name, seconds since the beginning, values."""
    answer = scene.ask("query_range", query=target.expression, start=scene.begun + 6, end=scene.ended, step=1)
    for series in answer["result"]:
        points = [(float(at) - scene.begun, float(value)) for at, value in series["values"]]
        yield target.label(series["metric"]), *zip(*points)


def ticks_across(columns):
    """Ticks of an axis of time whose words do not touch, on a grid of 24 columns."""
    return 2 if columns < 6 else 4 if columns < 8 else 6


def plot(axes, panel, series):
    if panel.stacked:
        stack(axes, series)
    else:
        for index, (_, seconds, values) in enumerate(series):
            axes.plot(seconds, values, color=COLOURS[index % len(COLOURS)], linewidth=1.5)
    highest = panel.most or axes.get_ylim()[1]
    axes.set_ylim(0, highest if highest > 0 else 1)
    if not any(any(values) for _, _, values in series):
        axes.set_ylim(0, 1)
    axes.margins(x=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, panel.unit, None)))
    axes.xaxis.set_major_locator(MaxNLocator(ticks_across(panel.grid["w"]), integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=TEXT, length=0, pad=4)
    for spine in axes.spines.values():
        spine.set_visible(False)


def stack(axes, series):
    """Areas one upon the other; what a series has no value for counts as nothing."""
    moments = sorted({moment for _, seconds, _ in series for moment in seconds})
    below = [0.0] * len(moments)
    for index, (_, seconds, values) in enumerate(series):
        known = dict(zip(seconds, values))
        above = [low + known.get(moment, 0.0) for low, moment in zip(below, moments)]
        colour = COLOURS[index % len(COLOURS)]
        axes.fill_between(moments, below, above, color=colour, alpha=0.3, linewidth=0)
        axes.plot(moments, above, color=colour, linewidth=1.2)
        below = above


def legend_rows(names, width):
    """The names of a legend, each with its place in it, in rows that fit."""
    rows, room = [[]], width
    for index, name in enumerate(names):
        needed = 14 + width_of(name) + 10
        if needed > room and rows[-1]:
            rows.append([])
            room = width
        rows[-1].append((index, name))
        room -= needed
    return rows


def width_of(words):
    font = font_manager.FontProperties(family=FONT[0])
    return TextPath((0, 0), words, size=TEXT, prop=font).get_extents().width


def number(value, unit, decimals):
    """A value as Grafana writes it: of a few digits, with its unit."""
    if unit == "percentunit":
        return f"{value * 100:.{decimals or 0}f} %"
    if unit == "s":
        return span(value)
    letters = {"pps": "p/s", "bps": "b/s", "ops": "/s", "reqps": "/s"}.get(unit, "")
    scales = ["", "k", "M", "G", "T"]
    scale = min(int(math.log10(abs(value)) // 3), 4) if abs(value) >= 1000 else 0
    scaled = value / 1000**scale
    words = f"{scaled:.{decimals}f}" if decimals is not None and scale else f"{scaled:.3g}"
    return f"{words} {scales[scale]}{letters}".strip()


def span(seconds):
    for size, name in [(1, "s"), (1e-3, "ms"), (1e-6, "µs")]:
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return "0"


DRAWERS = {"row": row, "stat": stat, "timeseries": timeseries}
