"""``python -m docs.generate NAME``: print a generated page."""

import argparse

from docs.generate.pages import PAGES

parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Print a generated page.")
parser.add_argument("page", choices=[name.rpartition("/")[2] for name in PAGES])
chosen = parser.parse_args().page
print(next(make for name, make in PAGES.items() if name.rpartition("/")[2] == chosen)())
