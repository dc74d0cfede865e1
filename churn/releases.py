"""Versions, their manifests and hashes, and the link that says which one is in production.

A version is a folder `models/<product>/<version>/`; production holds complete copies and one symbolic link,
`current`. The bytes of a model are hashed, compared with the manifest and only then loaded: the same bytes.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn import storage
from churn.columns import Columns
from churn.config import Product
from churn.errors import NoRelease, ReleaseError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODEL, PICKLE, SCORE, INGESTED, MANIFEST = (
    "model.skops",
    "trainedmodel.pkl",
    "latestscore.txt",
    "ingestedfiles.txt",
    "manifest.json",
)
PROFILE = "reference.json"
CURRENT, HISTORY = "current", "history.json"
FORMAT = 2  # of the manifest, and of the model file beside it
OLD_NAMES = (PICKLE, SCORE, INGESTED)  # the brief's names, which resolve through `current`


@dataclass(frozen=True)
class Release:
    """A version loaded for use: its verified model, and what its manifest says."""

    version: str
    manifest: dict[str, Any]
    model: "Pipeline"
    columns: Columns
    threshold: float


def versions(product: Product) -> list[str]:
    """The complete versions in models, oldest first."""
    return _complete(product.models)


def _complete(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name[0].isdigit() and (path / MANIFEST).is_file())


def next_version(product: Product, data_hash: str) -> str:
    """The name of the next version: a serial number that only rises, and the data it is trained on."""
    used = [*versions(product), *_complete(product.production), *(entry["version"] for entry in history(product))]
    return f"{max((int(name.split('-')[0]) for name in used), default=0) + 1:04d}-{data_hash[:8]}"


def folder_of(product: Product, version: str | None) -> Path:
    """The folder of a version in models; the newest when None.

    Raises:
        ReleaseError: there is no such version.
    """
    known = versions(product)
    if version is None and not known:
        raise ReleaseError(f"{product.models}: no model yet; run: python training.py --product {product.name}")
    if version is not None and version not in known:
        raise ReleaseError(f"{product.models}: no version {version}; it has {', '.join(known) or 'none'}")
    return product.models / (version or known[-1])


def current(product: Product) -> Path:
    """The folder of the release in production, with the link resolved once.

    Raises:
        NoRelease: nothing is deployed yet.
    """
    try:
        return product.production / os.readlink(product.production / CURRENT)
    except FileNotFoundError:
        raise NoRelease(f"{product.name}: no model is in production yet; run: python fullprocess.py") from None


def current_version(product: Product) -> str | None:
    """The version in production, or None."""
    try:
        return current(product).name
    except NoRelease:
        return None


def previous(product: Product) -> dict[str, Any]:
    """The entry of the history of the version that was in production before the current one.

    Raises:
        ReleaseError: there is none, or it is no longer kept.
    """
    entries = history(product)
    now = current_version(product)
    earlier = [entry for entry in entries if entry["version"] != now]
    if not earlier:
        raise ReleaseError("nothing to go back to: only one version was ever in production")
    version = earlier[-1]["version"]
    if not (product.production / version / MANIFEST).is_file():
        raise ReleaseError(f"version {version} is no longer kept; choose one with --version (see --list)")
    return earlier[-1]


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a version's manifest says.

    Raises:
        ReleaseError: it is absent or not JSON.
    """
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise ReleaseError(f"{folder / MANIFEST}: {error}; deploy another version with deployment.py") from None


def write_scores(folder: Path, scores: dict[str, Any]) -> None:
    """Put a version's score and its grown manifest in place; model and data stay the bytes that they were."""
    manifest = read_manifest(folder)
    score = f"{scores['f1']!r}\n"
    storage.write_if_changed(folder / SCORE, score)
    manifest["files"][SCORE] = digest(score.encode())
    storage.write_if_changed(folder / MANIFEST, storage.to_json(manifest | {"scores": scores}))


def write_verdict(folder: Path, rival: str | None, verdict: dict[str, Any]) -> None:
    """Complete a version's manifest with whom it competed with (None: the constant guess) and what came of it."""
    manifest = read_manifest(folder) | {"rival": rival, "verdict": verdict}
    storage.write_if_changed(folder / MANIFEST, storage.to_json(manifest))


def digest(content: bytes) -> str:
    """The content hash that manifests list."""
    return hashlib.sha256(content).hexdigest()


def verify(folder: Path) -> dict[str, Any]:
    """Compare every file of a version with its manifest, and return the manifest.

    Raises:
        ReleaseError: a file is missing or is not the bytes listed.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        _verified(folder, name, expected)
    return manifest


def _verified(folder: Path, name: str, expected: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        raise ReleaseError(f"{folder / name}: missing; deploy another version: python deployment.py --list") from None
    if digest(content) != expected:
        raise ReleaseError(
            f"{folder / name}: not the bytes that its manifest lists, so it is not loaded; if it is in production, "
            f"deploy a sound copy (python deployment.py --version {folder.name}) or go back (--rollback)"
        )
    return content


def load(folder: Path) -> Release:
    """Load a version's model for use: verified bytes, and only types that the code trusts.

    Raises:
        ReleaseError: it is incomplete, changed, or holds a type that is not trusted.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from churn.estimators import TRUSTED

    manifest = read_manifest(folder)
    if manifest["format"] != FORMAT:
        raise ReleaseError(
            f"{folder}: made by another version of this software (format {manifest['format']}, this one reads "
            f"{FORMAT}); run python fullprocess.py --force, which trains and deploys a new one"
        )
    content = _verified(folder, MODEL, manifest["files"][MODEL])
    try:
        model = skops.io.loads(content, trusted=TRUSTED)
    except UntrustedTypesFoundException as error:
        raise ReleaseError(f"{folder / MODEL}: {error}") from None
    return Release(manifest["version"], manifest, model, columns_of(manifest), manifest["threshold"])


def read_profile(folder: Path) -> dict[str, Any]:
    """A version's reference profile: what its newest training rows looked like.

    Raises:
        ReleaseError: it is absent or changed.
    """
    return json.loads(_verified(folder, PROFILE, read_manifest(folder)["files"][PROFILE]))


def columns_of(manifest: dict[str, Any]) -> Columns:
    """The column contract that a version was trained by."""
    return Columns(**{k: tuple(v) if isinstance(v, list) else v for k, v in manifest["columns"].items()})


def history(product: Product) -> list[dict[str, Any]]:
    """What was in production, oldest first: {version, from, why, by}.

    An entry is written just before the link is swapped; one whose swap never came is left out.
    """
    path = product.production / HISTORY
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    # The link still at the entry before means that the last swap never came; anything else is no reason to forget.
    if len(entries) > 1 and entries[-2]["version"] == current_version(product) != entries[-1]["version"]:
        entries.pop()
    return entries


def with_ends(entries: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str | None]]:
    """What was in production, newest first, each with the time at which the next one came (None: it is there now)."""
    ends = [entry["from"] for entry in entries[1:]]
    return list(zip(entries, [*ends, None], strict=True))[::-1] if entries else []


def restore_link(product: Product) -> str | None:
    """Make the link anew where it is gone although the history says what it pointed to; that version, or None."""
    if (product.production / CURRENT).is_symlink():
        return None
    lost = [entry["version"] for entry in history(product)]
    if not lost:
        return None
    verify(product.production / lost[-1])
    _link_old_names(product)
    storage.point(product.production / CURRENT, lost[-1])
    return lost[-1]


def publish(product: Product, folder: Path, entry: dict[str, Any]) -> None:
    """Copy a version to production and make it current by one rename.

    Args:
        entry: {version, from, why}, for the history.
    """
    target = product.production / folder.name
    if folder != target and target.is_dir() and not _is_sound(target):
        target.rename(target.with_name(f"{storage.TEMPORARY}damaged-{target.name}"))
        storage.sweep(product.production)
    if not target.is_dir():
        with storage.building(target) as staging:
            for path in sorted(folder.iterdir()):
                shutil.copyfile(path, staging / path.name)
    verify(target)
    _link_old_names(product)
    if current_version(product) != folder.name:
        storage.write(product.production / HISTORY, storage.to_json([*history(product), entry]))
        storage.point(product.production / CURRENT, folder.name)


def _link_old_names(product: Product) -> None:
    for name in OLD_NAMES:
        storage.point(product.production / name, f"{CURRENT}/{name}")


def _is_sound(folder: Path) -> bool:
    try:
        verify(folder)
    except ReleaseError:
        return False
    return True


def prune(product: Product) -> list[str]:
    """Remove the oldest versions past `keep_versions`, never the current one or the one before it."""
    keep = product.settings.keep_versions
    lately = list(dict.fromkeys(entry["version"] for entry in reversed(history(product))))[:2]
    removed = []
    for folder in (product.models, product.production):
        for version in _complete(folder)[:-keep]:
            if version not in lately:
                # Renamed first: a version is wholly there or not at all.
                doomed = folder / f"{storage.TEMPORARY}{version}"
                (folder / version).rename(doomed)
                shutil.rmtree(doomed)
                removed.append(version)
    return sorted(set(removed))
