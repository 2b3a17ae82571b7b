"""Plots of a calibration, as SVG files."""

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt

# The same bytes from the same numbers.
mpl.rcParams["svg.hashsalt"] = "abctl"
mpl.rcParams["svg.fonttype"] = "none"
_METADATA = {"Date": None, "Creator": None}
_COLORS = {"abctl": "#1b6ca8", "mSPRT": "#7f7f7f", "z-test": "#c0392b", "Bayes > 95%": "#e08e0b"}


def error_rates(path, results, looks, limit):
    """How many A/A experiments were rejected by each look; one panel a world."""
    columns = 3
    rows = -(-len(results) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(10, 2.6 * rows), sharex=True, sharey=True, layout="constrained"
    )
    at = np.unique(np.geomspace(1, looks, 200).astype(int))
    for panel in panels.flat[len(results) :]:
        panel.set_visible(False)
    for panel, (world, crossings) in zip(panels.flat, results.items(), strict=False):
        for rule, first in crossings.items():
            by = np.searchsorted(np.sort(first), at, side="right") / len(first)
            panel.plot(at, by, color=_COLORS[rule], label=rule, lw=2 if rule == "abctl" else 1.2)
        panel.axhline(limit, color="black", lw=0.6, ls=":")
        panel.set(title=world, xscale="log", ylim=(0, 1))
        panel.title.set_fontsize(9)
    figure.supxlabel("looks")
    figure.supylabel("rejected, although nothing differs")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, metadata=_METADATA)


def sample_sizes(path, results):
    """How many experiments have stopped by a multiple of the fixed size, under a true effect."""
    figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, (fixed, stops) in results.items():
        horizon = 2.5
        at = np.linspace(0.0, horizon, 250)
        by = np.searchsorted(np.sort(stops) / fixed, at, side="right") / len(stops)
        panel.plot(at[at < horizon], by[at < horizon], label=name, lw=1.4)
    panel.axvline(1.0, color="black", lw=0.6, ls=":")
    panel.axhline(0.8, color="black", lw=0.6, ls=":")
    panel.set(xlabel="sample over that of the fixed test", ylabel="stopped", ylim=(0, 1))
    panel.legend(fontsize=8, frameon=False, loc="lower right")
    figure.savefig(path, metadata=_METADATA)
