"""How tests name the notes that a memory gives back."""

from langchain_core.documents import Document


def ids_of(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]
