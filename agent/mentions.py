"""The file names that a goal's words mention."""

import re

# A name with an ending, in any script; quotes and brackets around it are not part of it.
_QUOTED = re.compile(r"[\"'`“‘「『]([^\"'`”’」』\n]{1,200}\.\w{1,8})[\"'`”’」』]")
_BARE = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-][\w.-]*\.[A-Za-z]\w{0,7})(?![\w/])", re.ASCII)


def mentioned_files(text: str) -> list[str]:
    """Names of files in the text, in order, each once; web addresses are not files.

    A name with spaces counts only in quotes. In scripts without spaces between words the ASCII
    part of a word is taken, since file names there are written apart from the sentence.
    """
    text = re.sub(r"\w+://\S+", " ", text)
    found = [(m.start(1), m.group(1)) for m in _QUOTED.finditer(text)]
    found += [(m.start(1), m.group(1)) for m in _BARE.finditer(text)]
    names = [name.strip().removeprefix("./") for _, name in sorted(found)]
    return list(dict.fromkeys(names))
