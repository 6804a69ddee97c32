#!/usr/bin/env python3
"""Draws losses.svg beside this file from the four files of losses.

Grey: the loss of every 10th step; blue: the mean of 50 steps. Logarithmic where the loss spans decades.
"""
import csv
import math
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT, PAD = 300, 200, 36


def panel(name, left):
    rows = list(csv.DictReader(open(HERE / f"{name}.csv")))
    steps = [int(r["step"]) for r in rows]
    loss = [float(r["loss"]) for r in rows]
    mean = [sum(loss[max(0, i - 49):i + 1]) / len(loss[max(0, i - 49):i + 1]) for i in range(len(loss))]
    scale = math.log10 if max(loss) / min(loss) > 50 else (lambda v: v)
    lo, hi = min(map(scale, loss)), max(map(scale, loss))
    x = lambda s: left + PAD + (WIDTH - PAD - 8) * s / steps[-1]
    y = lambda v: 24 + (HEIGHT - 48) * (hi - scale(v)) / (hi - lo)
    line = lambda ys, colour, width, every: (
        f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="'
        + " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in list(zip(steps, ys))[::every]) + '"/>')
    text = lambda tx, ty, s, anchor: f'<text x="{tx:.0f}" y="{ty:.0f}" text-anchor="{anchor}">{s}</text>'
    return "".join([
        line(loss, "#bbb", 0.7, 10), line(mean, "#1f5fa8", 1.6, 10),
        text(left + WIDTH / 2, 14, name, "middle"),
        text(left + PAD - 4, y(max(loss)) + 4, f"{max(loss):.3g}", "end"),
        text(left + PAD - 4, y(min(loss)) + 4, f"{min(loss):.3g}", "end"),
        text(left + WIDTH - 8, HEIGHT - 8, f"step {steps[-1]}", "end"),
    ])


names = ["autoencoder", "edge-reader", "denoiser", "control"]
body = "".join(panel(n, i * WIDTH) for i, n in enumerate(names))
(HERE / "losses.svg").write_text(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * len(names)}" height="{HEIGHT}" '
    f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n')
