"""Makes cases.json: measures of numbers, histograms, points and flows by NumPy, SciPy and scikit-learn.

    python3 make_statistics.py        # needs numpy, scipy, scikit-learn; writes cases.json beside itself
"""

import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.spatial.distance import cdist, jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.metrics import mutual_info_score

rng = np.random.default_rng(20)
cases = []


def case(measure, inputs, expected):
    cases.append({"measure": measure, "input": inputs, "expected": expected})


# Two samples of numbers.
for a, b in [
    (rng.normal(size=40), rng.normal(1, 2, size=60)),
    (rng.integers(0, 6, 50).astype(float), rng.integers(2, 9, 7).astype(float)),
    (np.full(5, 3.0), np.full(9, 3.0)),
    (np.array([1.0]), np.array([-2.5, 4.0])),
    (np.exp(rng.normal(size=200)) * 1e3, np.exp(rng.normal(0.1, size=150)) * 1e3),
]:
    case(
        "numbers",
        {"a": a.tolist(), "b": b.tolist()},
        {"wasserstein": wasserstein_distance(a, b), "kolmogorov_smirnov": ks_2samp(a, b).statistic},
    )

# Two histograms over values.
for a, b in [
    (rng.integers(0, 20, 300), rng.integers(5, 40, 200)),
    (rng.integers(0, 4, 64), rng.integers(0, 4, 1000)),
    (np.array([7] * 10), np.array([7] * 3)),
    (np.array([1, 2]), np.array([3, 4, 4])),
    (rng.integers(0, 2**32, 500), rng.integers(0, 2**32, 500)),
]:
    values = np.union1d(a, b)
    p = np.array([(a == v).sum() for v in values]) / len(a)
    q = np.array([(b == v).sum() for v in values]) / len(b)
    js = jensenshannon(p, q, base=2)
    case(
        "values",
        {"a": a.tolist(), "b": b.tolist()},
        {
            "js_distance": 0.0 if np.isnan(js) else js,
            "total_variation": np.abs(p - q).sum() / 2,
            "hellinger": np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2),
        },
    )

# Autocorrelation.
for series in [rng.normal(size=80), np.cumsum(rng.normal(size=50)), np.arange(30) % 3 * 1.0]:
    centred = series - series.mean()
    found = [float((centred[:-k] * centred[k:]).sum() / (centred**2).sum()) for k in range(1, 8)]
    case("autocorrelation", {"values": series.tolist()}, found)

# Mutual information.
for _ in range(4):
    x = rng.integers(0, 5, 400)
    y = (x + rng.integers(0, 3, 400)) % 4
    joint = np.zeros((5, 4), int)
    np.add.at(joint, (x, y), 1)
    case(
        "mutual_information",
        {"joint": joint.ravel().tolist(), "columns": 4},
        mutual_info_score(x, y) / np.log(2),
    )


# Sets of points.
def mmd(x, y):
    z = np.vstack([x, y])
    d = cdist(z, z)
    width = np.median(d[np.triu_indices(len(z), 1)])
    k = np.exp(-(d**2) / (2 * width**2))
    m, n = len(x), len(y)
    kxx, kyy, kxy = k[:m, :m], k[m:, m:], k[:m, m:]
    within = (kxx.sum() - m) / (m * (m - 1)) + (kyy.sum() - n) / (n * (n - 1))
    return within - 2 * kxy.mean()


def manifold(x, y, k):
    real = np.sort(cdist(x, x), axis=1)[:, k]  # column 0 is the point itself
    generated = np.sort(cdist(y, y), axis=1)[:, k]
    d = cdist(x, y)
    inside = d <= real[:, None]
    return {
        "precision": inside.any(0).mean(),
        "recall": (d <= generated[None, :]).any(1).mean(),
        "density": inside.sum(0).mean() / k,
        "coverage": inside.any(1).mean(),
    }


def vendi(x, width):
    k = np.exp(-(cdist(x, x) ** 2) / (2 * width**2)) / len(x)
    values = np.linalg.eigvalsh(k)
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


for x, y, k in [
    (rng.normal(size=(30, 6)), rng.normal(size=(25, 6)), 5),
    (rng.normal(size=(20, 3)), rng.normal(1.5, size=(20, 3)), 3),
    (rng.normal(size=(15, 2)), rng.normal(0, 0.2, size=(31, 2)), 4),
]:
    points = {"a": x.tolist(), "b": y.tolist()}
    case("mmd", points, mmd(x, y))
    case("manifold", {**points, "k": k}, manifold(x, y, k))
    case("vendi", {"points": x.tolist(), "width": 1.7}, vendi(x, 1.7))


# A flow of TCP packets.
def flow_features(t_ns, forward, payload, header, flags, window, source, destination):
    t, f = np.array(t_ns) / 1e3, np.array(forward)
    payload, header, flags = np.array(payload, float), np.array(header, float), np.array(flags)
    out = {}

    def stats(prefix, v, total=False):
        v = np.asarray(v, float)
        out[f"{prefix} Mean"] = v.mean() if len(v) else 0.0
        out[f"{prefix} Std"] = v.std(ddof=1) if len(v) > 1 else 0.0
        out[f"{prefix} Max"] = v.max() if len(v) else 0.0
        out[f"{prefix} Min"] = v.min() if len(v) else 0.0
        if total:
            out[f"{prefix} Total"] = v.sum()

    seconds = (t[-1] - t[0]) / 1e6
    stats("Flow IAT", np.diff(t))
    stats("Fwd IAT", np.diff(t[f]), True)
    stats("Bwd IAT", np.diff(t[~f]), True)
    stats("Fwd Packet Length", payload[f])
    stats("Bwd Packet Length", payload[~f])
    stats("Packet Length", payload)
    pauses = np.diff(t)
    edges = np.flatnonzero(pauses > 5e6)
    starts, ends = np.r_[0, edges + 1], np.r_[edges, len(t) - 1]
    active = t[ends] - t[starts]
    stats("Active", active[active > 0])
    stats("Idle", pauses[pauses > 5e6])
    subflows = 1 + (pauses > 1e6).sum()
    out.update(
        {
            "Dst Port": destination,
            "Protocol": 6,
            "Flow Duration": t[-1] - t[0],
            "Total Fwd Packet": f.sum(),
            "Total Bwd packets": (~f).sum(),
            "Total Length of Fwd Packet": payload[f].sum(),
            "Total Length of Bwd Packet": payload[~f].sum(),
            "Flow Bytes/s": payload.sum() / seconds,
            "Flow Packets/s": len(t) / seconds,
            "Fwd Packets/s": f.sum() / seconds,
            "Bwd Packets/s": (~f).sum() / seconds,
            "Packet Length Variance": payload.var(ddof=1),
            "Fwd Header Length": header[f].sum(),
            "Bwd Header Length": header[~f].sum(),
            "Down/Up Ratio": (~f).sum() / f.sum(),
            "Average Packet Size": payload.mean(),
            "Fwd Segment Size Avg": payload[f].mean(),
            "Bwd Segment Size Avg": payload[~f].mean(),
            "Subflow Fwd Packets": f.sum() / subflows,
            "Subflow Bwd Packets": (~f).sum() / subflows,
            "Subflow Fwd Bytes": payload[f].sum() / subflows,
            "Subflow Bwd Bytes": payload[~f].sum() / subflows,
            "FWD Init Win Bytes": window[int(np.flatnonzero(f)[0])],
            "Bwd Init Win Bytes": window[int(np.flatnonzero(~f)[0])],
            "Fwd Act Data Pkts": (payload[f] > 0).sum(),
            "Fwd Seg Size Min": header[f].min(),
        }
    )
    for bit, name in enumerate(["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]):
        out[f"{name} Flag Count"] = ((flags >> bit) & 1).sum()
    for way, mask in [("Fwd", f), ("Bwd", ~f)]:
        for bit, name in [(3, "PSH"), (5, "URG")]:
            out[f"{way} {name} Flags"] = ((flags[mask] >> bit) & 1).sum()
    bulks = {True: [], False: []}
    run = []
    for i in np.flatnonzero(payload > 0).tolist() + [None]:
        if run and (i is None or f[i] != f[run[0]] or t[i] - t[run[-1]] > 1e6):
            if len(run) >= 4:
                bulks[bool(f[run[0]])].append(run)
            run = []
        if i is not None:
            run.append(i)
    for way, key in [("Fwd", True), ("Bwd", False)]:
        runs = bulks[key]
        size = sum(payload[r].sum() for r in runs)
        time = sum(t[r[-1]] - t[r[0]] for r in runs) / 1e6
        out[f"{way} Bytes/Bulk Avg"] = size / len(runs) if runs else 0.0
        out[f"{way} Packet/Bulk Avg"] = sum(map(len, runs)) / len(runs) if runs else 0.0
        out[f"{way} Bulk Rate Avg"] = size / time if time > 0 else 0.0
    return {k: float(v) for k, v in out.items()}


for packets in [12, 90, 400]:
    gaps = np.where(rng.random(packets) < 0.06, rng.integers(1, 9, packets) * 10**9, 0)
    gaps = gaps + rng.integers(1_000, 30_000_000, packets)
    flow = {
        "time_ns": (np.cumsum(gaps) + 1_700_000_000_000_000_000).tolist(),
        "forward": [True, False] + (rng.random(packets - 2) < 0.3).tolist(),
        "payload_bytes": np.where(rng.random(packets) < 0.3, 0, rng.integers(1, 1400, packets)).tolist(),
        "header_bytes": rng.choice([20, 32, 40], packets).tolist(),
        "flags": rng.integers(0, 256, packets).tolist(),
        "window": rng.integers(0, 65536, packets).tolist(),
        "source_port": 40000,
        "destination_port": 443,
    }
    start = flow["time_ns"][0]
    case("flow", flow, flow_features([x - start for x in flow["time_ns"]], *list(flow.values())[1:]))

made_with = f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
text = json.dumps({"made_with": made_with, "cases": cases}, default=float)
(Path(__file__).parent / "cases.json").write_text(text + "\n")
