"""Chat templates in the styles of well-known models, and a byte tokenizer that renders them."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.scripted import ByteTokenizer

TAGGED = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- 'Tools:' }}
    {%- for tool in tools %}{{- '\n' + (tool | tojson) }}{%- endfor %}
    {{- '<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if m.role == 'user' or (m.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}
    {%- elif m.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if m.content %}{{- '\n' + m.content }}{%- endif %}
        {%- for call in m.tool_calls or [] %}
            {{- '\n<call>\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}\n</call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif m.role == 'tool' %}
        {{- '<|im_start|>user\n<result>\n' + m.content + '\n</result><|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""
"""A call in tags, JSON inside, as Hermes and Qwen write it."""

BARE = """<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}
{%- if tools %}
Functions: {{ tools | tojson }}{% endif %}<|im_end|>
{%- for m in messages %}
{%- if m.role in ('user', 'tool') %}<|im_start|>{{ m.role }}
{{ m.content | trim }}<|im_end|>
{%- elif m.role == 'assistant' and m.tool_calls %}
{%- if m.tool_calls | length != 1 %}{{ raise_exception('one call at a time') }}{% endif %}
{%- set call = m.tool_calls[0].function %}<|im_start|>assistant
{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}<|im_end|>
{%- elif m.role == 'assistant' %}<|im_start|>assistant
{{ m.content | trim }}<|im_end|>
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""A bare JSON call with "parameters", one at a time, as Llama 3 writes it."""

LISTED = """
{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}
{%- set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}
{%- set ns = namespace(turn=0) %}
{%- for m in rest %}
{%- if m.role != 'tool' and not m.tool_calls %}
{%- if (m.role == 'user') != (ns.turn % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}
{%- set ns.turn = ns.turn + 1 %}{% endif %}
{%- endfor %}
{%- for m in rest %}
{%- if m.role == 'user' %}
{%- set last = rest | selectattr('role', 'equalto', 'user') | list | last %}
{%- if tools and m == last %}[TOOLS]{{ tools | tojson }}[/TOOLS]{% endif %}[INST]
{%- if loop.first and system %}{{ system }}

{% endif %}{{ m.content }}[/INST]
{%- elif m.tool_calls %}[CALLS] [
{%- for call in m.tool_calls %}
{%- if call.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif -%}
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}
{%- if true %}, "id": "{{ call.id }}"}{% endif %}
{%- endfor %}]<|end|>
{%- elif m.role == 'tool' %}[RESULT]{"content": {{ m.content | tojson }}}[/RESULT]
{%- else %}{{ m.content }}<|end|>
{%- endif %}
{%- endfor %}"""
"""Strict alternation, tools before the last user, calls in a list with an id, like Mistral's."""

NAMED = TAGGED.replace(
    """'\\n<call>\\n{"name": "' + call.function.name + '", "arguments": '""",
    "'\\n<|im_start|>' + call.function.name + '<args>'",
).replace("call.function.arguments | tojson", "'' + call.function.arguments")
NAMED = NAMED.replace("'}\\n</call>'", "'</args>'")
"""A special token opens the call, the name stands outside the JSON, arguments come as text."""

STRICT = """
{%- if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{%- for m in messages %}
{%- set even = loop.index0 % 2 == 0 %}
{%- if (m.role == 'user') != even %}{{ raise_exception('must alternate') }}{% endif %}
{%- if m.role == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = m.role %}{% endif -%}
<|im_start|>{{ role }}
{{ m.content | trim }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>model
{% endif %}"""
"""No system role, no tools, strict alternation, as Gemma writes it."""

SIMPLE = """
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""Any role, no tools, as SmolLM2 writes it."""


class TemplateTokenizer(ByteTokenizer):
    """Bytes, with one of the templates above."""

    def __init__(self, template: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
        environment.filters["tojson"] = _plain_json
        self.chat_template: str | None = template
        self._template = environment.from_string(template, {"raise_exception": _refuse})

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        return self._template.render(
            messages=messages, tools=tools, add_generation_prompt=add_generation_prompt
        )


def _plain_json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _refuse(message: str) -> None:
    raise TemplateError(message)
