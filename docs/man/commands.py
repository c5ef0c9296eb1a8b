# commands.py - the pages of section 1, from what the commands print with --help.
# SPDX-License-Identifier: BSD-3-Clause
import re

from roff import Page, bold, escape, filled

RENAMED = {"Exit codes": "Exit status", "Example": "Examples"}
VERBATIM = ("Examples",)
WHOLE = ("Exit codes", "Environment")  # what the main command says for its subcommands too


def blocks_of(text):
    """Groups of lines, between empty lines."""
    return [block.split("\n") for block in re.split(r"\n\s*\n", text.strip("\n"))]


def is_indented(line):
    return line.startswith("  ")


def is_headed(block):
    return len(block) > 1 and not is_indented(block[0]) and is_indented(block[1]) and not block[0].startswith("Usage:")


def rows_of(lines):
    """(what stands left, its explanation): the explanation may begin on the next line, and goes on further in."""
    rows = []
    for line in lines:
        left, text = re.fullmatch(r" {2,7}(\S+(?: \S+)*)(?: {2,}(\S.*))?|(?: {8,}(\S.*))", line).group(1, 2)
        if left:
            rows.append([left, text or ""])
        else:
            rows[-1][1] = f"{rows[-1][1]} {line.strip()}".strip()
    return rows


def marked_usage(line):
    """The words that are typed as they stand, in bold; the rest, in capitals, in italics."""
    words = re.split(r"([A-Z]{1,}[A-Z0-9_.a-z]*\b)", line)
    return "".join(f"\\fI{escape(word)}\\fR" if n % 2 else escape(word) for n, word in enumerate(words))


class Command:
    """The page of one command. main: the help of the command that it belongs to."""

    def __init__(self, name, help_text, version, date):
        self.page = Page(name, 1, version, date)
        usage, *self.blocks = blocks_of(help_text)
        self.usage = [line.removeprefix("Usage:").strip() for line in usage]
        self.about = [" ".join(line.strip() for line in block) for block in self.blocks
                      if not is_headed(block) and not is_indented(block[0])]

    def write(self, what, inherited, others):
        """what: the title; inherited: blocks of the main command; others: pages to see."""
        page = self.page
        page.names([page.name], what)
        page.heading("Synopsis")
        for n, line in enumerate(self.usage):
            page.lines += ([".br"] if n else []) + filled(marked_usage(line))
        page.heading("Description")
        for text in self.about:
            page.paragraph(text)
        self._options()
        headings = [block[0] for block in self.blocks if is_headed(block)]
        for block in self.blocks + [block for block in inherited if block[0] not in headings]:
            if is_headed(block) and not self._has_options(block):
                self._section(block)
        page.heading("See also")
        page.lines += [f"\\fB{escape(name)}\\fR({section})," for name, section in others]
        page.lines[-1] = page.lines[-1].rstrip(",")
        return page.text()

    @staticmethod
    def _has_options(block):
        return any(line.lstrip().startswith("-") for line in block if is_indented(line))

    def _options(self):
        started = False
        for block in self.blocks:
            headed = is_headed(block)
            if not headed and not is_indented(block[0]):
                continue
            if not self._has_options(block):
                if not headed:
                    self._items(block)
                continue
            if not started:
                self.page.heading("Options")
                started = True
            if headed:
                title, _, remark = block[0].partition(" (")
                self.page.subheading(title)
                if remark:
                    remark = remark.removesuffix(")")
                    self.page.paragraph(remark[0].upper() + remark[1:] + ".")
            self._items(block[1:] if headed else block)

    def _items(self, lines):
        for left, text in rows_of(lines):
            self.page.item(bold(left), text)

    def _section(self, block):
        title = RENAMED.get(block[0], block[0])
        self.page.heading(title)
        if title in VERBATIM:
            self.page.code([line[2:] for line in block[1:]])
        else:
            self._items(block[1:])


def title_of(text):
    title = re.split(r"[.:;](?: |$)", text)[0]
    return title[0].lower() + title[1:]


def subcommands(help_text):
    """{"run": what it does} as the main command lists them."""
    return dict(re.findall(r"^  attn ([a-z]+) {2,}(\S.*)$", help_text, re.M))


def pages(texts, version, date):
    """{file: page} for {command: its --help}; "attn run" is a subcommand of "attn"."""
    main = texts["attn"]
    inherited = [block for block in blocks_of(main) if block[0] in WHOLE]
    titles = subcommands(main)
    names = [command.replace(" ", "-") for command in texts]
    made = {}
    for command, text in texts.items():
        name = command.replace(" ", "-")
        page = Command(name, text, version, date)
        others = [(other, 1) for other in names if other != name] + [("attn", 7)]
        what = titles.get(command.removeprefix("attn "), None) or title_of(page.about[0])
        made[f"{name}.1"] = page.write(what, inherited if command.startswith("attn ") else [], others)
    return made
