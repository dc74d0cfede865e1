"""What was known of a client before: its row as it stood when some earlier drop was the newest."""

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from churn import dataset
from churn.config import Product

if TYPE_CHECKING:
    import pandas as pd

MOST = 3  # parts to look through: of a client who is in none of them, what was before is not told


def row_before(product: Product, client: str, drop: int | None) -> "pd.DataFrame | None":
    """A client's row as it stood when the drop of that number was the newest; a table of one row, or None.

    Found in the last few parts before, so that it takes some ten milliseconds a million rows. A product that names
    a file of its clients keeps no earlier ones.

    Raises:
        DataError: the parts cannot be read.
    """
    if product.clients or product.columns.id is None or drop is None or "\0" in client:
        return None
    from churn.intake import cells, reading

    parts = [one.part for one in dataset.load_record(product).ingested if one.part and one.number <= drop][-MOST:]
    paths = [path for path in (product.ingested / dataset.PARTS / part for part in parts) if path.is_file()]
    if not paths:
        return None
    columns = product.columns
    newest = [*([cells.quoted(columns.as_of)] if columns.as_of else []), "drop_number", "file_row_number"]
    order = ", ".join(f"{name} DESC" for name in newest)
    wanted = f"SELECT *, file_row_number FROM {cells.parquet(paths)} WHERE {cells.quoted(columns.id)} = "
    wanted += f"{cells.text(client)} ORDER BY {order} LIMIT 1"
    # Threads of one process must not share, and remove, one folder.
    spill = Path(tempfile.gettempdir()) / f"churn-earlier-{os.getpid()}-{threading.get_ident()}"
    with dataset.connect(product, spill) as connection:
        found = reading.frame(connection, f"({wanted})", columns)
    return found if len(found) else None
