"""translate.py - which word translates which, by cross-attention between two languages.

SPDX-License-Identifier: BSD-3-Clause
usage: translate.py [--map MAP.svg] numbers | scripture

numbers: the number words of 1 to 9999 in German and English. scripture: the New Testament in Spanish and English.
Words become vectors by nothing but how often they occur in the same pair of sentences: the matrix of positive
pointwise mutual information, in two factors of low rank, so that the product of two vectors is large where the
words translate each other. Then each word of a sentence attends to the words of its translation: to all of them
(global attention), or with Luong's local-p to those near the place where the sentence would be if both ran alike.
Which words belong together is known: from the numbers, or from Strong's numbers of the Greek word behind each. It
is used for the score only: a word counts as right if it attends most to a word that it belongs to.
"""
import argparse
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import attn
import numpy as np

Word = collections.namedtuple("Word", "text links")  # links: words that share one of these belong together
Pair = collections.namedtuple("Pair", "queries keys")  # a sentence and its translation
Task = collections.namedtuple("Task", "pairs tested shown title vocabulary rank scale window")


# The number words

def number_words():
    try:
        from num2words import num2words
    except ImportError:
        sys.exit("num2words is not there; on Debian: apt install python3-num2words")
    values = {lang: {num2words(n, lang=lang): n for n in (*range(1, 20), *range(20, 100, 10))} for lang in ("de", "en")}
    values["de"].update({"ein": 1, "hundert": 100, "tausend": 1000, "und": 0})
    values["en"].update({"hundred": 100, "thousand": 1000, "and": 0})
    cut = {lang: re.compile("|".join(sorted(values[lang], key=len, reverse=True))) for lang in values}
    pairs = [Pair(*(number_links(cut[lang].findall(num2words(n, lang=lang)), values[lang]) for lang in ("de", "en")))
             for n in range(1, 10000)]
    chosen = np.random.default_rng(0).permutation(len(pairs))
    tested, rest = chosen[:1000], chosen[1000:]
    return Task([pairs[n] for n in rest], [pairs[n] for n in tested], shown=pairs[3733 - 1], title="3733",
                vocabulary=64, rank=24, scale=2.0, window=3)


def number_links(words, values):
    """What each word stands for: hundred, thousand, or a number at a place."""
    numbers = [values[word] for word in words] + [0]
    return [Word(word, {(number, numbers[n + 1] if numbers[n + 1] >= 100 > number else 1)} if number else set())
            for n, (word, number) in enumerate(zip(words, numbers))]


# The scripture

def scripture():
    if not shutil.which("mod2imp"):
        sys.exit("mod2imp is not there; on Debian: apt install libsword-utils sword-text-sparv sword-text-web")
    spanish, english = verses("spaRV1909eb"), verses("engWEB2015eb")
    pairs = {place: Pair(spanish[place], english[place]) for place in spanish if english.get(place)}
    return Task(list(pairs.values()), list(pairs.values())[::8], shown=pairs["John 1:5"], title="John 1:5",
                vocabulary=2500, rank=300, scale=1.0, window=10)


def verses(module):
    """{place: words} of the New Testament."""
    text = subprocess.run(["mod2imp", module], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    if not text:
        sys.exit(f"{module} is not there; on Debian: apt install sword-text-sparv sword-text-web")
    blocks = (block.partition("\n") for block in text[text.index("$$$Matthew 1:1\n"):].split("$$$"))
    verses = ((place, list(verse_words(verse))) for place, _, verse in blocks if re.search(r":[1-9]", place))
    return {place: words for place, words in verses if words}


def verse_words(verse):
    """The words with their Strong's numbers, without notes and titles."""
    verse = re.sub(r"<(note|title)\b.*?</\1>", " ", verse, flags=re.S)
    for lemma, inside, outside in re.findall(r'<w lemma="([^"]*)"[^>]*>(.*?)</w>|<[^>]*>|([^<]+)', verse, re.S):
        links = set(re.findall(r"G\d+", lemma))
        for word in re.findall(r"[^\W\d_]+(?:’[a-z]+)?", (inside or outside).lower()):
            yield Word(word, links)


# Vectors

def together(pairs, sides, size):
    """How often words of both sides are in a pair: queries x keys."""
    counts = np.zeros(size * size)
    for pair in pairs:
        query, key = (np.array(sorted({side[word.text] for word in words if word.text in side}), np.intp)
                      for side, words in zip(sides, pair))
        counts[np.add.outer(size * query, key).ravel()] += 1
    return counts.reshape(size, size)


def factors(matrix, rank, rounds=4):
    """U and V of this rank with U V^T as near to the matrix as may be: its largest singular vectors, found by
    subspace iteration."""
    basis = np.random.default_rng(0).standard_normal((len(matrix), rank)).astype(np.float32)
    for _ in range(rounds):
        basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    left, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ left * np.sqrt(values), right.T * np.sqrt(values)


def vectors(task):
    """({word: vector}, {word: vector}) of the queries' and the keys' language."""
    frequencies = [collections.Counter(text for pair in task.pairs for text in {word.text for word in pair[side]})
                   for side in (0, 1)]
    most = [sorted(frequency.items(), key=lambda item: (-item[1], item[0]))[:task.vocabulary]
            for frequency in frequencies]
    sides = [{word: n for n, (word, _) in enumerate(words)} for words in most]
    size = max(map(len, sides))
    counts = together(task.pairs, sides, size)
    alone = [np.array([count for _, count in words] + [1] * (size - len(words))) for words in most]
    information = np.log(np.maximum(counts, 1e-9) * len(task.pairs) / np.outer(*alone))
    information[(counts < 2) | (information < 0)] = 0
    tables = factors(information.astype(np.float32), min(task.rank, size))
    return [{word: table[n] for word, n in side.items()} for table, side in zip(tables, sides)]


# Attention

def rows(sentences, table):
    """The vectors of all words one after another, and where each sentence starts."""
    nothing = np.zeros_like(next(iter(table.values())))
    return (np.array([table.get(word.text, nothing) for words in sentences for word in words]),
            np.cumsum([0] + [len(words) for words in sentences]))


def attend(task, pairs, tables):
    """The weights of all pairs at once, packed: global and local-p, each pairs x queries x keys."""
    query, query_starts = rows([pair.queries for pair in pairs], tables[0])
    key, key_starts = rows([pair.keys for pair in pairs], tables[1])
    packed = dict(scale=task.scale, query_starts=query_starts, kv_starts=key_starts, return_weights=True)
    query, key = query[None], key[None]  # one head
    everywhere = attn.scaled_dot_product_attention(query, key, key, **packed)[1]
    # Where the same part of the other sentence is.
    places = np.arange(max(len(pair.queries) for pair in pairs))
    centers = np.array([places * max(len(pair.keys) - 1, 0) / max(len(pair.queries) - 1, 1) for pair in pairs])
    near = attn.local_attention(query, key, key, window=task.window, centers=centers[:, None].astype(np.float32),
                                **packed)[1]
    return everywhere[:, 0], near[:, 0]


def accuracy(pairs, weights):
    """The percentage of words that attend most to a word which they belong to, of those that belong to any."""
    right = words = 0
    for pair, table in zip(pairs, weights):
        for query, row in zip(pair.queries, table):
            if any(query.links & key.links for key in pair.keys):
                words += 1
                right += bool(query.links & pair.keys[int(row[:len(pair.keys)].argmax())].links)
    return 100 * right / words


def diagonal(pairs):
    """The weights of one who knows no word: 1 at the same part of the other sentence."""
    for pair in pairs:
        places = np.arange(len(pair.queries)) * (len(pair.keys) - 1) / max(len(pair.queries) - 1, 1)
        yield np.eye(len(pair.keys))[np.rint(places).astype(int)]


def draw(task, weights, path):
    """Heat maps of one pair, global and local-p, by the attn command."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        np.save(folder / "weights.npy", weights)
        for side, words in zip("qk", task.shown):
            (folder / side).write_text("".join(f"{word.text}\n" for word in words))
        command = shutil.which(os.environ.get("ATTN_COMMAND", "attn"))
        if not command:
            sys.exit("the attn command is not there: install it, or set ATTN_COMMAND to its path")
        subprocess.run([command, "map", folder / "weights.npy", "-o", path, "--title",
                        f"{task.title}: global (head 0), local-p (head 1)", "--labels-q", folder / "q",
                        "--labels-k", folder / "k"], check=True)


def main():
    parser = argparse.ArgumentParser(description="Aligns the words of two languages by cross-attention.")
    parser.add_argument("text", choices=("numbers", "scripture"))
    parser.add_argument("--map", metavar="MAP.svg", help="draws the weights of one pair of sentences")
    options = parser.parse_args()
    task = number_words() if options.text == "numbers" else scripture()
    tables = vectors(task)
    everywhere, near = attend(task, task.tested, tables)
    print(f"pairs {len(task.pairs)} to learn from, {len(task.tested)} to be scored on")
    print(f"diagonal {accuracy(task.tested, diagonal(task.tested)):.1f} % right, by the place alone")
    print(f"global {accuracy(task.tested, everywhere):.1f} % right, by attention to the whole sentence")
    print(f"local {accuracy(task.tested, near):.1f} % right, by attention around the same place (local-p)")
    if options.map:
        draw(task, np.concatenate(attend(task, [task.shown], tables)), options.map)


if __name__ == "__main__":
    main()
