"""What the address of a list asks for: sorted how, searched and filtered for what, which page of it.

Whatever an address says is brought into bounds; nothing in it is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

PAGE = 50  # rows
LONGEST = 100  # characters of a search
LAST_PAGE = 1_000_000


@dataclass(frozen=True)
class Asked:
    """What a list is asked for; `sort` and `only` are names from closed tables."""

    path: str
    sort: str
    down: bool  # the largest first
    search: str = ""
    band: str = ""
    only: str = ""
    shade: bool = False
    page: int = 1
    default: tuple[str, bool] = ("", False)  # the sort and its direction when nothing is asked

    @property
    def offset(self) -> int:
        """How many rows come before this page."""
        return (self.page - 1) * PAGE

    @property
    def order(self) -> str:
        """The sort as an address has it: risk.down."""
        return f"{self.sort}.{'down' if self.down else 'up'}"

    @property
    def filtered(self) -> bool:
        """Whether fewer than all rows are asked for."""
        return bool(self.search or self.band or self.only)

    def to(self, **changes: Any) -> str:
        """The address that asks for the same but for these; the first page where something else than it changes."""
        other = replace(self, **({"page": 1} | changes))
        said = {
            "q": other.search,
            "band": other.band,
            "only": other.only,
            "sort": other.order if (other.sort, other.down) != other.default else "",
            "shade": "1" if other.shade else "",
            "page": str(other.page) if other.page > 1 else "",
        }
        text = urlencode({name: value for name, value in said.items() if value})
        return f"{self.path}?{text}" if text else self.path


@dataclass(frozen=True)
class Head:
    """The head of a column: how it is called and, where the list can be sorted by it, how that is done."""

    title: str
    sort: str = ""
    down: bool = False  # whether the largest come first when it is first asked for
    kind: str = ""  # its look: number, wide, ...


def read(
    arguments: Mapping[str, str], path: str, *, sorts: Mapping[str, bool], only: tuple[str, ...], bands: tuple[str, ...]
) -> Asked:
    """What a request's arguments ask for.

    Args:
        sorts: the columns to sort by, each with whether the largest come first; the first is the default.
        only: the filters that there are.
        bands: the bands of risk.
    """
    first = next(iter(sorts))
    sort, _, order = arguments.get("sort", "").partition(".")
    sort, order = (sort, order) if sort in sorts else (first, "")
    page = arguments.get("page", "")
    return Asked(
        path=path,
        sort=sort,
        down=order == "down" if order in ("up", "down") else sorts[sort],
        search=arguments.get("q", "").replace("\0", "").strip()[:LONGEST],
        band=arguments.get("band", "") if arguments.get("band") in bands else "",
        only=arguments.get("only", "") if arguments.get("only") in only else "",
        shade=arguments.get("shade") == "1",
        page=max(1, min(LAST_PAGE, int(page))) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        default=(first, sorts[first]),
    )


def heads(asked: Asked, columns: tuple[Head, ...]) -> list[dict[str, Any]]:
    """The heads of a table: {title, kind, sorted (for aria-sort), href (None: not to be sorted by)}."""
    found = []
    for column in columns:
        current = column.sort == asked.sort
        down = not asked.down if current else column.down
        found.append(
            {
                "title": column.title,
                "kind": column.kind,
                "sorted": ("descending" if asked.down else "ascending") if current and column.sort else None,
                "href": asked.to(sort=column.sort, down=down) if column.sort else None,
            }
        )
    return found


def orders(asked: Asked, columns: tuple[Head, ...]) -> list[tuple[str, str]]:
    """What a list can be sorted by, for where there is no room for heads: (as an address has it, in words)."""
    ways = {"down": "the largest first", "up": "the smallest first"}
    found = [(f"{one.sort}.{'down' if one.down else 'up'}", one.title.split(":")[0]) for one in columns if one.sort]
    if asked.order not in [order for order, _ in found]:
        title = next(one.title.split(":")[0] for one in columns if one.sort == asked.sort)
        found.append((asked.order, f"{title}, {ways['down' if asked.down else 'up']}"))
    return found


def last_page(total: int) -> int:
    """How many pages a list of so many rows has; one where it is empty."""
    return max(1, -(-total // PAGE))


def within(asked: Asked, total: int) -> Asked:
    """The same, of the last page where the list ends before what is asked for."""
    return replace(asked, page=min(asked.page, last_page(total)))


def paging(asked: Asked, total: int, more: bool = False) -> dict[str, Any]:
    """Where in the list this page stands: {first, last, total (in words), several, before, next} (None: there is none).

    Args:
        more: whether there are more than `total`, which nobody has counted.
    """
    pages = last_page(total)
    return {
        "first": asked.offset + 1,
        "last": min(total, asked.offset + PAGE),
        "total": f"{'more than ' if more else ''}{total:,}",
        "several": more or pages > 1,
        "before": asked.to(page=asked.page - 1) if asked.page > 1 else None,
        "next": asked.to(page=asked.page + 1) if more or asked.page < pages else None,
    }
