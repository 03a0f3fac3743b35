"""onnxruntime from 1.32 sends events to its maker and keeps an identifier of the device, unless this is turned off."""

import os
import subprocess
import sys


def test_a_model_is_opened_without_the_telemetry_of_onnxruntime(tmp_path):
    """As from a program of a user, without the environment that the command line sets."""
    environment = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY",)}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = "from inference.bundled import open_bundled; open_bundled()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
