"""A text by its lines, as Python's parser and editors count them."""

from __future__ import annotations

import re
from bisect import bisect_right

BOM = "\ufeff"
LINE_END = re.compile(r"\r\n|\r|\n")


class Lines:
    """Where the lines of a text are.

    Attributes:
        text: The text.
        starts: Where each line begins; the first after a byte order mark.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        first = len(BOM) if text.startswith(BOM) else 0
        self.starts = [first, *(end.end() for end in LINE_END.finditer(text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Returns the line and column of a character, both from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def end_of(self, number: int) -> int:
        """Returns where a line ends, without its line end."""
        end = LINE_END.search(self.text, self.starts[number - 1])
        return len(self.text) if end is None else end.start()

    def line(self, number: int) -> str:
        """Returns a line, counted from 1, without its line end; "" outside of the text."""
        if not 0 < number <= len(self.starts):
            return ""
        return self.text[self.starts[number - 1] : self.end_of(number)]
