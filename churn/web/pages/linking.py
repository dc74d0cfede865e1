"""The addresses of pages about a client, whatever characters its name has."""

import re

from flask import url_for

# A path loses . and .. on its way, and a name cannot open with a slash or hold a line's end there.
UNREACHABLE = re.compile(r"^$|^/|[\r\n\0]|(^|/)\.{1,2}(/|$)")


def client_url(product: str, client: str) -> str | None:
    """The page of a client; None for the odd name that no address can have."""
    return url_for("pages.client", product=product, client=client) if not UNREACHABLE.search(client) else None
