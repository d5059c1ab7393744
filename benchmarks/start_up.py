"""Seconds from the shell to the first generated token, and to the help text.

    python benchmarks/start_up.py [--model default] [--repeats 5]

Every figure is a process of its own, from its start to its end, the sides in turn; figures are
medians. The model is pulled, and converted where it must be, before the clock starts.

    load_chat       imports, `load_chat`, one token after a short question
    from_pretrained imports, tokenizer and model from the same safetensors folder, the same token
    agent           a goal as the command line runs it, to the first token of the first call
                    (from_pretrained then reads the agent's own prompt)
    --help          `tuneward --help` against `python -c "import typer"`
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from machine import heading, median

from agent.settings import default_home
from models.gguf_file import converted
from models.load import best_dtype, load_network, locate

QUESTION = "What is the capital of France?"
GOAL = "Count the rows of tickets.csv and write the number to out/count.txt."
TICKETS = Path(__file__).parents[1] / "examples" / "tickets"

# Each leaves right after its token: tearing torch down is nobody's start-up.
OURS = f"""
import os, sys
from pathlib import Path
from models.load import load_chat
model = load_chat(sys.argv[1], Path(sys.argv[2]))
print(model.bind(max_tokens=1).invoke({QUESTION!r}).content)
sys.stdout.flush()
os._exit(0)
"""
AGENT = f"""
import json, os, sys
from models import generation
from agent.app import Agent
first = generation.Sampler.choose
def choose(sampler, logits, mask):
    print(first(sampler, logits, mask))
    if len(sys.argv) > 4:
        ids = agent._models[sys.argv[1]].engine._prompt
        open(sys.argv[4], "w").write(json.dumps(ids))
    sys.stdout.flush()
    os._exit(0)
generation.Sampler.choose = choose
if len(sys.argv) > 4:
    from models.engine import Engine
    whole = Engine.generate
    def generate(engine, requests, **how):
        engine._prompt = list(requests[0].prompt_ids)
        return whole(engine, requests, **how)
    Engine.generate = generate
agent = Agent(sys.argv[1], home=sys.argv[2], workspace=sys.argv[3], plan="off", thought_chars=0)
agent.invoke({GOAL!r})
"""
BARE = f"""
import json, os, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[2]))
if len(sys.argv) > 3:
    ids = torch.tensor([json.load(open(sys.argv[3]))])
else:
    said = [{{"role": "user", "content": {QUESTION!r}}}]
    ids = tokenizer.apply_chat_template(
        said, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
with torch.inference_mode():
    mask = torch.ones_like(ids)
    made = model.generate(ids, attention_mask=mask, max_new_tokens=1, do_sample=False)
print(tokenizer.decode(made[0, ids.shape[1] :]))
sys.stdout.flush()
os._exit(0)
"""
NO_TORCH = """
import sys
from agent.cli import main
sys.argv = ["tuneward", "--help"]
try:
    main()
except SystemExit:
    pass
print("torch" in sys.modules, "transformers" in sys.modules)
"""


def seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """How long the process took; it must end well."""
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{command[:2]} failed:\n{done.stderr}")
    return taken


def compare(
    title: str, sides: Mapping[str, Sequence[str]], repeats: int, environment: Mapping[str, str]
) -> None:
    """The two sides in turn, after one round that fills the disk cache."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, command in sides.items():
            figure = seconds(command, environment)
            if repeat:
                taken[name].append(figure)
    ours, theirs = (median(figures) for figures in taken.values())
    names = list(sides)
    spread = ", ".join(f"{min(f):.2f} to {max(f):.2f}" for f in taken.values())
    print(
        f"{title:32}{names[0]} {ours:.2f} s, {names[1]} {theirs:.2f} s:"
        f" {ours / theirs:.2f}x   ({spread})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(heading())
    home = default_home()
    network = load_network(options.model, home)  # pulls and converts, if need be
    source = locate(options.model, home)
    dtype = best_dtype(str(network.model.device), lambda: network.parameters)
    folder = converted(source.path, home, dtype)[0] if source.is_gguf else source.path
    python, tuneward = sys.executable, str(Path(sys.executable).with_name("tuneward"))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TUNEWARD_HOME": str(home)}
    print(f"{network.name}, {dtype}, {options.repeats} repeats; lowest to highest in brackets\n")
    with tempfile.TemporaryDirectory() as scratch:
        prompt = str(Path(scratch) / "prompt.json")
        own = Path(scratch) / "home"  # so that no unfinished runs are left in the user's
        own.mkdir()
        (own / "models").symlink_to(home / "models")
        agent = [python, "-c", AGENT, options.model, str(own), str(TICKETS)]
        seconds([*agent, prompt], environment)
        length = len(json.loads(Path(prompt).read_text()))
        bare = [python, "-c", BARE, str(folder), dtype]
        compare(
            "first token, short question",
            {
                "load_chat": [python, "-c", OURS, options.model, str(home)],
                "from_pretrained": bare,
            },
            options.repeats,
            environment,
        )
        compare(
            f"first token, {length:,} tokens",
            {"agent": agent, "from_pretrained": [*bare, prompt]},
            options.repeats,
            environment,
        )
    compare(
        "help",
        {
            "tuneward --help": [tuneward, "--help"],
            "import typer": [python, "-c", "import typer"],
        },
        max(options.repeats, 5),
        environment,
    )
    found = subprocess.run(
        [python, "-c", NO_TORCH], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    print(f"torch and transformers loaded by --help: {found}")


if __name__ == "__main__":
    main()
