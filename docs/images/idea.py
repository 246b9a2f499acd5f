"""
Draw `idea.svg`: two encoders, one decoder, removal of the salient part. Run the file to draw it again.

The one copy lies in the package, since reports show it too.
"""

import io
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon, Rectangle

import sepvae.report
from sepvae.plotting.palette import BACKGROUND, COMMON, NEUTRAL, OTHERS, SALIENT, TARGET

TISSUE, VENTRICLE, FAINT = "#D9D9D9", "#8C8C8C", "#F6F6F6"
CONTROL, PATIENT = (5.5, 7.2, 0.8), (6.5, 6.8, 1.35)  # half width, half height, size of ventricles
LESIONS = ((-4.1, 2.2, 2.4, 2.0), (3.1, -3.4, 2.1, 2.8))  # x, y, width, height
CONTROL_CODE, PATIENT_CODE, SALIENT_CODE = (0.9, 0.3, 0.6), (0.35, 0.85, 0.55), (0.9, 0.45, 0.7)  # shades

IMAGE, ENCODER, CODE, DECODER, DECODED, SUBTRACT, DIFFERENCE = 10, 36, 59.5, 80, 106, 123, 137  # columns
TOP, MIDDLE, BOTTOM = 47, 26.5, 6  # rows: background, target without its salient part, target
BETWEEN = (MIDDLE + BOTTOM) / 2
STYLE = {
    "svg.hashsalt": "sepvae",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": 11.5,
    "text.color": NEUTRAL,
}


def draw_idea() -> Figure:
    """Return the picture, from left to right: images, encoders, codes, decoder, decoded images."""
    figure = Figure(figsize=(14.7, 6.6))
    ax = figure.add_axes((0, 0, 1, 1), xlim=(-0.5, 146.5), ylim=(-6.5, 59.5), aspect="equal")
    ax.set_axis_off()
    draw_inputs(ax)
    draw_codes(ax)
    draw_outputs(ax)
    return figure


def draw_inputs(ax: Axes) -> None:
    """Draw a control, a patient and the two encoders that read both."""
    for y, shape, color, name, who in (
        (TOP, CONTROL, BACKGROUND, "background", "healthy controls"),
        (BETWEEN, PATIENT, TARGET, "target", "patients"),
    ):
        brain(ax, IMAGE, y, shape, lesions=color == TARGET)
        caption(ax, IMAGE, y, name, who, color)
        for network in (TOP - 7, BETWEEN - 4):
            arrow(ax, (IMAGE + 8, y), (ENCODER - 6.5, network + (y - network) * 0.12))
    trapezoid(ax, ENCODER, TOP - 7, (8, 4), COMMON, "common\nencoder\n$q(c\\,|\\,x)$")
    trapezoid(ax, ENCODER, BETWEEN - 4, (8, 4), SALIENT, "salient\nencoder\n$q(s\\,|\\,x)$")


def draw_codes(ax: Axes) -> None:
    """Draw the codes [c, s] that the decoder reads: c always, s of targets only."""
    for y, common, salient in (
        (TOP, CONTROL_CODE, None),
        (MIDDLE, PATIENT_CODE, None),
        (BOTTOM, PATIENT_CODE, SALIENT_CODE),
    ):
        cells(ax, y + 3.9, COMMON, common, "$c$")
        cells(ax, y - 3.9, SALIENT, salient, "$s$" if salient else "$s'=0$")
        arrow(ax, (ENCODER + 6.5, TOP - 7 + (y - TOP) * 0.07), (CODE - 2.2, y + 3.9), COMMON)
        arrow(ax, (CODE + 9, y), (DECODER - 6.5, y))
    arrow(ax, (ENCODER + 6.5, BETWEEN - 4), (CODE - 2.2, BOTTOM - 3.9), SALIENT)
    trapezoid(ax, DECODER, MIDDLE, (24, 28), NEUTRAL, "decoder\n$p(x\\,|\\,c, s)$")


def draw_outputs(ax: Axes) -> None:
    """Draw the decoded images, and the difference that the salient code makes."""
    for y, shape, lesions, name, code in (
        (TOP, CONTROL, False, "background", "$[c,\\ s'=0]$"),
        (MIDDLE, PATIENT, False, "without salient part", "$[c,\\ s'=0]$"),
        (BOTTOM, PATIENT, True, "full reconstruction", "$[c,\\ s]$"),
    ):
        arrow(ax, (DECODER + 6.5, y), (DECODED - 8, y))
        brain(ax, DECODED, y, shape, lesions)
        caption(ax, DECODED, y, name, f"decoded from {code}", NEUTRAL)
    for y, bend in ((MIDDLE, -0.25), (BOTTOM, 0.25)):
        arrow(ax, (DECODED + 8, y), (SUBTRACT, BETWEEN + np.sign(y - BETWEEN) * 2.2), bend=bend)
    ax.add_patch(Circle((SUBTRACT, BETWEEN), 1.8, facecolor="white", edgecolor=NEUTRAL, linewidth=1.4))
    ax.text(SUBTRACT, BETWEEN, "$-$", ha="center", va="center_baseline", size=17)
    arrow(ax, (SUBTRACT + 2.2, BETWEEN), (DIFFERENCE - 7.6, BETWEEN))
    brain(ax, DIFFERENCE, BETWEEN, PATIENT, lesions=True, tissue=False)
    caption(ax, DIFFERENCE, BETWEEN, "difference", "what the salient code adds", SALIENT)


def brain(
    ax: Axes, x: float, y: float, shape: tuple[float, float, float], lesions: bool, tissue: bool = True
) -> None:
    """Draw a slice: outline and ventricles differ between all people, lesions are of patients only."""
    width, height, size = shape
    angle = np.linspace(0, 2 * np.pi, 181)
    radius = 1 - 0.035 * np.abs(np.cos(9 * angle)) ** 3 - 0.05 * np.exp(-((np.cos(angle) / 0.08) ** 2))
    edge = np.column_stack([x + width * radius * np.cos(angle), y + height * radius * np.sin(angle)])
    face, line = (TISSUE, "-") if tissue else ("none", ":")
    ax.add_patch(Polygon(edge, facecolor=face, edgecolor=OTHERS, linewidth=1.3, linestyle=line))
    if tissue:
        ax.plot([x, x], [y - 0.9 * height, y + 0.9 * height], color="white", linewidth=1.2)
        for side in (-1, 1):
            ventricle = Ellipse((x + side * size, y), 1.5 * size, 4.4 * size, angle=-14 * side)
            ventricle.set(facecolor=VENTRICLE, edgecolor="none")
            ax.add_patch(ventricle)
    for across, up, wide, high in LESIONS if lesions else ():
        ax.add_patch(Ellipse((x + across, y + up), wide, high, facecolor=SALIENT, edgecolor="none"))


def trapezoid(ax: Axes, x: float, y: float, half_heights: tuple[float, float], color: str, name: str) -> None:
    """Draw a network, wide at the side of images and narrow at the side of codes."""
    left, right = half_heights
    corners = [(x - 6, y - left), (x - 6, y + left), (x + 6, y + right), (x + 6, y - right)]
    ax.add_patch(Polygon(corners, facecolor=FAINT, edgecolor=color, linewidth=2, joinstyle="round"))
    ax.text(x, y, name, ha="center", va="center", color=color, linespacing=1.35)


def cells(ax: Axes, y: float, color: str, shades: tuple[float, ...] | None, name: str) -> None:
    """Draw a code as a column of cells, empty for s' = 0."""
    for row, shade in enumerate(shades or (0, 0, 0)):
        cell = Rectangle((CODE - 1.2, y + 1.2 - 2.4 * row), 2.4, 2.4, linewidth=1.3)
        cell.set(facecolor=(color, shade), edgecolor=color if shades else OTHERS)
        ax.add_patch(cell)
    ax.text(CODE + 2.4, y, name, va="center", color=color if shades else NEUTRAL, size=13)


def caption(ax: Axes, x: float, y: float, name: str, below: str, color: str) -> None:
    """Write two lines below an image."""
    ax.text(x, y - 9, name, ha="center", va="center", color=color, weight="bold")
    ax.text(x, y - 11.2, below, ha="center", va="center", size=10)


def arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str = OTHERS, bend: float = 0
) -> None:
    """Draw an arrow between two points."""
    style = {"arrowstyle": "-|>", "mutation_scale": 13, "linewidth": 1.5, "color": color}
    ax.add_patch(
        FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0, **style)
    )


def compact(svg: str) -> str:
    """Return a drawing of matplotlib without metadata, in tenths of a point: two thirds of its bytes."""

    def rounded(number: re.Match[str]) -> str:
        value = float(number[0])
        return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.4g}"  # below 1 are factors

    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"\d+\.\d+", rounded, svg)).strip() + "\n"


if __name__ == "__main__":
    drawn = io.StringIO()
    with mpl.rc_context(STYLE):
        draw_idea().savefig(drawn, format="svg", metadata={"Date": None})
    Path(sepvae.report.__file__).with_name("idea.svg").write_text(compact(drawn.getvalue()), encoding="utf-8")
