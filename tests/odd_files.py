"""Fifty odd files that people and programs leave in a folder of drops, and what is to become of each.

The columns are those of the corporate product.
"""

import contextlib
import gzip
import io
import os
import socket
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited"
GOOD_ROWS = 40
INGESTED, QUARANTINED, IGNORED = "ingested", "quarantined", "ignored"


@dataclass(frozen=True)
class Odd:
    """A file's bytes and what is expected: its status, the line at fault, words of the reason, rejected rows."""

    content: bytes = b""
    status: str = INGESTED
    line: int | None = None
    reason: str = ""
    rejected: int = 0


def rows(tag: str, count: int = GOOD_ROWS) -> list[str]:
    """Good rows that no other tag has."""
    return [f"{tag}{i:02},{i},{i * 12},{i + 1},{i % 2}" for i in range(count)]


def table(tag: str, *bad: str, header: str = HEADER, ends: str = "\n") -> str:
    """A good file, with bad rows in the middle: the first of them on line 22."""
    good = rows(tag)
    return ends.join([header, *good[: GOOD_ROWS // 2], *bad, *good[GOOD_ROWS // 2 :], ""])


def _with_bad_rows() -> dict[str, Odd]:
    """Files that are ingested but for a row."""
    bad = {
        "text_in_number": ("xx,plenty,1,1,0", "lastmonth_activity: not a number"),
        "underscore_in_number": ("xx,1_000,1,1,0", "lastmonth_activity: not a number"),
        "hexadecimal": ("xx,1,0x1F,1,0", "lastyear_activity: not a number"),
        "infinite": ("xx,1,inf,1,0", "lastyear_activity: not a number"),
        "nan": ("xx,1,nan,1,0", "lastyear_activity: not a number"),
        "overflow": ("xx,1,1,1e400,0", "number_of_employees: not a finite number"),
        "fraction": ("xx,1,1,1.5,0", "number_of_employees: not a whole number"),
        "decimal_comma": ('xx,1,1,"1,5",0', "number_of_employees: not a number"),
        "label_2": ("xx,1,1,1,2", "exited: neither '1' nor '0'"),
        "label_yes": ("xx,1,1,1,yes", "exited: neither '1' nor '0'"),
        "label_blank": ("xx,1,1,1,", "exited: blank"),
        "id_blank": (" ,1,1,1,1", "corporation: blank"),
        "ragged_short": ("xx,1,1", "fewer fields"),
        "ragged_long": ("xx,1,1,1,1,1", "more fields"),
        "text_after_quote": ('"xx"yz,1,1,1,1', "text after a closing quote"),
        "line_break_in_id": ('"x\nx",1,1,1,1', "corporation: a line break"),
        "footer": ("Total: 40 rows", "fewer fields"),
    }
    odd = {f"{n}.csv": Odd(table(n, row).encode(), INGESTED, 22, why, 1) for n, (row, why) in bad.items()}
    odd["cut_short.csv"] = Odd(f"{table('cut_short')}xxxx,12,".encode(), INGESTED, 42, "fewer fields", 1)
    return odd


def _sound() -> dict[str, Odd]:
    """Files that are odd and nevertheless ingested whole."""
    breaks = [f'{row},"a note\nof two lines"' for row in rows("quoted_breaks")]
    texts = {
        "plain.csv": table("plain"),
        "header_only.csv": HEADER + "\n",
        "crlf.csv": table("crlf", ends="\r\n"),
        "no_last_line_end.csv": table("no_last_line_end").rstrip("\n"),
        "blank_lines.csv": table("blank_lines", "", "", "") + "\n\n",
        "reordered.csv": "exited,number_of_employees,lastyear_activity,lastmonth_activity,corporation\n1,2,3,4,xx\n",
        "extra_columns.csv": f"{HEADER},Region,region\nxx,1,2,3,0,north,\nyy,1,2,3,0,,x\n",
        "all_quoted.csv": '"' + table("all_quoted").rstrip("\n").replace(",", '","').replace("\n", '"\n"') + '"\n',
        "quoted_breaks.csv": "\n".join([f"{HEADER},note", *breaks, ""]),
        "null_and_007.csv": f"{HEADER}\nnull,1,2,3,0\nNA,1,2,3,0\n007,1,2,3,0\nTrue,1,2,3,0\n",
        "blank_numbers.csv": f"{HEADER}\nblank,, ,,0\n",
        "padded.csv": f"{HEADER}\npadded, 1 ,\t2,3.0, 1 \n",
        "only_duplicates.csv": table("plain") + "\n",
        "no_extension": table("no_extension"),
        'it\'s "odd" *?[1] $(x);%s.csv': table("odd_name"),
        "two\nlines.csv": table("two_lines"),
        "-rf": table("dash"),
        "é" * 100 + ".csv": table("long_name"),
        os.fsdecode(b"caf\xe9.csv"): table("latin_name"),
    }
    odd = {name: Odd(text.encode()) for name, text in texts.items()}
    odd["bom.csv"] = Odd(b"\xef\xbb\xbf" + table("bom").encode())
    return odd


def _unusable() -> dict[str, Odd]:
    """Files that are set aside as a whole."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    accented = table("latin").replace("latin05", "café05")
    cases = {
        "empty": (b"", None, "empty"),
        "only_bom": (b"\xef\xbb\xbf", None, "empty"),
        "semicolons": (table("semi").replace(",", ";"), 1, "semicolons"),
        "tabs": (table("tabs").replace(",", "\t"), 1, "tabs"),
        "utf16": (table("utf16").encode("utf-16"), None, "UTF-16"),
        "utf16_without_bom": (table("utf16").encode("utf-16-le"), 1, "NUL"),
        "latin1": (accented.encode("latin-1"), 7, "UTF-8"),
        "nul": (table("nul").replace("nul30", "nul\0"), 32, "NUL"),
        "gzip": (gzip.compress(table("gzip").encode()), None, "gzip"),
        "workbook": (packed.getvalue(), None, "Excel"),
        "parquet": (b"PAR1\x15\x04\x15", None, "Parquet"),
        "html": ("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n", 1, "HTML"),
        "json": ('{"corporation": "abcd",\n "exited": 1}\n', 1, "no header"),
        "binary": (bytes(range(1, 256)) * 40, 2, "UTF-8"),
        "missing_column": (table("missing", header=HEADER.replace(",exited", "")), 1, "no column 'exited'"),
        "misspelt_column": (table("misspelt", header=HEADER.replace("exited", "Exited")), 1, "but 'Exited'"),
        "repeated_column": (table("repeated", header=f"{HEADER},exited"), 1, "'exited' twice"),
        "nameless_column": (table("nameless", header=f",{HEADER}"), 1, "has no name"),
        "no_header": ("\n".join(rows("no_header")), 1, "no header"),
        "unclosed_quote": (table("unclosed", '"xx,1,1,1,1'), 22, "a quote is not closed"),
        "cut_in_quote": (table("cut") + '"xx', 42, "a quote is not closed"),
        "mixed_line_ends": (table("mixed").replace("\nmixed10", "\r\nmixed10"), 11, "several ways"),
        "cr_only": (table("cr", ends="\r"), None, "carriage return"),
        "all_wrong": (table("wrong").replace(",0\n", ",no\n").replace(",1\n", ",yes\n"), 2, "40 of 40 rows do not fit"),
    }
    return {
        f"{name}.csv": Odd(what.encode() if isinstance(what, str) else what, QUARANTINED, line, reason)
        for name, (what, line, reason) in cases.items()
    }


FILES = _sound() | _with_bad_rows() | _unusable()


def make(folder: Path) -> dict[str, Odd]:
    """Put all of them into a folder; what is expected, by name."""
    expected = dict(FILES)
    for i, (name, odd) in enumerate(FILES.items()):
        (folder / name).write_bytes(odd.content)
        os.utime(folder / name, (i, i))  # their order
    os.mkfifo(folder / "pipe.csv")
    (folder / "link_out.csv").symlink_to("/etc/passwd")
    (folder / "dangling.csv").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket may not be long
        try:
            listener.bind("socket.csv")
        finally:
            os.chdir(here)
    (folder / "unreadable.csv").write_text(table("unreadable"))
    (folder / "unreadable.csv").chmod(0)
    (folder / "folder.csv").mkdir()
    (folder / ".hidden.csv").write_text("nobody's business")
    expected["pipe.csv"] = Odd(status=QUARANTINED, reason="not a regular file")
    expected["link_out.csv"] = Odd(status=QUARANTINED, reason="symbolic link")
    expected["dangling.csv"] = Odd(status=QUARANTINED, reason="symbolic link")
    expected["socket.csv"] = Odd(status=QUARANTINED, reason="not a regular file")
    expected["folder.csv"] = expected[".hidden.csv"] = Odd(status=IGNORED)
    readable = os.access(folder / "unreadable.csv", os.R_OK)  # root reads everything
    expected["unreadable.csv"] = Odd() if readable else Odd(status=QUARANTINED, reason="permissions")
    return expected


@contextlib.contextmanager
def half_written(folder: Path) -> Iterator[str]:
    """A file that is being written while the block lasts; its name."""
    path = folder / "growing.csv"
    with path.open("w") as file:
        file.write(f"{HEADER}\nabcd,1,")
        file.flush()
        yield path.name
