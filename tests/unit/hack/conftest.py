"""What hack/ has in Python is not installed: it is found beside the script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "hack"))
