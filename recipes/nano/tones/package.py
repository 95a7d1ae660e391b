"""Put the trained parts of the base of tones together.

python -m recipes.nano.tones.package --work DIR --out FOLDER
"""

from recipes.nano.package import package
from recipes.nano.tones.base_folder import write_codec


def main() -> None:
    package(write_codec, __doc__)


if __name__ == "__main__":
    main()
