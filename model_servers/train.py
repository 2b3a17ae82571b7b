"""Train the example models into this folder, from which their images are built."""

import argparse
from pathlib import Path

from abctl.local import examples


def main() -> None:
    """Train, write, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    print(f"{'version':<8} {'test accuracy':>13}  model")
    for each in examples.write(parser.parse_args().folder):
        print(f"{each.version:<8} {each.accuracy:>13.1%}  {each.what}")


if __name__ == "__main__":
    main()
