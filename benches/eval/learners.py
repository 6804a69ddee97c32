"""Our learners beside scikit-learn's, on one matrix, interleaved, in CPU seconds.

    cargo build --release -p trace-eval --example learner_cost
    python learners.py target/release/examples/learner_cost CAPTURES CATEGORY WORK_FOLDER [speed ROUNDS | accuracy SEEDS] [PACKETS]

The matrix is 342 captures x 1024 (or PACKETS) packets x 1088 columns; one thread each.

`speed`: each round takes one stratified 4 : 1 split and fits each learner of scikit-learn and ours on it, scikit-learn's
as they come (C order) and as they are fastest (Fortran order for trees, a precomputed Gram matrix for the SVM). CPU time
is this process's for scikit-learn (its fit alone, on float32 or float64 as it wants it, conversion not counted) and the
kernel's count over all threads of the other program for ours (fit and prediction). `build` is what all of ours need once:
bit planes and distinct cuts (`matrix`) and the Gram matrix (`gram`); it is added to the fit of our SVM. A round takes
minutes and 8 GB. Not run in CI.

`accuracy`: 5-fold accuracy of each seed on the same folds, and the mean difference with its standard error. Constant
columns are left out for scikit-learn's tree, and its SVM has a precomputed Gram matrix; neither changes what they learn.

One round on a busy 2-core machine, 302 captures and 40 varied copies, label resolution (529,102 live columns, 273,300
distinct cuts), scikit-learn 1.9.1:

              ours       as it comes        as it is fastest
tree          0.220 s    28.7 s  130.6 x    14.5 s  66.0 x
forest        0.226 s     5.4 s   23.7 x     4.1 s  18.3 x
importances   0.227 s     8.2 s   36.3 x     6.4 s  28.0 x   (forest included)
SVM           0.467 s    56.8 s  121.8 x     1.5 s   3.1 x   (matrix 0.309 s and Gram 0.155 s included)

Accuracy over 10 seeds on the same matrix, percent: tree 34.95 +- 2.30 beside 35.50 +- 2.27 (difference -0.56, standard error 0.68),
forest 38.66 +- 1.81 beside 38.77 +- 2.77 (-0.11, 1.04), SVM 39.62 +- 1.78 beside 39.65 +- 1.82 (-0.03, 0.03).
"""

import glob
import json
import os
import statistics
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier


SECONDS, RIGHT = {}, {}


def main():
    program, captures, category, folder = sys.argv[1:5]
    mode, count = sys.argv[5:7] if len(sys.argv) > 6 else ("speed", "3")
    packets = sys.argv[7] if len(sys.argv) > 7 else "1024"
    path = os.path.join(folder, "X.npy")
    ours = Program([program, captures, category, "342", packets, path])
    x8 = np.load(path, mmap_mode="r")
    y = np.loadtxt(os.path.join(folder, "X.labels"), dtype=int)
    print(x8.shape, "classes", np.bincount(y).tolist(), ours.hello, flush=True)
    {"speed": speed, "accuracy": accuracy}[mode](ours, x8, y, int(count))


def speed(ours, x8, y, rounds):
    for seed in range(rounds):
        test = np.array(ours.ask(f"folds {seed}")) == 0
        train_x, test_x = x8[~test].astype(np.float32), x8[test].astype(np.float32)
        train_y, test_y = y[~test], y[test]

        def fit(name, use, model, data, tested):
            begun = time.process_time()
            model.fit(data, train_y)
            note(name, use, time.process_time() - begun)
            RIGHT.setdefault(name, {}).setdefault(use, []).append(float((model.predict(tested) == test_y).mean()))
            return model

        for use in ("stock", "tuned"):
            data = np.asfortranarray(train_x) if use == "tuned" else train_x
            fit("tree", use, DecisionTreeClassifier(random_state=seed), data, test_x)
            forest = fit("forest", use, RandomForestClassifier(random_state=seed), data, test_x)
            begun = time.process_time()
            forest.feature_importances_
            note("importances", use, SECONDS["forest"][use][-1] + time.process_time() - begun)
            del data, forest
        begun = time.process_time()
        gram = train_x @ train_x.T
        product = time.process_time() - begun
        fit("svm", "tuned", SVC(kernel="precomputed"), gram, test_x @ train_x.T)
        SECONDS["svm"]["tuned"][-1] += product
        wide = train_x.astype(np.float64)
        del train_x
        fit("svm", "stock", SVC(kernel="linear"), wide, test_x)
        del wide
        built = {job: ours.timed(job)[1] for job in ("matrix", "gram")}
        for job, cpu in built.items():
            note(job, "ours", cpu)
        for name in ("tree", "forest", "importances", "svm"):
            answer, cpu = ours.timed(f"{name} {seed}")
            note(name, "ours", cpu + (sum(built.values()) if name == "svm" else 0.0))
            RIGHT.setdefault(name, {}).setdefault("ours", []).append(answer["accuracy"])
        for name, by_use in SECONDS.items():
            report(name, {use: statistics.median(values) for use, values in by_use.items()})
        print(f"-- {seed + 1} rounds; peak of ours {ours.peak_mib()} MiB", flush=True)


def note(name, use, cpu):
    SECONDS.setdefault(name, {}).setdefault(use, []).append(cpu)


def report(name, seconds):
    line = f"{name:12} ours {seconds['ours']:8.4f} s"
    for use in ("stock", "tuned"):
        if use in seconds:
            pairs = zip(SECONDS[name][use], SECONDS[name]["ours"])
            ratio = statistics.median(theirs / ours for theirs, ours in pairs)
            line += f"  {use} {seconds[use]:7.2f} s = {ratio:6.1f} x"
    print(line)


def accuracy(ours, x8, y, seeds):
    columns = np.ascontiguousarray(x8.T)
    live = (columns != columns[:, :1]).any(1)
    columns = columns.astype(np.float32)
    gram = sum(part.T @ part for part in (columns[a : a + 100_000].astype(np.float64) for a in range(0, len(columns), 100_000)))
    by_name = {"tree": columns[live], "forest": columns}
    found = {name: [] for name in ("tree", "forest", "svm")}
    for seed in range(seeds):
        fold_of, mine = np.array(ours.ask(f"folds {seed}")), ours.ask(f"cross {seed}")
        theirs = dict.fromkeys(found, 0.0)
        for fold in range(5):
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            for name in found:
                model = {
                    "tree": DecisionTreeClassifier(random_state=seed),
                    "forest": RandomForestClassifier(random_state=seed),
                    "svm": SVC(kernel="precomputed"),
                }[name]
                if name == "svm":
                    train_x, test_x = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
                else:
                    train_x, test_x = by_name[name][:, train].T, by_name[name][:, test].T
                model.fit(train_x, y[train])
                theirs[name] += (model.predict(test_x) == y[test]).mean() / 5
        for name, pairs in found.items():
            pairs.append((100 * mine[name], 100 * theirs[name]))
        print(seed, {name: [round(float(v), 2) for v in pairs[-1]] for name, pairs in found.items()}, flush=True)
    for name, pairs in found.items():
        pairs = np.array(pairs)
        gap = pairs[:, 0] - pairs[:, 1]
        (mean_a, mean_b), (sd_a, sd_b) = pairs.mean(0), pairs.std(0, ddof=1)
        error = gap.std(ddof=1) / len(gap) ** 0.5
        print(f"{name:7} ours {mean_a:.2f} +- {sd_a:.2f}, scikit-learn {mean_b:.2f} +- {sd_b:.2f}, difference {gap.mean():+.2f} +- {error:.2f}")


class Program:
    def __init__(self, command):
        environment = dict(os.environ, RAYON_NUM_THREADS="1")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.hello = self.process.stdout.readline().strip()

    def ask(self, job):
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def timed(self, job):
        before = self.cpu()
        answer = self.ask(job)
        return answer, self.cpu() - before

    def cpu(self):
        threads = glob.glob(f"/proc/{self.process.pid}/task/*/schedstat")
        return sum(int(open(t).read().split()[0]) for t in threads) / 1e9

    def peak_mib(self):
        status = open(f"/proc/{self.process.pid}/status").read()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024


main()
