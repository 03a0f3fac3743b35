"""Texts with names of files, made safe to print on a terminal."""


def printable(text: str) -> str:
    r"""The text with ``\x1b`` in place of each control character, and of each byte that is not UTF-8; lines stay."""
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def printable_name(name: str) -> str:
    """The same for one name, which stays on one line."""
    return printable(name).replace("\n", "\\n")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
