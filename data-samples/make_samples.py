#!/usr/bin/env python3
"""Makes this folder from the full data set: python3 make_samples.py DATA_DIR

DATA_DIR holds `mini-searchlight/` (302 video captures, `quick/` inside) and `services/` (120
captures), each with its labels.csv. Python 3 and gzip are enough. The same input gives the same
bytes: nothing is drawn at random, ties are broken by the SHA-256 of the capture's name.
"""

import collections
import csv
import hashlib
import lzma
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
VIDEO = ["encryption", "resolution", "streaming", "transport"]
SERVICE = ["service", "ip_version"]


def name_of(file):
    """Name of the capture: no folder, no compression suffix."""
    return pathlib.PurePosixPath(file).name.removesuffix(".xz")


def order(row):
    return hashlib.sha256(row["name"].encode()).hexdigest()


def read_labels(folder):
    with open(folder / "labels.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    for row in rows:
        row["name"] = name_of(row["file"])
        row["path"] = folder / row["file"]
    return sorted(rows, key=order)


def choose_balanced(rows, count):
    """Takes the capture whose labels (then pairs of labels) are rarest among those taken so far."""
    taken, single, pairs = [], collections.Counter(), collections.Counter()
    keys = lambda r: [(c, r[c]) for c in VIDEO]
    twos = lambda r: [(a, b) for i, a in enumerate(keys(r)) for b in keys(r)[i + 1 :]]
    while len(taken) < count:
        left = [r for r in rows if r not in taken]
        best = min(
            left,
            key=lambda r: (
                sum(single[k] ** 2 for k in keys(r)),
                sum(pairs[k] for k in twos(r)),
                order(r),
            ),
        )
        taken.append(best)
        single.update(keys(best))
        pairs.update(twos(best))
    return taken


def choose_services(rows):
    """One capture a class, IPv4 and IPv6 by turns over the classes in alphabetical order."""
    classes = sorted({r["service"] for r in rows})
    return [
        next(r for r in rows if r["service"] == c and r["ip_version"] == "46"[i % 2])
        for i, c in enumerate(classes)
    ]


def packet_bytes(row):
    data = row["path"].read_bytes()
    return lzma.decompress(data) if row["path"].suffix == ".xz" else data


def write_folder(folder, rows, columns, suffix):
    out = HERE / folder
    out.mkdir(exist_ok=True)
    rows = sorted(rows, key=lambda r: r["name"])
    for row in rows:
        data = packet_bytes(row)
        if suffix == ".gz":
            data = subprocess.run(["gzip", "-9n"], input=data, stdout=subprocess.PIPE, check=True).stdout
        (out / (row["name"] + suffix)).write_bytes(data)
    with open(out / "labels.csv", "w", newline="", encoding="utf-8") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["file", *columns, "packets"])
        for row in rows:
            table.writerow([row["name"] + suffix, *(row[c] for c in columns), row["packets"]])


def main():
    data = pathlib.Path(sys.argv[1])
    video, services = read_labels(data / "mini-searchlight"), read_labels(data / "services")
    role = {r["name"]: "base-train" for r in video + services}

    def give(rows, name):
        for row in rows:
            assert role[row["name"]] == "base-train"
            role[row["name"]] = name
        return rows

    free = lambda rows: [r for r in rows if role[r["name"]] == "base-train"]
    captures = give([r for r in video if r["file"].startswith("quick/")], "sample")
    held_out = give(choose_balanced(free(video), 24), "held-out-demo")
    give(choose_balanced(free(video), 24), "base-validation")
    sample = give(choose_services(services), "services-sample")
    for c in sorted({r["service"] for r in services}):
        for v in "46":
            give([next(r for r in free(services) if (r["service"], r["ip_version"]) == (c, v))],
                 "base-validation")

    write_folder("captures", captures, VIDEO, "")
    write_folder("held-out", held_out, VIDEO, ".gz")
    write_folder("services", sample, SERVICE, ".gz")
    with open(HERE / "split.csv", "w", newline="", encoding="utf-8") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["set", "file", "role", *VIDEO, *SERVICE, "packets"])
        for set_name, rows in [("mini-searchlight", video), ("services", services)]:
            for row in sorted(rows, key=lambda r: r["name"]):
                labels = [row.get(c, "") for c in VIDEO + SERVICE]
                table.writerow([set_name, row["name"], role[row["name"]], *labels, row["packets"]])
    files = sorted(p for d in ["captures", "held-out", "services"] for p in (HERE / d).iterdir())
    files.append(HERE / "split.csv")
    with open(HERE / "SHA256SUMS", "w", encoding="utf-8") as f:
        for path in files:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            f.write(f"{digest}  {path.relative_to(HERE).as_posix()}\n")


if __name__ == "__main__":
    main()
