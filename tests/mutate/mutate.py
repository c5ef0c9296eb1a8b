# mutate.py - changes the code of src/ in small ways, one at a time, and looks whether a test notices:
#     python3 tests/mutate/mutate.py [--count N] [--seed N] [--only REGEX] FOLDER
# SPDX-License-Identifier: BSD-3-Clause
#
# FOLDER gets a copy of the tree, which ninja builds anew after each change; nothing else is touched. Results
# are lines of FOLDER/results.tsv; a second run goes on where the first one ended. What no test can notice is
# listed in explained.txt, with the reason, and not counted. The exit code is 1 where a mutant survives that is
# not listed, or fewer are killed than --least says.
import argparse
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from mutants import mutants_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SLACK = 10  # a test that computes so many times as long as without a change hangs
STUCK = 120  # seconds after which a test waits for ever
ROUNDS = "25"

# Test programs, with what they have in their environment; the quick ones first.
QUICK = ["ahead", "api", "refused", "refused_verbs", "sizes", "base", "check", "kv", "plan", "splits", "cpu", "workers", "queue", "random",
         "score", "local"]
SLOW = {
    r"thirds|bfloat|meet|plan": ["thirds ATTN_TEST_UNEMULATED=1", "bfloat", "weigh"],
    r"linear|product|bfloat": ["linear ATTN_TEST_UNEMULATED=1"],
    r"tiled|meet|floats|plan|finish|tile|kv|score|problem": ["tiled", "decode"],
    r"self|linear|resolve|norm|base|check|problem": ["self"],
    r"context|api|workers|plan": ["context"],
    r"softmax|api|kernels/": ["softmax"],
    r"score|finish|kv|tile|meet|floats|thirds|local": ["masks", "compose", "hidden", "unread", "poison"],
    r"tiled|meet|floats|thirds|plan|workers|queue|problem": ["scratch", "unread", "compose", "bits", "threads", "poison", "hidden"],
    r"merge|finish|check|base": ["merge"],
    r"self|linear|resolve|norm|api": ["compose", "scratch"],
    r"context|api|cpu|workers": ["threads", "scratch", "flavor", "host"],
    r"check|resolve|api": ["hostile_memory", "hostile"],
    r"peaks|score|meet|finish|resolve|kernels/": ["peaks"],
    r"local": ["local ATTN_ENGINE=blas"],
    r"softmax": ["merge"],
    r"kernels/|product|blas|linear": ["blas", "product", "kernels", "compose", "poison"],
    r"blas|context": ["flavor OPENBLAS_CORETYPE=Prescott", "random OPENBLAS_CORETYPE=Prescott ATTN_ENGINE=blas",
                      "limits ATTN_ENGINE=blas", "fork ATTN_ENGINE=blas", "flavor"],
    r"blas|product|tiled|meet|floats|plan|context|reference": ["random ATTN_ENGINE=blas", "tiled ATTN_ENGINE=blas",
                                         "decode ATTN_ENGINE=blas", "self ATTN_ENGINE=blas",
                                         "random ATTN_ISA=reference ATTN_ENGINE=builtin"],
}
NOT_HERE = re.compile(r"kernels/vec_(?!avx2|x86)")  # of other CPUs


def tests_for(path):
    names = list(QUICK)
    for pattern, more in SLOW.items():
        if re.search(pattern, path):
            names += [name for name in more if name not in names]
    own = re.sub(r"\.[ch]$", "", path)
    return sorted(names, key=lambda name: name.split()[0] != own)


def copy_changed(source, copy):
    """Makes a copy of a folder, or an earlier copy like it again: what has not changed keeps its time."""
    copy.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.name in ("build", ".git", "__pycache__"):
            continue
        target = copy / path.name
        if path.is_dir():
            copy_changed(path, target)
        elif not target.exists() or target.read_bytes() != path.read_bytes():
            shutil.copy(path, target)


class Workshop:
    """A copy of the tree that can be built and tested."""

    def __init__(self, folder, longest):
        self.tree, self.build = folder / "tree", folder / "build"
        self.kills, self.usual = {}, {}
        copy_changed(ROOT, self.tree)
        options = ["-DBUILD_TESTING=ON", "-DATTN_BUILD_TOOLS=OFF", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_C_FLAGS=-O1",
                   "-DCMAKE_LINK_DEPENDS_NO_SHARED=ON"]
        subprocess.run(["cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", *options], check=True,
                       stdout=subprocess.DEVNULL)
        if not self.make("all"):
            sys.exit("the tree does not build")
        self.learn(longest)

    def make(self, *targets):
        done = subprocess.run(["ninja", "-C", self.build, "-j", "1", *targets], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode == 0

    def library(self):
        return (self.build / "src/libattn.a").read_bytes()

    def run(self, test, seconds):
        """How a test program ends, "passed", "failed" or "hung", with at most so many seconds of computing; and how
        many it took."""
        name, *settings = test.split()
        environment = dict(os.environ, ATTN_TEST_ROUNDS=ROUNDS, **dict(setting.split("=") for setting in settings))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        process = subprocess.Popen([self.build / f"tests/test_{name}"], env=environment, start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit)
        try:
            code = process.wait(timeout=STUCK + seconds)
            end = "hung" if code in (-signal.SIGKILL, -signal.SIGXCPU) else "failed" if code else "passed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            end = "hung"
        return end, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    def learn(self, longest):
        """How long the tests take where nothing is changed; they must pass, or take too long to be used."""
        for test in QUICK + [test for tests in SLOW.values() for test in tests]:
            if test in self.usual:
                continue
            end, seconds = self.run(test, longest)
            if end == "failed":
                sys.exit(f"{test} does not pass without a change")
            if end == "passed":
                self.usual[test] = seconds
        print(", ".join(f"{test} {seconds:.2f} s" for test, seconds in self.usual.items()), flush=True)

    def ordered(self, path):
        """The tests for a file: those that killed the most for their time first."""
        tests = [test for test in tests_for(path) if test in self.usual]
        worth = {test: self.kills.get((path, test), 0) / (0.05 + self.usual[test]) for test in tests}
        return sorted(tests, key=lambda test: -worth[test])

    def judge(self, mutant, original):
        if not self.make("attn", "attn_static"):
            return "does not compile"
        if self.library() == original:
            return "same code"
        for test in self.ordered(mutant.path):
            if not self.make(f"test_{test.split()[0]}"):
                return "does not compile"
            end, _ = self.run(test, 2 + int(SLACK * self.usual[test]))
            if end != "passed":
                self.kills[mutant.path, test] = self.kills.get((mutant.path, test), 0) + 1
                return f"killed by {test}" + (", which hung" if end == "hung" else "")
        return "SURVIVED"

    def try_out(self, mutant, original):
        path = self.tree / "src" / mutant.path
        text = path.read_text()
        lines = text.split("\n")
        lines[mutant.line] = mutant.text
        path.write_text("\n".join(lines))
        try:
            return self.judge(mutant, original)
        finally:
            path.write_text(text)


def explained():
    lines = (HERE / "explained.txt").read_text().split("\n")
    return {line.rsplit(" # ", 1)[0] for line in lines if " # " in line and not line.startswith("# ")}


def chosen(options):
    """All mutants, in an order that a change to src leaves as it is for lines that stay."""
    everything = []
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        inside = path.relative_to(ROOT / "src").as_posix()
        if not NOT_HERE.search(inside) and re.search(options.only, inside):
            everything += mutants_of(inside, path.read_text())
    print(f"{len(everything)} mutants are possible", flush=True)
    return sorted(everything, key=lambda mutant: hashlib.sha256(f"{options.seed} {mutant.key}".encode()).digest())


def results_so_far(file):
    lines = file.read_text().split("\n") if file.exists() else []
    return {line.split("\t")[1]: line.split("\t")[0] for line in lines if "\t" in line}


def run(options):
    known, file = explained(), options.folder / "results.tsv"
    results = {key: result for key, result in results_so_far(file).items() if result != "SURVIVED"}
    outcome, original, workshop = {}, None, None
    for mutant in chosen(options):
        result = "explained" if mutant.key in known else results.get(mutant.key)
        if result is None:
            if workshop is None:
                workshop = Workshop(options.folder, options.longest)
                original = workshop.library()
            result = workshop.try_out(mutant, original)
            with file.open("a") as out:
                out.write(f"{result}\t{mutant.key}\t{mutant.line + 1}\n")
        if result not in ("does not compile", "same code"):
            outcome[mutant.key] = result
        if len(outcome) == options.count:
            break
    return outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=90, help="percent that must be killed")
    parser.add_argument("--longest", type=int, default=60, help="seconds of a test that is used")
    parser.add_argument("--only", default="", help="files below src that match")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    outcome = run(options)
    survivors = [key for key, result in outcome.items() if result == "SURVIVED"]
    equivalent = sum(result == "explained" for result in outcome.values())
    different = len(outcome) - equivalent
    killed = different - len(survivors)
    for key in survivors:
        print(f"survived: {key}")
    print(f"{len(outcome)} mutants: {killed} killed, {equivalent} explained, {len(survivors)} survived; "
          f"{100 * killed / max(different, 1):.1f} % of those that are not explained killed")
    sys.exit(bool(survivors) or 100 * killed < options.least * different)


main()
