"""What an OpenAI client raises, as our errors: who can help, and how."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import openai

from models.address import Address
from models.errors import ConnectionLost, ContextTooLong, ModelError, ModelUnavailable
from models.transport import library_under

_TRANSIENT = {408, 409, 425, 429, 502, 503, 504}
"""HTTP statuses after which another try may help."""
_transport = library_under(openai.DefaultHttpxClient, "Client")
_TOO_LONG = re.compile(r"context (length|size|window)|too long|exceed\w* .*(context|tokens)", re.I)


@contextmanager
def clear_errors(address: Address) -> Iterator[None]:
    """Turns what the client raises into our errors, each with the way out."""
    where = address.url
    try:
        yield
    except (openai.APIConnectionError, _transport.TransportError) as error:
        raise ConnectionLost(
            f"no answer from {where} ({_first_line(error)}); check that the server runs and "
            "that the URL is right"
        ) from error
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise refused_key(address, error.status_code) from error
    except openai.NotFoundError as error:
        raise ModelUnavailable(
            f"{where} does not know what was asked ({_first_line(error)}); the URL usually "
            f"ends in /v1 and the model is called `{address.model}` here"
        ) from error
    except openai.APIStatusError as error:
        if error.status_code in _TRANSIENT:
            raise ConnectionLost(f"{where} could not answer ({_first_line(error)})") from error
        raise _refused(address, error) from error
    except (
        openai.APIError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        raise ModelUnavailable(
            f"{where} answers, but not as an OpenAI-compatible server does "
            f"({_first_line(error)}); the URL usually ends in /v1"
        ) from error


def refused_key(address: Address, status: int) -> ModelUnavailable:
    """The server takes no request with this key."""
    return ModelUnavailable(
        f"{address.url} refused the key (HTTP {status}); set TUNEWARD_API_KEY to one that it takes"
    )


def _refused(address: Address, error: openai.APIStatusError) -> ModelError:
    text = _first_line(error)
    if _TOO_LONG.search(str(error)):
        large = sorted(int(n) for n in re.findall(r"\b\d{3,9}\b", text) if int(n) > 255)
        too_long = ContextTooLong(large[-1], large[0]) if len(large) > 1 else ContextTooLong(0, 0)
        too_long.args = (f"{address.url}: {text}",)
        return too_long
    return ModelError(f"{address.url} refused the request (HTTP {error.status_code}): {text}")


def _first_line(error: BaseException) -> str:
    """What the server or the client said, short enough for one line."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, dict) else inner
        text = str(said) if said else json.dumps(body)
    else:
        text = str(error) or type(error).__name__
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:197] + "..."
