"""README's section on training runs as printed, and does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from lstm.store.checkpoint import read_checkpoint

README = Path(__file__).parent.parent / "README.md"


def test_train_stop_resume_and_inspect(tmp_path):
    section = README.read_text("utf-8").split("\n## Train, stop, resume and inspect")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    assert len(list(filter(None, code.splitlines()))) <= 20
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.match(r"(steps|solved) Score\(loss=0\.0", done.stdout), done.stdout
    assert "∂L/∂C reaches t=1" in done.stdout
    assert sorted(os.listdir(tmp_path)) == ["open.checkpoint", "open.safetensors"]
    assert read_checkpoint(tmp_path / "open.checkpoint").arrays["count"] > 100
