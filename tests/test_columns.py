"""Tables as files have them: what is read of one, and which line is told where it is none."""

import numpy as np
import pytest

from lstm.errors import ConfigError
from lstm.tasks.columns import is_gap, read_columns


def columns(tmp_path, data):
    file = tmp_path / "table.csv"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_columns(file)


def test_columns_by_name(tmp_path):
    read = columns(
        tmp_path, 'day, x ,"who, and where"\n2026-01-01,1.5,a\n2026-01-02, -2e3,"b\nc"\n'
    )
    assert list(read.cells) == ["day", "x", "who, and where"]
    assert read.numbers("x").tolist() == [1.5, -2000.0]
    assert read.column("who, and where") == ["a", "b\nc"]
    assert (read.rows, read.lines) == (2, [2, 4])
    assert read.dates() == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(tmp_path, delimiter):
    read = columns(tmp_path, f"a{delimiter}b\r\n1{delimiter}2\r\n")
    assert read.cells == {"a": ["1"], "b": ["2"]}


def test_gaps_are_no_numbers(tmp_path):
    gaps = ["", "NaN", "-nan", "na", "N/A", "null", "None", "?"]
    assert all(map(is_gap, gaps)) and not is_gap("0")
    read = columns(
        tmp_path, "k,x\n" + "".join(f"{k},{gap}\n" for k, gap in enumerate(gaps)) + "9,1\n"
    )
    np.testing.assert_array_equal(read.numbers("x"), [np.nan] * 8 + [1])
    assert read.is_numeric("x")
    assert not columns(tmp_path, "k,x\n1,\n2,NA\n").is_numeric("x")


def test_empty_lines_are_gaps_of_one_column_and_nothing_of_several(tmp_path):
    """Or rows would be other moments than they are. At the end they are nothing of either."""
    read = columns(tmp_path, 'x\n1\n\n3\n""\n\n\n')
    np.testing.assert_array_equal(read.numbers("x"), [1, np.nan, 3, np.nan])
    assert read.lines == [2, 3, 4, 5]
    read = columns(tmp_path, "x,y\n1,2\n\n3,4\n\n")
    assert (read.cells, read.lines) == ({"x": ["1", "3"], "y": ["2", "4"]}, [2, 4])


def test_dates_are_told_from_numbers_and_words(tmp_path):
    assert columns(tmp_path, "a,b\n20260101,x\n20260102,y\n").dates() is None
    read = columns(tmp_path, "n,when\n1,2026-01-01 10:00\n2,2026-01-01 11:00\n")
    assert read.dates() == ["2026-01-01 10:00", "2026-01-01 11:00"]
    assert columns(tmp_path, "when,x\n2026-01-01T00:00,1\n2026-01-01T00:00Z,2\n").dates() is None
    with pytest.raises(ConfigError, match="when is '2025-12-31' in line 3, before '2026-01-01'"):
        columns(tmp_path, "when,x\n2026-01-01,1\n2025-12-31,2\n").dates()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "has a header and no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells, and the header 2"),
        ("a,b\n1,2,3\n", "line 2 has 3 cells, and the header 2"),
        ("a,a\n1,2\n", "the names of columns, has 'a' twice"),
        ("a,,b\n1,2,3\n", "has a column without a name"),
        ("\n1,2\n", "its first line is empty, and should name the columns"),
        ("1.5,2\n1,2\n", "is of numbers, and should name the columns: add a header"),
        ('a,b\n1,"2\n', "line 2: unexpected end of data"),
        (b"a,b\n1,\xff\n", "is no UTF-8: byte 0xff in line 2"),
        ("a,b\n1,\0\n", "is no text: it has a NUL byte in line 2"),
        ("a,b\n1," + "x" * 1_000_000 + "\n", "line 2: field larger than field limit"),
    ],
)
def test_files_that_are_no_table(tmp_path, data, message):
    with pytest.raises(ConfigError, match=message):
        columns(tmp_path, data)


@pytest.mark.parametrize("cell", ["1.", ".5", "+2E-3", "-0", "007", "1e+5"])
def test_cells_that_are_numbers(tmp_path, cell):
    assert columns(tmp_path, f"k,x\n1,{cell}\n").numbers("x").tolist() == [float(cell)]


@pytest.mark.parametrize(
    "cell", ["warm", "1,5", "inf", "1e999", "0x10", "1_000", "infinity", "١٢", "1 2", "-", "."]
)
def test_cells_that_are_no_numbers(tmp_path, cell):
    read = columns(tmp_path, f'k,x\n1,2\n2,"{cell}"\n')
    with pytest.raises(ConfigError, match=f"x is '{cell}' in line 3, and must be a number"):
        read.numbers("x")
    assert not read.is_numeric("x")


def test_a_column_that_there_is_not(tmp_path):
    with pytest.raises(ConfigError, match="no column 'tmep'; it has day, temp; did you mean temp"):
        columns(tmp_path, "day,temp\n1,2\n").column("tmep")


def test_lines_end_where_the_file_ends_them_and_nowhere_else(tmp_path):
    read = columns(tmp_path, "note\na\x85b\u2028c\x1dd\ne\n")
    assert (read.column("note"), read.lines) == (["a\x85b\u2028c\x1dd", "e"], [2, 3])
