"""Files of lines that a killed worker may have left torn, and that a resumed one cuts back."""

import json

from heartmula_studio.files.jsonl import last_line, lines_after, lines_backwards


def write(path, *lines, torn=""):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + torn, encoding="utf-8")
    return path


def test_reading_goes_on_where_it_ended(tmp_path):
    path = write(tmp_path / "a", {"event": "start"}, {"event": "step"})
    (first, line), (second, _) = lines_after(path, 0)
    assert line == {"event": "start"}
    assert second == path.stat().st_size
    assert [end for end, _ in lines_after(path, first)] == [second]
    assert not list(lines_after(path, second))


def test_a_torn_line_is_read_once_it_is_whole(tmp_path):
    path = write(tmp_path / "a", {"event": "start"}, torn='{"event": "st')
    (end, _), *rest = lines_after(path, 0)
    assert not rest
    assert last_line(path) == {"event": "start"}
    with path.open("a") as file:
        file.write('ep"}\n')
    assert [line for _, line in lines_after(path, end)] == [{"event": "step"}]


def test_from_the_middle_of_a_line_reading_begins_at_the_next(tmp_path):
    path = write(tmp_path / "a", {"n": 1}, {"n": 2}, {"n": 3})
    assert [line["n"] for _, line in lines_after(path, 3)] == [2, 3]


def test_an_offset_beyond_the_end_counts_as_the_end(tmp_path):
    path = write(tmp_path / "a", {"n": 1})
    assert not list(lines_after(path, 10_000))
    assert not list(lines_after(tmp_path / "missing", 0))


def test_backwards_is_the_reverse_over_any_length(tmp_path):
    """Lines reach over the blocks in which the file is read."""
    lines = [{"n": n, "text": "é" * (n * 37 % 5000)} for n in range(100)]
    path = write(tmp_path / "a", *lines, torn='{"n": 1')
    assert list(lines_backwards(path)) == lines[::-1]
    assert not list(lines_backwards(tmp_path / "missing"))
