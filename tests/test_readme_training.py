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
    assert len(list(filter(None, code.splitlines()))) <= 16
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    score = re.match(r"steps Score\(loss=0\.\d+, correct=0\.(\d+), solved=False\)", done.stdout)
    assert score is not None, done.stdout
    assert float(f"0.{score[1]}") > 0.85
    assert "∂L/∂C reaches t=1" in done.stdout
    assert sorted(os.listdir(tmp_path)) == ["mine.checkpoint", "mine.safetensors"]
    assert read_checkpoint(tmp_path / "mine.checkpoint").arrays["count"] > 100
