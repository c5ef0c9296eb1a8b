"""summarize.py - the sentences that a text agrees on, by attention of its sentences to each other.

SPDX-License-Identifier: BSD-3-Clause
usage: summarize.py [--sentences N] [--scale X] [--map MAP.svg] [DOCUMENT.html | DOCUMENT.txt]

Each sentence is a vector: for each word that it shares with others, the square root of its count times
ln(sentences / sentences that have the word), with a length of 1. Self-attention lets each sentence spread a weight
of 1 over the sentences that share its words. What a sentence receives from all the others is its centrality (as in
LexRank: Erkan and Radev, 2004). The most central ones are the summary, each choice taking from the centrality of the
others what they share with it.
"""
import argparse
import gzip
import html
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import attn
import numpy as np

DOCUMENT = "/usr/share/doc/debian-history/docs/detailed.en.html"
SHORTEST = 8  # words of a sentence


def read(path):
    """The paragraphs of a document, as text."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
    if "<html" not in text[:1000].lower():
        return re.split(r"\n\s*\n", text)
    return [html.unescape(re.sub(r"<[^>]*>", "", part)) for part in re.findall(r"<p\b.*?</p>", text, re.S)]


def sentences_of(paragraphs):
    """Sentences with blanks made one, without those of too few words and those that came before."""
    sentences = []
    for paragraph in paragraphs:
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(])", " ".join(paragraph.split())):
            if len(words_of(sentence)) >= SHORTEST and sentence not in sentences:
                sentences.append(sentence)
    return sentences


def words_of(sentence):
    return re.findall(r"[a-z]+(?:['’-][a-z]+)*", sentence.lower())


def vectors(sentences):
    """TF-IDF: sentences x words, each row with a length of 1."""
    bags = [words_of(sentence) for sentence in sentences]
    number = {word: n for n, word in enumerate(sorted({word for bag in bags for word in bag}))}
    counts = np.zeros((len(bags), len(number)), np.float32)
    for row, bag in zip(counts, bags):
        np.add.at(row, [number[word] for word in bag], 1)
    having = (counts > 0).sum(axis=0)
    counts = (np.sqrt(counts) * np.log(len(bags) / having))[:, having > 1]
    return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def attend(x, scale):
    """The weights of each sentence for the others, not for itself: sentences x sentences."""
    others = ~np.eye(len(x), dtype=bool)
    return attn.scaled_dot_product_attention(x, x, x, others, scale=scale, return_weights=True)[1]


def choose(x, centrality, count):
    """The most central sentences, which say different things, in the order of the text."""
    left, chosen = centrality.copy(), []
    for _ in range(min(count, len(x))):
        chosen.append(int(left.argmax()))
        left *= 1 - np.clip(x @ x[chosen[-1]], 0, 1)
        left[chosen] = -1
    return np.sort(chosen)


def likeness(x, chosen):
    """The cosine between some sentences together and all the others together."""
    inside, outside = x[chosen].sum(axis=0), np.delete(x, chosen, axis=0).sum(axis=0)
    return float(inside @ outside / np.linalg.norm(inside) / np.linalg.norm(outside))


def beaten(x, chosen, sizes, trials=1000):
    """The percentage of random extracts of as many words, or a little more, that are less like the rest."""
    rng = np.random.default_rng(0)
    mine, enough = likeness(x, chosen), sizes[chosen].sum()
    worse = 0
    for _ in range(trials):
        order = rng.permutation(len(x))
        count = np.searchsorted(np.cumsum(sizes[order]), enough) + 1
        worse += likeness(x, order[:count]) < mine
    return 100 * worse / trials


def draw(weights, path):
    """A heat map, by the attn command."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        np.save(folder / "weights.npy", weights)
        (folder / "labels.txt").write_text("".join(f"{n + 1}\n" for n in range(len(weights))))
        command = shutil.which(os.environ.get("ATTN_COMMAND", "attn"))
        if not command:
            sys.exit("the attn command is not there: install it, or set ATTN_COMMAND to its path")
        subprocess.run([command, "map", folder / "weights.npy", "-o", path,
                        "--title", "Which sentence attends to which", "--max", "0.05",
                        "--labels-q", folder / "labels.txt", "--labels-k", folder / "labels.txt"], check=True)


def main():
    parser = argparse.ArgumentParser(description="Summarises a document by attention between its sentences.")
    parser.add_argument("document", nargs="?", type=pathlib.Path, default=DOCUMENT, help="HTML or text")
    parser.add_argument("--sentences", type=int, default=6, help="how many to choose (default: 6)")
    parser.add_argument("--scale", type=float, default=5, help="how sharp attention is (default: 5)")
    parser.add_argument("--map", metavar="MAP.svg", help="draws the weights")
    options = parser.parse_args()
    path = pathlib.Path(options.document)
    if not path.is_file():
        sys.exit(f"{path}: not there" + "; on Debian: apt install debian-history" * (str(path) == DOCUMENT))

    sentences = sentences_of(read(path))
    if len(sentences) <= options.sentences:
        sys.exit(f"{path}: {len(sentences)} sentences of {SHORTEST} words or more, too few to choose from")
    x = vectors(sentences)
    weights = attend(x, options.scale)
    centrality = weights.sum(axis=0)
    chosen = choose(x, centrality, options.sentences)
    for n in chosen:
        print(f"[{n + 1}, {centrality[n]:.2f}] {sentences[n]}")
    sizes = np.array([len(words_of(sentence)) for sentence in sentences])
    print(f"\nsentences {len(chosen)} of {len(sentences)}, words {sizes[chosen].sum()} of {sizes.sum()}")
    print(f"likeness {likeness(x, chosen):.3f}, the cosine with the rest of the text")
    print(f"beats {beaten(x, chosen, sizes):.1f} % of 1000 random extracts of that many words")
    print(f"first {likeness(x, np.arange(len(chosen))):.3f}, the likeness of the first sentences instead")
    if options.map:
        draw(weights, options.map)


if __name__ == "__main__":
    main()
