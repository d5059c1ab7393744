"""The command `tuneward` with a scripted model in place of a loaded one, in a process of its own.

    python -P tests/agent/scripted_cli.py REPLIES.json ARGUMENTS...

REPLIES.json is a list of texts and calls. Every word after it goes to the command.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def command(folder: Path, replies: Sequence[Any], *arguments: str) -> list[str]:
    """The words that start it; the replies are kept in `folder`."""
    script = folder / f"replies-{len(list(folder.glob('replies-*')))}.json"
    script.write_text(json.dumps(replies))
    return [sys.executable, "-P", str(Path(__file__)), str(script), *arguments]


def run(
    folder: Path,
    replies: Sequence[Any],
    *arguments: str,
    cwd: Path | None = None,
    given: str = "",
    **environ: str,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, away from any terminal."""
    return subprocess.run(
        command(folder, replies, *arguments),
        capture_output=True,
        text=True,
        input=given,
        timeout=120,
        cwd=cwd or folder,
        env={**os.environ, **environ},
    )


def main() -> int:
    sys.path.insert(0, str(ROOT))
    import models.load
    from agent.cli import main as tuneward
    from models.chat import ScriptedModel

    # At a terminal the memory is on and would fetch its embedder.
    os.environ.setdefault("TUNEWARD_MEMORY", "off")
    script, *arguments = sys.argv[1:]
    model = ScriptedModel(json.loads(Path(script).read_text()))
    models.load.load_chat = lambda *_, **__: model  # the one stand-in
    return tuneward(arguments)


if __name__ == "__main__":
    sys.exit(main())
