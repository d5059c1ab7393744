"""The name of a model on a server: `openai:MODEL@URL`, and the key that goes there.

A key is read from TUNEWARD_API_KEY; OPENAI_API_KEY goes to api.openai.com only.
"""

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from models.errors import ModelUnavailable

_ADDRESS = re.compile(r"openai:(?P<model>.*?)@(?P<url>https?://\S+)")


@dataclass(frozen=True, slots=True)
class Address:
    """A model on a server."""

    model: str
    """Empty: whichever the server offers first."""
    url: str

    @classmethod
    def parse(cls, name: str) -> "Address":
        """Reads `openai:MODEL@URL`."""
        found = _ADDRESS.fullmatch(name.strip())
        if found is None:
            raise ModelUnavailable(
                f"`{name}` is no endpoint; write openai:MODEL@URL, for example "
                "openai:qwen3-8b@http://127.0.0.1:8000/v1"
            )
        url = found["url"].rstrip("/")
        if urlsplit(url).username is not None:
            raise ModelUnavailable(
                "an endpoint's URL must hold no key; set TUNEWARD_API_KEY instead"
            )
        return cls(found["model"], url)

    def key(self) -> str:
        """The key to send; a placeholder where none is set, as local servers ask for none."""
        own = os.environ.get("TUNEWARD_API_KEY")
        if own is None and urlsplit(self.url).hostname == "api.openai.com":
            own = os.environ.get("OPENAI_API_KEY")
        return own or "none"
