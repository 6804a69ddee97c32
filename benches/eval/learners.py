"""Our learners beside scikit-learn's, on one matrix, interleaved, in CPU seconds.

    cargo build --release -p trace-eval --example learner_cost
    python learners.py target/release/examples/learner_cost CAPTURES CATEGORY WORK_FOLDER [ROUNDS]

Each round takes one stratified 4 : 1 split of 342 captures x 1024 packets x 1088 columns and fits each learner of
scikit-learn and ours on it, one thread each. CPU time is this process's for scikit-learn (its fit alone, on float32
or float64 as it wants it, conversion not counted) and the kernel's count over all threads of the other program for
ours (fit and prediction). `build` is what all of ours need once: bit planes, distinct cuts and Gram matrix. The
last lines are medians and mean accuracies.

One round on a busy 2-core machine, 302 captures and 40 varied copies, label resolution (529,102 live columns, 273,300
distinct cuts), scikit-learn 1.9.1: tree 0.203 s against 23.9 s; forest of 100 0.78 s against 4.9 s, with importances
0.86 s against 8.8 s (before node sweeps were batched; 0.90 s became 0.52 s, the latter measured apart from
scikit-learn); SVM 0.003 s plus 0.91 s for matrix and Gram against 55.7 s; our peak 313 MiB. Not run in CI: a round takes about two minutes of CPU and 7 GB.
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


def main():
    program, captures, category, folder = sys.argv[1:5]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 10
    path = os.path.join(folder, "X.npy")
    ours = Program([program, captures, category, "342", "1024", path])
    x8 = np.load(path)
    y = np.loadtxt(os.path.join(folder, "X.labels"), dtype=int)
    print(x8.shape, "classes", np.bincount(y).tolist(), ours.hello, flush=True)
    x = x8.astype(np.float32)
    del x8
    seconds, accuracy = {}, {}

    def note(name, who, cpu, right):
        seconds.setdefault(name, {}).setdefault(who, []).append(cpu)
        accuracy.setdefault(name, {}).setdefault(who, []).append(right)

    for seed in range(rounds):
        test = np.array(ours.ask(f"folds {seed}")[0]) == 0
        for name in ["tree", "forest", "importances", "svm"]:
            model = {
                "tree": lambda: DecisionTreeClassifier(random_state=seed),
                "svm": lambda: SVC(kernel="linear"),
            }.get(name, lambda: RandomForestClassifier(random_state=seed))()
            train_x = np.ascontiguousarray(x[~test], dtype=np.float64 if name == "svm" else np.float32)
            begun = time.process_time()
            model.fit(train_x, y[~test])
            if name == "importances":
                model.feature_importances_
            cpu = time.process_time() - begun
            del train_x
            note(name, "theirs", cpu, float((model.predict(x[test]) == y[test]).mean()))
            del model
            answer, cpu = ours.ask(f"{name} {seed}")
            note(name, "ours", cpu, answer["accuracy"])
        note("build", "ours", ours.ask("build")[1], 0.0)
        for name in seconds:
            report(name, seconds[name], accuracy[name])
        print(f"-- {seed + 1} rounds; peak of ours {ours.peak_mib()} MiB", flush=True)


def report(name, seconds, accuracy):
    ours = statistics.median(seconds["ours"])
    line = f"{name:12} ours {ours:8.4f} s"
    if "theirs" in seconds:
        theirs = statistics.median(seconds["theirs"])
        means = [100 * statistics.mean(accuracy[who]) for who in ("theirs", "ours")]
        line += f"  theirs {theirs:8.3f} s  ratio {theirs / ours:7.1f}  accuracy {means[0]:.1f} / {means[1]:.1f} %"
    print(line)


class Program:
    def __init__(self, command):
        environment = dict(os.environ, RAYON_NUM_THREADS="1")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.hello = self.process.stdout.readline().strip()

    def ask(self, job):
        before = self.cpu()
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer, self.cpu() - before

    def cpu(self):
        threads = glob.glob(f"/proc/{self.process.pid}/task/*/schedstat")
        return sum(int(open(t).read().split()[0]) for t in threads) / 1e9

    def peak_mib(self):
        status = open(f"/proc/{self.process.pid}/status").read()
        return int(status.split("VmHWM:")[1].split()[0]) // 1024


main()
