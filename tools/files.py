"""Tools that look at, write and arrange the workspace's files; changes keep the old version."""

from typing import Annotated

from langchain_core.tools import BaseTool

from tools.base import ExistingFile, ExistingFolder, NewFile, Page, tool
from tools.context import ToolContext
from tools.edit import replace_once
from tools.errors import ToolFailed, ToolRetry
from tools.nearest import did_you_mean
from tools.pages import pages_of
from tools.search import MAX_SHOWN, Matches, search, similar
from tools.text_encoding import encoding_of

NO_TEXT_SUFFIXES = (
    ".pdf",
    ".docx",
    ".doc",
    ".xlsx",
    ".xls",
    ".pptx",
    ".odt",
    ".ods",
    ".parquet",
) + (".zip", ".gz", ".png", ".jpg", ".jpeg", ".gif", ".mp3", ".mp4", ".db", ".sqlite")


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `files`."""
    workspace = context.workspace
    pages = pages_of(workspace)

    @tool(effect="read", family="files", says="list the files in {folder}")
    def list_files(folder: ExistingFolder = ".") -> str:
        """List the files in a folder and below it, with their sizes.

        Args:
            folder: the folder; left out, the whole workspace.
        """
        name = workspace.relative(folder)
        if name != "." and not workspace.is_folder(name):
            hint = did_you_mean(name, workspace.folders)
            raise ToolRetry(f"there is no folder {name!r}{hint}")
        sizes = workspace.sizes()
        inside = (
            sizes if name == "." else {p: s for p, s in sizes.items() if p.startswith(name + "/")}
        )
        shown = "the workspace" if name == "." else name
        if not inside:
            return f"There are no files in {shown}."
        lines = [f"{path} ({readable(size)})" for path, size in inside.items()]
        return "\n".join([f"{counted(len(lines), 'file')} in {shown}:", *lines])

    @tool(effect="read", family="files", says="read {path}")
    def read_file(path: ExistingFile, page: Annotated[int, Page(of="path")] = 1) -> str:
        """Read the text of a file. Long files have several pages.

        Args:
            path: the file to read.
            page: which page of it, from 1.
        """
        return page_text(context, path, page)

    def elsewhere(text: str, path: str) -> str:
        """What is said where nothing was found: the other files that have it, or close lines."""
        others = search(workspace, pages, text) if path else Matches()
        if others.lines:
            return "\n".join([" Other files do:", *others.shown])
        close = similar(workspace, pages, text)
        if close:
            return "\n".join([" These lines hold some of the words:", *close])
        return " Nor does any other file." if path else ""

    @tool(effect="read", family="files", says="search for {text}")
    def search_text(text: str, path: ExistingFile = "") -> str:
        """Find the lines that contain a text, and count them. Case does not matter.

        Args:
            text: the exact words to find.
            path: the file to search; left out, all files.
        """
        if not text.strip():
            raise ToolRetry("`text` is empty; give the words to find")
        if "\n" in text:
            raise ToolRetry("`text` must be one line; search for a part of it")
        found = search(workspace, pages, text, path)
        skipped = f" ({counted(found.skipped, 'file')} passed over: no plain text or too large)"
        note = skipped if found.skipped else ""
        where = path or counted(found.files, "file")
        if not found.lines:
            return (
                f"No line in {path or 'any file'} contains {text!r}.{note}{elsewhere(text, path)}"
            )
        verb = "contains" if found.lines == 1 else "contain"
        head = f"{counted(found.lines, 'line')} in {where} {verb} {text!r}{note}:"
        more = (
            f"\n(the first {MAX_SHOWN} of {found.lines} are shown)"
            if found.lines > MAX_SHOWN
            else ""
        )
        return "\n".join([head, *found.shown]) + more

    @tool(effect="write", idempotent=True, family="files", says="write {path}")
    def write_file(path: NewFile, text: str) -> str:
        """Write a text to a file. What the file held before is replaced.

        Args:
            path: the file to write.
            text: everything that the file shall contain.
        """
        refuse_documents(path)
        existed = workspace.exists(path)
        if not workspace.write_bytes(path, encoded(text)):
            return f"{path} holds exactly this text already; nothing changed."
        verb = "Replaced" if existed else "Wrote"
        return f"{verb} {path} ({counted(len(text), 'character')})."

    @tool(effect="write", family="files", says="append to {path}")
    def append_file(path: NewFile, text: str) -> str:
        """Add a text at the end of a file, on a new line.

        Args:
            path: the file to add to; it is made if it does not exist.
            text: the text to add.
        """
        refuse_documents(path)
        data = workspace.read_bytes(path) if workspace.exists(path) else b""
        encoding = encoding_of(data)
        if encoding is None:
            raise ToolFailed(f"{path} is not a text file; write to another file")
        is_mid_line = bool(data) and not data.decode(encoding, "replace").endswith("\n")
        addition = encoded(("\n" if is_mid_line else "") + text, encoding, start=not data)
        workspace.append_bytes(path, addition)
        return (
            f"Added {counted(len(text), 'character')} to {path} ({readable(workspace.size(path))})."
        )

    @tool(effect="write", family="files", says="change {path}")
    def edit_file(path: ExistingFile, old: str, new: str) -> str:
        """Replace one piece of a file's text by another. The rest stays as it is.

        Args:
            path: the file to change.
            old: the exact text to replace; it must occur once in the file.
            new: the text to put in its place.
        """
        if old == new:
            raise ToolRetry("`old` and `new` are the same; give the changed text as `new`")
        workspace.write_bytes(path, replace_once(workspace.read_bytes(path), old, new, path))
        return f"Replaced {counted(len(old), 'character')} by {len(new)} in {path}."

    @tool(effect="write", idempotent=True, family="files", says="copy {path} to {to}")
    def copy_file(path: ExistingFile, to: NewFile) -> str:
        """Copy a file.

        Args:
            path: the file to copy.
            to: the name of the copy.
        """
        workspace.copy(path, to)
        return f"Copied {path} to {to} ({readable(workspace.size(to))})."

    @tool(effect="delete", family="files", says="move {path} to {to}")
    def move_file(path: ExistingFile, to: NewFile) -> str:
        """Move or rename a file.

        Args:
            path: the file to move.
            to: its new name.
        """
        workspace.move(path, to)
        return f"Moved {path} to {to}."

    @tool(effect="delete", family="files", says="delete {path}")
    def delete_file(path: ExistingFile) -> str:
        """Delete a file.

        Args:
            path: the file to delete.
        """
        workspace.delete(path)
        return f"Deleted {path}."

    return [
        list_files,
        read_file,
        search_text,
        write_file,
        append_file,
        edit_file,
        copy_file,
        move_file,
        delete_file,
    ]


def page_text(context: ToolContext, path: str, page: int) -> str:
    """A page of a file as tools show it: where there are several, it says which one it is."""
    pages = pages_of(context.workspace)
    text = pages.page(path, page)
    count = pages.count(path)
    if not text.strip():
        text = "(no text on this page)" if count > 1 else f"{path} is empty."
    return text if count == 1 else f"{path}, page {page} of {count}:\n{text}"


def encoded(text: str, encoding: str = "utf-8", *, start: bool = True) -> bytes:
    """The bytes of a text that a model wrote.

    Args:
        start: False where the text goes on in a file, so that no byte order mark is due.
    """
    if not start:
        encoding = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(
            encoding, encoding
        )
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        bad = text[error.start]
        raise ToolRetry(
            f"the text holds U+{ord(bad):04X}, which the file's encoding {encoding} cannot hold"
        ) from None


def refuse_documents(path: str) -> None:
    """A file whose ending promises more than plain text would only look like one."""
    if path.lower().endswith(NO_TEXT_SUFFIXES):
        raise ToolRetry(
            f"{path!r} cannot be written as text; use a name that ends in .txt, .md, .csv or .json"
        )


def counted(number: int, noun: str) -> str:
    """`1 file`, `3,000 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def readable(size: int) -> str:
    """A size for people: `812 bytes`, `1.2 MB`."""
    if size < 1_000:
        return counted(size, "byte")
    for unit in ("kB", "MB", "GB"):
        size_of_unit = size / 1_000
        if size_of_unit < 1_000 or unit == "GB":
            return f"{size_of_unit:,.1f} {unit}"
        size = round(size_of_unit)
    raise AssertionError("unreachable")
