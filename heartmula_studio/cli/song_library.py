"""The songs of the studio, from a shell: found, named, starred, written out as one zip."""

from argparse import Namespace

from heartmula_studio.cli.datasets import still_studio
from heartmula_studio.errors import InvalidInputError
from heartmula_studio.files.atomic import replaced_file
from heartmula_studio.files.disk import disk_explained
from heartmula_studio.services.songs.history import QUERY, SongQuery, song_title
from heartmula_studio.store.records import Generation
from heartmula_studio.studio import Studio


def manage_songs(arguments: Namespace) -> int:
    with still_studio() as studio:
        ACTIONS[arguments.action](studio, arguments)
    return 0


def list_songs(studio: Studio, arguments: Namespace) -> None:
    given = {name: value for name in QUERY if (value := getattr(arguments, name)) is not None}
    for song in studio.songs.find(SongQuery(**given))[0]:
        print(line(song))


def line(song: Generation) -> str:
    """Put a song into one line."""
    length = f"{song.duration_sec:6.1f} s" if song.duration_sec is not None else "        "
    return "  ".join([song.id, f"{song.status:9}", length, "★" if song.starred else " ", song_title(song)])


def rename(studio: Studio, arguments: Namespace) -> None:
    print(line(studio.songs.rename(arguments.id, arguments.title)))


def star(studio: Studio, arguments: Namespace) -> None:
    print(line(studio.songs.star(arguments.id, not arguments.remove)))


def cover(studio: Studio, arguments: Namespace) -> None:
    if (arguments.image is None) != arguments.remove:
        raise InvalidInputError("There is no image, or one too many.", "Give a JPEG or PNG, or --remove.")
    print(line(studio.songs.set_cover(arguments.id, arguments.image)))


def export(studio: Studio, arguments: Namespace) -> None:
    _, pieces = studio.songs.archive(arguments.ids, arguments.format)
    with disk_explained(arguments.out), replaced_file(arguments.out) as temporary, temporary.open("wb") as file:
        file.writelines(pieces)
    print(arguments.out)


ACTIONS = {"list": list_songs, "rename": rename, "star": star, "cover": cover, "export": export}
