"""LangChain's own unit suite over ChatRemote: how it binds tools and describes itself."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from models.address import Address
from models.endpoint import Endpoint
from models.probe import Abilities
from models.remote import ChatRemote


class TestRemote(ChatModelUnitTests):
    """No server is asked."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRemote

    @property
    def chat_model_params(self) -> dict[str, Any]:
        address = Address.parse("openai:tiny-3b@http://127.0.0.1:9/v1")
        abilities = Abilities("tiny-3b", json_schema="json_schema", tool_choice=True)
        return {"endpoint": Endpoint(address), "abilities": abilities}

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        # What the server obeys was probed for one model.
        return False
