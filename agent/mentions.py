"""The file names that a goal's words mention."""

import re

# A name with an ending, in any script; the quotes around it are not part of it.
_QUOTED = re.compile(r"[\"'`“‘「『]([^\"'`”’」』\n]{1,200}\.[A-Za-z]\w{0,7})[\"'`”’」』]")
# Without quotes it begins with an ASCII character; after a slash any script may follow.
_ASCII = "A-Za-z0-9_"
_BARE = re.compile(
    rf"(?<![{_ASCII}/.-])"
    rf"((?:[{_ASCII}][{_ASCII}.-]*/(?:[\w-]+/)*[\w-][\w.-]*?|[{_ASCII}][{_ASCII}.-]*)"
    rf"\.[A-Za-z][A-Za-z0-9]{{0,7}})(?![{_ASCII}/]|\.[{_ASCII}])"
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}://\S+")
_NO_FILES = ("e.g", "i.e")


def mentioned_files(text: str) -> list[str]:
    """Names of files in the text, in order, each once; web addresses are not files.

    A name with spaces, or one that begins in another script, counts only in quotes.
    """
    text = _ADDRESS.sub(" ", text)
    found = [(m.start(1), m.group(1)) for m in _QUOTED.finditer(text)]
    rest = _QUOTED.sub(lambda m: " " * len(m.group()), text)
    found += [(m.start(1), m.group(1)) for m in _BARE.finditer(rest)]
    names = [name.strip().removeprefix("./") for _, name in sorted(found)]
    return [name for name in dict.fromkeys(names) if name.lower() not in _NO_FILES]
