# manual.py - makes the manual pages, each text from where it stands: the header, and --help.
# SPDX-License-Identifier: BSD-3-Clause
# usage: manual.py HEADER FOLDER [COMMAND...]   FOLDER gets man1, man3 and man7; a command is a program's path,
#        or PATH=NAME for a script in Python that is installed as NAME
import datetime
import os
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "site"))  # header.py
import commands
import functions


def date():
    """Of the build, or as the builder of a package says."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    when = datetime.datetime.now(datetime.timezone.utc) if seconds is None \
        else datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return when.strftime("%Y-%m-%d")


def help_of(*words):
    return subprocess.run([*words, "--help"], check=True, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL).stdout


def help_texts(programs):
    texts = {}
    for program in programs:
        path, _, name = program.partition("=")
        if name:
            texts[name] = help_of(sys.executable, path)
            continue
        name = pathlib.Path(program).name
        texts[name] = help_of(program)
        for word in commands.subcommands(texts[name]):
            if word not in ("help", "bench"):  # the manual of attn bench is that of attn-bench
                texts[f"{name} {word}"] = help_of(program, word)
    return texts


def main():
    path, folder, *programs = sys.argv[1:]
    path, folder = pathlib.Path(path), pathlib.Path(folder)
    text = path.read_text()
    version = ".".join(re.search(rf"#define ATTN_VERSION_{part} +(\d+)", text)[1]
                       for part in ("MAJOR", "MINOR", "PATCH"))
    manual = functions.Manual(text, version, date())
    pages = manual.pages
    if programs:
        pages.update(commands.pages(help_texts(programs), version, date()))
    for name, page in pages.items():
        target = folder / f"man{name[-1]}" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page)
    for name, page in manual.links.items():
        link = folder / f"man{name[-1]}" / name
        link.unlink(missing_ok=True)
        link.symlink_to(page)


main()
