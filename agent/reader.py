"""Applies the model to one text, without tools: the text can inform the answer, never command."""

from collections.abc import Callable
from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from prompts.render import render

TOKENS_PER_WORD = 2
"""Room for the answer; Qwen and SmolLM take about 1.4 tokens for an English word."""


class ModelReader:
    """The `Reader` of the tool families `reader`."""

    def __init__(self, model: Any, cancel: Callable[[], bool]) -> None:
        self._model = model
        self._cancel = cancel
        self._prompt = ChatPromptTemplate.from_messages([("user", "{text}")])

    def read(self, question: str, text: str, *, max_words: int) -> str:
        model = self._model.bind(max_tokens=max_words * TOKENS_PER_WORD, cancel=self._cancel)
        chain = self._prompt | model | StrOutputParser()
        asked = render("read_text", question=question, text=text, words=max_words)
        answer: str = chain.invoke({"text": asked})
        return answer.strip()
